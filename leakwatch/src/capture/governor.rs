//! What a capture costs the program, and when that is too much: hits times the price of a hit, measured on this host.
//!
//! The allowance of a capture is the configured share of the processor time that the program uses anyway, over the time asked for. A
//! burst may not even spend that at once.

use crate::probes::native::NativeCounts;
use std::time::Duration;

/// A program that does next to nothing still gets the budget of one that uses this share of a processor: at two per cent one per cent
/// of a processor, the price of about 6,000 pairs of calls a second.
const LEAST_SHARE: f64 = 0.5;
/// Processor time that may be taken within one second, whatever the allowance.
const BURST: Duration = Duration::from_millis(500);
const BURST_WINDOW: Duration = Duration::from_secs(1);

/// Nanoseconds that a hit costs the program, what the probe does without a sample included.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// Entry into and return from an allocating function.
    pub allocation: f64,
    /// Entry into a freeing function.
    pub release: f64,
    /// Added where the processor has to single-step the probed instruction.
    pub single_step: f64,
}

impl Price {
    /// Of a typical virtual machine (docs/native.md), where it could not be measured.
    pub const TYPICAL: Self = Self {
        allocation: 1_300.0,
        release: 500.0,
        single_step: 14_500.0,
    };
}

/// What was spent when.
#[derive(Clone, Debug)]
pub struct Governor {
    price: Price,
    single_stepped: (bool, bool),
    allowance: Duration,
    spent: Duration,
    recent: Vec<(Duration, Duration)>,
}

impl Governor {
    /// For a capture of `seconds` on a program that uses `share` of a processor. `single_stepped`: whether allocations and
    /// releases are probed at an instruction that the kernel cannot emulate.
    pub fn new(price: Price, single_stepped: (bool, bool), percent: f64, share: f64, seconds: Duration) -> Self {
        Self {
            price,
            single_stepped,
            allowance: seconds.mul_f64((percent / 100.0 * share.max(LEAST_SHARE)).clamp(0.0, 1.0)),
            spent: Duration::ZERO,
            recent: Vec::new(),
        }
    }

    /// Takes in the counts at an instant of the capture. False when it has to end.
    pub fn goes_on(&mut self, at: Duration, counts: &NativeCounts) -> bool {
        self.spent = self.cost(counts);
        self.recent.retain(|(then, _)| at.saturating_sub(*then) <= BURST_WINDOW);
        let before = self.recent.first().map_or(Duration::ZERO, |(_, spent)| *spent);
        self.recent.push((at, self.spent));
        self.spent <= self.allowance && self.spent.saturating_sub(before) <= BURST
    }

    /// Processor time the hits have taken.
    fn cost(&self, counts: &NativeCounts) -> Duration {
        let extra = |single_stepped: bool| if single_stepped { self.price.single_step } else { 0.0 };
        let (allocations, releases) = self.single_stepped;
        let nanos = float(counts.entries) * (self.price.allocation + extra(allocations))
            + float(counts.frees) * (self.price.release + extra(releases));
        Duration::from_secs_f64(nanos / 1e9)
    }

    /// Processor time spent so far.
    pub fn spent(&self) -> Duration {
        self.spent
    }

    /// Processor time that may be spent.
    pub fn allowance(&self) -> Duration {
        self.allowance
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate of a cost")]
const fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRICE: Price = Price {
        allocation: 1_000.0,
        release: 500.0,
        single_step: 10_000.0,
    };

    /// Seconds after which a capture ends on a program that makes so many pairs of calls a second.
    fn ends(pairs_per_second: u64, share: f64, single_stepped: (bool, bool)) -> Option<f64> {
        let mut governor = Governor::new(PRICE, single_stepped, 2.0, share, Duration::from_mins(1));
        (0..=600).find_map(|tick| {
            let pairs = pairs_per_second * tick / 10;
            let counts = NativeCounts {
                entries: pairs,
                returns: pairs,
                frees: pairs,
                samples: 0,
            };
            let at = Duration::from_millis(tick * 100);
            (!governor.goes_on(at, &counts)).then_some(at.as_secs_f64())
        })
    }

    #[test]
    fn a_capture_ends_when_its_allowance_is_spent() {
        for (pairs_per_second, share, single_stepped, expected) in [
            // 1.5 ms a second; 20 are allowed.
            (1_000, 1.0, (false, false), None),
            (13_000, 1.0, (false, false), None),
            // 30 ms a second of 1.2 s.
            (20_000, 1.0, (false, false), Some(40.1)),
            // More than half of a second in a second.
            (1_000_000, 1.0, (false, false), Some(0.4)),
            (5_000_000, 4.0, (false, false), Some(0.1)),
            // Nearly idle: 0.6 s.
            (10_000, 0.0, (false, false), Some(40.1)),
            // 11.5 ms for a thousand.
            (20_000, 1.0, (false, true), Some(5.3)),
        ] {
            let ended = ends(pairs_per_second, share, single_stepped);
            let same = match (ended, expected) {
                (Some(ended), Some(expected)) => f64::abs(ended - expected) < 0.15,
                (ended, expected) => ended.is_none() && expected.is_none(),
            };
            assert!(same, "{pairs_per_second} a second: {ended:?} instead of {expected:?}");
        }
    }
}
