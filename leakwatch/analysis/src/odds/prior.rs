//! How often growth is a leak before anything else is known of it.
//!
//! Half of 54 real machines, 8 days each: of windows that grew evenly for 15 minutes to 12 hours, 6 to 14 % went on for as long again and
//! 1 to 6 % for twice as long (`docs/experiments/base_rate.md`). One in twenty is what is left of those that would go on longer still.

use crate::odds::growth::Growth;
use crate::odds::row::Family;
use crate::odds::row::OddsRow;

/// The base rate.
pub(super) const BASE_RATE: f64 = 0.05;
/// Memory that does not grow leaks too slowly to be seen, if at all.
const WITHOUT_GROWTH: f64 = 0.005;
/// What slows down mostly ends; a leak may be behind it.
const SLOWING: f64 = 0.02;

pub(super) fn row(growth: &Growth) -> OddsRow {
    let (rate, claim) = if growth.slows {
        (SLOWING, "growth slows down")
    } else if growth.is_known {
        (
            BASE_RATE,
            "of what grows evenly for a while, 5 % goes on for good: measured on real machines",
        )
    } else {
        (WITHOUT_GROWTH, "nothing is seen to grow")
    };
    OddsRow::new(
        Family::Prior,
        claim.to_owned(),
        rate,
        "ratio",
        (rate / (1.0 - rate)).ln(),
    )
}
