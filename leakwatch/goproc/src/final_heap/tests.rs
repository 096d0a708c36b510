//! The join of a walk with what was known before, over a process made of bytes.

use super::*;
use crate::heap::Counts;
use crate::heap::CycleSource;
use crate::heap::HeapReader;
use crate::heap::HeapSource;
use crate::heap::View;
use crate::layout::RecordFormat;
use crate::memory::FakeMemory;

const VARIABLES: u64 = 0x1000;
const BUCKET: u64 = 0x2000;

/// A process with one bucket of three objects of 32 bytes.
fn reader() -> (HeapReader, Vec<Vec<u64>>) {
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
    let mut stacks = Vec::<Vec<u64>>::new();
    reader.read(&memory, &mut stacks).unwrap();
    (reader, stacks)
}

/// The stack of a bucket, wherever it is known from.
fn stack(heap: &FinalHeap<'_>, bucket: &FinalBucket, stacks: &[Vec<u64>]) -> Option<Vec<u64>> {
    let kept = || Some(stacks[heap.kept(bucket)?.number as usize].clone());
    heap.brought(bucket).map(<[u64]>::to_vec).or_else(kept)
}

fn counts(allocs: u64, frees: u64) -> Counts {
    Counts { allocs, frees }
}

/// The address of the newest of three buckets side by side.
const NEWEST: u64 = BUCKET + 2 * STRIDE;
const STRIDE: u64 = 0x100;

/// A process with three buckets of objects of 16, 32 and 48 bytes, the oldest first, of which the last is the newest.
fn reader_of_three() -> (HeapReader, Vec<Vec<u64>>) {
    let mut memory = FakeMemory::new();
    let bytes = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    memory.map(VARIABLES, bytes(&[NEWEST, 4 << 1, 1]));
    for index in 0..3 {
        let at = BUCKET + index * STRIDE;
        let next = if index == 0 { 0 } else { at - STRIDE };
        let size = 16 * (index + 1);
        memory.map(
            at,
            bytes(&[0, next, 1, 0, size, 1, 0x40_1000 + index, 3, 0, 0, 0, 0, 0, 0, 0]),
        );
    }
    let mut reader = HeapReader::new(HeapSource {
        buckets: VARIABLES,
        cycle: CycleSource::Profile(VARIABLES + 8),
        rate: VARIABLES + 16,
        format: Some(RecordFormat::Objects),
        version: "go1.27.3".to_owned(),
    });
    let mut stacks = Vec::<Vec<u64>>::new();
    reader.read(&memory, &mut stacks).unwrap();
    (reader, stacks)
}

fn walked(allocs: u64, frees: u64) -> WalkedCounts {
    WalkedCounts {
        all: counts(allocs, frees),
        young: counts(2, 1),
    }
}

#[test]
fn known_buckets_are_told_by_their_place() {
    let (reader, stacks) = reader_of_three();
    // One more was read after the kernel had been told of two; the counters of the oldest were not in memory.
    let walk = HeapWalk {
        buckets: vec![WalkedBucket {
            address: NEWEST,
            size: 48,
            counts: walked(5, 1),
            stack: None,
        }],
        newest_known: BUCKET + STRIDE,
        known_passed: 2,
        known: vec![Some(walked(9, 3)), None],
        unreadable: 1,
        has_heap: true,
        rate: 1,
        ..HeapWalk::default()
    };
    let heap = reader.final_heap(&walk);
    let found: Vec<_> = heap
        .buckets
        .iter()
        .map(|bucket| {
            (
                bucket.size,
                stack(&heap, bucket, &stacks),
                heap.counts(View::Now, bucket),
                heap.counts(View::LastGc, bucket),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            (48, Some(vec![0x40_1002]), counts(5, 1), counts(3, 0)),
            (32, Some(vec![0x40_1001]), counts(9, 3), counts(7, 2)),
        ]
    );
    assert_eq!((heap.lost, heap.not_reached, heap.truncation), (0, 0, None));
}

#[test]
fn what_a_walk_did_not_get_to_is_counted() {
    let (reader, _stacks) = reader_of_three();
    let walk = HeapWalk {
        newest_known: NEWEST,
        known_passed: 1,
        known: vec![Some(walked(9, 3))],
        truncation: Some(Truncation::Time),
        ..HeapWalk::default()
    };
    let heap = reader.final_heap(&walk);
    assert_eq!((heap.buckets.len(), heap.lost, heap.not_reached), (1, 0, 2));
    assert_eq!(heap.truncation, Some(Truncation::Time));
    // A list that is shorter than what was known of it, or begins with what nobody knows, is another one.
    let walk = HeapWalk {
        truncation: None,
        ..walk
    };
    assert_eq!(reader.final_heap(&walk).truncation, Some(Truncation::Damaged));
    let walk = HeapWalk {
        newest_known: 0x7000,
        ..walk
    };
    let heap = reader.final_heap(&walk);
    assert_eq!((heap.buckets.len(), heap.lost), (0, 1));
    assert_eq!(heap.truncation, Some(Truncation::Damaged));
}

#[test]
fn stacks_come_from_the_walk_or_from_before_or_from_nowhere() {
    let bucket = |address, stack| WalkedBucket {
        address,
        size: 32,
        counts: walked(10, 1),
        stack,
    };
    let walk = HeapWalk {
        buckets: vec![
            bucket(0x3000, Some(1..3)),
            bucket(0x3100, None),
            bucket(BUCKET, None),
            // Not within what came along: nobody knows it.
            bucket(0x3200, Some(2..9)),
            // The runtime found no caller: that is known, too.
            bucket(0x3300, Some(0..0)),
        ],
        stacks: vec![1, 0x40_3000, 0x40_4000],
        has_heap: true,
        rate: 1,
        ..HeapWalk::default()
    };
    let (reader, stacks) = reader();
    let heap = reader.final_heap(&walk);
    let found: Vec<_> = heap
        .buckets
        .iter()
        .map(|bucket| stack(&heap, bucket, &stacks))
        .collect();
    let expected = [
        Some(vec![0x40_3000, 0x40_4000]),
        None,
        Some(vec![0x40_1000, 0x40_2000]),
        None,
        Some(vec![]),
    ];
    assert_eq!(found, expected);
}
