//! Heap and goroutine profiles of Go programs, read from their memory: nothing is written, nothing is stopped, and the
//! program needs no endpoint.
//!
//! A process is attached as soon as it has executed its program, and the kernel is told what to read when it is killed.
//!
//! Which processes exist and how urgent they are comes from the caller. One process is read at a time, on a thread for
//! blocking work. What is read is hostile; `leakwatch_goproc` bounds it, and every way to fail is a
//! `Missing` with a reason.

mod missing;
mod numbers;
mod wakers;
mod build_stacks;
mod profile;
mod goroutine_stacks;
mod final_heap;
mod reader;
mod state;
mod early;

use crate::clock::Clock;
use crate::collect::endpoint::Watched;
use crate::collect::runtime::go::early::Early;
use crate::collect::runtime::go::reader::Reader;
use crate::collect::runtime::go::reader::Round;
use crate::collect::runtime::go::reader::Tried;
use crate::collect::runtime::go::state::State;
use crate::input::Input;
use leakwatch_analysis::model::event::Loss;
use leakwatch_analysis::model::final_heap::FinalState;
use leakwatch_analysis::model::final_heap::TruncationReason;
use leakwatch_analysis::model::profile::ProfileLoss;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_goproc::final_heap::HeapWalk;
use leakwatch_goproc::final_heap::WalkPlan;
use std::collections::HashMap;
use std::collections::HashSet;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::task::JoinError;
use tokio::task::JoinSet;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio::time::sleep_until;
use tokio::time::timeout;

/// What the kernel reports of processes.
#[derive(Clone, Debug)]
pub enum ProcessEvent {
    /// A process of a watched cgroup executes another program.
    Started {
        /// Which process.
        process: ProcessKey,
        /// The target it belongs to.
        target: TargetId,
    },
    /// A process was killed that the kernel was told to read then.
    Died {
        /// When.
        at: Timestamp,
        /// Which process.
        process: ProcessKey,
        /// What was read.
        walk: Box<HeapWalk>,
    },
}

/// What the kernel is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchOrder {
    /// Read this process when it is killed; replaces what was said of it before.
    Watch(ProcessKey, WalkPlan),
    /// Do not.
    Forget(ProcessKey),
}

/// What comes in: the processes to be read, all of them every time, and what the kernel reports.
#[derive(Debug)]
pub struct Sources {
    /// Processes of which profiles are wanted.
    pub watched: watch::Receiver<Vec<Watched>>,
    /// Closed where there are no kernel probes.
    pub process_events: mpsc::Receiver<ProcessEvent>,
}

/// What is to be done next.
#[derive(Clone, Debug)]
enum Job {
    Round(Watched),
    Early,
}

/// Processes kept ready to be read at their end although no profiles of them are wanted.
const MAX_HELD: usize = 256;
/// Events taken at a time: a machine that builds software starts hundreds of programs per second.
const MAX_EVENTS: usize = 256;
/// Final states made at the same time.
const MAX_FINAL_STATES: usize = 4;
/// Longer than everything that bounds its own time: what takes longer hangs in the kernel, as a read of memory whose pages
/// another process holds back (`userfaultfd`) does.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often it is looked whether those have ended.
const HELD_INTERVAL: Duration = Duration::from_secs(5);

/// Takes profiles of the processes it is told about, forever.
#[derive(Debug)]
pub struct GoMemoryCollector {
    clock: Clock,
    reader: Reader,
    states: HashMap<ProcessKey, State>,
    early: Early,
    held: HashSet<ProcessKey>,
    held_checked: Instant,
    final_states: JoinSet<FinalState>,
    /// Processes whose reading hangs, with the thread that waits for it: it is left behind, and no second one joins it.
    stuck: HashMap<ProcessKey, AbortHandle>,
    patience: Duration,
    orders: mpsc::Sender<WatchOrder>,
}

impl GoMemoryCollector {
    /// A collector that has not seen any process yet. What the kernel is to read at the end of a process goes to `orders`.
    pub fn new(clock: Clock, orders: mpsc::Sender<WatchOrder>) -> Self {
        Self {
            clock,
            reader: Reader::new(clock),
            states: HashMap::new(),
            early: Early::default(),
            held: HashSet::new(),
            held_checked: Instant::now(),
            final_states: JoinSet::new(),
            stuck: HashMap::new(),
            patience: PATIENCE,
            orders,
        }
    }

    /// Runs until the list of processes or `output` is closed. `output` gets `Input::Profile`, `Input::ProfileMissing` (only when
    /// the reason is new), `Input::FinalState` and `Input::Loss`.
    pub async fn run(mut self, sources: Sources, output: mpsc::Sender<Input>) {
        let Sources {
            mut watched,
            mut process_events,
        } = sources;
        let mut events = Vec::with_capacity(MAX_EVENTS);
        loop {
            let processes = watched.borrow_and_update().clone();
            let next = self.next(&processes).await;
            let due = next.as_ref().map(|(due, _)| *due);
            let inputs = tokio::select! {
                biased;
                Some(state) = self.final_states.join_next() => self.told(state),
                1.. = process_events.recv_many(&mut events, MAX_EVENTS), if self.final_states.len() < MAX_FINAL_STATES => {
                    events.drain(..).filter_map(|event| self.take_event(event)).collect()
                }
                changed = watched.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    continue;
                }
                () = until(due) => match next {
                    Some((_, Job::Round(watched))) => self.read(watched).await,
                    Some((_, Job::Early)) => self.try_early().await,
                    None => continue,
                },
            };
            for input in inputs {
                if output.send(input).await.is_err() {
                    return;
                }
            }
            if watched.has_changed().is_err() {
                return;
            }
        }
    }

    /// Forgets the processes that are gone and answers what is to be done next, and when.
    async fn next(&mut self, processes: &[Watched]) -> Option<(Instant, Job)> {
        self.let_go(processes).await;
        let now = Instant::now();
        let mut waiting = Vec::new();
        for watched in processes {
            let state = self.states.entry(watched.process).or_default();
            if let Some(due) = state.due(watched.urgency, now) {
                waiting.push((due, watched));
            }
        }
        let round = waiting
            .into_iter()
            .min_by_key(|(due, watched)| (*due, watched.process))
            .map(|(due, watched)| (due, Job::Round(watched.clone())));
        let early = self.early.next().map(|due| (due, Job::Early));
        round.into_iter().chain(early).min_by_key(|(due, _)| *due)
    }

    async fn let_go(&mut self, processes: &[Watched]) {
        let listed: HashSet<ProcessKey> = processes.iter().map(|watched| watched.process).collect();
        self.states.retain(|key, _| listed.contains(key));
        // From now on the list says how long they are of interest.
        self.held.retain(|key| !listed.contains(key));
        if self.held_checked.elapsed() >= HELD_INTERVAL {
            self.held_checked = Instant::now();
            let reader = &self.reader;
            self.held.retain(|key| !reader.is_gone(key));
        }
        let held = &self.held;
        for key in self.reader.retain(|key| listed.contains(key) || held.contains(key)) {
            if !self.reader.has_pid(key.pid) {
                self.order(WatchOrder::Forget(key)).await;
            }
        }
    }

    /// Tells the kernel's side; without one there is nobody to be told.
    async fn order(&self, order: WatchOrder) {
        if self.orders.send(order).await.is_err() {
            tracing::trace!("no kernel probe takes orders");
        }
    }

    /// Takes in what the kernel reports.
    fn take_event(&mut self, event: ProcessEvent) -> Option<Input> {
        match event {
            ProcessEvent::Started { process, target } => {
                // What was known of it was of the program before.
                self.reader.leave(&process);
                self.held.remove(&process);
                let added = self.early.add(process, target, Instant::now());
                (!added).then(|| self.loss("early_processes_over_bound"))
            }
            ProcessEvent::Died { at, process, walk } => {
                self.early.remove(&process);
                self.held.remove(&process);
                tracing::debug!(%process, buckets = walk.buckets.len(), "read when it was killed");
                let Some(attached) = self.reader.take(&process) else {
                    return Some(self.loss("death_of_unknown_process"));
                };
                // Beside the rounds: what was started after it must not wait.
                self.final_states
                    .spawn_blocking(move || attached.final_state(at, process, &walk));
                None
            }
        }
    }

    /// A final state was made.
    fn told(&self, state: Result<FinalState, JoinError>) -> Vec<Input> {
        match state {
            Ok(state) => {
                let mut inputs = losses(&state);
                inputs.push(Input::FinalState(Box::new(state)));
                inputs
            }
            Err(error) => {
                tracing::error!(%error, "telling what was read of a killed process failed");
                vec![self.loss("death_not_told")]
            }
        }
    }

    fn loss(&self, reason: &'static str) -> Input {
        Input::Loss(Loss {
            at: self.clock.now(),
            reason: reason.into(),
            count: 1,
        })
    }

    /// Tries a process that has just been started, and lets go of those that have ended or are not Go's: nearly all.
    async fn try_early(&mut self) -> Vec<Input> {
        let begun = Instant::now();
        let due = self.early.due(begun);
        let Some((first, _)) = due.first().cloned() else {
            return Vec::new();
        };
        let (promising, others) = self
            .blocking(first, move |reader| reader.sift(due))
            .await
            .unwrap_or_else(|| (Vec::new(), vec![first]));
        for process in others {
            self.early.remove(&process);
        }
        let Some((process, target)) = promising.into_iter().next() else {
            return Vec::new();
        };
        let (tried, plan) = self
            .blocking(process, move |reader| {
                (reader.try_one(process, &target), reader.new_plan(process))
            })
            .await
            .unwrap_or((Tried::Never, None));
        let now = Instant::now();
        self.early.tried(process, tried != Tried::NotYet, now - begun, now);
        tracing::debug!(%process, ?tried, took = ?(now - begun), "tried a new process");
        if tried == Tried::Never {
            return Vec::new();
        }
        if !self.states.contains_key(&process) {
            if self.held.len() >= MAX_HELD && !self.held.contains(&process) {
                self.early.remove(&process);
                return vec![self.loss("early_processes_over_bound")];
            }
            self.held.insert(process);
        }
        if let Some(plan) = plan {
            self.order(WatchOrder::Watch(process, plan)).await;
        }
        Vec::new()
    }

    /// Reads one process and turns what came of it into inputs.
    async fn read(&mut self, watched: Watched) -> Vec<Input> {
        let state = self.states.entry(watched.process).or_default();
        state.start(Instant::now());
        let wanted = watched.clone();
        let read = self.blocking(watched.process, move |reader| {
            (reader.round(&wanted), reader.new_plan(wanted.process))
        });
        let (round, plan) = match read.await {
            Some(read) => read,
            None => (Round::hung(watched.process, self.clock.now()), None),
        };
        if let Some(plan) = plan {
            self.order(WatchOrder::Watch(watched.process, plan)).await;
        }
        let state = self.states.entry(watched.process).or_default();
        state.finish(Instant::now(), &round);
        state.inputs(&watched, round)
    }

    /// Works with the reader on a thread for blocking work. `None` when that hangs for this process.
    async fn blocking<T: Send + 'static>(
        &mut self,
        process: ProcessKey,
        work: impl FnOnce(&mut Reader) -> T + Send + 'static,
    ) -> Option<T> {
        self.stuck.retain(|_, thread| !thread.is_finished());
        if self.stuck.contains_key(&process) {
            return None;
        }
        let mut reader = std::mem::replace(&mut self.reader, Reader::new(self.clock));
        let done = spawn_blocking(move || {
            let result = work(&mut reader);
            (reader, result)
        });
        let thread = done.abort_handle();
        match timeout(self.patience, done).await {
            Ok(Ok((reader, result))) => {
                self.reader = reader;
                Some(result)
            }
            // The reader is lost with all it knew; processes are attached again.
            Ok(Err(error)) => {
                tracing::error!(%error, "reading a Go process failed");
                None
            }
            Err(_) => {
                tracing::error!(%process, "reading a Go process hangs");
                self.stuck.insert(process, thread);
                None
            }
        }
    }
}

/// What is missing of a final state, beside what the kernel counts itself: buckets for which its ring had no room.
fn losses(state: &FinalState) -> Vec<Input> {
    let heap = state.heap.as_ref().ok();
    let is_cut = heap.is_some_and(|heap| {
        heap.not_reached > 0
            || heap.unreadable > 0
            || heap
                .truncation
                .is_some_and(|reason| reason != TruncationReason::Profile && heap.lost == 0)
    });
    let counts = [
        (
            "final_heap_truncated",
            heap.filter(|_| is_cut).map_or(0, |heap| {
                heap.not_reached
                    .saturating_add(heap.unreadable)
                    .saturating_add(heap.unknown)
                    .max(1)
            }),
        ),
        (ProfileLoss::FOLDED, heap.map_or(0, |heap| heap.left_out)),
    ];
    let lost = counts.into_iter().filter(|(_, count)| *count > 0);
    lost.map(|(reason, count)| {
        Input::Loss(Loss {
            at: state.at,
            reason: reason.into(),
            count,
        })
    })
    .collect()
}

/// Completes when the time has come, if there is one.
async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reading_that_hangs_does_not_hold_up_the_others() {
        let (orders, _kept) = mpsc::channel(1);
        let mut collector = GoMemoryCollector::new(Clock::start(), orders);
        collector.patience = Duration::from_millis(50);
        let [hangs, other] = [7, 8].map(|pid| ProcessKey { pid, start_ticks: 1 });
        let (release, held) = std::sync::mpsc::sync_channel::<()>(1);
        let hung = collector.blocking(hangs, move |_| held.recv().is_err());
        assert_eq!(hung.await, None);
        collector.patience = PATIENCE;
        assert_eq!(collector.blocking(other, |_| "read").await, Some("read"));
        assert_eq!(collector.blocking(hangs, |_| "read").await, None, "no second thread");
        drop(release);
        while !collector.stuck.values().all(AbortHandle::is_finished) {
            tokio::task::yield_now().await;
        }
        assert_eq!(collector.blocking(hangs, |_| "read").await, Some("read"));
    }
}
