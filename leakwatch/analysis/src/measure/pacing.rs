//! How large a Go heap may become before it is collected: by GOGC and GOMEMLIMIT as the runtime has them, else as they are by default.
//! Source: runtime/mgcpacer.go; with GOGC the goal is the live heap and that percentage of it, and GOMEMLIMIT lowers the goal.

use crate::history::TargetHistory;
use crate::model::runtime::GoRuntimeStats;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;

/// GOGC by default.
const DEFAULT_PERCENT: u32 = 100;

/// When a heap is collected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pacing {
    /// GOGC; none when collections do not depend on it.
    percent: Option<u32>,
    /// GOMEMLIMIT.
    memory_limit: Option<f64>,
}

impl Default for Pacing {
    fn default() -> Self {
        Self {
            percent: Some(DEFAULT_PERCENT),
            memory_limit: None,
        }
    }
}

impl Pacing {
    /// Of the process whose numbers were read last, as of `now`.
    pub fn of(history: &TargetHistory, now: Timestamp) -> Self {
        let newest = history.runtimes.at(now).and_then(|point| point.stats.go());
        newest.map_or_else(Self::default, Self::from_stats)
    }

    fn from_stats(stats: &GoRuntimeStats) -> Self {
        Self {
            percent: stats.gc_percent,
            memory_limit: stats.memory_limit.map(Bytes::as_f64),
        }
    }

    /// The largest heap of which `live` bytes are live; none when it is never collected.
    pub fn largest(&self, live: f64) -> Option<f64> {
        let by_percent = self.percent.map(|percent| live * (1.0 + f64::from(percent) / 100.0));
        let by_limit = self.memory_limit.map(|limit| limit.max(live));
        match (by_percent, by_limit) {
            (Some(percent), Some(limit)) => Some(percent.min(limit)),
            (one, other) => one.or(other),
        }
    }

    /// In the words of the runtime.
    pub fn words(&self) -> String {
        let percent = self
            .percent
            .map_or_else(|| "off".to_owned(), |percent| percent.to_string());
        match self.memory_limit {
            Some(limit) => format!("GOGC={percent} and GOMEMLIMIT={}", crate::format::bytes(limit)),
            None => format!("GOGC={percent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heap_grows_to_what_the_runtime_allows() {
        let mib = |mib: u64| Some(Bytes::from_mib(mib));
        let cases = [
            (Some(100), None, Some(80), "GOGC=100"),
            (Some(400), None, Some(200), "GOGC=400"),
            (Some(0), None, Some(40), "GOGC=0"),
            (Some(100), mib(60), Some(60), "GOGC=100 and GOMEMLIMIT=60.0 MiB"),
            (Some(100), mib(30), Some(40), "GOGC=100 and GOMEMLIMIT=30.0 MiB"),
            (None, mib(300), Some(300), "GOGC=off and GOMEMLIMIT=300.0 MiB"),
            (None, None, None, "GOGC=off"),
        ];
        for (gc_percent, memory_limit, largest, words) in cases {
            let pacing = Pacing::from_stats(&GoRuntimeStats {
                gc_percent,
                memory_limit,
                ..GoRuntimeStats::default()
            });
            let expected = largest.map(|mib| Bytes::from_mib(mib).as_f64());
            assert_eq!(pacing.largest(Bytes::from_mib(40).as_f64()), expected, "{words}");
            assert_eq!(pacing.words(), words);
        }
    }
}
