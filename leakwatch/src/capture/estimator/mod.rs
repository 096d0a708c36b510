//! Estimates what was allocated during a whole capture from the sampling windows in which the probes were attached (Horvitz-Thompson).
//!
//! Time is cut into windows, and chance decides in which of them the probes are attached (`budget`). A window of chance `p` is weighted with
//! `1 / p`: so are the allocations in it, and the releases of these in it. New objects are taken in its first part only and followed in the
//! rest, so that short lives are seen to end and do not look like a leak. The release of an object of an earlier window is seen with
//! the chance of the window in which it happens, and is weighted with both. That has no bias, whatever the program does and however
//! long its objects live, as no window depends on what is seen in it. Chance gives more or less time than it should: all is scaled to
//! the time that has passed. [`scale`] then scales samples up to allocations.

pub mod scale;
#[cfg(test)]
mod simulation;

use crate::capture::estimator::scale::Sampled;
use crate::probes::allocator::StackTotals;
use std::collections::HashMap;
use std::time::Duration;

/// Stack and class of size.
type Key = (u64, u64);

/// The windows so far.
#[derive(Debug)]
pub struct Estimator {
    closed: HashMap<Key, Weighted>,
    counted: HashMap<Key, StackTotals>,
    /// The weight of the open window.
    weight: f64,
    /// Without the open window, and in it.
    before: Time,
    open: Time,
    /// How fast the program works with the probes attached, as a part of its speed without.
    slowdown_factor: f64,
}

/// What the probes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing: they are not attached, or not all of them.
    Off,
    /// Take new objects, and see releases.
    Taking,
    /// See releases.
    Following,
}

/// Seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Time {
    /// That have passed.
    passed: f64,
    /// In which releases were seen, and the same weighted.
    seen: f64,
    seen_weighted: f64,
    /// In which new objects were taken, and the same weighted.
    taken: f64,
    taken_weighted: f64,
}

/// What was seen of a stack and size, weighted by windows.
#[derive(Clone, Copy, Debug, Default)]
struct Weighted {
    allocs: f64,
    alloc_bytes: f64,
    frees: f64,
    free_bytes: f64,
    /// Of objects of earlier windows.
    late_frees: f64,
    late_free_bytes: f64,
    late_variance: f64,
}

impl Default for Estimator {
    fn default() -> Self {
        Self {
            closed: HashMap::new(),
            counted: HashMap::new(),
            weight: 1.0,
            before: Time::default(),
            open: Time::default(),
            slowdown_factor: 1.0,
        }
    }
}

impl Time {
    fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            seen: self.seen + other.seen,
            seen_weighted: self.seen_weighted + other.seen_weighted,
            taken: self.taken + other.taken,
            taken_weighted: self.taken_weighted + other.taken_weighted,
        }
    }

    /// The weight of a new object on average.
    fn weight(self) -> f64 {
        ratio(self.taken_weighted, self.taken)
    }
}

/// One where there is nothing yet.
fn ratio(part: f64, whole: f64) -> f64 {
    if part > 0.0 && whole > 0.0 { part / whole } else { 1.0 }
}

impl Weighted {
    fn add(&mut self, other: &Self) {
        self.allocs += other.allocs;
        self.alloc_bytes += other.alloc_bytes;
        self.frees += other.frees;
        self.free_bytes += other.free_bytes;
        self.late_frees += other.late_frees;
        self.late_free_bytes += other.late_free_bytes;
        self.late_variance += other.late_variance;
    }
}

impl Estimator {
    /// Time passes.
    pub fn pass(&mut self, time: Duration, phase: Phase) {
        let time = time.as_secs_f64();
        self.open.passed += time;
        if phase != Phase::Off {
            self.open.seen += time;
            self.open.seen_weighted += time * self.weight;
        }
        if phase == Phase::Taking {
            self.open.taken += time;
            self.open.taken_weighted += time * self.weight;
        }
    }

    /// A program that uses all the processor time it can get does less while probes take some of it: then a second shows less than a second.
    pub fn set_slowdown_factor(&mut self, factor: f64) {
        self.slowdown_factor = factor;
    }

    /// The next window with probes begins, which had this chance; `totals` are those at the end of the one before.
    pub fn open_window(&mut self, totals: &[StackTotals], chance: f64) {
        for totals in totals {
            let key = (totals.fingerprint, totals.size_class);
            let added = self.added(totals);
            self.closed.entry(key).or_default().add(&added);
            self.counted.insert(key, *totals);
        }
        self.before = self.before.and(std::mem::take(&mut self.open));
        self.weight = chance.clamp(f64::MIN_POSITIVE, 1.0).recip();
    }

    /// The estimate from the totals of a stack and size.
    pub fn sampled(&self, totals: &StackTotals) -> Sampled {
        let key = (totals.fingerprint, totals.size_class);
        let mut weighted = self.closed.get(&key).copied().unwrap_or_default();
        weighted.add(&self.added(totals));
        let all = self.before.and(self.open);
        let fit = ratio(all.passed, self.slowdown_factor * all.taken_weighted);
        let late_fit = fit * ratio(all.passed, self.slowdown_factor * all.seen_weighted);
        Sampled {
            size_class: totals.size_class,
            allocs: fit * weighted.allocs,
            alloc_bytes: fit * weighted.alloc_bytes,
            frees: fit * weighted.frees + late_fit * weighted.late_frees,
            free_bytes: fit * weighted.free_bytes + late_fit * weighted.late_free_bytes,
            free_variance: late_fit.powi(2) * weighted.late_variance,
            weight: (fit * all.weight()).max(1.0),
        }
    }

    /// What the open window adds to it.
    fn added(&self, totals: &StackTotals) -> Weighted {
        let key = (totals.fingerprint, totals.size_class);
        let counted = self.counted.get(&key).copied().unwrap_or_default();
        let weight = self.weight;
        // An object of an earlier window has the average weight of those.
        let late = weight * self.before.weight();
        let new = |now: u64, before: u64| float(now.saturating_sub(before));
        let late_frees = new(totals.late_frees, counted.late_frees);
        Weighted {
            allocs: weight * new(totals.allocs, counted.allocs),
            alloc_bytes: weight * new(totals.alloc_bytes, counted.alloc_bytes),
            frees: weight * new(totals.frees, counted.frees),
            free_bytes: weight * new(totals.free_bytes, counted.free_bytes),
            late_frees: late * late_frees,
            late_free_bytes: late * new(totals.late_free_bytes, counted.late_free_bytes),
            // Seen with the chance of one to `weight`, and counted `late` times where it is.
            late_variance: late_frees * late.powi(2) * (1.0 - weight.recip()),
        }
    }

    /// Part of the time that the probes were attached.
    pub fn duty(&self) -> f64 {
        let all = self.before.and(self.open);
        if all.passed > 0.0 { all.seen / all.passed } else { 1.0 }
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
        let mut estimator = Estimator::default();
        let mut totals = StackTotals {
            fingerprint: 1,
            ..StackTotals::default()
        };
        let tick = Duration::from_millis(10);
        let in_window = |tick: usize| tick % 200 < 50;
        let mut deaths_of_seen = vec![0; 20_000 + 2_400];
        for now in 0..20_000 {
            if now > 0 && now % 200 == 0 {
                estimator.open_window(&[totals], 0.25);
            }
            estimator.pass(tick, if in_window(now) { Phase::Taking } else { Phase::Off });
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
        let sampled = estimator.sampled(&totals);
        assert!((sampled.allocs / 20_000.0 - 1.0).abs() < 0.01, "{sampled:?}");
        let live = sampled.allocs - sampled.frees;
        assert!((live / 1_100.0 - 1.0).abs() < 0.25, "{live} live instead of 1100");
        assert!((estimator.duty() - 0.25).abs() < 0.01);
    }

    #[test]
    fn one_window_is_what_it_is() {
        let mut estimator = Estimator::default();
        estimator.pass(Duration::from_secs(9), Phase::Taking);
        let totals = StackTotals {
            fingerprint: 1,
            size_class: 16,
            allocs: 7,
            alloc_bytes: 112,
            frees: 3,
            free_bytes: 48,
            ..StackTotals::default()
        };
        let sampled = estimator.sampled(&totals);
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
