//! Goroutines that nobody can wake: what they wait for can be reached from nothing that runs. The rule of the runtime's own search,
//! whether the runtime said so or it was found from outside. See `docs/detectors/leak_probability.md`.

use crate::detect::facts::Facts;
use crate::format;
use crate::measure::proven::Proven;
use crate::measure::site_trend;
use crate::model::profile::ProfileType;
use crate::odds::growth::Growth;
use crate::odds::row::Family;
use crate::odds::row::OddsRow;

/// So many that nobody can wake are no leftover of starting up: `select {}` in `main` is one.
const MATERIAL: f64 = 50.0;
/// They have become more: by so many, and by this part. Where the place that grows is theirs, its own growth says so.
const LEAST_GROWTH: (f64, f64) = (10.0, 0.2);
/// What they must be worth within a day to be a leak that matters, and what each costs at least: 2 KiB of stack (`stackMin` in
/// runtime/stack.go) and its record.
const WORTH: f64 = 1_048_576.0;
const GOROUTINE_BYTES: f64 = 2500.0;
const DAY: f64 = 86_400.0;

/// The proof, when it matters: a forgotten worker pool does not become more, and ten goroutines in a week fill no memory.
pub(super) fn row(facts: &Facts<'_>, growth: &Growth) -> Option<OddsRow> {
    growth.profile.filter(|profile| *profile == ProfileType::Goroutine)?;
    let proven = Proven::newest(facts.history, facts.now).filter(|proven| proven.count > 0.0)?;
    let is_material = proven.count >= MATERIAL && (has_grown(&proven) || is_place(facts, &proven));
    Some(OddsRow {
        is_proof: is_material,
        ..OddsRow::new(
            Family::Goroutines,
            claim(facts, &proven),
            proven.count,
            "goroutines",
            if is_material { 8.0 } else { 0.6 },
        )
    })
}

/// They are more than in the first profile of them, and go on to be worth something.
fn has_grown(proven: &Proven) -> bool {
    let more = proven.count - proven.before;
    let (least, part) = LEAST_GROWTH;
    more >= least && more >= proven.before * part && is_worth(more, proven.seconds)
}

/// They wait where goroutines pile up.
fn is_place(facts: &Facts<'_>, proven: &Proven) -> bool {
    let trend = facts.trend(ProfileType::Goroutine);
    let suspect = facts.goroutine_suspect().zip(trend);
    suspect.is_some_and(|(site, trend)| {
        let seconds = trend.span().as_secs_f64();
        proven.at(site.stack) >= MATERIAL && is_worth(site.growth.estimate, seconds)
    })
}

fn is_worth(more: f64, seconds: f64) -> bool {
    more * GOROUTINE_BYTES * DAY >= WORTH * seconds
}

/// Who, where, and how they were started.
fn claim(facts: &Facts<'_>, proven: &Proven) -> String {
    let count = proven.count;
    let leaked = site_trend::all_of_newest(facts.history, ProfileType::GoroutineLeak, facts.now);
    let place = leaked.as_ref().and_then(|leaked| leaked.sites.first());
    let at = place.map_or_else(String::new, |site| {
        let starter = proven.starter(facts.history);
        let starter = starter.filter(|starter| starter.function != site.frame.function);
        let started = starter.map_or_else(String::new, |starter| {
            format!(", started with {}", format::call_site(starter))
        });
        format!(
            ", {:.0} of them at {}{started}",
            site.now,
            format::call_site(&site.frame)
        )
    });
    if proven.by_runtime {
        format!("the runtime proves that nothing can wake {count:.0} goroutines{at}")
    } else {
        format!("nothing that runs can reach what {count:.0} goroutines wait for{at}: nobody can wake them")
    }
}
