//! What a capture costs the program, and when that is too much: hits times the price of a hit, measured on this host.
//!
//! The budget is a share of the processor time that the program uses by itself, which is what it has used less what the probes have
//! cost. The probes are detached when they have cost more than the program has earned them, and attached again when it has made
//! up for it: windows of time, of which the samples are weighed (`tally`). What a window is late in ending makes the next one come later.

use crate::probes::native::NativeCounts;
use std::time::Duration;

/// A program that does less earns as if it used this share of a processor, so that it can be watched all the time: windows tell less
/// (docs/native.md), and at two per cent this is a hundredth of one processor, for a minute.
const LEAST_SHARE: f64 = 0.5;
/// Part of a capture's whole budget that a window may cost.
const WINDOW_PART: f64 = 0.05;
/// A window costs at least this, so that it is worth attaching, and at most that, so that nobody waits long.
const WINDOW: (Duration, Duration) = (Duration::from_millis(3), Duration::from_millis(100));
/// Processor time taken by one window, on all processors, after which the capture ends for good.
const BURST: Duration = Duration::from_millis(500);
/// Between two looks at the counts.
const LOOK: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(20));

/// Nanoseconds that a hit costs the program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Price {
    /// Call of an allocating function that is no sample.
    pub allocation: f64,
    /// Added where it is one, its release included.
    pub taken: f64,
    /// Entry into a freeing function.
    pub release: f64,
    /// Added where the processor has to single-step the probed instruction.
    pub single_step: f64,
}

impl Price {
    /// Of a typical virtual machine (docs/native.md), where it could not be measured.
    pub const TYPICAL: Self = Self {
        allocation: 1_300.0,
        taken: 1_000.0,
        release: 550.0,
        single_step: 14_500.0,
    };

    /// Processor time that hits have taken. `single_stepped`: whether allocations and releases are probed at an instruction that the
    /// kernel cannot emulate.
    pub fn of(&self, counts: &NativeCounts, single_stepped: (bool, bool)) -> Duration {
        let extra = |single_stepped: bool| if single_stepped { self.single_step } else { 0.0 };
        let (allocations, releases) = single_stepped;
        let nanos = float(counts.entries) * (self.allocation + extra(allocations))
            + float(counts.taken) * self.taken
            + float(counts.frees) * (self.release + extra(releases));
        Duration::from_secs_f64(nanos / 1e9)
    }
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Leave it as it is, and look again after this time.
    Wait(Duration),
    /// Detach.
    Detach,
    /// Attach again.
    Attach,
    /// Detach and end.
    End,
}

/// What was spent and earned.
#[derive(Clone, Debug)]
pub struct Governor {
    price: Price,
    single_stepped: (bool, bool),
    fraction: f64,
    window: Duration,
    earned: Duration,
    spent: Duration,
    spent_before: Duration,
    looked: Duration,
}

impl Governor {
    /// For a capture of so many seconds on a program that uses `share` of a processor. One that is not made `in_windows` may spend
    /// all of its budget at any time.
    pub fn new(
        price: Price,
        single_stepped: (bool, bool),
        percent: f64,
        share: f64,
        seconds: Duration,
        in_windows: bool,
    ) -> Self {
        let fraction = (percent / 100.0).clamp(0.0, 1.0);
        let whole = seconds.mul_f64(fraction * share.clamp(LEAST_SHARE, 1_024.0));
        Self {
            price,
            single_stepped,
            fraction,
            window: if in_windows {
                whole.mul_f64(WINDOW_PART).clamp(WINDOW.0, WINDOW.1)
            } else {
                whole
            },
            earned: Duration::ZERO,
            spent: Duration::ZERO,
            spent_before: Duration::ZERO,
            looked: Duration::ZERO,
        }
    }

    /// Takes in the counts, and the processor time that the program has used since the capture began, at an instant of the capture.
    pub fn look(&mut self, at: Duration, used: Duration, counts: &NativeCounts, attached: bool) -> Decision {
        let before = std::mem::replace(&mut self.spent, self.price.of(counts, self.single_stepped));
        let own = used.saturating_sub(self.spent);
        self.earned = self.earned.max(own.max(at.mul_f64(LEAST_SHARE)).mul_f64(self.fraction));
        let since = at.saturating_sub(std::mem::replace(&mut self.looked, at));
        if !attached {
            if self.earned < self.spent {
                return Decision::Wait(LOOK.1);
            }
            self.spent_before = self.spent;
            return Decision::Attach;
        }
        if self.spent.saturating_sub(self.spent_before) > BURST.max(self.earned) {
            return Decision::End;
        }
        let left = (self.earned + self.window).saturating_sub(self.spent);
        if left.is_zero() {
            return Decision::Detach;
        }
        // As long as the rest lasts at the rate since the last look.
        let spending = self.spent.saturating_sub(before).as_secs_f64();
        let lasts = since.as_secs_f64() * left.as_secs_f64() / spending.max(1e-9);
        Decision::Wait(Duration::from_secs_f64(
            lasts.clamp(LOOK.0.as_secs_f64(), LOOK.1.as_secs_f64()),
        ))
    }

    /// Processor time spent so far.
    pub fn spent(&self) -> Duration {
        self.spent
    }

    /// Processor time that may have been spent by now.
    pub fn allowance(&self) -> Duration {
        self.earned + self.window
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
        allocation: 550.0,
        taken: 1_000.0,
        release: 550.0,
        single_step: 14_500.0,
    };

    /// Of a program on one processor that makes so many pairs of calls a second when left alone, for a minute: what the probes have
    /// cost relative to its own time, the part of the time they were attached, and whether it ended early.
    fn simulate(pairs_per_second: f64, share: f64, single_stepped: (bool, bool)) -> (f64, f64, bool) {
        let seconds = Duration::from_mins(1);
        let mut governor = Governor::new(PRICE, single_stepped, 2.0, share, seconds, true);
        let pair =
            (PRICE.allocation + PRICE.release) / 1e9 + if single_stepped.1 { PRICE.single_step / 1e9 } else { 0.0 };
        let (mut at, mut used, mut pairs, mut attached_time) = (0.0, 0.0, 0.0, 0.0);
        let mut attached = true;
        let mut ended = false;
        while at < seconds.as_secs_f64() && !ended {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few millions")]
            let count = pairs as u64;
            let counts = NativeCounts {
                entries: count,
                frees: count,
                ..NativeCounts::default()
            };
            let instant = Duration::from_secs_f64(at);
            let mut time = 0.0;
            match governor.look(instant, Duration::from_secs_f64(used), &counts, attached) {
                Decision::Wait(wait) => time = wait.as_secs_f64(),
                // Detaching takes time, during which the others may still be hit.
                Decision::Detach => time = 0.005,
                Decision::Attach => attached = true,
                Decision::End => ended = true,
            }
            let detached = time > 0.004_9 && time < 0.005_1;
            at += time;
            if attached {
                // While it is probed it gets less done, once it has no processor time left.
                let work = share / pairs_per_second;
                let done = (time / (work + pair)).min(pairs_per_second * time);
                pairs += done;
                used += done * (work + pair);
                attached_time += time;
            } else {
                used += time * share;
            }
            if detached {
                attached = false;
            }
        }
        let cost = pairs * pair;
        (cost / (used - cost), attached_time / at, ended)
    }

    #[test]
    fn the_budget_is_held_whatever_the_program_does() {
        for (pairs_per_second, share, single_stepped, expected) in [
            (1_000.0, 1.0, (false, false), 0.0011),
            (10_000.0, 1.0, (false, false), 0.011),
            (30_000.0, 1.0, (false, false), 0.02),
            (100_000.0, 1.0, (false, false), 0.02),
            (1_000_000.0, 1.0, (false, false), 0.02),
            (5_000_000.0, 1.0, (false, false), 0.02),
            (20_000.0, 0.1, (false, false), 0.1),
            (100_000.0, 0.3, (false, false), 0.033),
            (10_000.0, 1.0, (false, true), 0.02),
        ] {
            let (cost, duty, ended) = simulate(pairs_per_second, share, single_stepped);
            assert!(
                (cost / expected - 1.0).abs() < 0.25 && !ended,
                "{pairs_per_second} a second: {cost} instead of {expected}, attached {duty} of the time"
            );
        }
    }

    #[test]
    fn a_burst_on_many_processors_ends_the_capture() {
        let mut governor = Governor::new(PRICE, (false, false), 2.0, 1.0, Duration::from_mins(1), true);
        let at = Duration::from_secs(10);
        let used = Duration::from_secs(10);
        let calls = |number| NativeCounts {
            entries: number,
            frees: number,
            ..NativeCounts::default()
        };
        assert!(matches!(
            governor.look(at, used, &calls(1_000), true),
            Decision::Wait(_)
        ));
        assert_eq!(governor.look(at, used, &calls(1_000_000), true), Decision::End);
    }
}
