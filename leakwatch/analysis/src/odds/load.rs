//! What happens when the load changes. Memory that follows load falls with it; what leaks stays, and so does a cache: therefore staying
//! says little, and falling much. Work is counted as bytes allocated.

use crate::detect::facts::Facts;
use crate::format;
use crate::odds::growth::Growth;
use crate::odds::row::Family;
use crate::odds::row::OddsRow;

/// Of what had come with the load, the part that is left at low load when it stays.
const STAYS: f64 = 0.97;
/// A level that goes with the load like this follows it, as far as was seen.
const FOLLOWS: f64 = 0.8;
/// Growth per unit of work that fell to this part: it fills up.
const SLOWS: f64 = 0.5;
/// And within these it is the same.
const EVEN: (f64, f64) = (0.75, 1.33);

pub(super) fn row(facts: &Facts<'_>, growth: &Growth) -> Option<OddsRow> {
    let load = growth.against_load(facts)?;
    if !growth.is_known || !load.varied() {
        return None;
    }
    let row = |claim: String, value: f64, weight: f64| Some(OddsRow::new(Family::Load, claim, value, "ratio", weight));
    match load.kept {
        Some(kept) if load.explains(growth.bytes) => row(
            format!(
                "when the load fell, {} of what had come with it was left",
                format::percent(kept.max(0.0))
            ),
            kept,
            -3.0,
        ),
        Some(kept) if kept >= STAYS => row(
            "when the load fell, memory stayed".to_owned(),
            kept,
            if load.per_work > SLOWS { 0.8 } else { 0.0 },
        ),
        _ if load.follows >= FOLLOWS => row(
            format!(
                "memory rose with the load (correlation {:.2}) and the load has not fallen yet",
                load.follows
            ),
            load.follows,
            -1.2,
        ),
        _ if load.per_work < SLOWS => row(
            format!(
                "growth per unit of work fell to {} of what it was",
                format::percent(load.per_work.max(0.0))
            ),
            load.per_work,
            -1.2,
        ),
        _ if (EVEN.0..=EVEN.1).contains(&load.per_work) => row(
            "growth per unit of work is the same as before while the load varies".to_owned(),
            load.per_work,
            0.6,
        ),
        _ => None,
    }
}
