//! Any bytes as the heap profile of a process: each bucket is read once, in bounded time, or the list is refused.
#![no_main]

use leakwatch_goproc::heap::CycleSource;
use leakwatch_goproc::heap::HeapReader;
use leakwatch_goproc::heap::HeapSource;
use leakwatch_goproc::heap::RecordFormat;
use leakwatch_goproc::heap::View;
use leakwatch_goproc::heap::estimate;
use leakwatch_goproc::memory::FakeMemory;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;

const BASE: u64 = 0x1000;

fuzz_target!(|bytes: &[u8]| {
    let Some((&selector, bytes)) = bytes.split_first() else { return };
    let format = match selector % 3 {
        0 => None,
        1 => Some(RecordFormat::Objects),
        _ => Some(RecordFormat::ObjectsAndBytes),
    };
    // Head of the list, cycle and rate come first; the second reading sees another head, further on.
    let mut memory = FakeMemory::new();
    memory.map(BASE, bytes);
    let cycle = if selector & 4 == 0 { CycleSource::Profile(BASE + 8) } else { CycleSource::Collections(BASE + 8) };
    let source = HeapSource { buckets: BASE, cycle, rate: BASE + 16, format, version: "go1.27.3".to_owned() };
    let mut reader = HeapReader::new(source);
    let mut stacks = Vec::<Vec<u64>>::new();
    let first = reader.read(&memory, &mut stacks).ok();
    let before = reader.index().len();
    memory.write_u64(BASE, u64::from(selector) * 8 + BASE);
    let second = reader.read(&memory, &mut stacks).ok();
    let index = reader.index();
    assert!(index.len() >= before);
    let addresses: BTreeSet<_> = index.ids().filter_map(|id| index.address(id)).collect();
    assert_eq!(addresses.len(), index.len(), "a bucket was read twice");
    // Buckets may overlap, as nothing but their own headers says how long they are: but each starts at a word of its own.
    assert!(index.len() <= bytes.len());
    for id in index.ids() {
        let kept = index.stack(id).expect("every bucket has a stack");
        assert!(stacks[kept.number as usize].len() <= 1024);
    }
    for snapshot in [&first, &second].into_iter().flatten() {
        for view in [View::Pprof, View::LastGc, View::Now] {
            snapshot.in_use(view, index);
            snapshot.allocated(view, index);
            for (id, counts) in snapshot.all(view) {
                let estimate = estimate(counts.in_use().unwrap_or(0), index.size(id).unwrap_or(0), snapshot.rate);
                assert!(estimate.low <= estimate.bytes && estimate.bytes <= estimate.high, "{estimate:?}");
            }
        }
    }
    if let (Some(first), Some(second)) = (&first, &second) {
        assert!(second.since(first, View::Now).count() <= index.len());
    }
});
