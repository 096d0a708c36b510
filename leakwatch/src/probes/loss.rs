//! Counts of what was lost: the kernel's per-CPU counters and our own, as increments since they were last asked for.

use aya::maps::MapData;
use aya::maps::PerCpuArray;
use leakwatch_analysis::event::Loss;
use leakwatch_analysis::units::Timestamp;
use leakwatch_common::loss::LossReason;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

/// A record that is not one of ours: too short, too long or out of its own bounds.
pub const RECORD_MALFORMED: &str = "probe_record_malformed";

/// The name under which a kernel-side loss is shown.
pub const fn name(reason: LossReason) -> &'static str {
    match reason {
        LossReason::OomRingFull => "oom_ring_full",
        LossReason::ExitRingFull => "exit_ring_full",
        LossReason::KernelReadFault => "kernel_read_fault",
        LossReason::MemcgTooDeep => "memcg_too_deep",
        LossReason::ExecRingFull => "exec_ring_full",
        LossReason::ReclaimRingFull => "reclaim_ring_full",
        LossReason::DeathRingFull => "death_ring_full",
        LossReason::GoroutineGroupsFull => "goroutine_groups_full",
    }
}

/// Records that could not be decoded, counted by the drains.
#[derive(Debug, Default)]
pub struct Malformed(AtomicU64);

impl Malformed {
    pub(super) fn count_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Remembers what was reported already.
pub(super) struct LossCounters {
    kernel: PerCpuArray<MapData, u64>,
    reported: [u64; LossReason::ALL.len()],
}

impl LossCounters {
    pub(super) fn new(kernel: PerCpuArray<MapData, u64>) -> Self {
        Self {
            kernel,
            reported: [0; LossReason::ALL.len()],
        }
    }

    /// What was lost since the last call. A counter that cannot be read now is read by the next call: it only grows.
    pub(super) fn increments(&mut self, malformed: &Malformed, at: Timestamp) -> Vec<Loss> {
        let mut losses = Vec::new();
        for (reason, reported) in LossReason::ALL.into_iter().zip(&mut self.reported) {
            let Ok(per_cpu) = self.kernel.get(&reason.index(), 0) else {
                continue;
            };
            let total: u64 = per_cpu.iter().sum();
            losses.push((name(reason), total.saturating_sub(*reported)));
            *reported = total;
        }
        losses.push((RECORD_MALFORMED, malformed.0.swap(0, Ordering::Relaxed)));
        let lost = losses.into_iter().filter(|(_, count)| *count > 0);
        lost.map(|(reason, count)| Loss {
            at,
            reason: reason.into(),
            count,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_is_documented() {
        let documented = include_str!("../../../docs/operating.md");
        for name in LossReason::ALL.map(name).into_iter().chain([RECORD_MALFORMED]) {
            assert!(
                documented.contains(&format!("`{name}`")),
                "docs/operating.md does not explain {name}"
            );
        }
    }
}
