//! Profiles from the pprof endpoints of Go programs: `GET /debug/pprof/{heap,goroutine,goroutineleak}` and nothing else,
//! never with a query, so that no garbage collection is forced and no text dump is made.
//!
//! Which processes exist and how urgent they are comes from the caller; where a process serves profiles comes from
//! configured rules or, if allowed, from asking its own listening ports. Must not speak to anything but a socket that
//! the process holds at that moment, and trusts nothing that comes back: time, size and content are bounded, and every
//! way to fail is a [`Missing`] with a reason.
//!
//! Price for a target: one request per profile and [`Urgency::interval`]; `goroutineleak` makes the Go runtime run one
//! garbage collection, so it is only asked for where the caller suspects such a leak and at most every
//! [`LEAK_INTERVAL`].

mod config;
mod watched;
mod connect;
mod fetch;
mod listener;
mod locate;
mod process;
mod round;

pub use crate::schedule::reading::Asked;
pub use crate::schedule::reading::LEAK_INTERVAL;
pub use crate::schedule::reading::Urgency;
pub use config::EndpointConfig;
pub use watched::Watched;

pub(super) use fetch::causes;

use crate::clock::Clock;
use crate::collect::endpoint::round::Outcome;
use crate::collect::endpoint::round::Round;
use crate::input::Input;
use crate::input::TakenProfile;
use crate::schedule::reading::Schedule;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::target::ProcessKey;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What is remembered about one process between its rounds.
#[derive(Debug, Default)]
struct State {
    schedule: Schedule,
    /// Where its profiles are, found by the last successful round.
    place: Option<locate::Place>,
    /// The reasons already told, to tell each once.
    told: BTreeMap<ProfileType, Missing>,
}

/// Takes profiles of the processes it is told about, forever.
#[derive(Debug)]
pub struct EndpointCollector {
    config: Arc<EndpointConfig>,
    /// Where the configuration comes from that a reload puts in the place of the one before.
    configs: watch::Receiver<EndpointConfig>,
    clock: Clock,
    /// Decoding one hostile profile may take [`leakwatch_analysis::pprof::Bounds`]' memory: one at a time.
    decoding: Arc<Semaphore>,
    states: HashMap<ProcessKey, State>,
    rounds: JoinSet<Outcome>,
}

impl EndpointCollector {
    /// A collector that has not seen any process yet.
    pub fn new(mut configs: watch::Receiver<EndpointConfig>, clock: Clock) -> Self {
        let config = Arc::new(configs.borrow_and_update().clone());
        Self {
            config,
            configs,
            clock,
            decoding: Arc::new(Semaphore::new(1)),
            states: HashMap::new(),
            rounds: JoinSet::new(),
        }
    }

    /// Runs until a channel is closed. `watched` always holds all Go processes there are; `output` gets
    /// `Input::Profile` and `Input::ProfileMissing`, the latter only when the reason is new.
    pub async fn run(mut self, mut watched: watch::Receiver<Vec<Watched>>, output: mpsc::Sender<Input>) {
        loop {
            let processes = watched.borrow_and_update().clone();
            let next = self.start_due(&processes);
            tokio::select! {
                changed = watched.changed() => if changed.is_err() { return },
                changed = self.configs.changed() => if changed.is_err() { return } else { self.reconfigure() },
                Some(outcome) = self.rounds.join_next() => {
                    // A round that panicked has no outcome; its process stays marked as being asked and is left alone.
                    let Ok(outcome) = outcome else { continue };
                    for input in self.finish(outcome) {
                        if output.send(input).await.is_err() {
                            return;
                        }
                    }
                }
                () = sleep_until(next) => {}
            }
        }
    }

    /// Other rules may lead elsewhere, so nothing of what was found by the ones before is used any more.
    fn reconfigure(&mut self) {
        self.config = Arc::new(self.configs.borrow_and_update().clone());
        self.rounds.abort_all();
        self.states.clear();
    }

    /// Starts what is due, most overdue first, and says when something will be due next.
    fn start_due(&mut self, processes: &[Watched]) -> Option<Instant> {
        self.states
            .retain(|key, _| processes.iter().any(|watched| watched.process == *key));
        let now = Instant::now();
        let mut waiting: Vec<(Instant, &Watched)> = Vec::new();
        for watched in processes {
            let state = self.states.entry(watched.process).or_default();
            let due = match watched.asked {
                Asked::Profiles => state.schedule.due(watched.urgency.interval(), now),
                Asked::LeakedGoroutines if watched.goroutine_leak => state.schedule.leak_due(now),
                Asked::LeakedGoroutines => None,
            };
            if let Some(due) = due {
                waiting.push((due, watched));
            }
        }
        waiting.sort_by_key(|(due, watched)| (*due, watched.process));
        for (due, watched) in waiting {
            if due > now {
                return Some(due);
            }
            if self.rounds.len() >= self.config.concurrency {
                // The end of a round wakes the loop.
                return None;
            }
            self.start(watched, now);
        }
        None
    }

    fn start(&mut self, watched: &Watched, now: Instant) {
        let Some(state) = self.states.get_mut(&watched.process) else {
            return;
        };
        let ask_leak = state.schedule.start(now, watched.goroutine_leak);
        let round = Round {
            config: Arc::clone(&self.config),
            clock: self.clock,
            decoding: Arc::clone(&self.decoding),
            watched: watched.clone(),
            place: state.place.clone(),
            ask_leak,
        };
        self.rounds.spawn(round.run());
    }

    /// Remembers what a round found out and turns it into inputs.
    fn finish(&mut self, outcome: Outcome) -> Vec<Input> {
        let Outcome {
            target,
            process,
            place,
            profiles,
        } = outcome;
        // A process that has left meanwhile may still have given its last profile.
        let mut gone = State::default();
        let state = self.states.get_mut(&process).unwrap_or(&mut gone);
        state.schedule.finish(Instant::now(), place.is_some());
        state.place = place;
        let mut inputs = Vec::new();
        for (profile_type, at, profile) in profiles {
            match profile {
                Ok(profile) => {
                    state.told.remove(&profile_type);
                    inputs.push(Input::Profile(TakenProfile {
                        at,
                        target: target.clone(),
                        process,
                        profile_type,
                        source: ProfileSource::Endpoint,
                        profile: Ok(profile),
                    }));
                }
                Err(missing) => {
                    if profile_type == ProfileType::GoroutineLeak {
                        state.schedule.leak_failed(missing.reason);
                    }
                    if state.told.get(&profile_type) != Some(&missing) {
                        state.told.insert(profile_type, missing.clone());
                        inputs.push(Input::ProfileMissing {
                            at,
                            target: target.clone(),
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

/// Sleeps until then, or forever.
async fn sleep_until(instant: Option<Instant>) {
    match instant {
        Some(instant) => tokio::time::sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
