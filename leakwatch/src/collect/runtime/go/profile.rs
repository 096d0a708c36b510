//! Turns what was read from a process into values by stack, as the profile that its own runtime would have written (runtime/pprof).
//!
//! The heap is that of the last garbage collection, where a program's own endpoint shows the one before.

use crate::collect::runtime::go::build_stacks::BuildStacks;
use crate::collect::runtime::go::build_stacks::Names;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::decoded::Summary;
use leakwatch_analysis::model::decoded::Summing;
use leakwatch_analysis::model::profile::ProfileLoss;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::stack::StackId;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::pprof::signed;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::final_heap::FinalBucket;
use leakwatch_goproc::final_heap::FinalHeap;
use leakwatch_goproc::goroutines;
use leakwatch_goproc::heap;
use leakwatch_goproc::heap::BucketId;
use leakwatch_goproc::heap::BucketIndex;
use leakwatch_goproc::heap::Consistency;
use leakwatch_goproc::heap::Counts;
use leakwatch_goproc::heap::Frames;
use leakwatch_goproc::heap::Kept;
use leakwatch_goproc::heap::View;
use std::sync::Arc;

/// The buckets of a process in the order of their stacks, in which a profile has its values.
#[derive(Debug, Default)]
pub(super) struct StackOrder(Vec<BucketId>);

impl StackOrder {
    fn of(&mut self, index: &BucketIndex) -> &[BucketId] {
        // Buckets are only ever added.
        if self.0.len() != index.len() {
            self.0 = index.ids().collect();
            self.0.sort_by_key(|id| index.stack(*id).map(|kept| kept.number));
        }
        &self.0
    }
}

/// The heap profile: all buckets in which anything was allocated.
pub(super) fn heap(
    process: &GoProcess,
    snapshot: &heap::Snapshot,
    build: &BuildStacks,
    order: &mut StackOrder,
) -> Arc<ProfileContent> {
    let mut sum = KeptSum::default();
    let mut losses = Vec::new();
    if let Some(reader) = process.heap_reader() {
        let index = reader.index();
        sum = KeptSum::with_capacity(index.len());
        for id in order.of(index) {
            let value = snapshot
                .counts(View::LastGc, *id)
                .and_then(|counts| allocations(&counts, index.size(*id).unwrap_or(0), snapshot.rate));
            if let Some((value, kept)) = value.zip(index.stack(*id)) {
                sum.add(kept, &value);
            }
        }
        losses.extend(ProfileLoss::of(ProfileLoss::UNREADABLE, snapshot.unreadable));
        // How many more there are is not known: one at least.
        losses.extend(ProfileLoss::of(ProfileLoss::NOT_READ, u64::from(index.is_truncated())));
        let is_mixed = snapshot.consistency == Consistency::Mixed;
        losses.extend(ProfileLoss::of(ProfileLoss::INCONSISTENT, u64::from(is_mixed)));
    }
    let mut summary = sum.finish(signed(snapshot.rate));
    summary.losses.extend(losses);
    build.content(summary)
}

/// Both views of the heap of a process that was killed: now, and as of its last garbage collection. A bucket whose stack nobody knows has
/// no calls.
pub(super) fn final_heap(
    process: &GoProcess,
    heap: &FinalHeap<'_>,
    build: &mut BuildStacks,
) -> [Arc<ProfileContent>; 2] {
    let mut names = Names::new(process.heap_frames(), process.bias());
    let views = [View::Now, View::LastGc];
    let mut sums = views.map(|_| KeptSum::with_capacity(heap.buckets.len()));
    for bucket in &heap.buckets {
        let kept = heap
            .kept(bucket)
            .unwrap_or_else(|| build.heap(heap.brought(bucket).unwrap_or_default(), &mut names));
        for (view, sum) in views.iter().zip(&mut sums) {
            if let Some(value) = allocations(&heap.counts(*view, bucket), bucket.size, heap.rate) {
                sum.add(kept, &value);
            }
        }
    }
    sums.map(|sum| build.content(sum.finish(signed(heap.rate))))
}

/// What is in use of a bucket of a process that was killed.
pub(super) fn in_use(heap: &FinalHeap<'_>, bucket: &FinalBucket) -> Bytes {
    let value = allocations(&heap.counts(View::Now, bucket), bucket.size, heap.rate);
    Bytes(value.map_or(0, |value| u64::try_from(value.inuse_space).unwrap_or(0)))
}

/// The goroutine profile: how many there are of each distinct stack. Where only every second, third, ... goroutine was read, each
/// stands for so many.
pub(super) fn goroutines(
    process: &GoProcess,
    snapshot: &goroutines::Snapshot,
    build: &mut BuildStacks,
) -> Arc<ProfileContent> {
    // Their addresses are those of the file already.
    let mut names = Names::new(Frames::new(process.binary().pclntab(), 0), 0);
    let mut sum = KeptSum::with_capacity(snapshot.groups.len());
    let stride = snapshot.stride.max(1);
    for group in &snapshot.groups {
        let value = StackValue {
            inuse_objects: signed(group.count.saturating_mul(stride)),
            ..StackValue::default()
        };
        sum.add(build.goroutine(&group.stack, &mut names), &value);
    }
    let mut summary = sum.finish(1);
    let passed_over = snapshot.listed - snapshot.listed / stride;
    let losses = [
        ProfileLoss::of(ProfileLoss::NOT_READ, snapshot.over_bound),
        ProfileLoss::of(ProfileLoss::SAMPLED, if stride > 1 { passed_over } else { 0 }),
    ];
    summary.losses.extend(losses.into_iter().flatten());
    build.content(summary)
}

/// Adds values up by stacks of a build, and what is not at its whole stack.
#[derive(Default)]
struct KeptSum {
    sum: Summing,
    folded: u64,
    folded_value: StackValue,
}

impl KeptSum {
    fn with_capacity(samples: usize) -> Self {
        Self {
            sum: Summing::with_capacity(samples),
            ..Self::default()
        }
    }

    fn add(&mut self, kept: Kept, value: &StackValue) {
        if !kept.is_whole {
            self.folded += 1;
            self.folded_value.add(value);
        }
        self.sum.put(StackId::from_number(kept.number), value);
    }

    fn finish(self, period: i64) -> Summary {
        let mut summary = self.sum.finish(period);
        summary.losses.extend((self.folded > 0).then(|| ProfileLoss {
            reason: ProfileLoss::FOLDED.into(),
            samples: self.folded,
            value: self.folded_value,
        }));
        summary
    }
}

/// What a bucket holds; none if nothing was ever allocated there.
fn allocations(counts: &Counts, size: u64, rate: u64) -> Option<StackValue> {
    let allocs = signed(counts.allocs);
    // Negative only when garbage collections ended during each reading.
    let in_use = allocs.saturating_sub(signed(counts.frees)).max(0);
    let allocated = heap::scale(allocs, size, rate);
    let in_use = heap::scale(in_use, size, rate);
    (allocated.objects != 0).then(|| {
        let value = StackValue {
            alloc_objects: allocated.objects,
            alloc_space: allocated.bytes,
            inuse_objects: in_use.objects,
            inuse_space: in_use.bytes,
            inuse_variance: 0.0,
        };
        value.sampled(signed(rate), Some(signed(size)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_worth_what_pprof_says_and_nothing_if_nothing_was_allocated() {
        let counts = |allocs, frees| Counts { allocs, frees };
        assert_eq!(allocations(&counts(0, 0), 64, 524_288), None);
        let value = allocations(&counts(2, 1), 64, 524_288).unwrap();
        assert_eq!((value.alloc_objects, value.alloc_space), (16_385, 1_048_640));
        assert_eq!((value.inuse_objects, value.inuse_space), (8192, 524_320));
        assert!(value.inuse_variance > 0.0);
        assert_eq!(allocations(&counts(1, 2), 64, 1).unwrap().inuse_objects, 0);
    }
}
