//! What a capture may cost the program, and what the probes are to do so that it costs no more.
//!
//! The budget is a share of the processor time that the program uses by itself: what it has used less the overhead of the probes
//! ([`cost`]). Where the budget does not allow probes all the time, time is cut into sampling windows, and chance decides in which of them
//! the probes are attached. The length and the chance of a window follow from what was seen before it, never from what is seen in it:
//! so the windows are a fair sample of all the time (`estimator`), whatever rhythm the program has.

pub mod cost;
pub mod measure;
pub(super) mod slowdown;

use crate::capture::budget::cost::ProbeCost;
use crate::config::CpuBudget;
use crate::probes::allocator::HitCounts;
use fastrand::Rng;
use std::time::Duration;

/// A program that uses less than this share of a processor is slowed as if it used so much: the rest of the time it waits.
const LEAST_SHARE: f64 = 0.5;
/// Part of a capture's whole budget that a window with probes may cost on average.
const WINDOW_PART: f64 = 0.02;
/// And the part that a window may cost in which the rate of calls is the highest seen so far.
const WORST_PART: f64 = 0.1;
/// First part of a window, in which new objects are taken.
const TAKING_PART: f64 = 0.6;
/// Windows are not shorter, as attaching and detaching take a few milliseconds, and not longer, so that the chance can change.
const WINDOW: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// Part of a capture in which too high or too low an overhead so far is made up for.
const REPAID_IN: f64 = 0.1;
/// Making up for it lowers the chance of a window to no less than this part: a window without a chance cannot be weighted.
const LEAST_CHANCE: f64 = 0.25;
/// When the overhead exceeds the budget by this part of the whole budget, the probes are detached at once, in the middle of a window.
const OVERDRAFT: f64 = 0.5;
/// An automatic capture must not slow the program by more than this while the probes are attached: its requests would take as much
/// longer. The slowdown is known after so much time with the probes attached, and settled after so much. Experiment: docs/native.md.
const NOTICEABLE: f64 = 0.05;
const KNOWN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));
/// Nor by more than this for longer than that time and that part of it, however rarely: a hundredth of its requests is what the 99th
/// percentile of their latency shows.
const MUCH: f64 = 0.15;
const MUCH_FOR: Duration = Duration::from_millis(30);
const MUCH_PART: f64 = 0.005;
/// Length of a window at low duty. Windows are so rare that, with what attaching takes, they are a five-hundredth of the time. With a
/// two-hundredth the 99th percentile of a busy server was what its 99.5th is otherwise: experiment in docs/native.md.
const LOW_DUTY_WINDOW: Duration = Duration::from_millis(10);
/// At low duty there is one window at a random instant of each period: no instant is more likely than another, and all parts of a
/// capture show as much.
pub const LOW_DUTY_PERIOD: Duration = Duration::from_secs(10);
/// Overhead of one window, on all processors together, after which the capture ends for good.
const BURST: Duration = Duration::from_millis(500);
/// Probes of a window are attached so long before it begins.
const LEAD: Duration = Duration::from_millis(6);
/// Between two checks of the counts. The first window is as short as the first of them, unless the capture is automatic.
const CHECK: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(20));
/// The most where no window begins or ends between them. Each check takes a processor away, perhaps from the program itself: if it serves
/// requests, all that are under way wait. Experiment: docs/native.md. Not in the first second, when most stacks are new and need room.
const RARE_CHECK: Duration = Duration::from_millis(100);
const RARE_AFTER: Duration = Duration::from_secs(1);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision {
    /// Leave it as it is, and check again after this time.
    Wait(Duration),
    /// Detach.
    Detach,
    /// Attach again, and count nothing yet.
    Attach,
    /// Count from now on: a sampling window begins.
    OpenWindow,
    /// Take no new objects for the rest of the window.
    Follow,
    /// Detach and end: a burst of calls was over budget.
    OverBudget,
    /// Detach and end: an automatic capture slows the program too much, by this part.
    TooSlow(f64),
}

/// What a capture may do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// What it may cost.
    pub budget: CpuBudget,
    /// Share of a processor that it used before.
    pub share: f64,
    /// How long the capture is to be.
    pub duration: Duration,
    /// Whether the probes can be detached for a while; else all of the budget may be spent at any time.
    pub duty_cycled: bool,
    /// Whether the capture ends where the program would notice: nobody has asked for it.
    pub limit_slowdown: bool,
    /// Whether windows are so rare that the program does not notice, however much its calls cost.
    pub low_duty: bool,
}

/// Keeps the overhead of one capture within its budget.
#[derive(Clone, Debug)]
pub struct Governor {
    cost: ProbeCost,
    terms: Terms,
    /// The budget as parts of the program's own time and of a processor's.
    fraction: f64,
    floor: f64,
    /// Overhead that the whole capture may have.
    whole: Duration,
    random: Rng,
    earned: Duration,
    overhead: Duration,
    checked: Duration,
    /// How long the probes were attached.
    attached: Duration,
    was_attached: bool,
    /// How long of that from check to check, the overhead in these seconds, and its highest rate.
    measured_for: Duration,
    measured: f64,
    highest_rate: f64,
    /// How long the program was slowed much.
    much: Duration,
    /// When no new objects are taken, when the window ends, how likely it was to have probes, and the overhead when it began.
    follows: Duration,
    ends: Duration,
    chance: f64,
    overhead_before: Duration,
    /// The next one, once it is decided.
    next: Option<Window>,
}

/// A sampling window that is to come, with probes or without.
#[derive(Clone, Copy, Debug)]
struct Window {
    length: Duration,
    chance: f64,
    with_probes: bool,
}

impl Governor {
    /// For a capture on these terms.
    pub fn new(cost: ProbeCost, terms: Terms, random: Rng) -> Self {
        let fraction = (terms.budget.percent / 100.0).clamp(0.0, 1.0);
        let floor = (terms.budget.floor_percent / 100.0).clamp(0.0, 1.0);
        let share = terms.share.clamp(0.0, 1_024.0);
        Self {
            cost,
            terms,
            fraction,
            floor,
            whole: terms.duration.mul_f64((fraction * share).max(floor)),
            random,
            earned: Duration::ZERO,
            overhead: Duration::ZERO,
            checked: Duration::ZERO,
            attached: Duration::ZERO,
            was_attached: false,
            measured_for: Duration::ZERO,
            measured: 0.0,
            highest_rate: 0.0,
            much: Duration::ZERO,
            follows: Duration::MAX,
            ends: match terms {
                Terms { low_duty: true, .. } => LOW_DUTY_WINDOW,
                Terms {
                    limit_slowdown: true, ..
                } => KNOWN.0,
                _ => CHECK.0,
            },
            chance: 1.0,
            overhead_before: Duration::ZERO,
            next: None,
        }
    }

    /// Takes in the counts, and the processor time that the program has used since the capture began, at an instant of the capture.
    pub fn check(&mut self, at: Duration, used: Duration, counts: &HitCounts, attached: bool) -> Decision {
        let before = std::mem::replace(&mut self.overhead, self.cost.overhead(counts));
        let own = used.saturating_sub(self.overhead);
        let earned = own.mul_f64(self.fraction).max(at.mul_f64(self.floor));
        self.earned = self.earned.max(earned);
        let since = at.saturating_sub(std::mem::replace(&mut self.checked, at));
        let rate = self.overhead.saturating_sub(before).as_secs_f64() / since.as_secs_f64().max(1e-9);
        if attached {
            self.attached += since;
        }
        // What attaching and detaching cost is overhead, but is not the rate of it while attached.
        if std::mem::replace(&mut self.was_attached, attached) && attached {
            self.measured_for += since;
            self.measured += rate * since.as_secs_f64();
            self.highest_rate = self.highest_rate.max(rate);
            if self.terms.limit_slowdown
                && let Some(slowdown) = self.slowdown(rate, since, own, at)
            {
                return Decision::TooSlow(slowdown);
            }
        }
        if attached && self.overhead.saturating_sub(self.overhead_before) > BURST.max(self.earned) {
            return Decision::OverBudget;
        }
        let left = self.allowance().saturating_sub(self.overhead);
        if attached && left.is_zero() {
            return Decision::Detach;
        }
        // A window at low duty may as well begin when all is attached.
        let lead = if attached || self.terms.low_duty {
            Duration::ZERO
        } else {
            LEAD
        };
        if self.terms.duty_cycled {
            if at + lead >= self.ends && self.next.is_none() {
                let window = if self.terms.low_duty {
                    self.low_duty_window(at, attached)
                } else {
                    self.window(at)
                };
                self.next = Some(window);
                if window.with_probes && !attached {
                    return Decision::Attach;
                }
            }
            if at >= self.ends
                && let Some(window) = self.next.take()
            {
                let goes_on = self.chance >= 1.0 && window.chance >= 1.0;
                (self.ends, self.chance, self.overhead_before) = (at + window.length, window.chance, self.overhead);
                self.follows = if window.chance < 1.0 {
                    at + window.length.mul_f64(TAKING_PART)
                } else {
                    Duration::MAX
                };
                match (attached, window.with_probes) {
                    (true, false) => return Decision::Detach,
                    (true, true) if !goes_on => return Decision::OpenWindow,
                    _ => {}
                }
            }
        }
        if attached && at >= self.follows {
            self.follows = Duration::MAX;
            return Decision::Follow;
        }
        Decision::Wait(self.until_next_check(at, left, rate, lead, attached))
    }

    fn until_next_check(&self, at: Duration, left: Duration, rate: f64, lead: Duration, attached: bool) -> Duration {
        let nothing_begins = !self.terms.duty_cycled || (self.terms.low_duty && !attached);
        let mut wait = if nothing_begins && at >= RARE_AFTER {
            RARE_CHECK
        } else {
            CHECK.1
        };
        if self.terms.duty_cycled {
            let due = if attached {
                self.follows.min(self.ends)
            } else {
                self.ends.saturating_sub(lead)
            };
            wait = wait.min(due.saturating_sub(at));
        }
        if attached {
            // As long as the rest of the budget lasts at the rate since the last check.
            let lasts = left.as_secs_f64() / rate.max(1e-9);
            wait = wait.min(Duration::try_from_secs_f64(lasts).unwrap_or(wait));
        }
        wait.max(CHECK.0)
    }

    /// How likely the present window was to have probes.
    pub fn chance(&self) -> f64 {
        self.chance
    }

    /// By what part the program is slowed while the probes are attached, if it would notice.
    fn slowdown(&mut self, rate: f64, since: Duration, own: Duration, at: Duration) -> Option<f64> {
        let share = (own.as_secs_f64() / at.as_secs_f64().max(1e-9)).max(LEAST_SHARE);
        if rate / share > MUCH {
            self.much += since;
        }
        let average = self.measured / self.measured_for.as_secs_f64().max(1e-9) / share;
        let much = self.much > MUCH_FOR.max(at.mul_f64(MUCH_PART));
        let on_average = (KNOWN.0..KNOWN.1).contains(&self.measured_for) && average > NOTICEABLE;
        (much || on_average).then_some(average)
    }

    /// After a window a pause until that of the next period.
    fn low_duty_window(&mut self, at: Duration, attached: bool) -> Window {
        let length = if attached {
            let next = at.div_duration_f64(LOW_DUTY_PERIOD).floor() + 1.0;
            // Ends before the period does, with the time that attaching takes.
            let latest = LOW_DUTY_PERIOD.saturating_sub(LOW_DUTY_WINDOW + LEAD);
            let begins = LOW_DUTY_PERIOD.mul_f64(next) + latest.mul_f64(self.random.f64());
            begins.saturating_sub(at)
        } else {
            LOW_DUTY_WINDOW
        };
        Window {
            length,
            chance: LOW_DUTY_WINDOW.div_duration_f64(LOW_DUTY_PERIOD),
            with_probes: !attached,
        }
    }

    fn window(&mut self, at: Duration) -> Window {
        // Overhead and earnings of a second.
        let cost = (self.overhead.as_secs_f64() / self.attached.as_secs_f64().max(1e-9)).max(1e-9);
        let earning = self.earned.as_secs_f64() / at.as_secs_f64().max(1e-9);
        let balance = self.earned.as_secs_f64() - self.overhead.as_secs_f64();
        let repaid = balance / (self.terms.duration.as_secs_f64() * REPAID_IN);
        let chance = ((earning + repaid) / cost).max(earning / cost * LEAST_CHANCE).min(1.0);
        // Even at the highest rate seen so far the window is not to be cut short.
        let highest = (self.highest_rate * WINDOW_PART / WORST_PART).max(cost);
        let length = Duration::try_from_secs_f64(self.whole.as_secs_f64() * WINDOW_PART / highest).unwrap_or(WINDOW.1);
        // A short time with probes does not tell what a long window costs.
        let known = self.attached.mul_f64(2.0);
        Window {
            length: length.min(known).clamp(WINDOW.0, WINDOW.1),
            chance,
            with_probes: self.random.f64() < chance,
        }
    }

    /// Overhead so far.
    pub fn overhead(&self) -> Duration {
        self.overhead
    }

    /// The most overhead that there may be by now.
    pub fn allowance(&self) -> Duration {
        if self.terms.duty_cycled {
            self.earned + self.whole.mul_f64(OVERDRAFT)
        } else {
            self.earned + self.whole
        }
    }
}

/// By what part a program is slowed that uses such a share of a processor by itself, if it would notice: such an overhead in such a time.
pub fn noticeable(overhead: Duration, since: Duration, share: f64) -> Option<f64> {
    let slowdown = overhead.as_secs_f64() / since.as_secs_f64().max(1e-9) / share.max(LEAST_SHARE);
    (slowdown > NOTICEABLE).then_some(slowdown)
}

#[cfg(test)]
mod tests;
