//! Folded stacks, the input of flamegraph.pl and its relatives: one stack a line, root first, `;` between functions.

use crate::diff::Diff;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Every stack with its value, or with its two values (base, compare) if there is anything in the base: the format that
/// differential flame graphs are drawn from. Sorted; lines are not told apart.
pub fn folded(diff: &Diff<'_>) -> String {
    let mut stacks: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for row in diff.rows() {
        let mut names = String::new();
        for frame in diff.stacks().outermost_first(row.stack) {
            if !names.is_empty() {
                names.push(';');
            }
            names.extend(frame.function.chars().map(plain));
        }
        let sum = stacks.entry(names).or_default();
        sum.0 = sum.0.saturating_add(row.base);
        sum.1 = sum.1.saturating_add(row.compare);
    }
    let is_diff = diff.rows().iter().any(|row| row.base != 0);
    let mut text = String::new();
    for (names, (base, compare)) in stacks {
        if base == 0 && compare == 0 {
            continue;
        }
        // Writing into a string does not fail.
        let _written = if is_diff {
            writeln!(text, "{names} {base} {compare}")
        } else {
            writeln!(text, "{names} {compare}")
        };
    }
    text
}

/// A name from outside must not end its line or look like two frames.
fn plain(character: char) -> char {
    match character {
        ';' => ':',
        control if control.is_control() => ' ',
        other => other,
    }
}
