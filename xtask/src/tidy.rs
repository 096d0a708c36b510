//! Rules no compiler checks: which module may know which, which crate is known where, file sizes, module documentation.

use crate::tools;
use anyhow::Context as _;
use anyhow::bail;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// Modules of `leakwatch` in the order of the data flow, each with those it may use. `agent` and `cli` put everything together.
const EDGES: [(&str, &[&str]); 14] = [
    ("quantity", &[]),
    ("clock", &[]),
    ("state", &[]),
    ("own", &[]),
    ("config", &["quantity"]),
    ("identity", &[]),
    ("probes", &["clock"]),
    ("capture", &["clock", "engine", "probes"]),
    ("capabilities", &["clock", "identity", "probes"]),
    ("collect", &["clock", "config", "engine", "identity"]),
    ("engine", &["store"]),
    ("store", &[]),
    ("dto", &["capabilities", "capture", "store"]),
    (
        "api",
        &[
            "capabilities",
            "capture",
            "clock",
            "config",
            "dto",
            "engine",
            "own",
            "quantity",
            "store",
        ],
    ),
];

const COMPOSING: [&str; 4] = ["agent", "cli", "main", "lib"];

/// Crates that only these modules of `leakwatch` know.
const EXTERNAL: [(&str, &[&str]); 5] = [
    ("aya", &["probes"]),
    ("leakwatch_common", &["probes"]),
    ("procfs", &["collect", "identity"]),
    ("axum", &["api"]),
    ("serde_json", &["api", "cli", "dto"]),
];

const MAX_LINES: usize = 500;
const EXCUSE: &str = "// tidy: long because ";

pub(crate) fn main() -> anyhow::Result<()> {
    let root = tools::workspace();
    let mut files = Vec::new();
    for dir in ["leakwatch", "leakwatch-common", "leakwatch-ebpf", "xtask", "tests"] {
        find_sources(&root.join(dir), &mut files)?;
    }
    let mut problems = Vec::new();
    for file in &files {
        let text = fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
        let path = file.strip_prefix(&root).unwrap_or(file);
        let found = check_file(path, &text);
        problems.extend(
            found
                .into_iter()
                .map(|problem| format!("{}: {problem}", path.display())),
        );
    }
    if problems.is_empty() {
        tools::say(format!("{} files are tidy", files.len()));
        return Ok(());
    }
    bail!("{} problems\n{}", problems.len(), problems.join("\n"));
}

fn find_sources(dir: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() && !path.ends_with("target") {
            find_sources(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Everything wrong with one file, `path` being relative to the workspace.
fn check_file(path: &Path, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES && !text.lines().any(|line| line.starts_with(EXCUSE)) {
        problems.push(format!("{lines} lines; split it, or say `{EXCUSE}...`"));
    }
    if !text.starts_with("//!") {
        problems.push("does not open with a `//!` that says what it is for".to_owned());
    }
    if let Some(module) = module_of(path) {
        problems.extend(check_edges(&module, text));
    }
    problems
}

/// `leakwatch/src/api/mod.rs` and `leakwatch/src/api.rs` are both of module `api`.
fn module_of(path: &Path) -> Option<String> {
    let first = path.strip_prefix("leakwatch/src").ok()?.components().next()?;
    let name = first.as_os_str().to_string_lossy().into_owned();
    Some(name.trim_end_matches(".rs").to_owned())
}

fn check_edges(module: &str, text: &str) -> Vec<String> {
    let mut problems = Vec::new();
    let code = || text.lines().filter(|line| !line.trim_start().starts_with("//"));
    if !COMPOSING.contains(&module) {
        match EDGES.iter().find(|(name, _)| *name == module) {
            None => problems.push(format!(
                "module {module} is not in the table of edges (xtask/src/tidy.rs)"
            )),
            Some((_, allowed)) => {
                let used = code().flat_map(|line| roots(line, "crate"));
                let forbidden = used.filter(|used| used != module && !allowed.contains(&used.as_str()));
                problems.extend(forbidden.map(|used| format!("{module} may not use {used}")));
            }
        }
    }
    for (library, modules) in EXTERNAL {
        if !modules.contains(&module) && code().any(|line| roots(line, library).next().is_some()) {
            problems.push(format!("{library} is known to {} only", modules.join(", ")));
        }
    }
    problems.sort();
    problems.dedup();
    problems
}

/// The names that follow `ROOT::` in a line.
fn roots<'a>(line: &'a str, root: &'a str) -> impl Iterator<Item = String> + 'a {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(root).filter_map(move |(at, _)| {
        let (before, rest) = line.split_at_checked(at)?;
        let rest = rest.strip_prefix(root)?.strip_prefix("::")?;
        let starts_here = !before.ends_with(is_name) && !before.ends_with("::");
        starts_here.then(|| rest.chars().take_while(|&character| is_name(character)).collect())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_breaks_a_rule_is_named_with_the_rule() {
        let long = format!("//! Long.\n{}", "\n".repeat(MAX_LINES));
        let excused = format!("{long}{EXCUSE}it is one table\n");
        for (path, text, expected) in [
            (
                "leakwatch/src/store/mod.rs",
                "//! Fine.\nuse crate::store::Store;\n",
                vec![],
            ),
            (
                "leakwatch/src/store.rs",
                "//! No.\nuse crate::api::Router;\n",
                vec!["store may not use api"],
            ),
            ("leakwatch/src/store.rs", "//! See.\n/// [`crate::api`]\n", vec![]),
            (
                "leakwatch/src/cli/mod.rs",
                "//! All.\nuse crate::api::Router;\n",
                vec![],
            ),
            (
                "leakwatch/src/cli/mod.rs",
                "//! No.\nuse aya::Ebpf;\n",
                vec!["aya is known to probes only"],
            ),
            (
                "leakwatch/src/probes/ring.rs",
                "//! Fine.\nuse aya::Ebpf;\nuse self::aya_like::X;\n",
                vec![],
            ),
            (
                "leakwatch/src/new.rs",
                "//! New.\n",
                vec!["module new is not in the table of edges (xtask/src/tidy.rs)"],
            ),
            (
                "xtask/src/x.rs",
                "use std::fs;\n",
                vec!["does not open with a `//!` that says what it is for"],
            ),
            (
                "tests/x.rs",
                &long,
                vec!["501 lines; split it, or say `// tidy: long because ...`"],
            ),
            ("tests/x.rs", &excused, vec![]),
        ] {
            assert_eq!(check_file(Path::new(path), text), expected, "{path}: {text:.60}");
        }
    }
}
