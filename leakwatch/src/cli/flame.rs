//! Two profiles compared as a flame graph of text: callers above what they call, what grew in one colour and what shrank in another.
#![expect(
    clippy::format_push_string,
    reason = "a page is made once per command, and writing into a string has no error to handle"
)]

use crate::cli::output::Output;
use crate::cli::output::Style;
use crate::cli::text;
use crate::cli::text::one_line;
use std::collections::BTreeMap;

/// Cells of the longest bar.
const BAR: usize = 24;
/// Branches that differ by less than this part of the largest are summed up.
const LEAST_PART: f64 = 0.02;
/// Lines: more than anybody reads in a terminal.
const MOST_LINES: usize = 120;
/// Deeper calls are indented no further.
const MOST_INDENT: usize = 24;

/// A call with all that it leads to.
#[derive(Debug, Default)]
struct Node {
    delta: i64,
    children: BTreeMap<String, usize>,
}

/// From folded stacks with a base and a compared value each, `unit` being that of the values.
pub(super) fn draw(folded: &str, unit: &str, output: Output) -> String {
    let nodes = tree(folded);
    let largest = nodes.iter().map(|node| node.delta.unsigned_abs()).max().unwrap_or(0);
    let mut page = String::new();
    let mut left_out = 0_usize;
    // Not by recursion: stacks are as deep as their program made them.
    let mut open: Vec<(usize, usize, &str)> = vec![(0, 0, "all")];
    let mut lines = 0;
    while let Some((index, depth, name)) = open.pop() {
        let Some(node) = nodes.get(index) else { continue };
        if lines >= MOST_LINES {
            left_out += 1;
            continue;
        }
        lines += 1;
        page.push_str(&line(node.delta, largest, depth, name, unit, output));
        let mut children: Vec<(&str, usize, i64)> = node
            .children
            .iter()
            .filter_map(|(name, child)| Some((name.as_str(), *child, nodes.get(*child)?.delta)))
            .collect();
        let small = |delta: i64| part(delta, largest) < LEAST_PART;
        left_out += children.iter().filter(|(.., delta)| small(*delta)).count();
        children.retain(|(.., delta)| !small(*delta));
        // The largest comes off the stack first.
        children.sort_by_key(|(name, _, delta)| (delta.unsigned_abs(), std::cmp::Reverse(*name)));
        open.extend(children.into_iter().map(|(name, child, _)| (child, depth + 1, name)));
    }
    if left_out > 0 {
        page.push_str(&format!("{left_out} smaller branches are left out\n"));
    }
    page
}

fn tree(folded: &str) -> Vec<Node> {
    let mut nodes = vec![Node::default()];
    for line in folded.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.rsplitn(3, ' ');
        let numbers = [fields.next(), fields.next()].map(|field| field.and_then(|field| field.parse::<i64>().ok()));
        let (stack, delta) = match (numbers, fields.next()) {
            ([Some(compare), Some(base)], Some(stack)) => (stack, compare.saturating_sub(base)),
            // Nothing is in the base: there is one number.
            ([Some(compare), _], _) => (line.rsplit_once(' ').map_or("", |(stack, _)| stack), compare),
            _ => continue,
        };
        let mut at = 0;
        add(&mut nodes, at, delta);
        for frame in stack.split(';').filter(|frame| !frame.is_empty()) {
            let known = nodes.get(at).and_then(|node| node.children.get(frame).copied());
            let child = known.unwrap_or_else(|| {
                nodes.push(Node::default());
                nodes.len() - 1
            });
            if let Some(node) = nodes.get_mut(at) {
                node.children.insert(frame.to_owned(), child);
            }
            at = child;
            add(&mut nodes, at, delta);
        }
    }
    nodes
}

fn add(nodes: &mut [Node], at: usize, delta: i64) {
    if let Some(node) = nodes.get_mut(at) {
        node.delta = node.delta.saturating_add(delta);
    }
}

#[expect(clippy::cast_precision_loss, reason = "parts are compared and drawn in few cells")]
fn part(delta: i64, largest: u64) -> f64 {
    delta.unsigned_abs() as f64 / largest.max(1) as f64
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "at most as many cells as a bar has"
)]
fn line(delta: i64, largest: u64, depth: usize, name: &str, unit: &str, output: Output) -> String {
    let cells = (part(delta, largest) * BAR as f64).ceil() as usize;
    let style = match delta {
        0 => Style::Faint,
        grew if grew > 0 => Style::Bad,
        _ => Style::Good,
    };
    let bar = output.styled(style, &format!("{:BAR$}", "█".repeat(cells.min(BAR))));
    let indent = "  ".repeat(depth.min(MOST_INDENT));
    format!("{:>12}  {bar}  {indent}{}\n", text::delta(delta, unit), one_line(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Form;
    use crate::config::Environment;

    fn plain() -> Output {
        Output::new(Some(Form::Table), &Environment::default()).unwrap()
    }

    #[test]
    fn what_grew_most_comes_first_below_its_caller() {
        let folded = "# incomplete: a test\nmain.main;main.put (x y) 1024 1049600\nmain.main;main.get 2048 1024\nmain.main;main.tiny 0 1\n";
        let text = draw(folded, "bytes", plain());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(
            lines[0].trim_start().starts_with("+1023.0 KiB") && lines[0].ends_with("  all"),
            "{text}"
        );
        assert!(lines[1].ends_with("  main.main"), "{text}");
        assert!(
            lines[2].contains(&"█".repeat(BAR)) && lines[2].ends_with("    main.put (x y)"),
            "{text}"
        );
        assert!(lines[3].starts_with("2 smaller"), "{text}");
    }

    #[test]
    fn a_stack_as_deep_as_any_and_a_base_without_values_are_drawn() {
        let deep = vec!["f"; 100_000].join(";");
        let text = draw(&format!("{deep} 4096\n"), "bytes", plain());
        assert_eq!(text.lines().count(), MOST_LINES + 1);
        assert!(draw("", "bytes", plain()).contains("all"));
        assert!(draw("main.a 5 3\n", "count", plain()).contains("-2"));
    }
}
