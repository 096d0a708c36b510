//! Heap and goroutine profiles of Go programs, read from their memory: nothing is written, nothing is stopped, and the
//! program needs no endpoint.
//!
//! Which processes exist and how urgent they are comes from the caller. One process is read at a time, on a thread for
//! blocking work. What is read is hostile; `leakwatch_goproc` bounds it, and every way to fail is a
//! [`Missing`] with a reason.

mod census;
mod missing;
mod profile;
mod reader;

use crate::clock::Clock;
use crate::collect::endpoint::Watched;
use crate::collect::outside::reader::Reader;
use crate::collect::outside::reader::Taken;
use crate::collect::schedule::Schedule;
use crate::engine::input::Input;
use crate::engine::input::RawProfile;
use leakwatch_analysis::event::Loss;
use leakwatch_analysis::profile::ProfileSource;
use leakwatch_analysis::profile::ProfileType;
use leakwatch_analysis::sample::Missing;
use leakwatch_analysis::target::ProcessKey;
use std::collections::BTreeMap;
use std::collections::HashMap;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio::time::sleep_until;

/// What is remembered about one process between its rounds.
#[derive(Debug, Default)]
struct State {
    schedule: Schedule,
    /// The reasons already told, to tell each once.
    told: BTreeMap<ProfileType, Missing>,
}

/// Takes profiles of the processes it is told about, forever.
#[derive(Debug)]
pub struct OutsideCollector {
    clock: Clock,
    reader: Reader,
    states: HashMap<ProcessKey, State>,
}

impl OutsideCollector {
    /// A collector that has not seen any process yet.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            reader: Reader::new(clock),
            states: HashMap::new(),
        }
    }

    /// Runs until either channel is closed. `watched` always holds all processes to be read; `output` gets
    /// `Input::Profile` and `Input::ProfileMissing`, the latter only when the reason is new.
    pub async fn run(mut self, mut watched: watch::Receiver<Vec<Watched>>, output: mpsc::Sender<Input>) {
        loop {
            let processes = watched.borrow_and_update().clone();
            let Some((due, next)) = self.next(&processes) else {
                if watched.changed().await.is_err() {
                    return;
                }
                continue;
            };
            if due > Instant::now() {
                tokio::select! {
                    changed = watched.changed() => if changed.is_err() { return },
                    () = sleep_until(due) => {}
                }
                continue;
            }
            for input in self.read(next).await {
                if output.send(input).await.is_err() {
                    return;
                }
            }
            if watched.has_changed().is_err() {
                return;
            }
        }
    }

    /// Forgets the processes that are gone and answers which one is to be read next, and when.
    fn next(&mut self, processes: &[Watched]) -> Option<(Instant, Watched)> {
        let is_watched = |key: &ProcessKey| processes.iter().any(|watched| watched.process == *key);
        self.states.retain(|key, _| is_watched(key));
        self.reader.retain(is_watched);
        let now = Instant::now();
        let mut waiting = Vec::new();
        for watched in processes {
            let state = self.states.entry(watched.process).or_default();
            if let Some(due) = state.schedule.due(watched.urgency, now) {
                waiting.push((due, watched));
            }
        }
        let (due, watched) = waiting
            .into_iter()
            .min_by_key(|(due, watched)| (*due, watched.process))?;
        Some((due, watched.clone()))
    }

    /// Reads one process and turns what came of it into inputs.
    async fn read(&mut self, watched: Watched) -> Vec<Input> {
        let state = self.states.entry(watched.process).or_default();
        // Leaked goroutines are only known to the runtime itself.
        state.schedule.start(Instant::now(), false);
        let mut reader = std::mem::replace(&mut self.reader, Reader::new(self.clock));
        let wanted = watched.clone();
        let round = spawn_blocking(move || {
            let taken = reader.round(&wanted);
            (reader, taken)
        });
        let taken = match round.await {
            Ok((reader, taken)) => {
                self.reader = reader;
                taken
            }
            // The reader is lost with all it knew; the others are attached again.
            Err(error) => {
                tracing::error!(%error, process = %watched.process, "reading a Go process failed");
                Vec::new()
            }
        };
        let answered = taken.iter().any(|taken| taken.profile.is_ok());
        state.schedule.finish(Instant::now(), answered);
        state.inputs(&watched, taken)
    }
}

impl State {
    fn inputs(&mut self, watched: &Watched, taken: Vec<Taken>) -> Vec<Input> {
        let mut inputs = Vec::new();
        for Taken {
            profile_type,
            at,
            profile,
        } in taken
        {
            match profile {
                Ok(encoded) => {
                    self.told.remove(&profile_type);
                    let Some(encoded) = encoded else { continue };
                    if encoded.dropped > 0 {
                        inputs.push(Input::Loss(Loss {
                            at,
                            reason: "outside_stacks_over_bound".into(),
                            count: encoded.dropped,
                        }));
                    }
                    inputs.push(Input::Profile(RawProfile {
                        at,
                        target: watched.target.clone(),
                        process: watched.process,
                        profile_type,
                        source: ProfileSource::Snapshot,
                        pprof: encoded.pprof,
                    }));
                }
                Err(missing) => {
                    if self.told.get(&profile_type) != Some(&missing) {
                        self.told.insert(profile_type, missing.clone());
                        inputs.push(Input::ProfileMissing {
                            at,
                            target: watched.target.clone(),
                            profile_type,
                            missing,
                        });
                    }
                }
            }
        }
        inputs
    }
}
