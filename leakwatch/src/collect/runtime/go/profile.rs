//! Turns what was read from a process into the profile that its own runtime would have written (runtime/pprof).
//!
//! The heap is that of the last garbage collection, where a program's own endpoint shows the one before. What is beyond
//! the bounds is left out, smallest first, and counted.

use leakwatch_analysis::model::decoded::DecodedProfile;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::pprof;
use leakwatch_analysis::pprof::ProfileBuilder;
use leakwatch_analysis::pprof::proto;
use leakwatch_analysis::pprof::signed;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::final_heap::FinalHeap;
use leakwatch_goproc::goroutines;
use leakwatch_goproc::heap;
use leakwatch_goproc::heap::Consistency;
use leakwatch_goproc::heap::Counts;
use leakwatch_goproc::heap::Frames;
use leakwatch_goproc::heap::LogicalCall;
use leakwatch_goproc::heap::View;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ops::Range;

/// A profile that was made.
#[derive(Debug)]
pub(super) struct Made<P = DecodedProfile> {
    /// The profile.
    pub(super) profile: P,
    /// Stacks left out, as there were too many.
    pub(super) dropped: u64,
}

impl Made<proto::Profile> {
    fn decoded(self, profile_type: ProfileType) -> Made {
        Made {
            profile: pprof::made(&self.profile, profile_type),
            dropped: self.dropped,
        }
    }
}

/// The heap profile: one sample for each bucket in which anything was allocated, largest first.
pub(super) fn heap(process: &GoProcess, snapshot: &heap::Snapshot, exe: &str, at: Timestamp) -> Made {
    let mut builder = Builder::new(ProfileType::Heap, snapshot.rate, exe, &process.module().text, at);
    let Some(reader) = process.heap_reader() else {
        return builder.finish().decoded(ProfileType::Heap);
    };
    let index = reader.index();
    let buckets = snapshot.all(View::LastGc).map(|(id, counts)| Allocations {
        size: index.size(id).unwrap_or(0),
        counts,
        stack: index.stack(id),
    });
    builder.allocations(process, buckets, snapshot.rate);
    builder.dropped += snapshot.unreadable;
    if index.is_truncated() {
        builder.dropped += 1;
        builder.comment(&format!("only the first {} buckets were read", index.len()));
    }
    if snapshot.consistency == Consistency::Mixed {
        builder.comment("garbage collections ended during each reading: counts may be off by what one of them moved");
    }
    builder.finish().decoded(ProfileType::Heap)
}

/// The same of a process that was killed. A bucket whose stack nobody knows has no calls.
pub(super) fn final_heap(
    process: &GoProcess,
    heap: &FinalHeap<'_>,
    view: View,
    exe: &str,
    at: Timestamp,
) -> Made<proto::Profile> {
    let mut builder = Builder::new(ProfileType::Heap, heap.rate, exe, &process.module().text, at);
    let buckets = heap.buckets.iter().map(|bucket| Allocations {
        size: bucket.size,
        counts: heap.counts(view, bucket),
        stack: bucket.stack.unwrap_or_default(),
    });
    builder.allocations(process, buckets, heap.rate);
    builder.finish()
}

/// What is told of one bucket.
struct Allocations<'b> {
    size: u64,
    counts: Counts,
    stack: &'b [u64],
}

/// The goroutine profile: one sample for each distinct stack, most frequent first. Where only every second, third, ...
/// goroutine was read, each stands for so many.
pub(super) fn goroutines(process: &GoProcess, snapshot: &goroutines::Snapshot, exe: &str, at: Timestamp) -> Made {
    let mut builder = Builder::new(ProfileType::Goroutine, 1, exe, &process.module().text, at);
    let mut counts: BTreeMap<&[u64], u64> = BTreeMap::new();
    for group in &snapshot.groups {
        let count = counts.entry(&group.stack).or_default();
        *count = count.saturating_add(group.count.saturating_mul(snapshot.stride.max(1)));
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(stack, count)| (Reverse(*count), *stack));
    // Their addresses are those of the file already.
    let mut frames = Frames::new(process.binary().pclntab(), 0);
    for (stack, count) in counts {
        let mut calls = frames.calls(stack);
        for call in &mut calls {
            call.address = call.address.wrapping_add(process.bias());
        }
        builder.sample(&calls, &[signed(count)], None);
    }
    builder.dropped += snapshot.over_bound;
    if snapshot.stride > 1 {
        builder.comment(&format!(
            "one of {} goroutines was read and counts for as many; the runtime lists {}",
            snapshot.stride, snapshot.listed
        ));
    }
    builder.finish().decoded(ProfileType::Goroutine)
}

/// Samples, locations, and values, references, labels and lines together. Half of what is decoded at most.
const MAX_SAMPLES: usize = 1 << 17;
const MAX_LOCATIONS: usize = 1 << 17;
const MAX_ELEMENTS: usize = 2 << 20;

/// Builds one profile. Locations are stored once.
#[derive(Debug)]
struct Builder {
    base: ProfileBuilder,
    /// By the addresses of all calls in it.
    locations: HashMap<Vec<u64>, u64>,
    elements: usize,
    dropped: u64,
}

impl Builder {
    fn new(profile_type: ProfileType, period: u64, exe: &str, text: &Range<u64>, at: Timestamp) -> Self {
        Self {
            base: ProfileBuilder::new(profile_type, period, exe, text, at),
            locations: HashMap::new(),
            elements: 0,
            dropped: 0,
        }
    }

    /// Adds the buckets in which anything was allocated, largest first.
    fn allocations<'b>(&mut self, process: &GoProcess, buckets: impl Iterator<Item = Allocations<'b>>, rate: u64) {
        let mut samples = Vec::new();
        for (index, bucket) in buckets.enumerate() {
            let allocs = signed(bucket.counts.allocs);
            // Negative only when garbage collections ended during each reading.
            let in_use = allocs.saturating_sub(signed(bucket.counts.frees)).max(0);
            let allocated = heap::scale(allocs, bucket.size, rate);
            let in_use = heap::scale(in_use, bucket.size, rate);
            if allocated.objects != 0 {
                samples.push((in_use, allocated, index, bucket));
            }
        }
        samples.sort_by_key(|(in_use, allocated, index, _)| (Reverse(in_use.bytes), Reverse(allocated.bytes), *index));
        let mut frames = process.heap_frames();
        for (in_use, allocated, _, bucket) in samples {
            // What is left out needs no names.
            if self.base.profile.sample.len() >= MAX_SAMPLES {
                self.dropped += 1;
                continue;
            }
            let calls = frames.allocating_calls(bucket.stack);
            let values = [allocated.objects, allocated.bytes, in_use.objects, in_use.bytes];
            self.sample(&calls, &values, Some(bucket.size));
        }
    }

    /// Adds a stack with its values, and the size of its objects where they have one.
    fn sample(&mut self, calls: &[LogicalCall], values: &[i64], size: Option<u64>) {
        // A call can make one location, one line and one reference.
        let most = self.elements + 2 * calls.len() + values.len() + 1;
        if self.base.profile.sample.len() >= MAX_SAMPLES
            || self.base.profile.location.len() + calls.len() > MAX_LOCATIONS
            || most > MAX_ELEMENTS
        {
            self.dropped += 1;
            return;
        }
        self.elements = most;
        // Calls without a frame of their own belong to the location of the next that has one.
        let location_id = calls
            .split_inclusive(|call| !call.inlined)
            .map(|frame| self.location(frame))
            .collect();
        let mut sample = proto::ProfileSample {
            location_id,
            value: values.to_vec(),
            label: Vec::new(),
        };
        if let Some(size) = size {
            sample.label.push(self.base.bytes_label(size));
        }
        self.base.profile.sample.push(sample);
    }

    fn comment(&mut self, text: &str) {
        self.base.comment(text);
    }

    fn finish(self) -> Made<proto::Profile> {
        Made {
            profile: self.base.finish(),
            dropped: self.dropped,
        }
    }

    fn location(&mut self, calls: &[LogicalCall]) -> u64 {
        let key: Vec<u64> = calls.iter().map(|call| call.address).collect();
        if let Some(id) = self.locations.get(&key) {
            return *id;
        }
        let lines = calls
            .iter()
            .map(|call| (&*call.frame.function, &*call.frame.file, call.frame.line));
        let id = self.base.location(key.first().copied().unwrap_or(0), lines);
        self.locations.insert(key, id);
        id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakwatch_analysis::model::stack::StackTable;
    use leakwatch_goproc::pclntab::Frame;
    use std::sync::Arc;

    fn call(address: u64, function: &str, line: u32, inlined: bool) -> LogicalCall {
        LogicalCall {
            address,
            inlined,
            frame: Arc::new(Frame {
                function: function.to_owned(),
                file: "/src/main.go".to_owned(),
                line,
            }),
        }
    }

    fn heap_builder() -> Builder {
        let at = Timestamp::from_unix_nanos(1_700_000_000_000_000_000);
        Builder::new(ProfileType::Heap, 524_288, "/bin/service", &(0x1000..0x9000), at)
    }

    #[test]
    fn inlined_calls_share_the_location_of_their_frame_and_all_is_stored_once() {
        let mut builder = heap_builder();
        let inner = [call(0x2010, "main.small", 5, true), call(0x2020, "main.put", 9, false)];
        let outer = call(0x3000, "main.main", 20, false);
        let stack = [inner[0].clone(), inner[1].clone(), outer.clone()];
        builder.sample(&stack, &[8192, 524_320, 8192, 524_320], Some(64));
        builder.sample(&[inner[1].clone(), outer], &[2, 96, 1, 48], Some(48));
        let made = builder.finish();
        assert_eq!(made.dropped, 0);
        let profile = made.profile;
        let lines: Vec<usize> = profile.location.iter().map(|location| location.line.len()).collect();
        assert_eq!(
            lines,
            [2, 1, 1],
            "put alone is another place than put with small inlined"
        );
        let addresses: Vec<u64> = profile.location.iter().map(|location| location.address).collect();
        assert_eq!(addresses, [0x200f, 0x2fff, 0x201f]);
        assert_eq!(profile.function.len(), 3);
        let files = profile.string_table.iter().filter(|text| *text == "/src/main.go");
        assert_eq!(files.count(), 1);
        assert_eq!(profile.period, 524_288);
        let sizes: Vec<i64> = profile.sample.iter().map(|sample| sample.label[0].num).collect();
        assert_eq!(sizes, [64, 48]);

        let mut stacks = StackTable::default();
        let summary = pprof::summarize(&profile, ProfileType::Heap, &mut stacks).unwrap();
        assert_eq!(summary.total.inuse_space, 524_368);
        assert_eq!(summary.total.alloc_objects, 8194);
        assert_eq!(summary.dropped, 0);
    }

    #[test]
    fn a_profile_of_goroutines_has_one_value() {
        let at = Timestamp::from_unix_nanos(1);
        let mut builder = Builder::new(ProfileType::Goroutine, 1, "", &(0..1), at);
        builder.sample(&[call(0x2010, "main.wait", 5, false)], &[7], None);
        // A goroutine whose stack could not be read counts all the same.
        builder.sample(&[], &[2], None);
        builder.comment("one of 2 was read");
        let profile = builder.finish().profile;
        let comment = usize::try_from(profile.comment[0]).unwrap();
        assert_eq!(profile.string_table[comment], "one of 2 was read");
        let summary = pprof::summarize(&profile, ProfileType::Goroutine, &mut StackTable::default()).unwrap();
        assert_eq!(summary.total.inuse_objects, 9);
    }

    #[test]
    fn what_is_too_much_is_left_out_and_counted() {
        let mut builder = heap_builder();
        let stack = [call(0x2010, "main.main", 5, false)];
        for _ in 0..MAX_SAMPLES + 3 {
            builder.sample(&stack, &[1, 8, 1, 8], Some(8));
        }
        let made = builder.finish();
        assert_eq!(made.dropped, 3);
        let profile = made.profile;
        assert_eq!(profile.sample.len(), MAX_SAMPLES);
    }
}
