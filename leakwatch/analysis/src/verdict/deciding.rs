//! What will decide whether growth ends by itself, and when.

use crate::detect::facts::Facts;
use crate::format;
use crate::history::window;
use crate::measure::course;
use crate::model::profile::ProfileType;
use crate::model::units::Timestamp;
use crate::model::verdict::Deciding;
use crate::odds::Family;
use crate::odds::Growth;
use crate::odds::LeakOdds;
use std::time::Duration;

/// A run is expected to have levelled off when it is so many times as old as earlier runs were then.
const LATER: f64 = 1.2;

/// The observations that would decide, those with a time first.
pub(super) fn decided_by(facts: &Facts<'_>, growth: &Growth, odds: &LeakOdds) -> Vec<Deciding> {
    let mut deciding = Vec::new();
    let levels = course::levelled(facts.history, facts.replicas);
    if let Some((level, age)) = levels.iter().copied().max_by(|a, b| a.0.total_cmp(&b.0)) {
        deciding.push(Deciding {
            what: format!(
                "an earlier run levelled off at {} after {}: whether this one does as well",
                format::bytes(level),
                format::duration(age)
            ),
            at: Some(later(window::process_start(facts.history), age * LATER)),
        });
    }
    if let Some(time) = facts.time_to_limit() {
        deciding.push(Deciding {
            what: format!("{}: memory levels off below it, or reaches it", facts.ceiling_is),
            at: Some(later(facts.now, time.p50_seconds)),
        });
    }
    let is_of_go = matches!(growth.profile, Some(ProfileType::Heap | ProfileType::Goroutine));
    if odds.weight(Family::Retention).abs() < f64::EPSILON && is_of_go {
        deciding.push(Deciding {
            what: "more heap profiles: whether the place keeps all that it allocates".to_owned(),
            at: None,
        });
    }
    if odds.weight(Family::Load) <= 0.0 {
        deciding.push(Deciding {
            what: "the next time the load falls: memory falls with it, or stays".to_owned(),
            at: None,
        });
    }
    if odds.weight(Family::Comparison).abs() < f64::EPSILON && levels.is_empty() {
        deciding.push(Deciding {
            what: "a replica at the same age, or the next run: whether it grows alike".to_owned(),
            at: None,
        });
    }
    if deciding.is_empty() {
        deciding.push(Deciding {
            what: "whether it goes on".to_owned(),
            at: None,
        });
    }
    deciding
}

fn later(from: Timestamp, seconds: f64) -> Timestamp {
    from.plus(Duration::from_secs_f64(seconds.clamp(0.0, 1e9)))
}
