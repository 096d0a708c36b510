//! What the course of a run shows: whether it levelled off, and how much it grew between two ages. Source: `model::run`; must not judge.

use crate::history::TargetHistory;
use crate::measure::motion::MATERIAL_BYTES;
use crate::measure::motion::MATERIAL_PART;
use crate::model::run::Course;
use crate::model::run::CoursePoint;
use crate::model::run::Run;
use crate::model::units::Bytes;
use std::collections::BTreeSet;

/// The first part of a run counts as start-up, as for windows.
const START_UP_PART: f64 = 0.05;
/// Fewer steps do not show how a run went.
const LEAST_STEPS: usize = 5;
/// A run that reached this part of its growth within `LEVEL_BY` of its length, and grew by no more than `LEVEL_DRIFT` of it in the last
/// third, had a level. A straight line reaches it at 0.9 of its length and grows by 0.33 in the last third.
const NEARLY_ALL: f64 = 0.9;
const LEVEL_BY: f64 = 0.7;
const LEVEL_DRIFT: f64 = 0.1;
/// A run that grew by this part in its last third was climbing when it ended.
const CLIMB: f64 = 0.2;

/// How a run went, as far as it went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CourseShape {
    /// It never grew by anything that matters.
    Flat,
    /// It grew and reached a level, at an age in seconds.
    Levelled {
        /// The level in bytes.
        level: f64,
        /// Age at which nearly all of it was there.
        at: f64,
    },
    /// It was still climbing at its end.
    Climbing,
    /// Neither can be told.
    Unclear,
}

/// The runs that have ended of a target and its replicas, each once: replicas may have the same predecessors.
pub fn earlier<'a>(history: &'a TargetHistory, replicas: &[&'a TargetHistory]) -> Vec<&'a Run> {
    let of_others = replicas.iter().flat_map(|replica| &replica.past_runs);
    let mut known = BTreeSet::new();
    let mut runs: Vec<&Run> = history.past_runs.iter().chain(of_others).collect();
    runs.retain(|run| known.insert((run.process, run.started_at)));
    runs
}

/// Level and age of levelling of the earlier runs of a service that levelled off.
pub fn levelled(history: &TargetHistory, replicas: &[&TargetHistory]) -> Vec<(f64, f64)> {
    earlier(history, replicas)
        .into_iter()
        .filter_map(|run| match shape(run) {
            CourseShape::Levelled { level, at } => Some((level, at)),
            _ => None,
        })
        .collect()
}

/// Memory by age, start-up left out.
fn memory(course: &Course) -> Vec<(f64, f64)> {
    let length = course.points.last().map_or(0.0, |point| f64::from(point.age_seconds));
    course
        .points
        .iter()
        .map(|point| (f64::from(point.age_seconds), point.memory))
        .filter(|(age, _)| *age >= length * START_UP_PART)
        .filter_map(|(age, memory)| Some((age, memory?.as_f64())))
        .collect()
}

/// Seconds that a run was watched.
pub fn watched(run: &Run) -> f64 {
    let age = |point: Option<&CoursePoint>| point.map_or(0.0, |point| f64::from(point.age_seconds));
    age(run.course.points.last()) - age(run.course.points.first())
}

/// How a run went.
pub fn shape(run: &Run) -> CourseShape {
    let points = memory(&run.course);
    let (Some(&(from, first)), Some(&(to, last))) = (points.first(), points.last()) else {
        return CourseShape::Unclear;
    };
    if points.len() < LEAST_STEPS {
        return CourseShape::Unclear;
    }
    let highest = points.iter().map(|point| point.1).fold(0.0, f64::max);
    let growth = highest - first;
    if growth < MATERIAL_BYTES.max(highest * MATERIAL_PART * 2.0) {
        return CourseShape::Flat;
    }
    let reached = points.iter().find(|point| point.1 >= first + growth * NEARLY_ALL);
    let at = reached.map_or(to, |point| point.0);
    let third = points.iter().find(|point| point.0 >= to - (to - from) / 3.0);
    let late = last - third.map_or(last, |point| point.1);
    if at - from <= (to - from) * LEVEL_BY && late.abs() <= growth * LEVEL_DRIFT {
        CourseShape::Levelled { level: highest, at }
    } else if late >= growth * CLIMB && last >= first + growth * NEARLY_ALL {
        CourseShape::Climbing
    } else {
        CourseShape::Unclear
    }
}

/// Growth of a run between two ages: the highest level within them over the first. None when its course is too coarse there, or
/// does not go so far.
pub fn growth_between(run: &Run, from: f64, to: f64) -> Option<f64> {
    let step = f64::from(run.course.step_seconds);
    let points = || run.course.points.iter();
    let first = points().find(|point| f64::from(point.age_seconds) >= from)?;
    let start = f64::from(first.age_seconds);
    let covered = points()
        .last()
        .is_some_and(|last| f64::from(last.age_seconds) + step >= to);
    if !covered || start > from + (to - from) * 0.25 {
        return None;
    }
    let within = points().skip_while(|point| f64::from(point.age_seconds) < from);
    let within = within.take_while(|point| f64::from(point.age_seconds) <= to + step);
    let levels = within.filter_map(|point| point.memory).map(Bytes::as_f64);
    Some(levels.fold(0.0, f64::max) - first.memory?.as_f64())
}

/// Work done between two ages; none when it is not known.
pub fn work_between(run: &Run, from: f64, to: f64) -> Option<f64> {
    let at = |age: f64| {
        let points = run.course.points.iter();
        let point = points.filter(|point| point.work.is_some()).min_by(|a, b| {
            let far = |point: &CoursePoint| (f64::from(point.age_seconds) - age).abs();
            far(a).total_cmp(&far(b))
        });
        point.and_then(|point| Some(point.work?.as_f64()))
    };
    Some((at(to)? - at(from)?).max(0.0))
}
