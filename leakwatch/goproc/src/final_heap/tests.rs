//! The join of a walk with what was known before, over a process made of bytes.

use super::*;
use crate::heap::Counts;
use crate::heap::CycleSource;
use crate::heap::HeapReader;
use crate::heap::HeapSource;
use crate::heap::Record;
use crate::heap::View;
use crate::layout::RecordFormat;
use crate::memory::FakeMemory;

const VARIABLES: u64 = 0x1000;
const BUCKET: u64 = 0x2000;

/// A process with one bucket of three objects of 32 bytes.
fn reader() -> HeapReader {
    let mut memory = FakeMemory::new();
    let bytes = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    memory.map(VARIABLES, bytes(&[BUCKET, 4 << 1, 1]));
    memory.map(
        BUCKET,
        bytes(&[0, 0, 1, 0, 32, 2, 0x40_1000, 0x40_2000, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    );
    let mut reader = HeapReader::new(HeapSource {
        buckets: VARIABLES,
        cycle: CycleSource::Profile(VARIABLES + 8),
        rate: VARIABLES + 16,
        format: Some(RecordFormat::Objects),
        version: "go1.27.3".to_owned(),
    });
    reader.read(&memory).unwrap();
    reader
}

fn counts(allocs: u64, frees: u64) -> Counts {
    Counts { allocs, frees }
}

#[test]
fn stacks_come_from_the_walk_or_from_before_or_from_nowhere() {
    let record = Record {
        active: counts(10, 1),
        future: [counts(5, 2), counts(7, 0), counts(100, 0)],
    };
    let bucket = |address, stack| WalkedBucket {
        address,
        size: 32,
        record,
        stack,
    };
    let walk = HeapWalk {
        buckets: vec![
            bucket(0x3000, 1..3),
            bucket(0x3100, 0..0),
            bucket(BUCKET, 0..0),
            // Not within what came along: nobody knows it.
            bucket(0x3200, 2..9),
        ],
        stacks: vec![1, 0x40_3000, 0x40_4000],
        has_heap: true,
        cycle: 4 << 1,
        rate: 1,
        ..HeapWalk::default()
    };
    let reader = reader();
    let heap = reader.final_heap(&walk);
    let stacks: Vec<_> = heap.buckets.iter().map(|bucket| heap.stack(bucket)).collect();
    let known = reader.index().find(BUCKET).unwrap();
    assert_eq!(reader.index().stack(known), [0x40_1000, 0x40_2000]);
    let brought = FinalStack::Brought(vec![0x40_3000, 0x40_4000]);
    let expected = [
        brought,
        FinalStack::Unknown,
        FinalStack::Known(known),
        FinalStack::Unknown,
    ];
    assert_eq!(stacks, expected);
    // Cycle 4: futures 1 (current), 2 (what the last collection swept), 0 (what it has not).
    for (view, expected) in [
        (View::Pprof, counts(17, 1)),
        (View::LastGc, counts(117, 1)),
        (View::Now, counts(122, 3)),
    ] {
        assert_eq!(heap.counts(view, &heap.buckets[0]), expected, "{view:?}");
    }
}
