//! What was sampled while the probes were attached, weighed to stand for all the time of a capture.
//!
//! Time is cut into slots, and chance decides in which of them the probes are attached (`governor`). A slot of chance `p` stands for `1 / p` like
//! it: so many times is counted what is allocated in it, and what of that is released in it. New objects are taken in its first part only and
//! followed in the rest, so that what lives shortly is seen to end and does not look as if it stayed. The release of an object of an earlier
//! slot is seen with the chance of the slot in which it happens, and counts for both. That has no bias, whatever the program does and
//! however long its objects live, as no slot depends on what is seen in it. Chance gives more or less time than it should: all is
//! made to fit the time that has passed.

use crate::capture::estimate::Sampled;
use crate::probes::native::StackTotals;
use std::collections::HashMap;
use std::time::Duration;

/// Stack and class of size.
type Key = (u64, u64);

/// Slots so far.
#[derive(Debug)]
pub struct Tally {
    closed: HashMap<Key, Weighed>,
    counted: HashMap<Key, StackTotals>,
    /// What the slot that is open stands for.
    weight: f64,
    /// Without the open slot, and in it.
    before: Time,
    open: Time,
    /// How fast the program worked while it was looked at, relative to the rest of the time.
    speed: f64,
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
    /// In which releases were seen, and what they stood for.
    seen: f64,
    seen_stood_for: f64,
    /// The same for new objects.
    taken: f64,
    taken_stood_for: f64,
}

/// What was seen of a stack and size, weighed by slots.
#[derive(Clone, Copy, Debug, Default)]
struct Weighed {
    allocs: f64,
    alloc_bytes: f64,
    frees: f64,
    free_bytes: f64,
    /// Of objects of earlier slots.
    late_frees: f64,
    late_free_bytes: f64,
    late_variance: f64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            closed: HashMap::new(),
            counted: HashMap::new(),
            weight: 1.0,
            before: Time::default(),
            open: Time::default(),
            speed: 1.0,
        }
    }
}

impl Time {
    fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            seen: self.seen + other.seen,
            seen_stood_for: self.seen_stood_for + other.seen_stood_for,
            taken: self.taken + other.taken,
            taken_stood_for: self.taken_stood_for + other.taken_stood_for,
        }
    }

    /// What a new object stands for on average.
    fn weight(self) -> f64 {
        ratio(self.taken_stood_for, self.taken)
    }
}

/// One where there is nothing yet.
fn ratio(part: f64, whole: f64) -> f64 {
    if part > 0.0 && whole > 0.0 { part / whole } else { 1.0 }
}

impl Weighed {
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

impl Tally {
    /// Time passes.
    pub fn pass(&mut self, time: Duration, phase: Phase) {
        let time = time.as_secs_f64();
        self.open.passed += time;
        if phase != Phase::Off {
            self.open.seen += time;
            self.open.seen_stood_for += time * self.weight;
        }
        if phase == Phase::Taking {
            self.open.taken += time;
            self.open.taken_stood_for += time * self.weight;
        }
    }

    /// A program that uses all the processor time it can get does less while probes take some of it: then a second shows less than a second.
    pub fn set_speed(&mut self, speed: f64) {
        self.speed = speed;
    }

    /// The next slot with probes begins, which had this chance; `totals` are those at the end of the one before.
    pub fn next_slot(&mut self, totals: &[StackTotals], chance: f64) {
        for totals in totals {
            let key = (totals.fingerprint, totals.size_class);
            let added = self.added(totals);
            self.closed.entry(key).or_default().add(&added);
            self.counted.insert(key, *totals);
        }
        self.before = self.before.and(std::mem::take(&mut self.open));
        self.weight = chance.clamp(f64::MIN_POSITIVE, 1.0).recip();
    }

    /// What the totals of a stack and size stand for.
    pub fn sampled(&self, totals: &StackTotals) -> Sampled {
        let key = (totals.fingerprint, totals.size_class);
        let mut weighed = self.closed.get(&key).copied().unwrap_or_default();
        weighed.add(&self.added(totals));
        let all = self.before.and(self.open);
        let fit = ratio(all.passed, self.speed * all.taken_stood_for);
        let late_fit = fit * ratio(all.passed, self.speed * all.seen_stood_for);
        Sampled {
            size_class: totals.size_class,
            allocs: fit * weighed.allocs,
            alloc_bytes: fit * weighed.alloc_bytes,
            frees: fit * weighed.frees + late_fit * weighed.late_frees,
            free_bytes: fit * weighed.free_bytes + late_fit * weighed.late_free_bytes,
            free_variance: late_fit.powi(2) * weighed.late_variance,
            weight: (fit * all.weight()).max(1.0),
        }
    }

    /// What the slot that is open adds to it.
    fn added(&self, totals: &StackTotals) -> Weighed {
        let key = (totals.fingerprint, totals.size_class);
        let counted = self.counted.get(&key).copied().unwrap_or_default();
        let weight = self.weight;
        // An object of an earlier slot stands for as many as one of those does on average.
        let late = weight * self.before.weight();
        let new = |now: u64, before: u64| float(now.saturating_sub(before));
        let late_frees = new(totals.late_frees, counted.late_frees);
        Weighed {
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

    /// Part of the time that the program was looked at.
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
                tally.next_slot(&[totals], 0.25);
            }
            tally.pass(tick, if in_window(now) { Phase::Taking } else { Phase::Off });
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
        tally.pass(Duration::from_secs(9), Phase::Taking);
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
