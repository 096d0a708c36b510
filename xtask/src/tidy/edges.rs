//! Which module may use which, and which crate is known where.

use super::graph::Graph;
use super::graph::paths;
use super::problem::Problem;
use super::source::Source;

/// Modules of `leakwatch` in the order of the data flow, each with those it may use. `cli` and `daemon` put everything together.
const EDGES: [(&str, &[&str]); 19] = [
    ("size_text", &[]),
    ("clock", &[]),
    ("state", &[]),
    ("previous_run", &[]),
    ("self_stats", &[]),
    ("config", &["size_text"]),
    ("identity", &[]),
    ("probes", &["clock"]),
    ("input", &[]),
    ("capture", &["clock", "config", "input", "probes", "self_stats"]),
    ("capabilities", &["clock", "identity", "probes"]),
    (
        "collect",
        &["clock", "config", "identity", "input", "schedule", "self_stats"],
    ),
    ("engine", &["input", "schedule", "store"]),
    ("store", &["input"]),
    ("query", &["store"]),
    ("schedule", &["capture", "store"]),
    ("dto", &["capabilities", "capture", "previous_run", "query", "store"]),
    ("webhook", &["clock", "config", "dto", "input", "store"]),
    (
        "api",
        &[
            "capabilities",
            "capture",
            "clock",
            "config",
            "dto",
            "engine",
            "input",
            "self_stats",
            "size_text",
            "query",
            "store",
        ],
    ),
];

/// May use everything.
const COMPOSING: [&str; 2] = ["cli", "daemon"];

/// Crates that only these modules of `leakwatch` know.
const EXTERNAL: [(&str, &[&str]); 7] = [
    ("aya", &["probes"]),
    ("leakwatch_common", &["probes"]),
    ("procfs", &["collect", "identity"]),
    ("axum", &["api"]),
    ("leakwatch_malloc", &["self_stats"]),
    ("leakwatch_mapped", &["daemon"]),
    ("serde_json", &["api", "cli", "dto"]),
];

const DAEMON: &str = "leakwatch/src";

/// Crates whose modules may use only those that `lib.rs` declares before them.
const LAYERED: [&str; 3] = [
    "leakwatch/analysis/src",
    "leakwatch/goproc/src",
    "leakwatch/nativeproc/src",
];

pub(super) fn check(sources: &[Source]) -> Vec<Problem> {
    let mut problems: Vec<Problem> = sources.iter().flat_map(check_daemon).collect();
    for folder in LAYERED {
        problems.extend(check_layers(&Graph::new(folder, sources)));
    }
    problems
}

fn check_daemon(source: &Source) -> Vec<Problem> {
    let Some((DAEMON, module)) = source.module() else {
        return Vec::new();
    };
    let Some(module) = module.first().filter(|module| **module != "main") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let used = |root: &str| {
        let all = source.text.lines().filter(|line| !line.trim_start().starts_with("//"));
        all.flat_map(paths)
            .filter(|path| path.first().is_some_and(|first| first == root))
            .filter_map(|path| path.into_iter().nth(1))
            .collect::<Vec<String>>()
    };
    if !COMPOSING.contains(module) {
        match EDGES.iter().find(|(name, _)| name == module) {
            None => found.push(format!(
                "module {module} is not in the table of edges (xtask/src/tidy/edges.rs)"
            )),
            Some((_, allowed)) => {
                let forbidden = used("crate")
                    .into_iter()
                    .filter(|used| used != module && !allowed.contains(&used.as_str()));
                found.extend(forbidden.map(|used| format!("{module} may not use {used}")));
            }
        }
    }
    for (library, modules) in EXTERNAL {
        if !modules.contains(module) && !used(library).is_empty() {
            found.push(format!("{library} is known to {} only", modules.join(", ")));
        }
    }
    found.sort();
    found.dedup();
    found
        .into_iter()
        .map(|text| Problem::new("edge", &source.path, text))
        .collect()
}

fn check_layers(graph: &Graph<'_>) -> Vec<Problem> {
    let order = graph.order();
    let place = |module: &[String]| {
        let first = module.first()?;
        order.iter().position(|name| name == first)
    };
    let upward = graph.edges().filter_map(|(source, from, _, to)| {
        let from_place = place(from)?;
        let first = |module: &[String]| module.first().cloned().unwrap_or_else(|| "the crate's root".to_owned());
        let allowed = place(to).is_some_and(|to_place| to_place <= from_place);
        let text = format!("{} may not use {}, which comes after it", first(from), first(to));
        (!allowed).then(|| Problem::new("edge", &source.path, text))
    });
    upward.collect()
}
