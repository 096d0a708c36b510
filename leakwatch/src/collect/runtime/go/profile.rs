//! Turns what was read from a process into values by stack, as the profile that its own runtime would have written (runtime/pprof).
//!
//! The heap is that of the last garbage collection, where a program's own endpoint shows the one before.

use hashbrown::HashMap;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::decoded::Summary;
use leakwatch_analysis::model::decoded::Summing;
use leakwatch_analysis::model::profile::ProfileLoss;
use leakwatch_analysis::model::profile::Program;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_analysis::model::stack::StackId;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::stack::StackTableFull;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::pprof::signed;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::final_heap::FinalBucket;
use leakwatch_goproc::final_heap::FinalHeap;
use leakwatch_goproc::goroutines;
use leakwatch_goproc::heap;
use leakwatch_goproc::heap::BucketId;
use leakwatch_goproc::heap::Consistency;
use leakwatch_goproc::heap::Counts;
use leakwatch_goproc::heap::Frames;
use leakwatch_goproc::heap::LogicalCall;
use leakwatch_goproc::heap::View;
use std::sync::Arc;

/// The stacks of one executable in words, as far as they were met: all its processes share them.
#[derive(Debug, Default)]
pub(super) struct BuildStacks {
    program: Program,
    stacks: StackTable,
    /// Frames by the addresses that they return to, in the file.
    frames: HashMap<u64, u32>,
    /// The calls of the stack that was looked up last, outermost first: the next one often has most of them.
    path: Vec<(u32, StackId)>,
}

/// The stacks of the buckets of one process, by their places: each is put in words once.
#[derive(Debug, Default)]
pub(super) struct BucketStacks(Vec<Option<StackId>>);

impl BuildStacks {
    /// None are known yet of the executable at this path.
    pub(super) fn new(exe: &str) -> Self {
        Self {
            program: Program {
                file: exe.into(),
                ..Program::default()
            },
            ..Self::default()
        }
    }

    /// Calls remembered. A program has some thousand places that allocate; only a hostile one has more.
    const MAX_REMEMBERED: usize = 1 << 18;

    /// The stack of these calls, innermost first. `bias` is what their addresses have more than those in the file.
    fn intern(&mut self, calls: &[LogicalCall], bias: u64) -> Result<StackId, StackTableFull> {
        let mut caller = StackId::EMPTY;
        for (depth, call) in calls.iter().rev().enumerate() {
            let inlined = if call.inlined { StackTable::INLINED } else { 0 };
            let frame = self.frame(call, bias)? | inlined;
            match self.path.get(depth) {
                Some((known, stack)) if *known == frame => caller = *stack,
                _ => {
                    self.path.truncate(depth);
                    caller = self.stacks.intern_call(caller, frame)?;
                    self.path.push((frame, caller));
                }
            }
        }
        Ok(caller)
    }

    fn frame(&mut self, call: &LogicalCall, bias: u64) -> Result<u32, StackTableFull> {
        let address = call.address.wrapping_sub(bias);
        if let Some(known) = self.frames.get(&address) {
            return Ok(*known);
        }
        let frame = self.stacks.intern_frame(&frame(call))?;
        if self.frames.len() < Self::MAX_REMEMBERED {
            self.frames.insert(address, frame);
        }
        Ok(frame)
    }

    fn content(&self, summary: Summary) -> Arc<ProfileContent> {
        Arc::new(ProfileContent {
            stacks: self.stacks.clone(),
            summary: Summary {
                program: self.program.clone(),
                ..summary
            },
        })
    }
}

/// A stack in words.
struct Named {
    stack: Result<StackId, StackTableFull>,
    /// Its innermost frame, where there was no room for it.
    innermost: Option<Frame>,
}

impl Named {
    fn new(build: &mut BuildStacks, calls: &[LogicalCall], bias: u64) -> Self {
        let stack = build.intern(calls, bias);
        let innermost = if stack.is_err() { calls.first().map(frame) } else { None };
        Self { stack, innermost }
    }
}

impl BucketStacks {
    /// The stack of a bucket, looked up the first time.
    fn named(
        &mut self,
        bucket: BucketId,
        build: &mut BuildStacks,
        calls: impl FnOnce() -> Vec<LogicalCall>,
        bias: u64,
    ) -> Named {
        if let Some(stack) = self.0.get(bucket.index()).copied().flatten() {
            return Named {
                stack: Ok(stack),
                innermost: None,
            };
        }
        let named = Named::new(build, &calls(), bias);
        if let Ok(stack) = named.stack {
            if self.0.len() <= bucket.index() {
                self.0.resize(bucket.index() + 1, None);
            }
            if let Some(known) = self.0.get_mut(bucket.index()) {
                *known = Some(stack);
            }
        }
        named
    }
}

/// The heap profile: all buckets in which anything was allocated.
pub(super) fn heap(
    process: &GoProcess,
    snapshot: &heap::Snapshot,
    build: &mut BuildStacks,
    known: &mut BucketStacks,
) -> Arc<ProfileContent> {
    let mut frames = process.heap_frames();
    let mut sum = Summing::default();
    let mut losses = Vec::new();
    if let Some(reader) = process.heap_reader() {
        let index = reader.index();
        sum = Summing::with_capacity(index.len());
        for (id, counts) in snapshot.all(View::LastGc) {
            let Some(value) = allocations(&counts, index.size(id).unwrap_or(0), snapshot.rate) else {
                continue;
            };
            let named = known.named(id, build, || frames.allocating_calls(&index.stack(id)), process.bias());
            sum.add(&mut build.stacks, named.stack, named.innermost.as_ref(), &value);
        }
        losses.extend(ProfileLoss::of(ProfileLoss::UNREADABLE, snapshot.unreadable));
        losses.extend(ProfileLoss::of(ProfileLoss::FOLDED, index.folded()));
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
    known: &mut BucketStacks,
) -> [Arc<ProfileContent>; 2] {
    let mut frames = process.heap_frames();
    let views = [View::Now, View::LastGc];
    let mut sums = views.map(|_| Summing::with_capacity(heap.buckets.len()));
    for bucket in &heap.buckets {
        let stack = || heap.stack(bucket).unwrap_or_default();
        let named = match bucket.known {
            Some(id) => known.named(id, build, || frames.allocating_calls(&stack()), process.bias()),
            None => Named::new(build, &frames.allocating_calls(&stack()), process.bias()),
        };
        for (view, sum) in views.iter().zip(&mut sums) {
            if let Some(value) = allocations(&heap.counts(*view, bucket), bucket.size, heap.rate) {
                sum.add(&mut build.stacks, named.stack, named.innermost.as_ref(), &value);
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
    let mut frames = Frames::new(process.binary().pclntab(), 0);
    let mut sum = Summing::with_capacity(snapshot.groups.len());
    let stride = snapshot.stride.max(1);
    for group in &snapshot.groups {
        let calls = frames.calls(&group.stack);
        let stack = build.intern(&calls, 0);
        let innermost = calls.first().map(frame);
        let value = StackValue {
            inuse_objects: signed(group.count.saturating_mul(stride)),
            ..StackValue::default()
        };
        sum.add(&mut build.stacks, stack, innermost.as_ref(), &value);
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

fn frame(call: &LogicalCall) -> Frame {
    Frame {
        function: call.frame.function.as_str().into(),
        file: call.frame.file.as_str().into(),
        line: call.frame.line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakwatch_goproc::pclntab;

    fn call(address: u64, function: &str, line: u32, inlined: bool) -> LogicalCall {
        LogicalCall {
            address,
            inlined,
            frame: Arc::new(pclntab::Frame {
                function: function.to_owned(),
                file: "/src/main.go".to_owned(),
                line,
            }),
        }
    }

    #[test]
    fn processes_of_a_build_share_its_stacks_wherever_it_is_mapped() {
        let mut build = BuildStacks::default();
        let stack = |bias: u64| {
            [
                call(bias + 0x2010, "main.small", 5, true),
                call(bias + 0x2020, "main.put", 9, false),
                call(bias + 0x3000, "main.main", 20, false),
            ]
        };
        let first = build.intern(&stack(0), 0).unwrap();
        assert_eq!(build.intern(&stack(0x5500_0000), 0x5500_0000), Ok(first));
        assert_eq!((build.stacks.len(), build.frames.len()), (3, 3));
        let functions: Vec<&str> = build.stacks.frames(first).map(|frame| &*frame.function).collect();
        assert_eq!(functions, ["main.small", "main.put", "main.main"]);
    }

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
