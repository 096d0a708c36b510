//! Which file of a crate uses which: the paths in its code, followed through re-exports to the file that defines what they name.

use super::source::Source;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

type Module = Vec<String>;

/// The files of one crate by their modules.
#[derive(Debug)]
pub(super) struct Graph<'s> {
    files: BTreeMap<Module, &'s Source>,
    /// Name by which a module passes something on, and where it comes from.
    exports: BTreeMap<(Module, String), Vec<String>>,
    edges: BTreeMap<Module, BTreeSet<Module>>,
}

impl<'s> Graph<'s> {
    /// Of the sources in a crate's folder. What is compiled for tests alone is left out: it may use everything.
    pub(super) fn new(folder: &str, sources: &'s [Source]) -> Self {
        let mut files = BTreeMap::new();
        for source in sources {
            if let Some((of, module)) = source.module()
                && of == folder
                && !module.contains(&"tests")
            {
                files.insert(module.into_iter().map(str::to_owned).collect(), source);
            }
        }
        if !files.contains_key(&Module::new())
            && let Some(main) = files.remove(&vec!["main".to_owned()])
        {
            files.insert(Module::new(), main);
        }
        let test_only: Vec<Module> = files
            .iter()
            .flat_map(|(module, source)| {
                let names = source.test_modules();
                names.into_iter().map(|name| child(module, name)).collect::<Vec<_>>()
            })
            .collect();
        files.retain(|module, _| !test_only.iter().any(|root| module.starts_with(root)));
        let mut graph = Self {
            files,
            exports: BTreeMap::new(),
            edges: BTreeMap::new(),
        };
        graph.read_exports();
        graph.read_edges();
        graph
    }

    /// Every file with those it uses.
    pub(super) fn edges(&self) -> impl Iterator<Item = (&'s Source, &Module, &'s Source, &Module)> {
        self.edges.iter().flat_map(move |(from, used)| {
            used.iter()
                .filter_map(move |to| Some((*self.files.get(from)?, from, *self.files.get(to)?, to)))
        })
    }

    /// The root's modules in the order in which it declares them.
    pub(super) fn order(&self) -> Vec<&'s str> {
        let root = self.files.get(&Module::new());
        root.map(|root| root.text.lines().filter_map(super::source::declared_module).collect())
            .unwrap_or_default()
    }

    /// Each set of files that use one another, as paths.
    pub(super) fn cycles(&self) -> Vec<Vec<&'s str>> {
        let reach: BTreeMap<&Module, BTreeSet<&Module>> = self
            .files
            .keys()
            .map(|module| (module, self.reachable(module)))
            .collect();
        let mut seen = BTreeSet::new();
        let mut cycles = Vec::new();
        for (module, reached) in &reach {
            if seen.contains(module) || !reached.contains(module) {
                continue;
            }
            let members: Vec<&Module> = reached
                .iter()
                .copied()
                .filter(|other| reach.get(other).is_some_and(|back| back.contains(module)))
                .collect();
            seen.extend(members.iter().copied());
            let paths = members.iter().filter_map(|member| self.files.get(*member));
            cycles.push(paths.map(|source| source.path.as_str()).collect());
        }
        cycles
    }

    fn reachable(&self, from: &Module) -> BTreeSet<&Module> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<&Module> = self.edges.get(from).into_iter().flatten().collect();
        while let Some(module) = open.pop() {
            if reached.insert(module) {
                open.extend(self.edges.get(module).into_iter().flatten());
            }
        }
        reached
    }

    fn read_exports(&mut self) {
        for (module, source) in &self.files {
            for (_, line) in source.code() {
                let Some(path) = exported(line) else { continue };
                let (path, alias) = path.split_once(" as ").unwrap_or((path, ""));
                let parts: Vec<String> = path.split("::").map(str::to_owned).collect();
                let Some(last) = parts.last() else { continue };
                let name = if alias.is_empty() { last } else { alias };
                self.exports.insert((module.clone(), name.to_owned()), parts.clone());
            }
        }
    }

    fn read_edges(&mut self) {
        let mut edges: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (module, source) in &self.files {
            let used = edges.entry(module.clone()).or_default();
            for (_, line) in source.code().filter(|(_, line)| exported(line).is_none()) {
                let line = without_visibility(line);
                let targets = paths(line)
                    .into_iter()
                    .filter_map(|path| self.resolve(module, &path, 0));
                used.extend(targets.filter(|target| target != module));
                // What a module passes on it may use itself by the bare name.
                let passed_on = self
                    .exports
                    .iter()
                    .filter(|((of, name), _)| of == module && has_name(line, name));
                let targets = passed_on.filter_map(|(_, path)| self.resolve(module, path, 0));
                used.extend(targets.filter(|target| target != module));
            }
        }
        self.edges = edges;
    }

    /// The module whose file defines what a path in `module` names; `None` for what is not of this crate.
    fn resolve(&self, module: &[String], path: &[String], depth: usize) -> Option<Module> {
        /// Re-exports of re-exports: more is a mistake that the compiler finds.
        const MOST: usize = 16;
        let mut parts = path.iter().map(String::as_str).peekable();
        let mut at = match parts.next()? {
            "crate" => Module::new(),
            "self" => module.to_vec(),
            "super" => module.split_last()?.1.to_vec(),
            first if self.files.contains_key(&child(module, first)) => child(module, first),
            _ => return None,
        };
        for part in parts {
            if part == "super" {
                at.pop()?;
            } else if self.files.contains_key(&child(&at, part)) {
                at = child(&at, part);
            } else {
                let export = self.exports.get(&(at.clone(), part.to_owned()));
                return match export {
                    Some(path) if depth < MOST => self.resolve(&at, path, depth + 1),
                    _ => Some(at),
                };
            }
        }
        Some(at)
    }
}

fn child(module: &[String], name: &str) -> Module {
    module.iter().cloned().chain([name.to_owned()]).collect()
}

/// The path of a re-export.
fn exported(line: &str) -> Option<&str> {
    let (visibility, path) = line.split_once("use ")?;
    (visibility.starts_with("pub") && visibility.ends_with(' ')).then(|| path.trim_end_matches(';'))
}

/// What follows `pub(in PATH)`: to be visible in a module is not to use it.
fn without_visibility(line: &str) -> &str {
    let rest = line.trim_start().strip_prefix("pub(in ");
    rest.and_then(|rest| rest.split_once(") "))
        .map_or(line, |(_, rest)| rest)
}

fn has_name(line: &str, name: &str) -> bool {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    line.split(|character| !is_name(character)).any(|word| word == name)
}

/// All paths of two names and more in a line.
pub(super) fn paths(line: &str) -> Vec<Vec<String>> {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    let words = line.split(|character: char| !is_name(character) && character != ':');
    words
        .map(|word| word.trim_matches(':'))
        .filter(|word| word.contains("::"))
        .map(|word| word.split("::").map(str::to_owned).collect())
        .collect()
}
