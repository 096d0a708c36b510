//! Sizes of files and documents, and the sentence that every source opens with.

use super::problem::Problem;
use super::source::Source;

const MOST_LINES: usize = 500;
const MOST_LINES_OF_A_DOCUMENT: usize = 150;
const EXCUSE: &str = "// tidy: long because ";

pub(super) fn check(sources: &[Source]) -> Vec<Problem> {
    sources.iter().flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    let lines = source.text.lines().count();
    if source.is_rust() {
        if lines > MOST_LINES && !source.text.lines().any(|line| line.starts_with(EXCUSE)) {
            let text = format!("{lines} lines; split it, or say `{EXCUSE}...`");
            problems.push(Problem::new("length", &source.path, text));
        }
        if !source.text.starts_with("//!") {
            let text = "does not open with a `//!` that says what it is for";
            problems.push(Problem::new("opening", &source.path, text));
        }
    } else if lines > MOST_LINES_OF_A_DOCUMENT && is_reference(&source.path) {
        let text = format!("{lines} lines; a reference document has at most {MOST_LINES_OF_A_DOCUMENT}");
        problems.push(Problem::new("length", &source.path, text));
    }
    problems
}

/// `docs/experiments/` tells how something was found out, which may take longer.
fn is_reference(path: &str) -> bool {
    !path.starts_with("docs/experiments/") && path != "CHANGELOG.md"
}
