//! Memory that comes and goes: whether a series is where it has been before. A wave of load, by the hour or by the day, is a trend
//! until it turns, and again at each of its rises; what grows leaves behind all that was there before. Pure numbers; must not judge.

/// A fall of at least this part of the whole range ends a rise.
const TURN: f64 = 0.25;
/// What rises above the highest peak before the last fall by less than this part of that fall, and had fallen back to within it of the
/// lowest level before that peak, is the same wave: its height varies.
const SAME: f64 = 0.25;

/// Whether a series rose, fell back to where it came from, and is not higher now than it was then, by more than its height
/// varies. `least` is a height below which nothing is a wave.
pub(super) fn returns(series: &[(f64, f64)], least: f64) -> bool {
    let (low, high) = series
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), point| {
            (low.min(point.1), high.max(point.1))
        });
    let turn = least.max((high - low) * TURN);
    let Some(newest) = series.last() else { return false };
    // The highest peak so far with the lowest level before it, the lowest since; and what a wave that came back reaches at most.
    let (mut before, mut peak, mut trough, mut since) = (f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.0);
    let mut reaches = f64::NEG_INFINITY;
    for &(_, value) in series {
        before = before.min(value);
        if value > peak {
            (peak, trough, since) = (value, before, value);
        }
        since = value.min(since);
        let varies = (peak - since) * SAME;
        if peak - since >= turn && since <= trough + varies {
            reaches = reaches.max(peak + varies);
        }
    }
    newest.1 <= reaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(of: impl Fn(f64) -> f64) -> Vec<(f64, f64)> {
        (0..200_u32).map(f64::from).map(|t| (t, of(t))).collect()
    }

    #[test]
    fn a_wave_returns_and_what_grows_does_not() {
        let wave = |t: f64, period: f64| -10.0 * (t / period * std::f64::consts::TAU).cos();
        for (label, points, expected) in [
            ("the second rise of a wave", series(|t| wave(t, 110.0)), true),
            (
                "its third, higher by a tenth",
                series(|t| wave(t, 70.0) * (1.0 + t / 2000.0)),
                true,
            ),
            ("the first rise", series(|t| wave(t, 420.0)), false),
            ("a line", series(|t| t * 0.1), false),
            ("a line with teeth", series(|t| t * 0.1 + t % 13.0), false),
            ("a wave on a line", series(|t| wave(t, 50.0) + t * 0.2), false),
            (
                "a leak that begins after a wave",
                series(|t| wave(t.min(75.0), 75.0) + (t - 100.0).max(0.0) * 0.3),
                false,
            ),
            ("flat", series(|_| 7.0), false),
        ] {
            assert_eq!(returns(&points, 1.0), expected, "{label}");
        }
    }
}
