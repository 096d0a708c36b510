//! All that a process had in use when it was killed, as a profile: one sample for each bucket, largest first. There may be hundreds of thousands,
//! so it is encoded while it is made. What is beyond the bounds is left out, smallest first, and counted.

use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::pprof::Bounds;
use leakwatch_analysis::pprof::PieceEncoder;
use leakwatch_analysis::pprof::ProfileBuilder;
use leakwatch_analysis::pprof::proto;
use leakwatch_analysis::pprof::signed;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::final_heap::FinalBucket;
use leakwatch_goproc::final_heap::FinalHeap;
use leakwatch_goproc::heap;
use leakwatch_goproc::heap::Amount;
use leakwatch_goproc::heap::LogicalCall;
use leakwatch_goproc::heap::View;
use std::cmp::Reverse;
use std::collections::HashMap;

/// A profile that was made.
#[derive(Debug)]
pub(super) struct Allocated {
    /// Gzipped.
    pub(super) pprof: Vec<u8>,
    /// Buckets that are not in it.
    pub(super) left_out: u64,
    /// What is in use of those.
    pub(super) left_out_bytes: Bytes,
}

/// What was allocated and what of it is in use, of one bucket.
fn amounts(heap: &FinalHeap<'_>, bucket: &FinalBucket<'_>) -> (Amount, Amount) {
    let counts = heap.counts(View::Now, bucket);
    let allocs = signed(counts.allocs);
    // Negative only when a collection was under way.
    let in_use = allocs.saturating_sub(signed(counts.frees)).max(0);
    (
        heap::scale(allocs, bucket.size, heap.rate),
        heap::scale(in_use, bucket.size, heap.rate),
    )
}

/// What is in use of a bucket.
pub(super) fn in_use(heap: &FinalHeap<'_>, bucket: &FinalBucket<'_>) -> Bytes {
    let (_, in_use) = amounts(heap, bucket);
    Bytes(u64::try_from(in_use.bytes).unwrap_or(0))
}

/// The profile of a walk. A bucket whose stack nobody knows has no calls.
pub(super) fn allocated(process: &GoProcess, heap: &FinalHeap<'_>, exe: &str, at: Timestamp) -> Allocated {
    let mut buckets: Vec<(Reverse<i64>, Reverse<i64>, usize)> = Vec::with_capacity(heap.buckets.len());
    for (index, bucket) in heap.buckets.iter().enumerate() {
        let (allocated, in_use) = amounts(heap, bucket);
        if allocated.objects != 0 {
            buckets.push((Reverse(in_use.bytes), Reverse(allocated.bytes), index));
        }
    }
    buckets.sort_unstable();
    let base = ProfileBuilder::new(ProfileType::Heap, heap.rate, exe, &process.module().text, at);
    let mut samples = Samples::new(base);
    let mut frames = process.heap_frames();
    let (mut left_out, mut left_out_bytes) = (0, 0_u64);
    for (_, _, index) in buckets {
        let Some(bucket) = heap.buckets.get(index) else {
            continue;
        };
        let calls = frames.allocating_calls(bucket.stack.unwrap_or_default());
        let (allocated, in_use) = amounts(heap, bucket);
        if !samples.add(&calls, allocated, in_use, bucket.size) {
            left_out += 1;
            left_out_bytes = left_out_bytes.saturating_add(u64::try_from(in_use.bytes).unwrap_or(0));
        }
    }
    Allocated {
        pprof: samples.finish(),
        left_out,
        left_out_bytes: Bytes(left_out_bytes),
    }
}

/// Samples on their way into a profile. Locations are stored once.
#[derive(Debug)]
struct Samples {
    bounds: Bounds,
    base: ProfileBuilder,
    pieces: PieceEncoder,
    /// By the addresses of all calls in it.
    locations: HashMap<Vec<u64>, u64>,
    samples: usize,
    elements: usize,
}

impl Samples {
    fn new(base: ProfileBuilder) -> Self {
        Self {
            bounds: Bounds::of_final_heap(),
            base,
            pieces: PieceEncoder::default(),
            locations: HashMap::new(),
            samples: 0,
            elements: 0,
        }
    }

    /// False when there is no room for it.
    fn add(&mut self, calls: &[LogicalCall], allocated: Amount, in_use: Amount, size: u64) -> bool {
        let value = vec![allocated.objects, allocated.bytes, in_use.objects, in_use.bytes];
        // A call makes one reference, and its line is counted with the first of them.
        let elements = self.elements + calls.len() + value.len() + 1;
        let lines = self.base.profile.location.len() + calls.len();
        if self.samples >= self.bounds.max_samples
            || lines > self.bounds.max_locations
            || elements + 2 * lines > self.bounds.max_elements
        {
            return false;
        }
        // Calls without a frame of their own belong to the location of the next that has one.
        let frames = calls.split_inclusive(|call| !call.inlined);
        let location_id = frames.map(|frame| self.location(frame)).collect();
        let label = vec![self.base.bytes_label(size)];
        self.pieces.sample(proto::ProfileSample {
            location_id,
            value,
            label,
        });
        self.samples += 1;
        self.elements = elements;
        true
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

    fn finish(self) -> Vec<u8> {
        self.pieces.finish(&self.base.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakwatch_analysis::pprof;
    use leakwatch_goproc::pclntab::Frame;
    use std::sync::Arc;

    fn call(address: u64, function: &str, inlined: bool) -> LogicalCall {
        LogicalCall {
            address,
            inlined,
            frame: Arc::new(Frame {
                function: function.to_owned(),
                file: "/src/main.go".to_owned(),
                line: 7,
            }),
        }
    }

    fn samples() -> Samples {
        let at = Timestamp::from_unix_nanos(1_700_000_000_000_000_000);
        Samples::new(ProfileBuilder::new(
            ProfileType::Heap,
            524_288,
            "/bin/service",
            &(0x1000..0x9000),
            at,
        ))
    }

    const ONE: Amount = Amount { objects: 1, bytes: 64 };

    #[test]
    fn more_stacks_than_a_program_may_send_are_in_the_profile() {
        let mut samples = samples();
        let calls = [
            call(0x2010, "main.small", true),
            call(0x2020, "main.put", false),
            call(0x3000, "main.main", false),
        ];
        let count = Bounds::default().max_samples + 10;
        for _ in 0..count {
            assert!(samples.add(&calls, ONE, ONE, 64));
        }
        let profile = pprof::decode(&samples.finish(), &Bounds::of_final_heap()).unwrap();
        assert_eq!(profile.sample.len(), count);
        let lines: Vec<usize> = profile.location.iter().map(|location| location.line.len()).collect();
        assert_eq!(lines, [2, 1]);
        assert_eq!(profile.sample[0].value, [1, 64, 1, 64]);
        assert_eq!(profile.sample[0].label[0].num, 64);
    }

    #[test]
    fn what_has_no_room_is_refused() {
        let mut samples = samples();
        samples.bounds.max_samples = 2;
        let calls = [call(0x2010, "main.put", false)];
        let taken = [0; 4].map(|_| samples.add(&calls, ONE, ONE, 64));
        assert_eq!(taken, [true, true, false, false]);
        let mut samples = self::samples();
        samples.bounds.max_elements = 20;
        let taken = [0; 4].map(|_| samples.add(&calls, ONE, ONE, 64));
        assert!(taken[0] && !taken[3], "{taken:?}");
        let bounds = samples.bounds;
        assert!(pprof::decode(&samples.finish(), &bounds).is_ok());
    }
}
