//! Kills while climbing: what ended earlier runs was the limit and nothing else.

use crate::detect::facts::Facts;
use crate::measure::course;
use crate::measure::course::CourseShape;
use crate::model::run::RunEnd;
use crate::model::verdict::EvidenceLink;
use crate::odds::growth::Growth;
use crate::odds::row::Family;
use crate::odds::row::OddsRow;
use crate::stats::robust::count;

/// Shorter runs may have been killed while they loaded.
const LEAST_SECONDS: f64 = 300.0;
/// By the number of kills while climbing.
const WEIGHTS: [f64; 3] = [0.9, 1.2, 1.5];

pub(super) fn row(facts: &Facts<'_>, growth: &Growth) -> Option<OddsRow> {
    let killed = facts
        .history
        .past_runs
        .iter()
        .filter(|run| run.ended.is_some_and(|(_, end)| end == RunEnd::OomKill))
        .filter(|run| course::watched(run) >= LEAST_SECONDS && course::shape(run) == CourseShape::Climbing)
        .count();
    if killed == 0 || !growth.is_known {
        return None;
    }
    let weight = WEIGHTS.get(killed - 1).or(WEIGHTS.last()).copied()?;
    Some(OddsRow {
        link: Some(EvidenceLink::Events),
        ..OddsRow::new(
            Family::Limit,
            format!("the limit ended {killed} earlier run(s) that were climbing"),
            count(killed),
            "kills",
            weight,
        )
    })
}
