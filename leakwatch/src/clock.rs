//! The daemon's time axis: the boot clock plus an offset fixed at start, so that kernel records and samples share it and
//! a stepped wall clock never makes time go backwards.

use leakwatch_analysis::model::units::Timestamp;
use rustix::time::ClockId;
use rustix::time::Timespec;
use rustix::time::clock_gettime;

/// Converts between the kernel's boot clock (`CLOCK_BOOTTIME`, `bpf_ktime_get_boot_ns`) and [`Timestamp`].
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Unix nanoseconds at boot, as the wall clock stood when the daemon started.
    boot_unix_nanos: u64,
    /// It always is this instant.
    stopped: Option<Timestamp>,
}

impl Clock {
    /// Fixes the offset between boot clock and wall clock.
    pub fn start() -> Self {
        Self {
            boot_unix_nanos: nanos(ClockId::Realtime).saturating_sub(nanos(ClockId::Boottime)),
            stopped: None,
        }
    }

    /// A clock that stands still: what was known at an instant is looked at as of then, whenever that is.
    pub fn stopped(at: Timestamp) -> Self {
        Self {
            stopped: Some(at),
            ..Self::start()
        }
    }

    /// Unix nanoseconds at boot, as the wall clock stood when the daemon started.
    pub fn boot_unix_nanos(self) -> u64 {
        self.boot_unix_nanos
    }

    /// Now.
    pub fn now(self) -> Timestamp {
        self.stopped
            .unwrap_or_else(|| self.from_boot_nanos(nanos(ClockId::Boottime)))
    }

    /// From nanoseconds since boot, as kernel records carry them.
    pub fn from_boot_nanos(self, boot_nanos: u64) -> Timestamp {
        Timestamp::from_unix_nanos(self.boot_unix_nanos.saturating_add(boot_nanos))
    }
}

fn nanos(clock: ClockId) -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(clock);
    let seconds = u64::try_from(tv_sec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn now_agrees_with_the_wall_clock_and_moves_forward() {
        let clock = Clock::start();
        let first = clock.now();
        let wall = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_nanos();
        let difference = i128::try_from(wall).unwrap() - i128::from(first.unix_nanos());
        assert!(difference.abs() < 1_000_000_000, "{difference} ns apart");
        assert!(clock.now() >= first);
    }
}
