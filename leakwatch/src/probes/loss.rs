//! Counts of what was lost: the kernel's per-CPU counters and our own, as increments since they were last asked for.
//!
//! The kernel does not run a program on a processor that is in the middle of it already, as when it was preempted there. It counts how often that
//! happens (`recursion_misses` in `/proc/self/fdinfo/FD`).

use super::decode::DecodeError;
use aya::Ebpf;
use aya::maps::MapData;
use aya::maps::PerCpuArray;
use leakwatch_analysis::model::event::Loss;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_common::loss::LossReason;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Mutex;
use std::sync::PoisonError;

/// A program that the kernel did not run, as it was running already.
pub const PROGRAM_MISSED: &str = "probe_program_missed";

/// The name under which a kernel-side loss is shown.
pub const fn name(reason: LossReason) -> &'static str {
    match reason {
        LossReason::OomRingFull => "oom_ring_full",
        LossReason::ExitRingFull => "exit_ring_full",
        LossReason::KernelReadFault => "kernel_read_fault",
        LossReason::MemcgTooDeep => "memcg_too_deep",
        LossReason::ExecRingFull => "exec_ring_full",
        LossReason::ReclaimRingFull => "reclaim_ring_full",
        LossReason::FinalHeapRingFull => "death_ring_full",
        LossReason::GoroutineGroupsFull => "goroutine_groups_full",
    }
}

/// Walks through heaps whose end never came, given up to make room for others.
pub const HEAP_WALK_ABANDONED: &str = "heap_walk_abandoned";

/// Losses on our side of the rings, counted by the drains, by reason.
#[derive(Debug, Default)]
pub struct RecordLosses(Mutex<BTreeMap<&'static str, u64>>);

impl RecordLosses {
    /// A record that is not one of ours.
    pub(super) fn undecodable(&self, error: &DecodeError) {
        tracing::debug!(%error, "a record of the kernel side cannot be decoded");
        self.count(error.reason(), 1);
    }

    /// So many under a reason.
    pub(super) fn count(&self, reason: &'static str, count: u64) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(reason).or_default() += count;
    }

    fn take(&self) -> BTreeMap<&'static str, u64> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// How often each of some programs was not run.
pub(super) struct Missed(Vec<File>);

impl Missed {
    /// Of the programs of an object that are loaded. Where `/proc` does not tell, nothing is counted.
    pub(super) fn of(ebpf: &Ebpf) -> Self {
        let loaded = ebpf.programs().filter_map(|(_, program)| {
            let fd = program.fd().ok()?.as_fd().as_raw_fd();
            File::open(format!("/proc/self/fdinfo/{fd}")).ok()
        });
        Self(loaded.collect())
    }

    fn total(&self) -> u64 {
        self.0.iter().filter_map(misses).sum()
    }
}

fn misses(fdinfo: &File) -> Option<u64> {
    let mut text = [0; 1024];
    let length = fdinfo.read_at(&mut text, 0).ok()?;
    let text = std::str::from_utf8(text.get(..length)?).ok()?;
    let count = text.lines().find_map(|line| line.strip_prefix("recursion_misses:"))?;
    count.trim().parse().ok()
}

/// Remembers what was reported already.
pub(super) struct LossCounters {
    kernel: PerCpuArray<MapData, u64>,
    missed: Missed,
    reported: [u64; LossReason::ALL.len()],
    reported_missed: u64,
}

impl LossCounters {
    pub(super) fn new(kernel: PerCpuArray<MapData, u64>, missed: Missed) -> Self {
        Self {
            kernel,
            missed,
            reported: [0; LossReason::ALL.len()],
            reported_missed: 0,
        }
    }

    /// What was lost since the last call. A counter that cannot be read now is read by the next call: it only grows.
    pub(super) fn increments(&mut self, records: &RecordLosses, at: Timestamp) -> Vec<Loss> {
        let mut losses = Vec::new();
        for (reason, reported) in LossReason::ALL.into_iter().zip(&mut self.reported) {
            let Ok(per_cpu) = self.kernel.get(&reason.index(), 0) else {
                continue;
            };
            let total: u64 = per_cpu.iter().sum();
            losses.push((name(reason), total.saturating_sub(*reported)));
            *reported = total;
        }
        let missed = self.missed.total();
        losses.push((PROGRAM_MISSED, missed.saturating_sub(self.reported_missed)));
        self.reported_missed = missed;
        losses.extend(records.take());
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
        for name in LossReason::ALL
            .map(name)
            .into_iter()
            .chain(DecodeError::REASONS)
            .chain([PROGRAM_MISSED, HEAP_WALK_ABANDONED])
        {
            assert!(
                documented.contains(&format!("`{name}`")),
                "docs/operating.md does not explain {name}"
            );
        }
    }
}
