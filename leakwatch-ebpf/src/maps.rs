//! Every map. The daemon drains the rings as records arrive and sums the loss counters once per round.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::maps::RingBuf;
use leakwatch_common::loss::LossReason;

/// OOM kills, about 100 at a time. A ring of their own: a storm of exits cannot push them out.
#[map]
pub(crate) static OOM_EVENTS: RingBuf = RingBuf::with_byte_size(512 * 1024, 0);

/// Process exits, about 3600 at a time.
#[map]
pub(crate) static EXIT_EVENTS: RingBuf = RingBuf::with_byte_size(256 * 1024, 0);

/// Counts by [`LossReason`].
#[map]
static LOSSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(LossReason::COUNT, 0);

/// Counts one loss.
pub(crate) fn lose(reason: LossReason) {
    if let Some(count) = LOSSES.get_ptr_mut(reason.index()) {
        // SAFETY: the slot is this CPU's own and a program is not preempted by another one of ours on it.
        unsafe { *count += 1 };
    }
}
