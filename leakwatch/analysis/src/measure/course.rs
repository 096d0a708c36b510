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
/// And all along when each third of its time, or of its work, brought this part of even growth: what was full for a while and is killed
/// at a peak of load was not climbing.
const EVEN: f64 = 0.25;

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
    let levelled = at - from <= (to - from) * LEVEL_BY && late.abs() <= growth * LEVEL_DRIFT;
    if levelled && !climbs_with_work(&run.course) {
        CourseShape::Levelled { level: highest, at }
    } else if late >= growth * CLIMB && last >= first + growth * NEARLY_ALL && climbs_all_along(&run.course) {
        CourseShape::Climbing
    } else {
        CourseShape::Unclear
    }
}

/// Whether each third of the time, or each third of the work, brought growth. A pause of the load brings neither work nor growth.
fn climbs_all_along(course: &Course) -> bool {
    climbs_by(course, |point| Some(f64::from(point.age_seconds))) || climbs_with_work(course)
}

/// Whether each third of the work brought growth: what has a level works on at it.
fn climbs_with_work(course: &Course) -> bool {
    climbs_by(course, |point| Some(point.work?.as_f64()))
}

fn climbs_by(course: &Course, x: impl Fn(&CoursePoint) -> Option<f64>) -> bool {
    let start = course.points.last().map_or(0.0, |point| f64::from(point.age_seconds)) * START_UP_PART;
    let points = || {
        course
            .points
            .iter()
            .filter(move |point| f64::from(point.age_seconds) >= start)
    };
    let has_heap = points().filter(|point| point.live_heap.is_some()).count() >= LEAST_STEPS;
    let held = |point: &CoursePoint| if has_heap { point.live_heap } else { point.memory };
    let known = points().filter_map(|point| Some((x(point)?, held(point)?.as_f64())));
    evenness(&known.collect::<Vec<_>>()) >= EVEN
}

/// The least growth in any third, relative to even growth.
fn evenness(points: &[(f64, f64)]) -> f64 {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return 0.0;
    };
    let at = |part: f64| {
        let x = first.0 + (last.0 - first.0) * part / 3.0;
        let next = points.partition_point(|point| point.0 < x);
        match (
            next.checked_sub(1).and_then(|index| points.get(index)),
            points.get(next),
        ) {
            (Some(a), Some(b)) if b.0 > a.0 => a.1 + (b.1 - a.1) * (x - a.0) / (b.0 - a.0),
            (_, Some(point)) | (Some(point), None) => point.1,
            (None, None) => 0.0,
        }
    };
    let growth = last.1 - first.1;
    if growth <= 0.0 {
        return 0.0;
    }
    let parts = [0.0, 1.0, 2.0].map(|part| (at(part + 1.0) - at(part)) * 3.0 / growth);
    parts.into_iter().fold(f64::INFINITY, f64::min)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run::RunSample;
    use crate::model::sample::Limit;
    use crate::model::target::ProcessKey;
    use crate::model::units::Timestamp;
    use std::time::Duration;

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast of a float saturates"
    )]
    const fn whole(value: f64) -> u64 {
        value as u64
    }

    /// A run of an hour: MiB held by part of the hour, and the part of all work that was done until then.
    fn run(held: impl Fn(f64) -> f64, work: impl Fn(f64) -> f64) -> Run {
        let key = ProcessKey { pid: 1, start_ticks: 1 };
        let mut run = Run::new(key, Timestamp::from_unix_seconds(0), Limit::Max);
        for age in (0..3600).step_by(30) {
            let part = f64::from(age) / 3600.0;
            let bytes = |mib: f64| Some(Bytes::from_kib(whole(mib * 1024.0)));
            let sample = RunSample {
                memory: bytes(50.0 + held(part)),
                live_heap: bytes(20.0 + held(part)),
                goroutines: None,
                work: bytes(1000.0 * work(part)),
            };
            run.course.add(Duration::from_secs(u64::try_from(age).unwrap()), sample);
        }
        run
    }

    #[test]
    fn a_run_climbs_when_it_did_so_all_along_by_time_or_by_work() {
        let pause = |part: f64| if part < 0.4 { part } else { (part - 0.4).max(0.4) };
        for (label, run, expected) in [
            ("a leak", run(|part| part * 100.0, |part| part), CourseShape::Climbing),
            (
                "a leak per request with a pause",
                run(move |part| pause(part) * 100.0, pause),
                CourseShape::Climbing,
            ),
            (
                "a leak per second while the load falls",
                run(|part| part * 100.0, f64::sqrt),
                CourseShape::Climbing,
            ),
            (
                "a leak per request that ends after a long pause",
                run(|part| (part / 0.55).min(1.0) * 100.0, |part| (part / 0.55).min(1.0)),
                CourseShape::Unclear,
            ),
            (
                "a cache that is full",
                run(|part| (part / 0.55).min(1.0) * 100.0, |part| part),
                CourseShape::Levelled {
                    level: 150.0 * 1024.0 * 1024.0,
                    at: 1830.0,
                },
            ),
            (
                "full for a while, then a peak of load",
                run(
                    |part| (part * 200.0).min(60.0) + (part - 0.7).max(0.0) * 200.0,
                    |part| part,
                ),
                CourseShape::Unclear,
            ),
        ] {
            assert_eq!(shape(&run), expected, "{label}");
        }
    }
}
