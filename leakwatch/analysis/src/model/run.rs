//! Runs: one life of a service's main process each, from start to exit, with its course by the age of the process. What a new run is compared with.

use crate::model::sample::Limit;
use crate::model::target::ProcessKey;
use crate::model::target::TargetId;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use std::time::Duration;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RunEnd {
    /// For lack of memory. How it would have gone on is not known.
    OomKill,
    /// It exited or was replaced.
    Restart,
    /// Its cgroup is gone: a deployment, or the end of a job.
    Gone,
    /// It ended while nobody watched.
    Unseen,
}

/// What was known of a run at one age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoursePoint {
    /// Age of the process, in whole seconds.
    pub age_seconds: u32,
    /// Unreclaimable memory of its cgroup.
    pub memory: Option<Bytes>,
    /// Live heap by its runtime.
    pub live_heap: Option<Bytes>,
    /// Goroutines.
    pub goroutines: Option<u64>,
    /// Bytes allocated so far: the work done.
    pub work: Option<Bytes>,
}

impl CoursePoint {
    /// The lowest memory and the newest of everything else: collections of garbage come and go.
    fn merge(&mut self, later: &Self) {
        self.age_seconds = later.age_seconds;
        self.memory = match (self.memory, later.memory) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.live_heap = later.live_heap.or(self.live_heap);
        self.goroutines = later.goroutines.or(self.goroutines);
        self.work = later.work.or(self.work);
    }
}

/// The course of a run: points at even distances of age, which double whenever there would be too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    step_seconds: u32,
    points: Vec<CoursePoint>,
}

impl Default for Course {
    fn default() -> Self {
        Self {
            step_seconds: Self::FIRST_STEP,
            points: Vec::new(),
        }
    }
}

impl Course {
    /// Points at most: what fits into 2 kB on disk.
    pub const CAPACITY: usize = 64;
    const FIRST_STEP: u32 = 15;

    /// A course that was kept. Points are taken in order; what does not fit is merged.
    pub fn from_points(step_seconds: u32, points: impl IntoIterator<Item = CoursePoint>) -> Self {
        let mut course = Self {
            step_seconds: step_seconds.clamp(Self::FIRST_STEP, u32::MAX / 2),
            points: Vec::new(),
        };
        for point in points {
            course.push(point);
        }
        course
    }

    /// Adds what is known at an age; one that is not later than the newest is ignored.
    pub fn push(&mut self, point: CoursePoint) {
        if self
            .points
            .last()
            .is_some_and(|last| last.age_seconds >= point.age_seconds)
        {
            return;
        }
        let step = |age: u32, length: u32| age / length;
        match self.points.last_mut() {
            Some(last) if step(last.age_seconds, self.step_seconds) == step(point.age_seconds, self.step_seconds) => {
                last.merge(&point);
            }
            _ => self.points.push(point),
        }
        while self.points.len() > Self::CAPACITY {
            self.step_seconds = self.step_seconds.saturating_mul(2);
            let mut merged: Vec<CoursePoint> = Vec::with_capacity(Self::CAPACITY);
            for point in &self.points {
                match merged.last_mut() {
                    Some(last)
                        if step(last.age_seconds, self.step_seconds) == step(point.age_seconds, self.step_seconds) =>
                    {
                        last.merge(point);
                    }
                    _ => merged.push(*point),
                }
            }
            self.points = merged;
        }
    }

    /// Its points, youngest first.
    pub fn points(&self) -> &[CoursePoint] {
        &self.points
    }

    /// Seconds between two points.
    pub fn step_seconds(&self) -> u32 {
        self.step_seconds
    }

    /// The point nearest to an age.
    pub fn at(&self, age: Duration) -> Option<&CoursePoint> {
        let age = age.as_secs();
        self.points
            .iter()
            .min_by_key(|point| u64::from(point.age_seconds).abs_diff(age))
    }
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Of which service.
    pub service: String,
    /// In which target.
    pub target: TargetId,
    /// Which process.
    pub process: ProcessKey,
    /// Its executable; empty where it is not known.
    pub exe: String,
    /// The version of its program: build id, else empty.
    pub version: String,
    /// When it started.
    pub started_at: Timestamp,
    /// The newest instant that is known of it.
    pub last_at: Timestamp,
    /// How it ended; none while it runs.
    pub end: Option<RunEnd>,
    /// The newest limit.
    pub limit: Limit,
    /// Its course.
    pub course: Course,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(age_seconds: u32) -> CoursePoint {
        CoursePoint {
            age_seconds,
            memory: Some(Bytes(u64::from(age_seconds % 97))),
            work: Some(Bytes(u64::from(age_seconds))),
            ..CoursePoint::default()
        }
    }

    #[test]
    fn a_course_of_any_length_keeps_even_distances_and_its_lowest_memory() {
        let mut course = Course::default();
        for age in (5..14 * 24 * 3600).step_by(5) {
            course.push(point(age));
        }
        let points = course.points();
        assert!((Course::CAPACITY / 2..=Course::CAPACITY).contains(&points.len()));
        assert!(points.is_sorted_by(|a, b| a.age_seconds < b.age_seconds));
        assert_eq!(points.iter().filter_map(|point| point.memory).min(), Some(Bytes(0)));
        let again = Course::from_points(course.step_seconds(), points.iter().copied());
        assert_eq!(again, course);
        assert_eq!(course.at(Duration::from_secs(0)), points.first());
    }
}
