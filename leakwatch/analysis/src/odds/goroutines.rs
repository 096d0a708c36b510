//! Goroutines: those that the runtime proves nobody can wake, and those that only ever become more.

use crate::detect::facts::Facts;
use crate::history::window;
use crate::model::profile::ProfileType;
use crate::odds::growth::Growth;
use crate::odds::row::Family;
use crate::odds::row::OddsRow;

/// So many that nobody can wake are no leftover of starting up: `select {}` in `main` is one. What they are worth within a day is more
/// than a forgotten worker pool.
const MATERIAL: f64 = 50.0;
/// Goroutines fewer than this come and go.
const LEAST: f64 = 100.0;
/// Profiles in which they never became fewer.
const LEAST_PROFILES: usize = 6;
/// Becoming fewer by this part once says that they end.
const FELL: f64 = 0.05;

/// The runtime's own proof.
pub(super) fn proof(facts: &Facts<'_>, growth: &Growth) -> Option<OddsRow> {
    growth.profile.filter(|profile| *profile == ProfileType::Goroutine)?;
    let newest = window::snapshots(facts.history, ProfileType::GoroutineLeak, facts.now).last()?;
    let proven = u32::try_from(newest.total.inuse_objects).ok().map(f64::from)?;
    let is_material = proven >= MATERIAL;
    Some(OddsRow {
        is_proof: is_material,
        ..OddsRow::new(
            Family::Goroutines,
            format!("the runtime proves that nothing can wake {proven:.0} goroutines"),
            proven,
            "goroutines",
            if is_material { 8.0 } else { 0.6 },
        )
    })
    .filter(|_| proven > 0.0)
}

/// Goroutines of the place that only ever became more.
pub(super) fn piling_up(facts: &Facts<'_>, growth: &Growth) -> Option<OddsRow> {
    growth.profile.filter(|profile| *profile == ProfileType::Goroutine)?;
    let site = facts.goroutine_suspect()?;
    let counts: Vec<f64> = window::snapshots(facts.history, ProfileType::Goroutine, facts.now)
        .filter_map(|snapshot| {
            let found = snapshot.values.binary_search_by_key(&site.stack, |(id, _)| *id);
            let value = found.ok().and_then(|found| snapshot.values.get(found));
            let count = value.map_or(0, |(_, value)| value.inuse_objects);
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
