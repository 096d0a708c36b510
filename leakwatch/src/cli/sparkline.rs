//! A line of numbers over time as one line of text.

/// From nearly nothing to all.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Where nothing was sampled.
const GAP: char = ' ';
/// Where somebody was killed.
const KILL: char = '✗';

/// One character a value, `most` being a full block; the newest `width` steps of them, kills in a line of their own below where there are any.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "one of eight heights; the cast of a float saturates"
)]
pub(super) fn draw(values: &[Option<u64>], most: u64, kills: &[bool], width: usize) -> Vec<String> {
    let from = values.len().saturating_sub(width);
    let height = |value: u64| {
        let part = value as f64 / most.max(1) as f64;
        let block = (part * BLOCKS.len() as f64).ceil() as usize;
        let index = block.saturating_sub(1).min(BLOCKS.len() - 1);
        BLOCKS.get(index).copied().unwrap_or(GAP)
    };
    let line: String = values
        .iter()
        .skip(from)
        .map(|value| value.map_or(GAP, height))
        .collect();
    let marks: String = kills
        .iter()
        .skip(from)
        .map(|killed| if *killed { KILL } else { GAP })
        .collect();
    let mut lines = vec![line];
    if marks.contains(KILL) {
        lines.push(marks.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heights_gaps_and_kills_stand_in_their_steps() {
        let values = [Some(9), Some(0), Some(50), None, Some(100), Some(250)];
        let kills = [false, false, false, false, true, false];
        assert_eq!(draw(&values, 100, &kills, 5), ["▁▄ ██", "   ✗"]);
        assert_eq!(draw(&values, 100, &[], 3), [" ██"]);
        assert_eq!(draw(&[], 0, &[], 5), [""]);
        assert_eq!(draw(&[Some(7)], 0, &[], 5), ["█"]);
    }
}
