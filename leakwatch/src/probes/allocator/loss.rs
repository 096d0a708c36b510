//! What the allocator probes lose, by reason.

use leakwatch_common::native::NativeCount;

/// What the programs of the object lose, by the reason that is shown.
pub(super) const LOSSES: [(&str, NativeCount); 8] = [
    ("native_live_full", NativeCount::LiveFull),
    ("native_totals_full", NativeCount::TotalsFull),
    ("native_stack_ring_full", NativeCount::StackRingFull),
    ("native_stacks_full", NativeCount::StacksFull),
    ("native_thread_lost", NativeCount::ThreadLost),
    ("native_read_fault", NativeCount::UserReadFault),
    ("native_call_abandoned", NativeCount::Abandoned),
    ("growth_ring_full", NativeCount::GrowthRingFull),
];

/// The reason that a loss is shown under.
pub(in crate::probes) fn loss_name(index: u32) -> Option<&'static str> {
    let found = LOSSES.into_iter().find(|(_, count)| count.index() == index);
    found.map(|(reason, _)| reason)
}
