//! Earlier runs of the service by process age: those that levelled off, and those that climbed until they ended. The latter say nothing
//! about levelling; that all of them did so speaks for a leak.

use crate::detect::facts::Facts;
use crate::format;
use crate::measure::course;
use crate::measure::course::CourseShape;
use crate::measure::loading::Loading;
use crate::model::run::Run;
use crate::model::run::RunEnd;
use crate::odds::growth::Growth;
use crate::odds::row::Family;
use crate::odds::row::OddsRow;
use crate::stats::robust::count;

/// Above the highest level of earlier runs by this part a run is still inside their band, by `OUTSIDE` it surely is not.
const INSIDE: f64 = 1.15;
const OUTSIDE: f64 = 1.4;
/// By the number of earlier runs that levelled off, while this one is within their band.
const LEVELLED: [f64; 3] = [-2.6, -3.4, -4.0];
/// The same, when this run left the band.
const LEFT: [f64; 2] = [1.0, 1.8];
/// By the number of earlier runs that climbed until they were killed.
const KILLED: [f64; 3] = [2.4, 2.9, 3.3];
/// And until they were replaced.
const REPLACED: f64 = 0.8;
/// A run below the first length, in seconds, may have been killed while it loaded its data; from the second on that is unlikely.
const LOADS: (f64, f64) = (32.0, 300.0);
/// What a run that may have been loading counts.
const MAY_LOAD: f64 = 0.5;

fn of(weights: &[f64], runs: usize) -> f64 {
    let index = runs.saturating_sub(1);
    weights.get(index).or(weights.last()).copied().unwrap_or(0.0)
}

pub(super) fn row(facts: &Facts<'_>, growth: &Growth) -> Option<OddsRow> {
    let runs = course::earlier(facts.history, facts.replicas);
    let runs: Vec<(&Run, CourseShape)> = runs.into_iter().map(|run| (run, course::shape(run))).collect();
    let levels = course::levelled(facts.history, facts.replicas);
    if !levels.is_empty() {
        return by_levels(facts, growth, &levels);
    }
    let climbing = |ends: &'static [RunEnd]| {
        let of_end = runs
            .iter()
            .filter(move |(run, _)| run.ended.is_some_and(|ended| ends.contains(&ended.1)));
        of_end.filter(|(_, shape)| *shape == CourseShape::Climbing)
    };
    let killed: Vec<&Run> = climbing(&[RunEnd::OomKill, RunEnd::OutOfMemory])
        .map(|(run, _)| *run)
        .collect();
    let replaced = climbing(&[RunEnd::Exit]).count();
    if killed.is_empty() && replaced == 0 || !growth.is_known {
        return None;
    }
    let weight = weight_of_killed(facts, &killed).max(if replaced > 0 { REPLACED } else { 0.0 });
    Some(OddsRow::new(
        Family::Comparison,
        format!(
            "{} earlier run(s) climbed until they were killed, {replaced} until they were replaced; none levelled off",
            killed.len()
        ),
        count(killed.len() + replaced),
        "runs",
        weight,
    ))
}

/// What runs say that were killed while climbing. Short ones may have been killed before they had what they need.
fn weight_of_killed(facts: &Facts<'_>, killed: &[&Run]) -> f64 {
    let longest = killed.iter().map(|run| course::watched(run)).fold(0.0, f64::max);
    let sure = ((longest - LOADS.0) / (LOADS.1 - LOADS.0)).clamp(0.0, 1.0);
    let sure = if facts.loading() == Loading::Always {
        sure * sure
    } else {
        sure
    };
    if killed.is_empty() {
        return 0.0;
    }
    of(&KILLED, killed.len()) * (MAY_LOAD + (1.0 - MAY_LOAD) * sure)
}

fn by_levels(facts: &Facts<'_>, growth: &Growth, levels: &[(f64, f64)]) -> Option<OddsRow> {
    let highest = levels.iter().map(|level| level.0).fold(0.0, f64::max);
    let latest = levels.iter().map(|level| level.1).fold(0.0, f64::max);
    let part = facts.memory.level / highest.max(1.0);
    let told = format!(
        "{} earlier run(s) levelled off at {} after {}; this run is at {} after {}",
        levels.len(),
        format::bytes(highest),
        format::duration(latest),
        format::bytes(facts.memory.level),
        format::duration(facts.age())
    );
    let weight = if part <= INSIDE {
        of(&LEVELLED, levels.len())
    } else if part >= OUTSIDE && growth.is_known {
        of(&LEFT, levels.len())
    } else {
        return None;
    };
    Some(OddsRow::new(
        Family::Comparison,
        told,
        count(levels.len()),
        "runs",
        weight,
    ))
}
