//! One run of a service's main process, from start to end, as its course by process age: what the next run is compared with.
//!
//! Plain data of at most 2 kB, so that thousands of runs can be kept. Nothing here judges.

use crate::model::sample::Limit;
use crate::model::target::ProcessKey;
use crate::model::target::TargetId;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunEnd {
    /// The process was killed for lack of memory.
    OomKill,
    /// It exited or was replaced: a deploy, a restart, a crash.
    Exit,
    /// It ended while nobody watched.
    Unseen,
    /// Its runtime gave up: its own heap was full while the kernel had memory left.
    OutOfMemory,
}

/// What one sample adds to the course of a run; what is not known of an instant is absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunSample {
    /// Memory of the target that cannot be reclaimed.
    pub memory: Option<Bytes>,
    /// Live heap of the runtime.
    pub live_heap: Option<Bytes>,
    /// Goroutines.
    pub goroutines: Option<u32>,
    /// Work done since the process started, as bytes allocated.
    pub work: Option<Bytes>,
}

/// One step of a course.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoursePoint {
    /// Mean age of the process at the samples of this step, in seconds.
    pub age_seconds: u32,
    /// Samples in it.
    pub samples: u32,
    /// Mean of the memory that cannot be reclaimed.
    pub memory: Option<Bytes>,
    /// Live heap, newest.
    pub live_heap: Option<Bytes>,
    /// Goroutines, newest.
    pub goroutines: Option<u32>,
    /// Work done since the start of the process, newest.
    pub work: Option<Bytes>,
}

/// The course of a run by process age, in steps of equal length; when there are too many, two make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    /// Length of a step in seconds.
    pub step_seconds: u32,
    /// Steps in order of age; those without a sample are left out. Copies share them until one changes: every target of a service knows its
    /// earlier runs.
    pub points: Arc<Vec<CoursePoint>>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The process that held most of the memory.
    pub process: ProcessKey,
    /// When it started.
    pub started_at: Timestamp,
    /// The limit it ran under, as of its last sample.
    pub limit: Limit,
    /// How and when it ended; none while it runs.
    pub ended: Option<(Timestamp, RunEnd)>,
    /// How it went.
    pub course: Course,
}

/// A run with whose it was: what is kept of a service, across its targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRun {
    /// Of which service.
    pub service: String,
    /// In which target.
    pub target: TargetId,
    /// Its executable; empty where it is not known.
    pub exe: String,
    /// The version of its program: build id, else empty.
    pub version: String,
    /// The newest instant that is known of it.
    pub last_at: Timestamp,
    /// The run.
    pub run: Run,
}

impl Default for Course {
    fn default() -> Self {
        Self {
            step_seconds: Self::FIRST_STEP_SECONDS,
            points: Arc::default(),
        }
    }
}

impl Course {
    /// Steps kept: with 64 bytes each a run stays below 2 kB.
    pub const CAPACITY: usize = 28;
    /// The interval of samples, by default.
    const FIRST_STEP_SECONDS: u32 = 5;

    /// Takes in a sample at an age of the process. One that is older than the newest step is ignored.
    pub fn add(&mut self, age: Duration, sample: RunSample) {
        let age_seconds = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
        let new = CoursePoint {
            age_seconds,
            samples: 1,
            memory: sample.memory,
            live_heap: sample.live_heap,
            goroutines: sample.goroutines,
            work: sample.work,
        };
        let step = self.step_seconds.max(1);
        let points = Arc::make_mut(&mut self.points);
        match points.last_mut() {
            Some(last) if age_seconds < last.age_seconds => {}
            Some(last) if last.age_seconds / step == age_seconds / step => *last = CoursePoint::merge(last, &new),
            _ => {
                if points.len() >= Self::CAPACITY {
                    self.double();
                    return self.add(age, sample);
                }
                points.push(new);
            }
        }
    }

    /// Twice the step, until there is room.
    fn double(&mut self) {
        self.step_seconds = self.step_seconds.saturating_mul(2).max(1);
        let step = self.step_seconds;
        let mut merged: Vec<CoursePoint> = Vec::with_capacity(Self::CAPACITY);
        for point in self.points.iter() {
            match merged.last_mut() {
                Some(last) if last.age_seconds / step == point.age_seconds / step => {
                    *last = CoursePoint::merge(last, point);
                }
                _ => merged.push(*point),
            }
        }
        self.points = Arc::new(merged);
    }
}

impl CoursePoint {
    fn merge(older: &Self, newer: &Self) -> Self {
        Self {
            age_seconds: u32::try_from(older.mean(u64::from(older.age_seconds), newer, u64::from(newer.age_seconds)))
                .unwrap_or(u32::MAX),
            samples: older.samples.saturating_add(newer.samples),
            memory: match (older.memory, newer.memory) {
                (Some(before), Some(after)) => Some(Bytes(older.mean(before.0, newer, after.0))),
                (one, other) => other.or(one),
            },
            live_heap: newer.live_heap.or(older.live_heap),
            goroutines: newer.goroutines.or(older.goroutines),
            work: newer.work.or(older.work),
        }
    }

    /// Mean of a value of this step and of one of another step, each counting as often as it was sampled.
    fn mean(&self, own: u64, other: &Self, of_other: u64) -> u64 {
        let (weight, other_weight) = (u128::from(self.samples), u128::from(other.samples));
        let sum = u128::from(own) * weight + u128::from(of_other) * other_weight;
        u64::try_from(sum / (weight + other_weight).max(1)).unwrap_or(u64::MAX)
    }
}

impl Run {
    /// A run that begins.
    pub fn new(process: ProcessKey, started_at: Timestamp, limit: Limit) -> Self {
        Self {
            process,
            started_at,
            limit,
            ended: None,
            course: Course::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(memory: u64) -> RunSample {
        RunSample {
            memory: Some(Bytes(memory)),
            ..RunSample::default()
        }
    }

    #[test]
    fn a_course_stays_small_and_a_straight_one_straight() {
        for seconds in [60_u64, 3_600, 86_400, 1_209_600] {
            let mut course = Course::default();
            for age in (0..seconds).step_by(5) {
                course.add(Duration::from_secs(age), sample(1_000_000 + age * 30_000));
            }
            assert!(course.points.len() <= Course::CAPACITY, "{seconds}");
            assert!(course.points.len() * size_of::<CoursePoint>() + size_of::<Run>() <= 2048);
            for point in course.points.iter() {
                let expected = 1_000_000 + u64::from(point.age_seconds) * 30_000;
                let memory = point.memory.unwrap().0;
                // The mean age is kept in whole seconds.
                assert!(
                    memory.abs_diff(expected) <= 40_000 + expected / 100,
                    "{seconds}: {point:?}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_known_stays_unknown_and_what_comes_late_is_ignored() {
        let mut course = Course::default();
        course.add(Duration::from_secs(100), RunSample::default());
        course.add(Duration::from_secs(40), sample(1));
        assert_eq!(course.points.len(), 1);
        assert_eq!(course.points[0].memory, None);
        course.add(Duration::from_secs(101), sample(7));
        assert_eq!((course.points[0].memory, course.points[0].samples), (Some(Bytes(7)), 2));
    }
}
