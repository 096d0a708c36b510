//! Replicas of the service at the same age, under as much load, that do not grow: the odd one out has a reason of its own.

use crate::detect::facts::Facts;
use crate::format;
use crate::history::TargetHistory;
use crate::measure::course;
use crate::measure::motion::MATERIAL_BYTES;
use crate::model::run::Run;
use crate::odds::growth::Growth;
use crate::odds::row::Family;
use crate::odds::row::OddsRow;
use crate::stats::robust::count;

/// A replica that grew by less than this part of the growth does not grow, by more than `ALIKE` grows alike.
const FLAT: f64 = 0.25;
const ALIKE: f64 = 0.5;
/// A replica that does less than this part of the work, what is kept left out, proves nothing.
const LEAST_WORK: f64 = 0.4;
/// Work besides what is kept, as a part of it, from which on it is compared: the two are measured at different instants.
const BESIDES: f64 = 0.25;
/// Growth over less time may be another phase of the same life.
const LEAST_SECONDS: f64 = 60.0;
/// By the number of replicas that do not grow.
const WEIGHTS: [f64; 3] = [3.2, 3.6, 4.0];

pub(super) fn row(facts: &Facts<'_>, growth: &Growth) -> Option<OddsRow> {
    let own = Growth::run(facts)?;
    let (from, to) = growth.ages;
    if !growth.is_known || growth.bytes < 2.0 * MATERIAL_BYTES || to - from < LEAST_SECONDS {
        return None;
    }
    // What is kept was allocated for nothing else; without much besides it there is no work to compare.
    let work = course::work_between(own, from, to)
        .map(|work| work - growth.bytes)
        .filter(|work| *work > growth.bytes * BESIDES);
    let (mut flat, mut alike) = (0_usize, 0_usize);
    for replica in facts.replicas {
        for run in runs(replica) {
            let Some(grew) = course::growth_between(run, from, to) else {
                continue;
            };
            let other_work = course::work_between(run, from, to);
            let is_idle = matches!((work, other_work), (Some(own), Some(other)) if other < own * LEAST_WORK);
            if grew >= growth.bytes * ALIKE {
                alike += 1;
            } else if grew <= growth.bytes * FLAT && !is_idle {
                flat += 1;
            }
        }
    }
    if flat == 0 || alike * 2 > flat {
        return None;
    }
    let weight = WEIGHTS.get(flat - 1).or(WEIGHTS.last()).copied().unwrap_or(0.0);
    Some(OddsRow::new(
        Family::Comparison,
        format!(
            "{flat} replica(s) of the service did not grow at the same age, under as much load; this one grew by {}",
            format::bytes(growth.bytes)
        ),
        count(flat),
        "replicas",
        weight,
    ))
}

/// The run of a replica that lives.
fn runs(replica: &TargetHistory) -> impl Iterator<Item = &Run> {
    replica.run.iter().filter(|run| run.ended.is_none())
}
