//! Goroutines that nobody can wake, as the newest profile of them tells. Must not judge whether they are a leak.

use crate::history::TargetHistory;
use crate::history::window;
use crate::model::profile::ProfileSource;
use crate::model::profile::ProfileType;
use crate::model::profile::Snapshot;
use crate::model::profile::StackValue;
use crate::model::stack::Frame;
use crate::model::stack::StackId;
use crate::model::units::Timestamp;

/// The newest profile of them, against the first of the same process.
#[derive(Clone, Debug, PartialEq)]
pub struct Proven {
    /// How many there are.
    pub count: f64,
    /// How many there were in the first profile.
    pub before: f64,
    /// Seconds in between; zero where there is one profile.
    pub seconds: f64,
    /// Whether the runtime said so itself. Else it was found from outside.
    pub by_runtime: bool,
    /// The stacks they wait at, with how many, most first.
    pub stacks: Vec<(StackId, f64)>,
}

impl Proven {
    /// None where no profile of them was taken of the process that is followed.
    pub fn newest(history: &TargetHistory, now: Timestamp) -> Option<Self> {
        let mut profiles = window::snapshots(history, ProfileType::GoroutineLeak, now);
        let first = profiles.next()?;
        let newest = profiles.last().unwrap_or(first);
        let mut stacks: Vec<(StackId, f64)> = newest
            .values
            .iter()
            .map(|(stack, value)| (stack, goroutines(&value)))
            .collect();
        stacks.sort_by(|one, other| other.1.total_cmp(&one.1));
        Some(Self {
            count: goroutines(&newest.total),
            before: goroutines(&first.total),
            seconds: newest.at.seconds_from(first.at),
            by_runtime: is_by_runtime(newest),
            stacks,
        })
    }

    /// How many wait at a stack.
    pub fn at(&self, stack: StackId) -> f64 {
        let found = self.stacks.iter().find(|(id, _)| *id == stack);
        found.map_or(0.0, |(_, count)| *count)
    }

    /// The function that those at the most frequent stack were started with.
    pub fn starter<'h>(&self, history: &'h TargetHistory) -> Option<&'h Frame> {
        let (stack, _) = self.stacks.first()?;
        let of_program = |frame: &&Frame| !frame.function.starts_with("runtime.");
        history.stacks.frames(*stack).filter(of_program).last()
    }
}

fn is_by_runtime(snapshot: &Snapshot) -> bool {
    snapshot.source == ProfileSource::Endpoint
}

fn goroutines(value: &StackValue) -> f64 {
    u32::try_from(value.inuse_objects.max(0)).map_or(f64::from(u32::MAX), f64::from)
}
