//! No files of a crate that use one another: each can be read after those it uses.

use super::graph::Graph;
use super::problem::Problem;
use super::source::Source;
use std::collections::BTreeSet;

pub(super) fn check(sources: &[Source]) -> Vec<Problem> {
    let folders: BTreeSet<&str> = sources.iter().filter_map(|source| Some(source.module()?.0)).collect();
    let mut problems = Vec::new();
    for folder in folders {
        for cycle in Graph::new(folder, sources).cycles() {
            let name = |path: &str| {
                path.strip_prefix(folder)
                    .map_or(path, |path| path.trim_start_matches('/'))
                    .to_owned()
            };
            let members: Vec<String> = cycle.iter().map(|path| name(path)).collect();
            let first = cycle.first().copied().unwrap_or(folder);
            problems.push(Problem::new(
                "cycle",
                first,
                format!("files that use one another: {}", members.join(", ")),
            ));
        }
    }
    problems
}
