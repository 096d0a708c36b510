//! Any bytes as the goroutines and stacks of a process: each is counted once, without a panic.
//!
//! The input is a page of headers and a page of stacks, cut in two; the function table is a good one.
#![no_main]

use leakwatch_goproc::goroutines::Calibration;
use leakwatch_goproc::goroutines::GoroutineBounds;
use leakwatch_goproc::goroutines::GoroutineSource;
use leakwatch_goproc::goroutines::Goroutines;
use leakwatch_goproc::goroutines::LayoutOrigin;
use leakwatch_goproc::goroutines::ListAddress;
use leakwatch_goproc::goroutines::WaitReasons;
use leakwatch_goproc::layout::Layout;
use leakwatch_goproc::memory::FakeMemory;
use leakwatch_goproc::pclntab::Pclntab;
use libfuzzer_sys::fuzz_target;

/// A seed of the target `pclntab`.
const TABLE: &[u8] = include_bytes!("../corpus/pclntab/four-functions");
const TEXT: u64 = 0x40_1000;
const VARIABLES: u64 = 0x1000;
const HEADERS: u64 = 0xc000;
const STACKS: u64 = 0xd000;

fuzz_target!(|bytes: &[u8]| {
    let Some((&selector, bytes)) = bytes.split_first() else { return };
    let layouts = Layout::all();
    let layout = layouts[usize::from(selector) % layouts.len()].goroutine;
    let (headers, stacks) = bytes.split_at(bytes.len() / 2);
    let table = Pclntab::parse(TABLE, TEXT).unwrap().with_inline_trees(&TABLE[TABLE.len() - 16..]);
    let mut memory = FakeMemory::new();
    // The list is the start of the headers: it names goroutines that lie anywhere in the input.
    let length = headers.len() as u64 / 64;
    memory.map(VARIABLES, [HEADERS.to_le_bytes(), length.to_le_bytes()].concat());
    memory.map(HEADERS, headers);
    memory.map(STACKS, stacks);
    let list = ListAddress { array: VARIABLES, length: VARIABLES + 8 };
    let reasons = WaitReasons::find(&memory, HEADERS..HEADERS + headers.len() as u64);
    let source = GoroutineSource {
        layout,
        origin: LayoutOrigin::Confirmed,
        list,
        reasons: reasons.ok().flatten().unwrap_or_default(),
    };
    let bounds = GoroutineBounds { goroutines: 50, frames: 1000 };
    let goroutines = Goroutines::new(&memory, &table, 0, &source, bounds);
    if let Ok(snapshot) = goroutines.snapshot() {
        let read = snapshot.count + snapshot.system + snapshot.ended + snapshot.unreadable;
        assert!(read <= snapshot.listed.min(50));
        assert_eq!(snapshot.groups.iter().map(|group| group.count).sum::<u64>(), snapshot.count);
        for group in &snapshot.groups {
            assert!(!group.stack.is_empty());
            group.waits_at(&table);
        }
    }
    if let Ok(census) = goroutines.census() {
        assert!(census.count + census.system + census.ended + census.unreadable <= census.listed.min(50));
    }
    if let Ok(calibration) = Calibration::read(&memory, &table, 0, list) {
        if let Ok(confirmed) = calibration.settle(Some(&layout)) {
            assert_eq!(confirmed, layout);
        }
        drop(calibration.settle(None));
    }
});
