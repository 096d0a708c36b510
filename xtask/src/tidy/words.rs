//! Names that say nothing, words that this project had for what the field has a word for, and what only its makers would understand.

use super::problem::Problem;
use super::source::Source;

/// File and module names that could hold anything. The crate `leakwatch-common` is the one that is meant by its name.
const VAGUE_MODULES: [&str; 9] = [
    "util", "utils", "helper", "helpers", "misc", "common", "shared", "stuff", "tools2",
];

/// Ends of type names and beginnings of function names that say nothing.
const VAGUE_TYPES: [&str; 3] = ["Manager", "Helper", "Util"];
const VAGUE_FUNCTIONS: [&str; 2] = ["handle_", "do_"];

/// Words in names of ours, and what the field calls it.
const REPLACED: [(&str, &str); 14] = [
    ("slot", "sampling window"),
    ("moment", "sampling window"),
    ("moments", "sampling window"),
    ("sparing", "low duty"),
    ("price", "probe cost"),
    ("prices", "probe costs"),
    ("dear", "over budget"),
    ("tally", "estimator"),
    ("scribe", "symbolizer"),
    ("desk", "symbolizer"),
    ("testimony", "evidence"),
    ("teaches", "explanation"),
    ("death", "final heap"),
    ("deaths", "final heap"),
];

/// Words in documents, and what the field calls it.
const REPLACED_IN_TEXT: [(&str, &str); 6] = [
    ("moments", "sampling windows"),
    ("for a moment", "in a sampling window"),
    ("price", "cost"),
    ("prices", "costs"),
    ("dear", "over budget"),
    ("looked at", "sampled, read or captured"),
];

/// What means something only to those who were there.
const INSIDE: [&str; 6] = [
    "/work/",
    "issues show",
    "this session",
    "earlier session",
    "helper session",
    "previous session",
];

/// This file has to name what it forbids.
const SELF: &str = "xtask/src/tidy/";

pub(super) fn check(sources: &[Source]) -> Vec<Problem> {
    let others = sources.iter().filter(|source| !source.path.starts_with(SELF));
    others.flat_map(check_source).collect()
}

fn check_source(source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut found = |text: String| problems.push(Problem::new("word", &source.path, text));
    if source.is_rust() {
        let names = source.path.split('/').map(|part| part.trim_end_matches(".rs"));
        for name in names {
            if VAGUE_MODULES.contains(&name) {
                found(format!("{name} is a vague name for a module"));
            }
            check_name(name, &mut found);
        }
        for (number, line) in source.code() {
            for (keyword, name) in defined_names(line) {
                let vague = match keyword {
                    "fn" => VAGUE_FUNCTIONS.iter().any(|prefix| name.starts_with(prefix)),
                    _ => VAGUE_TYPES.iter().any(|suffix| name.ends_with(suffix)),
                };
                if vague {
                    found(format!("{name} (line {number}) is a vague name"));
                }
                check_name(name, &mut |text| found(format!("line {number}: {text}")));
            }
        }
    } else {
        for (line, number) in source.text.lines().zip(1..) {
            let lower = line.to_lowercase();
            for (word, instead) in REPLACED_IN_TEXT {
                if has_words(&lower, word) {
                    found(format!("line {number}: say `{instead}` instead of `{word}`"));
                }
            }
        }
    }
    for (line, number) in source.text.lines().zip(1..) {
        if INSIDE.iter().any(|inside| line.contains(inside)) || has_issue(line) {
            found(format!("line {number} refers to what a reader does not have"));
        }
    }
    problems
}

fn check_name(name: &str, found: &mut impl FnMut(String)) {
    for word in words_of(name) {
        if let Some((word, instead)) = REPLACED.iter().find(|(replaced, _)| *replaced == word) {
            found(format!("{name}: say `{instead}` instead of `{word}`"));
        }
    }
}

/// The words of a name: of `ProcessDeath` and of `process_death` alike.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for character in name.chars() {
        if character == '_' || character == '-' || character.is_uppercase() {
            words.push(String::new());
        }
        if let Some(last) = words.last_mut().filter(|_| character.is_alphanumeric()) {
            last.extend(character.to_lowercase());
        }
    }
    // Constants are upper case throughout: one letter each so far.
    if name.chars().all(|character| !character.is_lowercase()) {
        return name.split('_').map(str::to_lowercase).collect();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// What a line defines: keyword and name.
fn defined_names(line: &str) -> Vec<(&'static str, &str)> {
    const KEYWORDS: [&str; 8] = ["fn", "struct", "enum", "trait", "type", "const", "static", "mod"];
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    let found = KEYWORDS.into_iter().filter_map(|keyword| {
        let (before, rest) = line.split_once(keyword)?;
        let rest = rest.strip_prefix(' ')?;
        if before.ends_with(is_name) || before.contains('"') {
            return None;
        }
        let name = rest.split(|character| !is_name(character)).next()?;
        (!name.is_empty()).then_some((keyword, name))
    });
    found.collect()
}

fn has_words(line: &str, wanted: &str) -> bool {
    line.match_indices(wanted).any(|(at, _)| {
        let (before, after) = (line.get(..at), line.get(at + wanted.len()..));
        let is_letter = |character: char| character.is_alphanumeric() || "_`-".contains(character);
        !before.is_some_and(|before| before.ends_with(is_letter))
            && !after.is_some_and(|after| after.starts_with(is_letter))
    })
}

/// `issue` and a number.
fn has_issue(line: &str) -> bool {
    line.split("issue ").skip(1).any(|rest| {
        rest.trim_start_matches('#')
            .starts_with(|first: char| first.is_ascii_digit())
    })
}
