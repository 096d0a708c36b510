//! Numbers, times and paragraphs as people read them.

use crate::cli::exit::is_leak;
use crate::cli::output::Style;
use crate::dto::verdict::TimeToLimitBody;
use comfy_table::Cell;
use comfy_table::CellAlignment;
use comfy_table::Table;
use leakwatch_analysis::model::units::Bytes;

/// Columns of running text.
const WIDTH: usize = 100;
/// What is not known.
pub(crate) const NONE: &str = "-";

/// A size, or a dash.
pub(crate) fn size(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| NONE.to_owned(), |bytes| Bytes(bytes).to_string())
}

/// A signed size with its sign.
pub(crate) fn delta(value: i64, unit: &str) -> String {
    if unit != "bytes" {
        return format!("{value:+}");
    }
    let sign = if value < 0 { "-" } else { "+" };
    format!("{sign}{}", Bytes(value.unsigned_abs()))
}

/// A value in its unit.
pub(crate) fn amount(value: i64, unit: &str) -> String {
    match (unit, u64::try_from(value)) {
        ("bytes", Ok(bytes)) => Bytes(bytes).to_string(),
        ("bytes", Err(_negative)) => delta(value, unit),
        _ => value.to_string(),
    }
}

/// A rate with its sign, or a dash.
#[expect(clippy::cast_possible_truncation, reason = "shown with one decimal of a unit")]
pub(crate) fn rate(bytes_per_second: Option<f64>) -> String {
    match bytes_per_second {
        None => NONE.to_owned(),
        Some(rate) if rate.abs() < 0.5 => "0 B/s".to_owned(),
        Some(rate) => format!("{}/s", delta(rate.round() as i64, "bytes")),
    }
}

/// A length of time in its two largest units.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "negative and huge values are cut before"
)]
pub(crate) fn time(seconds: f64) -> String {
    if seconds.is_nan() || seconds < 0.0 {
        return NONE.to_owned();
    }
    let total = seconds.min(1e12).round() as u64;
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let Some(first) = units.iter().position(|(length, _)| total >= *length) else {
        return "0 s".to_owned();
    };
    let mut rest = total;
    let mut parts = Vec::new();
    for (length, name) in units.iter().skip(first).take(2) {
        let count = rest / length;
        rest %= length;
        if count > 0 {
            parts.push(format!("{count} {name}"));
        }
    }
    parts.join(" ")
}

/// The forecast in words: the median and what is likely.
pub(crate) fn forecast(time_to_limit: &TimeToLimitBody) -> String {
    let Some(median) = time_to_limit.p50 else {
        return "perhaps never".to_owned();
    };
    let from = time_to_limit.p10.map_or_else(|| "now".to_owned(), time);
    let to = time_to_limit.p90.map_or_else(|| "never".to_owned(), time);
    format!("in about {} (likely {from} to {to})", time(median))
}

/// A part of one as percent.
pub(crate) fn percent(part: Option<f64>) -> String {
    match part {
        None => NONE.to_owned(),
        // What is not certain is never shown as certain.
        Some(part) if part > 0.99 && part < 1.0 => "> 99 %".to_owned(),
        Some(part) if part > 0.0 && part < 0.01 => "< 1 %".to_owned(),
        Some(part) => format!("{:.0} %", part * 100.0),
    }
}

/// The chance of what has not happened yet: no forecast is certain.
pub(crate) fn chance(part: f64) -> String {
    percent(Some(part.clamp(0.001, 0.999)))
}

/// How a class of verdict is shown.
pub(crate) fn class_style(class: &str) -> Style {
    match class {
        "stable" => Style::Good,
        "not_enough_data" | "warm_up" => Style::Faint,
        _ if is_leak(class) => Style::Bad,
        _ => Style::Warn,
    }
}

/// Words wrapped to lines; every line but the first starts with `indent`, the first with `first`.
pub(crate) fn paragraph(first: &str, indent: &str, words: &str) -> String {
    let mut lines = Vec::new();
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in words.split_whitespace() {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, indent.to_owned()));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines.join("\n") + "\n"
}

/// A table without lines; columns named in `right` are aligned to the right.
pub(crate) fn table(header: &[&str], right: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(comfy_table::presets::NOTHING)
        .set_header(header.iter().map(Cell::new));
    for row in rows {
        table.add_row(row.into_iter().map(|cell| one_line(&cell)));
    }
    for (index, name) in header.iter().enumerate() {
        if let Some(column) = table.column_mut(index) {
            let last = index + 1 == header.len();
            column.set_padding((0, if last { 0 } else { 2 }));
            if right.contains(name) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
    }
    table.trim_fmt() + "\n"
}

/// Names come from programs that are watched: they must not move the cursor or break the table.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .map(|character| if character.is_control() { '\u{fffd}' } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units() {
        for (seconds, text) in [
            (0.2, "0 s"),
            (59.6, "1 min"),
            (84.0, "1 min 24 s"),
            (3_600.0, "1 h"),
            (90_061.0, "1 d 1 h"),
            (-1.0, "-"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(time(seconds), text);
        }
    }

    #[test]
    fn what_is_not_certain_is_not_shown_as_certain() {
        for (part, shown) in [
            (None, NONE),
            (Some(0.0), "0 %"),
            (Some(0.004), "< 1 %"),
            (Some(0.5), "50 %"),
            (Some(0.999), "> 99 %"),
            (Some(1.0), "100 %"),
        ] {
            assert_eq!(percent(part), shown);
        }
        for (part, shown) in [(0.0, "< 1 %"), (0.5, "50 %"), (1.0, "> 99 %")] {
            assert_eq!(chance(part), shown);
        }
    }

    #[test]
    fn amounts_and_rates_have_signs_and_units() {
        assert_eq!(rate(Some(1_572_864.0)), "+1.5 MiB/s");
        assert_eq!(rate(Some(-2048.0)), "-2.0 KiB/s");
        assert_eq!(rate(Some(0.2)), "0 B/s");
        assert_eq!(rate(None), "-");
        assert_eq!(delta(-5, "count"), "-5");
        assert_eq!(amount(1024, "bytes"), "1.0 KiB");
    }

    #[test]
    fn paragraphs_wrap_at_words() {
        let text = paragraph("* ", "  ", &"word ".repeat(40));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(text.lines().skip(1).all(|line| line.starts_with("  word")));
        assert_eq!(text.split_whitespace().filter(|word| *word == "word").count(), 40);
    }

    #[test]
    fn names_cannot_control_the_terminal() {
        let text = table(&["NAME"], &[], [vec!["a\u{1b}[2Jb\nc".to_owned()]]);
        assert!(!text.contains('\u{1b}'));
        assert_eq!(text.lines().count(), 2, "{text:?}");
    }
}
