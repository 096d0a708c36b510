//! Whether what is held follows the work done: what happened to it when the load fell, and how much more of it there is for each unit of
//! work. Source: heap profiles of a place, or the course of a run; must not judge.

use crate::history::TargetHistory;
use crate::history::window;
use crate::measure::motion::MATERIAL_BYTES;
use crate::model::profile::ProfileType;
use crate::model::run::Run;
use crate::model::stack::StackId;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use crate::stats::robust::count;

/// Fewer steps do not show how load and memory go together.
const LEAST_STEPS: usize = 7;
/// Nor does less time: load varies from second to second.
const LEAST_SECONDS: f64 = 300.0;
/// Load varies when its highest rate is so many times its lowest.
const LEAST_VARIATION: f64 = 1.6;
/// Load from this part of its highest rate is high; below the inverse of `LEAST_VARIATION` of it is low.
const HIGH: f64 = 0.75;
/// Of what had come with the load, the part that is left at low load when it follows the load.
const FALLS: f64 = 0.5;

/// Part of the growth of memory that a rise must be to explain it: garbage doubles what is held.
const MOST: f64 = 0.3;
/// A rise below this part of what is held is chance: profiles are sampled.
const MATERIAL_PART: f64 = 0.1;

/// An instant in seconds, what was held then, and the work done until then.
type Point = (f64, f64, f64);

/// How what is held goes with the work done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AgainstLoad {
    /// Of what had come before the load was highest, the part that was left when it was low the last time; none when load did not fall.
    pub kept: Option<f64>,
    /// Bytes that had come with the load.
    pub rise: f64,
    /// Growth per unit of work in the second half of the work relative to the first.
    pub per_work: f64,
    /// Highest over lowest rate of work.
    pub varies: f64,
    /// Correlation of what is held and load.
    pub follows: f64,
}

impl AgainstLoad {
    /// Of a place, by the heap profiles up to `now` of the process that is followed. None with too few.
    pub fn of_place(history: &TargetHistory, stack: StackId, now: Timestamp) -> Option<Self> {
        let known = window::snapshots(history, ProfileType::Heap, now).filter_map(|snapshot| {
            let value = snapshot.values.get(stack);
            let bytes = |value: i64| u64::try_from(value).ok().map(|value| Bytes(value).as_f64());
            let held = value.map_or(Some(0.0), |value| bytes(value.inuse_space));
            Some((
                snapshot.at.seconds_from(history.window_start),
                held?,
                bytes(snapshot.total.alloc_space)?,
            ))
        });
        Self::of(&known.collect::<Vec<_>>())
    }

    /// Of goroutines at a place, so many bytes each: their profiles, and the work of the heap profile before.
    pub fn of_goroutines(history: &TargetHistory, stack: StackId, each: f64, now: Timestamp) -> Option<Self> {
        let heaps: Vec<_> = window::snapshots(history, ProfileType::Heap, now).collect();
        let known = window::snapshots(history, ProfileType::Goroutine, now).filter_map(|snapshot| {
            let before = heaps.partition_point(|heap| heap.at <= snapshot.at).checked_sub(1)?;
            let bytes = |value: i64| u64::try_from(value).ok().map(|value| Bytes(value).as_f64());
            let goroutines = snapshot.values.get(stack).map_or(0, |value| value.inuse_objects);
            Some((
                snapshot.at.seconds_from(history.window_start),
                bytes(goroutines)? * each,
                bytes(heaps.get(before)?.total.alloc_space)?,
            ))
        });
        Self::of(&known.collect::<Vec<_>>())
    }

    /// Of a run as a whole: its live heap where that is known, else its memory.
    pub fn of_run(run: &Run) -> Option<Self> {
        let known = run.course.points.iter().filter_map(|point| {
            let held = point.live_heap.or(point.memory)?;
            Some((f64::from(point.age_seconds), held.as_f64(), point.work?.as_f64()))
        });
        Self::of(&known.collect::<Vec<_>>())
    }

    /// Whether the load varied enough to say anything.
    pub fn varied(&self) -> bool {
        self.varies >= LEAST_VARIATION
    }

    /// Whether what is held fell when the load did, and what had come with the load is most of `growth`.
    pub fn explains(&self, growth: f64) -> bool {
        self.varied() && self.kept.is_some_and(|kept| kept < FALLS) && self.rise >= growth * MOST
    }

    fn of(known: &[Point]) -> Option<Self> {
        // What is held at the end of a step, the rate of work within it, the work until then. The first step has the start-up in it.
        let steps: Vec<Point> = known
            .windows(2)
            .skip(1)
            .filter_map(|pair| match pair {
                [before, after] if after.0 > before.0 => {
                    Some((after.1, (after.2 - before.2).max(0.0) / (after.0 - before.0), after.2))
                }
                _ => None,
            })
            .collect();
        let steps = smooth(&steps);
        let (first, last) = (steps.first()?, steps.last()?);
        let seconds = known.last()?.0 - known.first()?.0;
        if steps.len() < LEAST_STEPS || seconds < LEAST_SECONDS {
            return None;
        }
        let highest = steps.iter().map(|step| step.1).fold(0.0, f64::max);
        let lowest = steps.iter().map(|step| step.1).fold(f64::INFINITY, f64::min);
        let middle = steps.iter().find(|step| step.2 >= f64::midpoint(first.2, last.2))?;
        let early = (middle.0 - first.0) / (middle.2 - first.2).max(1.0);
        let late = (last.0 - middle.0) / (last.2 - middle.2).max(1.0);
        let fall = fall(&steps, highest);
        Some(Self {
            kept: fall.map(|(kept, _)| kept),
            rise: fall.map_or(0.0, |(_, rise)| rise),
            per_work: if early > 0.0 { late / early } else { 1.0 },
            varies: highest / lowest.max(highest * 1e-3),
            follows: correlation(&steps),
        })
    }
}

/// The rate of work as the mean of a step and its neighbours: requests come at random, and the highest and lowest of many steps are chance.
fn smooth(steps: &[Point]) -> Vec<Point> {
    let rate = |index: usize| {
        let near = steps
            .get(index.saturating_sub(1)..(index + 2).min(steps.len()))
            .unwrap_or(&[]);
        near.iter().map(|step| step.1).sum::<f64>() / count(near.len()).max(1.0)
    };
    let smoothed = steps.iter().enumerate();
    smoothed.map(|(index, step)| (step.0, rate(index), step.2)).collect()
}

/// What was left of the last rise when the load had fallen, and the rise.
fn fall(steps: &[Point], highest: f64) -> Option<(f64, f64)> {
    let (mut trough, mut peak) = (f64::INFINITY, None);
    let mut last = None;
    for (held, rate, _) in steps {
        trough = trough.min(*held);
        if *rate >= highest * HIGH {
            peak = Some(peak.map_or(*held, |before: f64| before.max(*held)));
        } else if *rate <= highest / LEAST_VARIATION
            && let Some(peak) = peak
            && peak > trough.min(*held) + MATERIAL_BYTES.max(peak * MATERIAL_PART)
        {
            let rise = peak - trough.min(*held);
            last = Some((((held - trough.min(*held)) / rise).max(0.0), rise));
        }
    }
    last
}

fn correlation(steps: &[Point]) -> f64 {
    let n = count(steps.len());
    let mean = |of: fn(&Point) -> f64| steps.iter().map(of).sum::<f64>() / n;
    let (held, rate) = (mean(|step| step.0), mean(|step| step.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| steps.iter().map(|step| of(step.0 - held, step.1 - rate)).sum::<f64>();
    let spread = (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt();
    if spread > 0.0 {
        (sum(&|a, b| a * b) / spread).clamp(-1.0, 1.0)
    } else {
        0.0
    }
}
