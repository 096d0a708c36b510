//! Rules no compiler checks: which module may use which, no cycles between files, one definition of each record, names that say
//! something, sizes of files and documents. One file per rule.

mod problem;
mod source;
mod graph;
mod edges;
mod cycles;
mod records;
mod words;
mod files;
#[cfg(test)]
mod tests;

use anyhow::bail;
use problem::Problem;
use source::Source;
use xtask::tools;

/// Rules that do not hold yet, by the rule and the beginning of a path. Empty it.
const PENDING: &[(&str, &str)] = &[];

fn is_pending(problem: &Problem) -> bool {
    PENDING
        .iter()
        .any(|(rule, path)| problem.rule == *rule && problem.path.starts_with(path))
}

pub(crate) fn main() -> anyhow::Result<()> {
    let sources = source::all(&tools::workspace())?;
    let (pending, problems): (Vec<_>, Vec<_>) = check(&sources).into_iter().partition(is_pending);
    if !pending.is_empty() {
        tools::say(format!(
            "{} problems are pending (xtask/src/tidy/mod.rs)",
            pending.len()
        ));
    }
    if problems.is_empty() {
        tools::say(format!("{} files are tidy", sources.len()));
        return Ok(());
    }
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}: {}: {}", problem.path, problem.rule, problem.text))
        .collect();
    bail!("{} problems\n{}", problems.len(), lines.join("\n"));
}

fn check(sources: &[Source]) -> Vec<Problem> {
    let rules = [files::check, edges::check, cycles::check, records::check, words::check];
    rules.iter().flat_map(|rule| rule(sources)).collect()
}
