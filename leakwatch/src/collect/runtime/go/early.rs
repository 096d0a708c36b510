//! Processes that have just executed a program: tried until their runtime can be read, soon at first, then ever more rarely.
//!
//! Most programs end before the first try, and of those that build software most are written in Go. So reading them takes a
//! tenth of one processor at most; what has to wait too long for its turn is left to the next round of samples.

use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// From the new program to the first try, doubled by each further one. A runtime is up within some milliseconds, its first
/// sample is taken after half a megabyte of allocations.
const FIRST: Duration = Duration::from_millis(100);
/// Tries of one process: the last after 12 s.
const TRIES: u32 = 7;
/// Processes that wait.
const MAX_WAITING: usize = 1024;
/// Rest after a try, in times of its length.
const REST: u32 = 9;
/// A try that took longer than a tenth of this waited for a processor, most likely, instead of using one.
const LONGEST_REST: Duration = Duration::from_millis(100);

#[derive(Clone, Debug)]
struct Candidate {
    target: TargetId,
    due: Instant,
    tries: u32,
}

/// The processes that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct Early {
    waiting: HashMap<ProcessKey, Candidate>,
    rested: Option<Instant>,
}

impl Early {
    /// A process executes another program; false when too many wait already.
    pub(super) fn add(&mut self, process: ProcessKey, target: TargetId, now: Instant) -> bool {
        if self.waiting.len() >= MAX_WAITING && !self.waiting.contains_key(&process) {
            return false;
        }
        let due = now + FIRST;
        self.waiting.insert(process, Candidate { target, due, tries: 0 });
        true
    }

    /// It need not be tried any more.
    pub(super) fn remove(&mut self, process: &ProcessKey) {
        self.waiting.remove(process);
    }

    /// When the next are to be tried.
    pub(super) fn next(&self) -> Option<Instant> {
        let due = self.waiting.values().map(|candidate| candidate.due).min()?;
        Some(self.rested.map_or(due, |rested| due.max(rested)))
    }

    /// All that are to be tried now, those first that have waited longest.
    pub(super) fn due(&self, now: Instant) -> Vec<(ProcessKey, TargetId)> {
        let mut due: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, candidate)| candidate.due <= now)
            .collect();
        due.sort_by_key(|(process, candidate)| (candidate.due, **process));
        due.into_iter()
            .map(|(process, candidate)| (*process, candidate.target.clone()))
            .collect()
    }

    /// It was tried, which took that long. One that is not `settled` is tried again.
    pub(super) fn tried(&mut self, process: ProcessKey, settled: bool, took: Duration, now: Instant) {
        self.rested = Some(now + (took * REST).min(LONGEST_REST));
        let Some(candidate) = self.waiting.get_mut(&process) else {
            return;
        };
        candidate.tries += 1;
        candidate.due = now + FIRST * (1 << candidate.tries.min(16));
        if settled || candidate.tries >= TRIES {
            self.waiting.remove(&process);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESS: ProcessKey = ProcessKey { pid: 7, start_ticks: 1 };

    fn target() -> TargetId {
        TargetId::from_text("t1")
    }

    #[test]
    fn a_process_is_tried_ever_more_rarely_until_it_can_be_read() {
        let mut early = Early::default();
        let mut now = Instant::now();
        assert!(early.add(PROCESS, target(), now));
        let mut waits = Vec::new();
        while let Some(due) = early.next() {
            waits.push((due - now).as_millis());
            now = due;
            assert_eq!(early.due(now), [(PROCESS, target())]);
            early.tried(PROCESS, false, Duration::from_millis(1), now);
        }
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400]);
        assert!(early.add(PROCESS, target(), now));
        early.tried(PROCESS, true, Duration::ZERO, now);
        assert!(early.next().is_none(), "it can be read");
    }

    #[test]
    fn reading_takes_a_tenth_of_a_processor_and_the_number_of_those_who_wait_is_bounded() {
        let mut early = Early::default();
        let now = Instant::now();
        for pid in 0..u32::try_from(MAX_WAITING).unwrap() {
            assert!(early.add(ProcessKey { pid, start_ticks: 1 }, target(), now));
        }
        assert!(!early.add(ProcessKey { pid: 0, start_ticks: 2 }, target(), now));
        assert!(
            early.add(ProcessKey { pid: 0, start_ticks: 1 }, target(), now),
            "known already"
        );
        let later = now + FIRST;
        assert_eq!(early.due(later).len(), MAX_WAITING);
        early.tried(
            ProcessKey { pid: 0, start_ticks: 1 },
            true,
            Duration::from_millis(5),
            later,
        );
        let due = early.next().unwrap();
        assert_eq!(due, later + Duration::from_millis(45));
    }
}
