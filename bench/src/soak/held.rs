//! What the daemon holds, over time, and whether that grows.

use crate::idle::mib;
use crate::idle::status_kib;
use crate::statistics;
use anyhow::Context as _;
use anyhow::Result;
use leakwatch_test_support::daemon::Daemon;
use serde_json::Value;
use std::fmt;
use std::fs;

/// At one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held {
    /// Since the beginning.
    pub(super) second: u32,
    resident_kib: u64,
    anonymous_kib: u64,
    allocated_kib: u64,
    descriptors: u64,
    threads: u64,
    maps: u64,
    maps_kib: u64,
}

/// Name, unit of a slope, and the value.
type Quantity = (&'static str, fn(&Held) -> f64);

/// What has to stay as it is.
pub(super) const QUANTITIES: [Quantity; 7] = [
    ("resident MiB", |held| mib(held.resident_kib)),
    ("anonymous MiB", |held| mib(held.anonymous_kib)),
    ("allocated MiB", |held| mib(held.allocated_kib)),
    ("descriptors", |held| exact(held.descriptors)),
    ("threads", |held| exact(held.threads)),
    ("eBPF maps", |held| exact(held.maps)),
    ("MiB of eBPF maps", |held| mib(held.maps_kib)),
];

impl Held {
    /// Of a daemon with this process id.
    pub(super) fn of(daemon: &Daemon, pid: u32, second: u32) -> Result<Self> {
        let status = daemon.client().json("/api/v1/status")?;
        let allocated = status.pointer("/own/allocated_bytes").and_then(Value::as_u64);
        let (mut maps, mut maps_kib, mut descriptors) = (0, 0, 0);
        for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))? {
            // A descriptor may be closed meanwhile.
            let Ok(info) = fs::read_to_string(entry?.path()) else {
                continue;
            };
            descriptors += 1;
            if info.contains("map_type:") {
                maps += 1;
                let bytes = info.lines().find_map(|line| line.strip_prefix("memlock:"));
                maps_kib += bytes.and_then(|bytes| bytes.trim().parse::<u64>().ok()).unwrap_or(0) / 1024;
            }
        }
        Ok(Self {
            second,
            resident_kib: status_kib(pid, "VmRSS")?,
            anonymous_kib: status_kib(pid, "RssAnon")?,
            allocated_kib: allocated.context("allocated_bytes")? / 1024,
            descriptors,
            threads: u64::try_from(fs::read_dir(format!("/proc/{pid}/task"))?.count())?,
            maps,
            maps_kib,
        })
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>6.1} {:>9.1} {:>9.1} {:>9.1} {:>11} {:>7} {:>5} {:>8.1}",
            f64::from(self.second) / 60.0,
            mib(self.resident_kib),
            mib(self.anonymous_kib),
            mib(self.allocated_kib),
            self.descriptors,
            self.threads,
            self.maps,
            mib(self.maps_kib)
        )
    }
}

/// The columns of [`Held`].
pub(super) const HEAD: &str = "minute  resident anonymous allocated descriptors threads  maps map MiB";

/// How a quantity moved over the second half, when the histories are full and everybody has met everything.
#[derive(Debug)]
pub(super) struct Course {
    /// By the line with the median of all slopes, from its beginning to its end.
    pub(super) rise: f64,
    /// Around that line, nine in ten.
    pub(super) noise: f64,
    pub(super) most: f64,
}

impl Course {
    pub(super) fn of(all: &[Held], value: fn(&Held) -> f64) -> Result<Self> {
        let half = all.get(all.len() / 2..).unwrap_or_default();
        let points: Vec<(u32, f64)> = half.iter().map(|held| (held.second, value(held))).collect();
        let slope = statistics::slope(&points).context("too few moments")?;
        let seconds = half.last().map_or(0, |held| held.second) - half.first().map_or(0, |held| held.second);
        let mut around: Vec<f64> = points
            .iter()
            .map(|(at, value)| value - slope * f64::from(*at))
            .collect();
        around.sort_by(f64::total_cmp);
        let at = |share: usize| around.get(around.len() * share / 100).copied().unwrap_or_default();
        Ok(Self {
            rise: slope * f64::from(seconds),
            noise: at(95) - at(5),
            most: points.iter().map(|(_, value)| *value).fold(0.0, f64::max),
        })
    }

    /// Whether it stays: what it rises in the second half is no more than it moves anyway, or than a twentieth.
    pub(super) fn stays(&self) -> bool {
        self.rise <= self.noise.max(self.most / 20.0)
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn exact(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(second: u32, resident_kib: u64) -> Held {
        Held {
            second,
            resident_kib,
            anonymous_kib: 0,
            allocated_kib: 0,
            descriptors: 0,
            threads: 0,
            maps: 0,
            maps_kib: 0,
        }
    }

    #[test]
    fn what_grows_is_told_from_what_moves() {
        let value = QUANTITIES[0].1;
        let course = |size: &dyn Fn(u32) -> u64| {
            let all: Vec<Held> = (0..100).map(|at| held(at * 10, size(at))).collect();
            Course::of(&all, value).unwrap()
        };
        assert!(course(&|_| 40_000).stays());
        assert!(course(&|at| 40_000 + u64::from(at % 7) * 500).stays(), "it moves");
        assert!(
            course(&|at| if at < 50 { u64::from(at) * 1000 } else { 50_000 }).stays(),
            "it came to rest"
        );
        assert!(!course(&|at| 40_000 + u64::from(at) * 200).stays());
        assert!(!course(&|at| 40_000 + u64::from(at) * 200 + u64::from(at % 3) * 500).stays());
    }
}
