//! Time that a cgroup spends at its limit: how often the kernel had to reclaim meanwhile, and how often a task had to wait for a device.

use crate::model::counter::Counter;
use crate::model::reading::Reading;
use crate::model::sample::CgroupMemory;
use crate::model::units::Timestamp;
use std::time::Duration;

/// A spell is over when the charge has not hit a limit for so long: counters are read again within a minute.
const GAP: Duration = Duration::from_mins(1);

/// A charge of this part of the limit is at it: what the kernel charges in advance is less. Linux 6.18 does not count hits of the limit on memory and swap (v1).
const FULL_PART: f64 = 0.99;

/// A spell at the limit, from the sample before the first hit to the newest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtLimit {
    /// When it began.
    pub since: Timestamp,
    /// When it was last seen to be at its limit, or to have hit it.
    pub last: Timestamp,
    first: Counted,
    newest: Counted,
}

fn is_full(memory: &CgroupMemory) -> bool {
    let limit = memory.limit.bytes();
    limit.is_some_and(|limit| memory.charge.as_f64() >= limit.as_f64() * FULL_PART)
}

/// What the kernel counts, as far as it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counted {
    hits: u64,
    major_faults: Option<u64>,
}

impl Counted {
    fn of(memory: &CgroupMemory) -> Option<Self> {
        Some(Self {
            hits: memory.limit_hits().ok()?,
            major_faults: memory.counters.get(Counter::Pgmajfault),
        })
    }
}

impl AtLimit {
    /// The spell after one more sample, given the one before it.
    pub(super) fn follow(
        spell: Option<Self>,
        (before_at, before): (Timestamp, &Reading<CgroupMemory>),
        (at, now): (Timestamp, &Reading<CgroupMemory>),
    ) -> Option<Self> {
        let spell = spell.filter(|spell| at.since(spell.last) <= GAP);
        let counted = |memory: &Reading<CgroupMemory>| memory.as_ref().ok().and_then(Counted::of);
        let (Some(first), Some(newest)) = (counted(before), counted(now)) else {
            return spell;
        };
        let stays = [before, now]
            .into_iter()
            .all(|memory| memory.as_ref().is_ok_and(is_full));
        if newest.hits <= first.hits && !stays {
            return spell;
        }
        let begun = spell.unwrap_or(Self {
            since: before_at,
            last: at,
            first,
            newest,
        });
        Some(Self {
            last: at,
            newest,
            ..begun
        })
    }

    /// How long it lasted so far.
    pub fn seconds(&self) -> f64 {
        self.last.since(self.since).as_secs_f64()
    }

    /// Whether it still goes on.
    pub fn goes_on(&self, now: Timestamp) -> bool {
        now.since(self.last) <= GAP
    }

    /// Times per second that the charge hit the limit.
    pub fn hits_per_second(&self) -> f64 {
        self.rate(Some(self.first.hits), Some(self.newest.hits)).unwrap_or(0.0)
    }

    /// Page faults per second that had to wait for a device.
    pub fn major_faults_per_second(&self) -> Option<f64> {
        self.rate(self.first.major_faults, self.newest.major_faults)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate of events; the rounding starts at 2^53 of them"
    )]
    fn rate(&self, first: Option<u64>, newest: Option<u64>) -> Option<f64> {
        Some(newest?.saturating_sub(first?) as f64 / self.seconds().max(1.0))
    }
}
