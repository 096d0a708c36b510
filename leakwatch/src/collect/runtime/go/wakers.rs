//! When it is looked which goroutines nobody can wake: only where goroutines pile up, and never for more than a hundredth of one processor.

use crate::collect::runtime::go::missing;
use crate::self_stats;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::attach::NoLook;
use leakwatch_goproc::goroutines::GoroutineBounds;
use leakwatch_goproc::goroutines::Snapshot;
use leakwatch_goproc::wakers::Look;
use leakwatch_goproc::wakers::LookBounds;
use procfs::process::Process;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

/// Two looks of a process must be so far apart: both must find a goroutine blocked since the same moment.
const APART: Duration = Duration::from_secs(10);
/// Looks until it is decided whether they become more; then each waits twice as long as the one before.
const CLOSE: u32 = 6;
const LONGEST: Duration = Duration::from_mins(10);
/// For each time unit of looking so many pass, over all processes together, until the next look.
const REST: u32 = 99;
/// Reading memory that is in swap brings it back: what a process has there at most.
const MOST_SWAPPED: u64 = 16 << 20;

/// When any process may be looked at next.
#[derive(Debug, Default)]
pub(super) struct LookBudget {
    rested: Option<Instant>,
}

impl LookBudget {
    fn is_open(&self, now: Instant) -> bool {
        self.rested.is_none_or(|rested| now >= rested)
    }

    fn spend(&mut self, now: Instant, took: Duration) {
        self.rested = Some(now + took.saturating_mul(REST));
    }
}

/// The looks at one process.
#[derive(Debug, Default)]
pub(super) struct Looks {
    last: Option<Look>,
    next: Option<Instant>,
    count: u32,
    /// It cannot be looked at, and will not be able to.
    refused: bool,
}

impl Looks {
    /// Whether to look now.
    pub(super) fn is_due(&self, budget: &LookBudget, now: Instant) -> bool {
        !self.refused && budget.is_open(now) && self.next.is_none_or(|next| now >= next)
    }

    /// Looks at a process, and tells those goroutines that the look before has found as well; `None` when there was none.
    pub(super) fn look(
        &mut self,
        process: &mut GoProcess,
        pid: u32,
        budget: &mut LookBudget,
    ) -> Reading<Option<Snapshot>> {
        let begun = Instant::now();
        let swapped = swapped(pid);
        if swapped > MOST_SWAPPED {
            self.next = Some(begun + LONGEST);
            return Err(Missing::new(
                MissingReason::NotYet,
                format!(
                    "{} MiB of the process are in swap, and looking at them would bring them back",
                    swapped >> 20
                ),
            ));
        }
        let spent = self_stats::thread_time();
        let look = process.look_for_wakers(LookBounds::default(), monotonic());
        let took = self_stats::thread_time().saturating_sub(spent);
        self_stats::looks::add(took);
        if let Ok(look) = &look {
            tracing::debug!(
                pid,
                ?took,
                judged = look.judged,
                found = look.count(),
                readings = look.readings,
                bytes = look.bytes,
                "looked for goroutines that nobody can wake"
            );
        }
        let Some(agreed) = self.looked(budget, begun, took, look)? else {
            return Ok(None);
        };
        let goroutines = process.goroutines(GoroutineBounds::default());
        let goroutines = goroutines.map_err(|error| missing::no_goroutines(&error))?;
        let snapshot = goroutines.snapshot_of(&agreed);
        Ok(Some(snapshot.map_err(|error| missing::goroutines(&error))?))
    }

    /// Takes in what a look that began at `now` has found; hands back the one before, which it is to be compared with.
    fn looked(
        &mut self,
        budget: &mut LookBudget,
        now: Instant,
        took: Duration,
        found: Result<Look, NoLook>,
    ) -> Reading<Option<Agreed>> {
        budget.spend(now + took, took);
        self.count = self.count.saturating_add(1);
        let doublings = self.count.saturating_sub(CLOSE).min(16);
        self.next = Some(now + APART.saturating_mul(1 << doublings).min(LONGEST));
        match found {
            Ok(look) => {
                let agreed = self.last.as_ref().map(|last| look.agreed(last));
                self.last = Some(look);
                Ok(agreed)
            }
            Err(error) => {
                self.last = None;
                let missing = missing::wakers(&error);
                self.refused = missing.reason == MissingReason::Unsupported;
                Err(missing)
            }
        }
    }
}

/// Records of goroutines that two looks agree on, with their numbers.
type Agreed = BTreeMap<u64, u64>;

/// Bytes of a process that are in swap; zero where that is not known.
fn swapped(pid: u32) -> u64 {
    let process = i32::try_from(pid).ok().and_then(|pid| Process::new(pid).ok());
    let status = process.and_then(|process| process.status().ok());
    status
        .and_then(|status| status.vmswap)
        .unwrap_or(0)
        .saturating_mul(1024)
}

/// Nanoseconds of the clock by which the runtime notes when goroutines blocked.
fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_take_a_hundredth_of_a_processor_over_all_processes() {
        let origin = Instant::now();
        let mut budget = LookBudget::default();
        let mut processes = [Looks::default(), Looks::default()];
        let took = Duration::from_millis(500);
        let mut spent = Duration::ZERO;
        let mut looked = [0_u32; 2];
        for second in 0..36_000_u64 {
            let now = origin + Duration::from_secs(second);
            for (looks, looked) in processes.iter_mut().zip(&mut looked) {
                if looks.is_due(&budget, now) {
                    let first = looks.last.is_none();
                    let agreed = looks.looked(&mut budget, now, took, Ok(Look::default())).unwrap();
                    assert_eq!(agreed.is_none(), first, "the first is compared with nothing");
                    spent += took;
                    *looked += 1;
                }
            }
        }
        assert!(spent * 100 <= Duration::from_hours(10) + took * 100, "{spent:?}");
        assert!(looked.iter().all(|looked| *looked > 30), "{looked:?}");
    }

    #[test]
    fn what_cannot_be_looked_at_is_left_alone() {
        let origin = Instant::now();
        let (mut budget, mut looks) = (LookBudget::default(), Looks::default());
        let refused = looks.looked(&mut budget, origin, Duration::ZERO, Err(NoLook::SeveralModules));
        assert_eq!(refused.unwrap_err().reason, MissingReason::Unsupported);
        assert!(!looks.is_due(&budget, origin + LONGEST));
    }
}
