//! At its limit without a kill: the kernel takes back pages that are needed again at once, so that nearly all time goes into reading
//! them. Sources: the counters of the cgroup, its pressure where there is any; must not judge what fills it. Thresholds:
//! `docs/detectors/thrashing.md`.

use crate::history::TargetHistory;
use crate::model::counter::Counter;
use crate::model::units::Timestamp;

/// The kernel gives up sooner than this where nothing can be taken back.
const LEAST_SECONDS: f64 = 30.0;
/// What cannot be reclaimed is this part of the limit: what comes and goes are the last pages of programs.
const FULL_PART: f64 = 0.92;
/// Page faults per second that waited for a device.
const LEAST_MAJOR_FAULTS: f64 = 10.0;
/// Part of a minute in which no task of the cgroup could run for want of memory.
const LEAST_STALLED: f64 = 0.1;

/// How a cgroup thrashes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thrashing {
    /// For how long, so far.
    pub seconds: f64,
    /// Times per second that the charge hit the limit.
    pub hits: f64,
    /// Page faults per second that waited for a device, where they are counted.
    pub major_faults: Option<f64>,
    /// Part of the last minute in which no task could run for want of memory, where it is measured.
    pub stalled: Option<f64>,
}

impl Thrashing {
    /// With `level` bytes of a `limit` that cannot be reclaimed.
    pub fn of(history: &TargetHistory, level: f64, limit: f64, now: Timestamp) -> Option<Self> {
        let spell = history
            .at_limit
            .filter(|spell| spell.goes_on(now) && spell.seconds() >= LEAST_SECONDS)?;
        history.living().next()?;
        let stalled = stalled(history);
        let major_faults = spell.major_faults_per_second();
        let waits = major_faults.is_some_and(|faults| faults >= LEAST_MAJOR_FAULTS)
            || stalled.is_some_and(|part| part >= LEAST_STALLED);
        (level >= limit * FULL_PART && waits).then(|| Self {
            seconds: spell.seconds(),
            hits: spell.hits_per_second(),
            major_faults,
            stalled,
        })
    }
}

fn stalled(history: &TargetHistory) -> Option<f64> {
    let counters = &history.newest.as_ref().ok()?.counters;
    let hundredths = counters.get(Counter::PressureFullAvg60)?;
    Some(f64::from(u32::try_from(hundredths).ok()?) / 10_000.0)
}
