//! What a capture costs the program, and when that is too much: hits times the price of a hit, measured on this host.
//!
//! The budget is a share of the processor time that the program uses by itself, which is what it has used less what the probes have
//! cost. Where that does not last for all the time, time is cut into slots, and chance decides in which of them the probes are attached.
//! How long a slot is and how likely follows from what was seen before it, never from what is seen in it: so the slots show what all
//! the time would have shown (`tally`), whatever the program does in which rhythm.

use crate::probes::native::NativeCounts;
use fastrand::Rng;
use std::time::Duration;

/// A program that does less earns as if it used this share of a processor, so that it can be watched all the time: slots tell less
/// (docs/native.md), and at two per cent this is a hundredth of one processor, for a minute.
const LEAST_SHARE: f64 = 0.5;
/// Part of a capture's whole budget that a slot with probes may cost on average.
const SLOT_PART: f64 = 0.02;
/// And the part that one may cost in which as much is spent as ever.
const WORST_PART: f64 = 0.1;
/// First part of a slot in which new objects are taken.
const TAKING_PART: f64 = 0.6;
/// Slots are not shorter, as attaching and detaching take a few milliseconds, and not longer, so that the chance can change.
const SLOT: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));
/// Parts of a capture in which what was spent too much or too little is made up for.
const REPAID_IN: f64 = 0.1;
/// The chance of a slot falls no lower for that than to this part: what is never looked at cannot be weighed.
const LEAST_CHANCE: f64 = 0.25;
/// Spent too much by this part of the whole budget, the probes are detached at once: the slot ends in the middle of what it was to show.
const OVERDRAFT: f64 = 0.5;
/// Looked at without being asked for, a program is not to be slowed by more than this while the probes are attached: its requests would take as
/// much longer. That is known after so much time with the probes attached, and settled after so much. Experiment: docs/native.md.
const NOTICEABLE: f64 = 0.05;
const KNOWN: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));
/// Nor by more than this for longer than that time and that part of it, however seldom: a hundredth of its requests is what the 99th
/// percentile of their latency shows.
const MUCH: f64 = 0.15;
const MUCH_FOR: Duration = Duration::from_millis(30);
const MUCH_PART: f64 = 0.005;
/// What would notice all the same is looked at for moments, so seldom that they are a five-hundredth of the time with what attaching takes. With
/// a two-hundredth the 99th percentile of a busy server was what its 99.5th is otherwise: experiment in docs/native.md.
const MOMENT: Duration = Duration::from_millis(10);
/// There is one at random in each stretch of this length: no instant is more likely than another, and all parts of a capture show as much.
pub const STRETCH: Duration = Duration::from_secs(10);
/// Processor time taken by one slot, on all processors, after which the capture ends for good.
const BURST: Duration = Duration::from_millis(500);
/// Probes that are to be there when a slot begins are attached so long before.
const LEAD: Duration = Duration::from_millis(6);
/// Between two looks at the counts. The first slot is as short as the first of them, unless nobody has asked.
const LOOK: (Duration, Duration) = (Duration::from_millis(2), Duration::from_millis(20));
/// The most where nothing begins or ends between them. Each look takes the processor away from somebody, perhaps from the program itself:
/// if it serves requests, all that are under way wait. Experiment: docs/native.md. Not in the first second:
/// then most stacks are new, and are to find room.
const LOOK_SELDOM: Duration = Duration::from_millis(100);
const SELDOM_AFTER: Duration = Duration::from_secs(1);

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
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decision {
    /// Leave it as it is, and look again after this time.
    Wait(Duration),
    /// Detach.
    Detach,
    /// Attach again, and count nothing yet.
    Attach,
    /// Count from now on: a slot with probes begins.
    Slot,
    /// Take no new objects for the rest of the slot.
    Follow,
    /// Detach and end: a burst has cost too much at once.
    End,
    /// Detach and end: this program is slowed too much for looking at it unasked, to this part of its speed.
    TooDear(f64),
}

/// What a capture may do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Budget in percent of the processor time that the program uses by itself.
    pub percent: f64,
    /// Share of a processor that it used before.
    pub share: f64,
    /// How long the capture is to be.
    pub duration: Duration,
    /// Whether the probes can be detached for a while; else all of the budget may be spent at any time.
    pub in_slots: bool,
    /// Whether nobody has asked for it, and it is to end where the program would notice.
    pub unasked: bool,
    /// Whether it is looked at for moments only, so that it does not.
    pub sparing: bool,
}

/// What was spent and earned.
#[derive(Clone, Debug)]
pub struct Governor {
    price: Price,
    single_stepped: (bool, bool),
    terms: Terms,
    fraction: f64,
    /// Processor time that may be spent in all.
    whole: Duration,
    random: Rng,
    earned: Duration,
    spent: Duration,
    looked: Duration,
    /// How long the probes were attached.
    attached: Duration,
    was_attached: bool,
    /// How long of that from look to look, what these seconds cost, and the most that one did.
    looked_for: Duration,
    looks_cost: f64,
    dearest: f64,
    /// How long the program was slowed much.
    much: Duration,
    /// When no new objects are taken, when the slot ends, how likely it was to have probes, and what was spent when it began.
    follows: Duration,
    ends: Duration,
    chance: f64,
    spent_before: Duration,
    /// The one after it, once it is decided.
    next: Option<Slot>,
}

/// One that is to come.
#[derive(Clone, Copy, Debug)]
struct Slot {
    length: Duration,
    chance: f64,
    with_probes: bool,
}

impl Governor {
    /// For a capture on these terms.
    pub fn new(price: Price, single_stepped: (bool, bool), terms: Terms, random: Rng) -> Self {
        let fraction = (terms.percent / 100.0).clamp(0.0, 1.0);
        let share = terms.share.clamp(LEAST_SHARE, 1_024.0);
        Self {
            price,
            single_stepped,
            terms,
            fraction,
            whole: terms.duration.mul_f64(fraction * share),
            random,
            earned: Duration::ZERO,
            spent: Duration::ZERO,
            looked: Duration::ZERO,
            attached: Duration::ZERO,
            was_attached: false,
            looked_for: Duration::ZERO,
            looks_cost: 0.0,
            dearest: 0.0,
            much: Duration::ZERO,
            follows: Duration::MAX,
            ends: match terms {
                Terms { sparing: true, .. } => MOMENT,
                Terms { unasked: true, .. } => KNOWN.0,
                _ => LOOK.0,
            },
            chance: 1.0,
            spent_before: Duration::ZERO,
            next: None,
        }
    }

    /// Takes in the counts, and the processor time that the program has used since the capture began, at an instant of the capture.
    pub fn look(&mut self, at: Duration, used: Duration, counts: &NativeCounts, attached: bool) -> Decision {
        let before = std::mem::replace(&mut self.spent, self.price.of(counts, self.single_stepped));
        let own = used.saturating_sub(self.spent);
        self.earned = self.earned.max(own.max(at.mul_f64(LEAST_SHARE)).mul_f64(self.fraction));
        let since = at.saturating_sub(std::mem::replace(&mut self.looked, at));
        let spending = self.spent.saturating_sub(before).as_secs_f64() / since.as_secs_f64().max(1e-9);
        if attached {
            self.attached += since;
        }
        // What attaching and detaching cost is spent, but is not what looking costs.
        if std::mem::replace(&mut self.was_attached, attached) && attached {
            self.looked_for += since;
            self.looks_cost += spending * since.as_secs_f64();
            self.dearest = self.dearest.max(spending);
            if self.terms.unasked
                && let Some(slowed) = self.slowed(spending, since, own, at)
            {
                return Decision::TooDear(slowed);
            }
        }
        if attached && self.spent.saturating_sub(self.spent_before) > BURST.max(self.earned) {
            return Decision::End;
        }
        let left = self.allowance().saturating_sub(self.spent);
        if attached && left.is_zero() {
            return Decision::Detach;
        }
        // A moment may as well begin when all is attached.
        let lead = if attached || self.terms.sparing {
            Duration::ZERO
        } else {
            LEAD
        };
        if self.terms.in_slots {
            if at + lead >= self.ends && self.next.is_none() {
                let slot = if self.terms.sparing {
                    self.moment_or_pause(at, attached)
                } else {
                    self.slot(at)
                };
                self.next = Some(slot);
                if slot.with_probes && !attached {
                    return Decision::Attach;
                }
            }
            if at >= self.ends
                && let Some(slot) = self.next.take()
            {
                let goes_on = self.chance >= 1.0 && slot.chance >= 1.0;
                (self.ends, self.chance, self.spent_before) = (at + slot.length, slot.chance, self.spent);
                self.follows = if slot.chance < 1.0 {
                    at + slot.length.mul_f64(TAKING_PART)
                } else {
                    Duration::MAX
                };
                match (attached, slot.with_probes) {
                    (true, false) => return Decision::Detach,
                    (true, true) if !goes_on => return Decision::Slot,
                    _ => {}
                }
            }
        }
        if attached && at >= self.follows {
            self.follows = Duration::MAX;
            return Decision::Follow;
        }
        let nothing_begins = !self.terms.in_slots || (self.terms.sparing && !attached);
        let mut wait = if nothing_begins && at >= SELDOM_AFTER {
            LOOK_SELDOM
        } else {
            LOOK.1
        };
        if self.terms.in_slots {
            let due = if attached {
                self.follows.min(self.ends)
            } else {
                self.ends.saturating_sub(lead)
            };
            wait = wait.min(due.saturating_sub(at));
        }
        if attached {
            // As long as the rest lasts at the rate since the last look.
            let lasts = left.as_secs_f64() / spending.max(1e-9);
            wait = wait.min(Duration::try_from_secs_f64(lasts).unwrap_or(wait));
        }
        Decision::Wait(wait.max(LOOK.0))
    }

    /// How likely the present slot was to have probes.
    pub fn chance(&self) -> f64 {
        self.chance
    }

    /// By what part the program is slowed while the probes are attached, if it has noticed.
    fn slowed(&mut self, spending: f64, since: Duration, own: Duration, at: Duration) -> Option<f64> {
        let share = (own.as_secs_f64() / at.as_secs_f64().max(1e-9)).max(LEAST_SHARE);
        if spending / share > MUCH {
            self.much += since;
        }
        let average = self.looks_cost / self.looked_for.as_secs_f64().max(1e-9) / share;
        let too_much = self.much > MUCH_FOR.max(at.mul_f64(MUCH_PART));
        let too_dear = (KNOWN.0..KNOWN.1).contains(&self.looked_for) && average > NOTICEABLE;
        (too_much || too_dear).then_some(average)
    }

    /// After a moment a pause until that of the next stretch.
    fn moment_or_pause(&mut self, at: Duration, attached: bool) -> Slot {
        let length = if attached {
            let next = at.div_duration_f64(STRETCH).floor() + 1.0;
            // Ends before the stretch does, with the time that attaching takes.
            let begins = STRETCH.mul_f64(next) + STRETCH.saturating_sub(MOMENT + LEAD).mul_f64(self.random.f64());
            begins.saturating_sub(at)
        } else {
            MOMENT
        };
        Slot {
            length,
            chance: MOMENT.div_duration_f64(STRETCH),
            with_probes: !attached,
        }
    }

    fn slot(&mut self, at: Duration) -> Slot {
        // Costs and earnings of a second.
        let cost = (self.spent.as_secs_f64() / self.attached.as_secs_f64().max(1e-9)).max(1e-9);
        let earning = self.earned.as_secs_f64() / at.as_secs_f64().max(1e-9);
        let balance = self.earned.as_secs_f64() - self.spent.as_secs_f64();
        let repaid = balance / (self.terms.duration.as_secs_f64() * REPAID_IN);
        let chance = ((earning + repaid) / cost).max(earning / cost * LEAST_CHANCE).min(1.0);
        // Even where it costs as much as it ever did, the slot is not to be cut short.
        let dearest = (self.dearest * SLOT_PART / WORST_PART).max(cost);
        let length = Duration::try_from_secs_f64(self.whole.as_secs_f64() * SLOT_PART / dearest).unwrap_or(SLOT.1);
        // What little was seen does not tell how dear a long one is.
        let known = self.attached.mul_f64(2.0);
        Slot {
            length: length.min(known).clamp(SLOT.0, SLOT.1),
            chance,
            with_probes: self.random.f64() < chance,
        }
    }

    /// Processor time spent so far.
    pub fn spent(&self) -> Duration {
        self.spent
    }

    /// Processor time that may have been spent by now, at the very most.
    pub fn allowance(&self) -> Duration {
        if self.terms.in_slots {
            self.earned + self.whole.mul_f64(OVERDRAFT)
        } else {
            self.earned + self.whole
        }
    }
}

/// By what part a program is slowed that uses such a share of a processor by itself, if it would notice: so much was spent in such a time, or would
/// have been.
pub fn noticed(spent: Duration, since: Duration, share: f64) -> Option<f64> {
    let slowed = spent.as_secs_f64() / since.as_secs_f64().max(1e-9) / share.max(LEAST_SHARE);
    (slowed > NOTICEABLE).then_some(slowed)
}

#[expect(clippy::cast_precision_loss, reason = "an estimate of a cost")]
const fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests;
