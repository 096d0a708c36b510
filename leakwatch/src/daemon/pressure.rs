//! Which cgroups the kernel reclaims memory from right now. It decides how often a target is looked at and no finding, so it is
//! no input of the engine.

use crate::schedule::sampling::FRESH_RECLAIM;
use leakwatch_analysis::model::units::Timestamp;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Cgroups remembered; beyond it, what is no longer fresh goes, and if nothing is, the newcomer waits for the next round.
const MAX_CGROUPS: usize = 4096;

/// Filled by the kernel's reports, read by the sampler.
#[derive(Debug, Default)]
pub(super) struct Pressure(Mutex<HashMap<u64, Timestamp>>);

impl Pressure {
    /// The kernel reclaimed memory of the cgroup with this inode.
    pub(super) fn report(&self, cgroup_inode: u64, at: Timestamp) {
        let mut cgroups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cgroups.len() >= MAX_CGROUPS {
            cgroups.retain(|_, seen| at.since(*seen) < FRESH_RECLAIM);
        }
        if cgroups.len() < MAX_CGROUPS {
            cgroups.insert(cgroup_inode, at);
        }
    }

    /// Whether memory of this cgroup was reclaimed lately.
    pub(super) fn is_on(&self, cgroup_inode: u64, now: Timestamp) -> bool {
        let cgroups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cgroups
            .get(&cgroup_inode)
            .is_some_and(|at| now.since(*at) < FRESH_RECLAIM)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_passes_and_what_is_remembered_is_bounded() {
        let at = Timestamp::from_unix_seconds;
        let pressure = Pressure::default();
        for inode in 0..10_000 {
            pressure.report(inode, at(100));
        }
        assert!(pressure.is_on(1, at(109)) && !pressure.is_on(1, at(110)));
        assert!(!pressure.is_on(9_999, at(100)), "over the bound");
        pressure.report(9_999, at(111));
        assert!(pressure.is_on(9_999, at(111)), "the stale ones made room");
        assert!(!pressure.is_on(1, at(111)));
    }
}
