//! The daemon's own memory over time: what was released goes back to the system, and when there is more than it should have, it says so.

use crate::self_stats;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

/// Resident memory that is not explained while nothing is captured and nothing has just begun.
pub const MOST_AT_REST: Bytes = Bytes::from_mib(64);
/// It is more than that for so long before anybody is told: reading a large program takes some seconds.
const LASTING: Duration = Duration::from_mins(1);
/// Between two lines of the log.
const RETOLD: Duration = Duration::from_hours(1);
/// What was released is given back when resident memory differs by so much from what it was after the last time.
const CHANGED: Bytes = Bytes::from_mib(4);
/// Likewise when so much less is allocated than the last time: what is released stays resident, and does not show in that.
const RELEASED: Bytes = Bytes::from_mib(1);
/// What is allocated is asked for so often at most: the allocator goes through all that is unused.
const ASKED: Duration = Duration::from_secs(15);

/// Watches it.
#[derive(Debug, Default)]
pub struct OwnMemory(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Resident memory after the last time that something was given back.
    given_back_at: Bytes,
    /// What was allocated then; more, if it was more since.
    allocated: Bytes,
    asked: Option<Timestamp>,
    since: Option<Timestamp>,
    told: Option<Timestamp>,
    warning: Option<String>,
}

impl OwnMemory {
    /// Looks at it, at the end of a round. `busy` while a capture runs, which may take more.
    pub fn look(&self, now: Timestamp, busy: bool) {
        // Nothing is known without it, and nothing to be done about it.
        let Ok(mut resident) = self_stats::resident() else {
            return;
        };
        let mut state = self.lock();
        let is_due = state.asked.is_none_or(|asked| now.since(asked) >= ASKED);
        let allocated = is_due.then(self_stats::allocated).and_then(Result::ok);
        if state.has_unused(now, resident, allocated) {
            self_stats::give_back();
            resident = self_stats::resident().unwrap_or(resident);
            state.given_back_at = resident;
        }
        let is_new = state.judge(now, resident, busy);
        if is_new && let Some(warning) = &state.warning {
            tracing::warn!("{warning}");
        }
    }

    /// What a person should know of it.
    pub fn warning(&self) -> Option<String> {
        self.lock().warning.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whatever was there when a thread panicked is a valid state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether there may be something to be given back. `allocated` where it was asked for.
    fn has_unused(&mut self, now: Timestamp, resident: Bytes, allocated: Option<Bytes>) -> bool {
        let mut is_released = false;
        if let Some(allocated) = allocated {
            self.asked = Some(now);
            is_released = self.allocated.saturating_sub(allocated) >= RELEASED;
            self.allocated = if is_released {
                allocated
            } else {
                self.allocated.max(allocated)
            };
        }
        is_released || resident.0.abs_diff(self.given_back_at.0) >= CHANGED.0
    }

    /// True where it is to be told in the log.
    fn judge(&mut self, now: Timestamp, resident: Bytes, busy: bool) -> bool {
        if resident <= MOST_AT_REST || busy {
            self.since = None;
            if resident <= MOST_AT_REST {
                self.warning = None;
            }
            return false;
        }
        let since = *self.since.get_or_insert(now);
        if now.since(since) < LASTING {
            return false;
        }
        let allocated = self_stats::allocated().map_or_else(
            |missing| missing.detail,
            |allocated| format!("{allocated} of that are allocated"),
        );
        self.warning = Some(format!(
            "leakwatch itself has {resident} resident while nothing is captured, more than {MOST_AT_REST} ({allocated}): restrict it with `only`, or \
             report it with the answer of /api/v1/status"
        ));
        let is_new = self.told.is_none_or(|told| now.since(told) >= RETOLD);
        if is_new {
            self.told = Some(now);
        }
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_much_for_long_is_told_once_an_hour_and_shown_until_it_is_gone() {
        let mut state = State::default();
        let at = |seconds: u64| Timestamp::from_unix_seconds(1_000_000 + seconds);
        let much = Bytes::from_mib(90);
        for (seconds, resident, busy, told, shown) in [
            (0, Bytes::from_mib(40), false, false, false),
            (10, much, false, false, false),
            (60, much, true, false, false),
            (70, much, false, false, false),
            (129, much, false, false, false),
            (130, much, false, true, true),
            (135, much, false, false, true),
            (140, much, true, false, true),
            (145, Bytes::from_mib(64), false, false, false),
            (1_000, much, false, false, false),
            (1_060, much, false, false, true),
            (3_731, much, false, true, true),
        ] {
            assert_eq!(state.judge(at(seconds), resident, busy), told, "{seconds}");
            assert_eq!(state.warning.is_some(), shown, "{seconds}");
        }
        assert!(state.warning.unwrap().contains("90.0 MiB resident"));
    }

    #[test]
    fn what_was_released_is_given_back_although_it_is_still_resident() {
        let mut state = State {
            given_back_at: Bytes::from_mib(60),
            ..State::default()
        };
        let at = Timestamp::from_unix_seconds;
        for (second, resident, allocated, is_due) in [
            (0, 60, Some(20), false),
            (5, 63, Some(50), false),
            (6, 63, None, false),
            (10, 63, Some(49), true),
            (15, 63, Some(49), false),
            (20, 63, Some(20), true),
            (21, 56, None, true),
        ] {
            let (resident, allocated) = (Bytes::from_mib(resident), allocated.map(Bytes::from_mib));
            assert_eq!(state.has_unused(at(second), resident, allocated), is_due, "{second}");
        }
    }

    #[test]
    fn our_own_memory_can_be_looked_at() {
        let own = OwnMemory::default();
        own.look(Timestamp::from_unix_seconds(1), false);
        assert!(own.lock().given_back_at > Bytes(0));
        assert_eq!(own.warning(), None);
    }
}
