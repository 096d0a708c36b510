//! What was sampled while the probes were attached, weighed to stand for all the time of a capture.
//!
//! A capture consists of windows, with time between them when nothing is attached. What is allocated in a window stands for the time
//! until the next one begins, so it is weighed by that time over the window's. An object that is freed in its own window is seen to
//! be; one that lives longer is freed at a time that has nothing to do with the windows, and is seen by as many of them as there are:
//! that, too, is weighed. Neither has a bias, and a capture that is attached all the time has one window of weight one.

use crate::native::estimate::Sampled;
use crate::probes::native::StackTotals;
use std::collections::HashMap;
use std::time::Duration;

/// Stack and class of size.
type Key = (u64, u64);

/// Windows so far.
#[derive(Debug, Default)]
pub struct Tally {
    closed: HashMap<Key, Sampled>,
    counted: HashMap<Key, StackTotals>,
    open: Window,
    sum: Window,
}

/// A window, or several, and the time they stand for.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    attached: Duration,
    whole: Duration,
}

impl Window {
    /// What each sample stands for.
    fn weight(self) -> f64 {
        if self.attached.is_zero() {
            return 1.0;
        }
        (self.whole.as_secs_f64() / self.attached.as_secs_f64()).max(1.0)
    }
}

impl Tally {
    /// Time passes, with the probes attached or not.
    pub fn pass(&mut self, time: Duration, attached: bool) {
        self.open.whole += time;
        if attached {
            self.open.attached += time;
        }
    }

    /// The next window begins; `totals` are those at the end of the one before.
    pub fn next_window(&mut self, totals: &[StackTotals]) {
        for totals in totals {
            let key = (totals.fingerprint, totals.size_class);
            let sampled = self.sampled(totals);
            self.closed.insert(key, sampled);
            self.counted.insert(key, *totals);
        }
        self.sum.attached += self.open.attached;
        self.sum.whole += self.open.whole;
        self.open = Window::default();
    }

    /// What the totals of a stack and size stand for.
    pub fn sampled(&self, totals: &StackTotals) -> Sampled {
        let key = (totals.fingerprint, totals.size_class);
        let counted = self.counted.get(&key).copied().unwrap_or_default();
        let closed = self.closed.get(&key).copied().unwrap_or_default();
        let weight = self.open.weight();
        // An object of an earlier window stands for as many as there were in the time of that one.
        let late = weight * self.sum.weight();
        let new = |now: u64, before: u64| float(now.saturating_sub(before));
        let freed = |now: u64, before: u64, late_now: u64, late_before: u64| {
            weight * new(now, before) + late * new(late_now, late_before)
        };
        Sampled {
            size_class: totals.size_class,
            allocs: closed.allocs + weight * new(totals.allocs, counted.allocs),
            alloc_bytes: closed.alloc_bytes + weight * new(totals.alloc_bytes, counted.alloc_bytes),
            frees: closed.frees + freed(totals.frees, counted.frees, totals.late_frees, counted.late_frees),
            free_bytes: closed.free_bytes
                + freed(
                    totals.free_bytes,
                    counted.free_bytes,
                    totals.late_free_bytes,
                    counted.late_free_bytes,
                ),
            weight: Window {
                attached: self.sum.attached + self.open.attached,
                whole: self.sum.whole + self.open.whole,
            }
            .weight(),
        }
    }

    /// Part of the time that the probes were attached.
    pub fn duty(&self) -> f64 {
        let whole = self.sum.whole + self.open.whole;
        let attached = self.sum.attached + self.open.attached;
        if whole.is_zero() {
            1.0
        } else {
            attached.as_secs_f64() / whole.as_secs_f64()
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate; the rounding starts at 2^53")]
const fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_stand_for_all_the_time() {
        // 100 objects a second; every second one is freed at once, the others live 20 to 24 seconds. Windows of half a second, two
        // seconds apart, for 200 seconds.
        let mut tally = Tally::default();
        let mut totals = StackTotals {
            fingerprint: 1,
            ..StackTotals::default()
        };
        let tick = Duration::from_millis(10);
        let in_window = |tick: usize| tick % 200 < 50;
        let mut deaths_of_seen = vec![0; 20_000 + 2_400];
        for now in 0..20_000 {
            if now > 0 && now % 200 == 0 {
                tally.next_window(&[totals]);
            }
            tally.pass(tick, in_window(now));
            if in_window(now) {
                totals.allocs += 1;
                totals.alloc_bytes += 10;
                if now % 2 == 0 {
                    totals.frees += 1;
                    totals.free_bytes += 10;
                } else {
                    deaths_of_seen[now + 2_000 + ((now * 2_654_435_761) >> 12) % 400] += 1;
                }
                totals.late_frees += deaths_of_seen[now];
                totals.late_free_bytes += 10 * deaths_of_seen[now];
            }
        }
        let sampled = tally.sampled(&totals);
        assert!((sampled.allocs / 20_000.0 - 1.0).abs() < 0.01, "{sampled:?}");
        let live = sampled.allocs - sampled.frees;
        assert!((live / 1_100.0 - 1.0).abs() < 0.25, "{live} live instead of 1100");
        assert!((tally.duty() - 0.25).abs() < 0.01);
    }

    #[test]
    fn one_window_is_what_it_is() {
        let mut tally = Tally::default();
        tally.pass(Duration::from_secs(9), true);
        let totals = StackTotals {
            fingerprint: 1,
            size_class: 16,
            allocs: 7,
            alloc_bytes: 112,
            frees: 3,
            free_bytes: 48,
            ..StackTotals::default()
        };
        let sampled = tally.sampled(&totals);
        let numbers = [
            sampled.allocs,
            sampled.alloc_bytes,
            sampled.frees,
            sampled.free_bytes,
            sampled.weight,
        ];
        assert!(
            numbers
                .iter()
                .zip([7.0, 112.0, 3.0, 48.0, 1.0])
                .all(|(is, should)| (is - should).abs() < 1e-9)
        );
    }
}
