//! What a hit of a probe costs the program that is probed, and what some of them have cost: their overhead.

use crate::probes::allocator::HitCounts;
use std::time::Duration;

/// Nanoseconds that a hit costs the program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbeCost {
    /// Call of an allocating function that is no sample.
    pub allocation: f64,
    /// Added where it is one, its release included.
    pub taken: f64,
    /// Entry into a freeing function.
    pub release: f64,
    /// Added where the processor has to single-step the probed instruction.
    pub single_step: f64,
}

impl ProbeCost {
    /// Of a typical virtual machine (docs/native.md), where it could not be measured.
    pub const TYPICAL: Self = Self {
        allocation: 1_300.0,
        taken: 1_000.0,
        release: 550.0,
        single_step: 14_500.0,
    };

    /// The same where allocations, or releases, are probed at an instruction that the kernel cannot emulate.
    #[must_use]
    pub fn single_stepped(self, allocations: bool, releases: bool) -> Self {
        let added = |single_stepped: bool| if single_stepped { self.single_step } else { 0.0 };
        Self {
            allocation: self.allocation + added(allocations),
            release: self.release + added(releases),
            ..self
        }
    }

    /// Processor time that hits have taken.
    pub fn overhead(&self, counts: &HitCounts) -> Duration {
        let nanos = float(counts.entries) * self.allocation
            + float(counts.taken) * self.taken
            + float(counts.frees) * self.release;
        Duration::from_secs_f64(nanos / 1e9)
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate of a cost")]
const fn float(number: u64) -> f64 {
    number as f64
}
