//! One process between its rounds: when it is read again, and what was told of it already.

use crate::collect::endpoint::Watched;
use crate::collect::runtime::go::reader::Round;
use crate::collect::runtime::go::reader::Taken;
use crate::input::Input;
use crate::input::TakenProfile;
use crate::schedule::reading::Schedule;
use crate::schedule::reading::Urgency;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::runtime::RuntimeStats;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Near its limit a process is read so often: a kill may come any second.
const NEAR_LIMIT: Duration = Duration::from_secs(1);

/// Rest after a round, in times of its length: reading a process takes a tenth of one processor at most.
const REST: u32 = 9;
/// The same after a long one: a twenty-fifth. A process of so many stacks is read at the kill, too, and not worth a tenth all the time.
const LONG_REST: u32 = 24;
/// What a long one takes. A process of a hundred thousand stacks takes less.
const LONG: Duration = Duration::from_millis(250);

/// What is remembered about one process between its rounds.
#[derive(Debug, Default)]
pub(super) struct State {
    schedule: Schedule,
    started: Option<Instant>,
    rested: Option<Instant>,
    /// The reasons already told, to tell each once.
    told: BTreeMap<ProfileType, Missing>,
    runtime_told: Option<Missing>,
}

impl State {
    /// When it is to be read next; `None` while it is being read.
    pub(super) fn due(&self, urgency: Urgency, now: Instant) -> Option<Instant> {
        let interval = match urgency {
            Urgency::NearLimit => NEAR_LIMIT,
            _ => urgency.interval(),
        };
        let due = self.schedule.due(interval, now)?;
        Some(self.rested.map_or(due, |rested| due.max(rested)))
    }

    /// A round begins.
    pub(super) fn start(&mut self, now: Instant) {
        // Leaked goroutines have a schedule of their own.
        self.schedule.start(now, false);
        self.started = Some(now);
    }

    /// A round ended.
    pub(super) fn finish(&mut self, now: Instant, round: &Round) {
        let is_read = |taken: &Taken| taken.profile_type != ProfileType::GoroutineLeak && taken.profile.is_ok();
        let answered = round.profiles.iter().any(is_read);
        self.schedule.finish(now, answered);
        self.rested = self.started.map(|started| {
            // What a look takes has a rest of its own.
            let took = (now - started).saturating_sub(round.looking);
            now + took * if took > LONG { LONG_REST } else { REST }
        });
    }

    /// What a round brought, as inputs: profiles, and reasons that are new.
    pub(super) fn inputs(&mut self, watched: &Watched, round: Round) -> Vec<Input> {
        let mut inputs = self.runtime(watched, &round);
        for Taken {
            profile_type,
            at,
            profile,
        } in round.profiles
        {
            match profile {
                Ok(content) => {
                    self.told.remove(&profile_type);
                    let Some(content) = content else { continue };
                    inputs.push(Input::Profile(TakenProfile {
                        at,
                        target: watched.target.clone(),
                        process: watched.process,
                        profile_type,
                        source: ProfileSource::Snapshot,
                        profile: Ok(content),
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

    fn runtime(&mut self, watched: &Watched, round: &Round) -> Vec<Input> {
        let Some((at, stats)) = &round.runtime else {
            return Vec::new();
        };
        let missing = stats.as_ref().err();
        if missing.is_some() && missing == self.runtime_told.as_ref() {
            return Vec::new();
        }
        self.runtime_told = missing.cloned();
        vec![Input::Runtime {
            at: *at,
            target: watched.target.clone(),
            process: watched.process,
            stats: stats.clone().map(RuntimeStats::Go),
        }]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_the_limit_a_process_is_read_every_second_unless_that_takes_too_long() {
        let origin = Instant::now();
        let milliseconds = Duration::from_millis;
        for (took, urgency, wait) in [
            (5, Urgency::NearLimit, 1000),
            (99, Urgency::NearLimit, 1000),
            (200, Urgency::NearLimit, 2000),
            (400, Urgency::NearLimit, 10_000),
            (200, Urgency::Calm, 30_000),
        ] {
            let mut state = State::default();
            state.start(origin);
            assert_eq!(state.due(urgency, origin), None, "one at a time");
            let end = origin + milliseconds(took);
            let answered = Round {
                profiles: vec![Taken {
                    profile_type: ProfileType::Heap,
                    at: leakwatch_analysis::model::units::Timestamp::default(),
                    profile: Ok(None),
                }],
                ..Round::default()
            };
            state.finish(end, &answered);
            assert_eq!(state.due(urgency, end), Some(origin + milliseconds(wait)), "{took} ms");
        }
    }
}
