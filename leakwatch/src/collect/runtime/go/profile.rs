//! Turns what was read from a process into values by stack, as the profile that its own runtime would have written (runtime/pprof).
//!
//! The heap is that of the last garbage collection, where a program's own endpoint shows the one before.

use crate::collect::runtime::go::build_stacks::BuildStacks;
use crate::collect::runtime::go::build_stacks::Names;
use hashbrown::HashMap;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::decoded::Summary;
use leakwatch_analysis::model::decoded::Summing;
use leakwatch_analysis::model::profile::ProfileLoss;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::stack::StackId;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::values::Values;
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

/// What is kept of a process from one heap profile to the next.
#[derive(Debug, Default)]
pub(super) struct LastHeap {
    /// Its buckets in the order of their stacks, in which a profile has its values.
    order: Vec<BucketId>,
    /// What was read last: the next shares what has not changed.
    values: Values,
}

impl LastHeap {
    fn take_in(&mut self, index: &BucketIndex) {
        // Buckets are only ever added.
        if self.order.len() != index.len() {
            self.order = index.ids().collect();
            self.order.sort_by_key(|id| index.stack(*id).map(|kept| kept.number));
        }
    }
}

/// What a counted object stands for, by its size. There are few sizes, and many buckets.
#[derive(Debug)]
struct Sizes {
    rate: u64,
    known: HashMap<u64, OfSize>,
}

#[derive(Clone, Copy, Debug)]
struct OfSize {
    factor: Option<f64>,
    /// Variance of the bytes of one object in use.
    variance: f64,
}

impl Sizes {
    /// Sizes remembered. The runtime has 68 classes of small ones; a hostile one may have as many as buckets.
    const MOST: usize = 4_096;

    fn new(rate: u64) -> Self {
        Self {
            rate,
            known: HashMap::new(),
        }
    }

    fn of(&mut self, size: u64) -> OfSize {
        if let Some(known) = self.known.get(&size) {
            return *known;
        }
        let one = StackValue {
            inuse_objects: 1,
            inuse_space: 1,
            ..StackValue::default()
        };
        let made = OfSize {
            factor: heap::factor(size, self.rate),
            variance: one.sampled(signed(self.rate), Some(signed(size))).inuse_variance,
        };
        if self.known.len() < Self::MOST {
            self.known.insert(size, made);
        }
        made
    }

    /// What a bucket holds; none if nothing was ever allocated there.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a variance is an estimate; 53 bits are more than it has"
    )]
    fn allocations(&mut self, counts: &Counts, size: u64) -> Option<StackValue> {
        let of_size = self.of(size);
        let allocs = signed(counts.allocs);
        // Negative only when garbage collections ended during each reading.
        let in_use = allocs.saturating_sub(signed(counts.frees)).max(0);
        let allocated = heap::scale_by(of_size.factor, allocs, size);
        let in_use = if in_use == allocs {
            allocated
        } else {
            heap::scale_by(of_size.factor, in_use, size)
        };
        (allocated.objects != 0).then_some(StackValue {
            alloc_objects: allocated.objects,
            alloc_space: allocated.bytes,
            inuse_objects: in_use.objects,
            inuse_space: in_use.bytes,
            inuse_variance: in_use.objects as f64 * of_size.variance,
        })
    }
}

/// The heap profile: all buckets in which anything was allocated.
pub(super) fn heap(
    process: &GoProcess,
    snapshot: &heap::Snapshot,
    build: &BuildStacks,
    last: &mut LastHeap,
) -> Arc<ProfileContent> {
    let mut summary = Summary {
        period: signed(snapshot.rate),
        ..Summary::default()
    };
    let mut losses = Vec::new();
    if let Some(reader) = process.heap_reader() {
        let index = reader.index();
        last.take_in(index);
        let mut sizes = Sizes::new(snapshot.rate);
        let mut folded = Folded::default();
        let held = last.order.iter().filter_map(|id| {
            let counts = snapshot.counts(View::LastGc, *id)?;
            let value = sizes.allocations(&counts, index.size(*id)?)?;
            let kept = index.stack(*id)?;
            summary.total.add(&value);
            folded.note(kept, &value);
            Some((StackId::from_number(kept.number), value))
        });
        summary.values = Values::summed(held);
        summary.values.share_with(&last.values);
        last.values = summary.values.clone();
        losses.extend(folded.loss());
        losses.extend(ProfileLoss::of(ProfileLoss::UNREADABLE, snapshot.unreadable));
        // How many more there are is not known: one at least.
        losses.extend(ProfileLoss::of(ProfileLoss::NOT_READ, u64::from(index.is_truncated())));
        let is_mixed = snapshot.consistency == Consistency::Mixed;
        losses.extend(ProfileLoss::of(ProfileLoss::INCONSISTENT, u64::from(is_mixed)));
    }
    summary.losses = losses;
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
    let mut sizes = Sizes::new(heap.rate);
    for bucket in &heap.buckets {
        let kept = heap
            .kept(bucket)
            .unwrap_or_else(|| build.heap(heap.brought(bucket).unwrap_or_default(), &mut names));
        for (view, sum) in views.iter().zip(&mut sums) {
            if let Some(value) = sizes.allocations(&heap.counts(*view, bucket), bucket.size) {
                sum.add(kept, &value);
            }
        }
    }
    sums.map(|sum| build.content(sum.finish(signed(heap.rate))))
}

/// What is in use of a bucket of a process that was killed.
pub(super) fn in_use(heap: &FinalHeap<'_>, bucket: &FinalBucket) -> Bytes {
    let value = Sizes::new(heap.rate).allocations(&heap.counts(View::Now, bucket), bucket.size);
    Bytes(value.map_or(0, |value| u64::try_from(value.inuse_space).unwrap_or(0)))
}

/// Goroutines of one start function and creator with the same stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeptGroup {
    /// Start function and creator: addresses of the file.
    pub(super) place: (u64, u64),
    /// Their stack.
    pub(super) stack: Kept,
    /// How many were read.
    pub(super) count: u64,
}

/// The groups of a snapshot, their stacks in words.
pub(super) fn groups(process: &GoProcess, snapshot: &goroutines::Snapshot, build: &mut BuildStacks) -> Vec<KeptGroup> {
    // Their addresses are those of the file already.
    let mut names = Names::new(Frames::new(process.binary().pclntab(), 0), 0);
    let kept = snapshot.groups.iter().map(|group| KeptGroup {
        place: (group.start, group.created_at),
        stack: of_group(group, build, &mut names),
        count: group.count,
    });
    kept.collect()
}

/// The stack of a group. Where no code of it is the program's own, the place of its own code that started them, if it did, is shown as their caller.
fn of_group(group: &goroutines::Group, build: &mut BuildStacks, names: &mut Names<'_>) -> Kept {
    let stack = build.goroutine(&group.stack, names);
    if group.created_at == 0 || build.is_own(stack) {
        return stack;
    }
    let creator = build.goroutine(&[group.created_at], names);
    if !build.is_own(creator) {
        return stack;
    }
    let mut with_creator = group.stack.clone();
    with_creator.push(group.created_at);
    build.goroutine(&with_creator, names)
}

/// The stack of goroutines of which nothing but the start function is known.
pub(super) fn of_start(process: &GoProcess, start: u64, build: &mut BuildStacks) -> Kept {
    let mut names = Names::new(Frames::new(process.binary().pclntab(), 0), 0);
    build.goroutine(&[start.saturating_add(1)], &mut names)
}

/// The goroutine profile: how many there are of each distinct stack. Where only every second, third, ... goroutine was read, each
/// stands for so many. What was not read is as of `snapshot`.
pub(super) fn goroutines(
    groups: &[KeptGroup],
    snapshot: &goroutines::Snapshot,
    build: &BuildStacks,
) -> Arc<ProfileContent> {
    let mut sum = KeptSum::with_capacity(groups.len());
    let stride = snapshot.stride.max(1);
    for group in groups.iter().filter(|group| group.count > 0) {
        let value = StackValue {
            inuse_objects: signed(group.count.saturating_mul(stride)),
            ..StackValue::default()
        };
        sum.add(group.stack, &value);
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
    folded: Folded,
}

/// What is not at its whole stack.
#[derive(Default)]
struct Folded {
    samples: u64,
    value: StackValue,
}

impl Folded {
    fn note(&mut self, kept: Kept, value: &StackValue) {
        if !kept.is_whole {
            self.samples += 1;
            self.value.add(value);
        }
    }

    fn loss(self) -> Option<ProfileLoss> {
        (self.samples > 0).then(|| ProfileLoss {
            reason: ProfileLoss::FOLDED.into(),
            samples: self.samples,
            value: self.value,
        })
    }
}

impl KeptSum {
    fn with_capacity(samples: usize) -> Self {
        Self {
            sum: Summing::with_capacity(samples),
            ..Self::default()
        }
    }

    fn add(&mut self, kept: Kept, value: &StackValue) {
        self.folded.note(kept, value);
        self.sum.put(StackId::from_number(kept.number), value);
    }

    fn finish(self, period: i64) -> Summary {
        let mut summary = self.sum.finish(period);
        summary.losses.extend(self.folded.loss());
        summary
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_worth_what_pprof_says_and_nothing_if_nothing_was_allocated() {
        let counts = |allocs, frees| Counts { allocs, frees };
        let mut sizes = Sizes::new(524_288);
        assert_eq!(sizes.allocations(&counts(0, 0), 64), None);
        let value = sizes.allocations(&counts(2, 1), 64).unwrap();
        assert_eq!((value.alloc_objects, value.alloc_space), (16_385, 1_048_640));
        assert_eq!((value.inuse_objects, value.inuse_space), (8192, 524_320));
        assert!(value.inuse_variance > 0.0);
        assert_eq!(Sizes::new(1).allocations(&counts(1, 2), 64).unwrap().inuse_objects, 0);
    }
}
