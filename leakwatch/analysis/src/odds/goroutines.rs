//! Goroutines that only ever become more.

use crate::detect::facts::Facts;
use crate::history::window;
use crate::model::profile::ProfileType;
use crate::odds::growth::Growth;
use crate::odds::row::Family;
use crate::odds::row::OddsRow;

/// Goroutines fewer than this come and go.
const LEAST: f64 = 100.0;
/// Profiles in which they never became fewer.
const LEAST_PROFILES: usize = 6;
/// Becoming fewer by this part once says that they end.
const FELL: f64 = 0.05;

/// Goroutines of the place that only ever became more.
pub(super) fn row(facts: &Facts<'_>, growth: &Growth) -> Option<OddsRow> {
    growth.profile.filter(|profile| *profile == ProfileType::Goroutine)?;
    let site = facts.goroutine_suspect()?;
    let counts: Vec<f64> = window::snapshots(facts.history, ProfileType::Goroutine, facts.now)
        .filter_map(|snapshot| {
            let count = snapshot.values.get(site.stack).map_or(0, |value| value.inuse_objects);
            u32::try_from(count).ok().map(f64::from)
        })
        .collect();
    if counts.len() < LEAST_PROFILES || site.now < LEAST {
        return None;
    }
    let mut highest = 0.0_f64;
    let mut fell = 0.0_f64;
    for count in counts {
        highest = highest.max(count);
        fell = fell.max((highest - count) / highest.max(1.0));
    }
    let (claim, weight) = if fell >= FELL {
        ("became fewer in between: they end", -1.5)
    } else {
        ("never became fewer", 1.0)
    };
    Some(OddsRow::new(
        Family::Goroutines,
        format!("{:.0} goroutines at {} {claim}", site.now, site.frame.function),
        site.now,
        "goroutines",
        weight,
    ))
}
