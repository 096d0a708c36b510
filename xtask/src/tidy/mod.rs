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

pub(crate) fn main() -> anyhow::Result<()> {
    let sources = source::all(&tools::workspace())?;
    let problems = check(&sources);
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
