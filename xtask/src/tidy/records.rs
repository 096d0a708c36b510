//! A record is defined once: what crosses the kernel boundary, what is written to a file, what the API answers, and the words of
//! the analysis. Two layers may have types of one name; two definitions within one kind are a mistake.

use super::problem::Problem;
use super::source::Source;
use std::collections::BTreeMap;

/// The attribute by which a type is known to be of a kind.
const KINDS: [(&str, &str); 4] = [
    ("kernel record", "repr(C"),
    ("message", "Message"),
    ("message", "Oneof"),
    ("answer", "ToSchema"),
];

/// Public types of this crate are records of the kind "model".
const MODEL: &str = "leakwatch/analysis/src";

pub(super) fn check(sources: &[Source]) -> Vec<Problem> {
    let mut first: BTreeMap<(&str, &str), &str> = BTreeMap::new();
    let mut problems = Vec::new();
    for source in sources
        .iter()
        .filter(|source| source.is_rust() && !source.path.starts_with("tests/"))
    {
        for (kind, name) in records(source) {
            if let Some(other) = first.get(&(kind, name)) {
                let text = format!("{name} is a {kind} that {other} defines, too");
                problems.push(Problem::new("record", &source.path, text));
            } else {
                first.insert((kind, name), &source.path);
            }
        }
    }
    problems
}

/// The records that a file defines, with their kind.
fn records(source: &Source) -> Vec<(&'static str, &str)> {
    let mut found = Vec::new();
    let mut attributes = String::new();
    for (_, line) in source.code() {
        if let Some(name) = defined_type(line) {
            let kind = KINDS.iter().find(|(_, mark)| attributes.contains(mark));
            let is_model = source.path.starts_with(MODEL) && line.starts_with("pub ");
            found.extend(kind.map(|(kind, _)| (*kind, name)));
            found.extend(is_model.then_some(("type of the model", name)));
            attributes.clear();
        } else if line.starts_with('#') || !attributes.is_empty() && line.starts_with([' ', ')']) {
            attributes.push_str(line);
        } else {
            attributes.clear();
        }
    }
    found
}

/// The name of the struct or enum that a line opens, outside of any other item.
fn defined_type(line: &str) -> Option<&str> {
    let rest = ["pub ", "pub(crate) ", "pub(super) ", ""]
        .iter()
        .find_map(|visibility| line.strip_prefix(visibility))?;
    let name = rest.strip_prefix("struct ").or_else(|| rest.strip_prefix("enum "))?;
    name.split(|character: char| !character.is_alphanumeric() && character != '_')
        .next()
        .filter(|name| !name.is_empty())
}
