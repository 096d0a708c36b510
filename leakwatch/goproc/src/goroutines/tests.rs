//! A process made of bytes: goroutines whose every answer is known, and the same memory damaged.

use super::*;
use crate::layout::GoroutineLayout;
use crate::layout::Layout;
use crate::memory::FakeMemory;
use crate::pclntab::sample;
use proptest::prelude::*;

const BIAS: u64 = 0x5500_0000_0000;
const ARRAY_VARIABLE: u64 = 0x70_0000;
const ARRAY: u64 = 0xc0_0000_0000;
const GOROUTINES: u64 = 0xc0_0001_0000;
const STACKS: u64 = 0xc0_0010_0000;
/// Bytes of one stack and of one `runtime.g`.
const SIZE: u64 = 2048;
const COUNT: u64 = 12;

fn layout() -> GoroutineLayout {
    Layout::of(27).unwrap().goroutine
}

fn source() -> GoroutineSource {
    GoroutineSource {
        layout: layout(),
        origin: LayoutOrigin::Confirmed,
        list: ListAddress {
            array: ARRAY_VARIABLE,
            length: ARRAY_VARIABLE + 8,
        },
        reasons: WaitReasons::default(),
    }
}

/// What goroutine `index` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Blocked in `main.inner`, inlined into `main.outer`, called by a wrapper.
    Waiting,
    /// Has been started, and has not run.
    New,
    Running,
    Ended,
}

fn kind(index: u64) -> Kind {
    match index {
        0..7 => Kind::Waiting,
        7 => Kind::New,
        8..10 => Kind::Running,
        _ => Kind::Ended,
    }
}

fn process() -> FakeMemory {
    let mut memory = FakeMemory::new();
    memory.map(ARRAY_VARIABLE, [ARRAY.to_le_bytes(), COUNT.to_le_bytes()].concat());
    let addresses: Vec<u8> = (0..COUNT)
        .flat_map(|index| (GOROUTINES + index * SIZE).to_le_bytes())
        .collect();
    memory.map(ARRAY, addresses);
    memory.map(GOROUTINES, vec![0; usize::try_from(COUNT * SIZE).unwrap()]);
    memory.map(STACKS, vec![0x5c; usize::try_from(COUNT * SIZE).unwrap()]);
    let layout = layout();
    let mut number = |address: u64, value: u64| assert!(memory.write_u64(address, value));
    for index in 0..COUNT {
        let address = GOROUTINES + index * SIZE;
        let field = |offset: usize| address + offset as u64;
        let end = STACKS + (index + 1) * SIZE;
        let (status, pc, sp) = match kind(index) {
            // Frames of 24 and 8 bytes, each below its return address.
            Kind::Waiting => (4, sample::OUTER + 20, end - 48),
            Kind::New => (1, sample::WRAPPER, end - 8),
            Kind::Running => (2, sample::OUTER + 20, end - 48),
            Kind::Ended => (6, 0, 0),
        };
        number(end - 48 + 24, BIAS + sample::WRAPPER + 10);
        number(end - 8, BIAS + sample::GOEXIT + 1);
        number(address, STACKS + index * SIZE);
        number(address + 8, end);
        number(field(layout.sched), sp);
        number(field(layout.sched + 8), BIAS + pc);
        number(field(layout.sched + 16), address);
        number(field(layout.status), status);
        number(field(layout.id), index + 1);
        number(field(layout.wait_since), index * 1000);
        number(field(layout.wait_reason), 19);
        number(field(layout.created_at), BIAS + sample::OUTER + 9);
        number(field(layout.start), BIAS + sample::WRAPPER);
    }
    memory
}

#[test]
fn goroutines_that_run_do_not_hide_the_layout() {
    let mut memory = process();
    let layout = layout();
    for index in 0..COUNT {
        let address = GOROUTINES + index * SIZE;
        let mut number = |offset: usize, value: u64| assert!(memory.write_u64(address + offset as u64, value));
        match kind(index) {
            // Behind what `sched` ends with.
            Kind::Waiting => number(layout.syscall_sp - 8, STACKS + (index + 1) * SIZE - 40),
            Kind::Ended => number(0, 0),
            Kind::Running => number(layout.sched, 0),
            Kind::New => {}
        }
    }
    // Six wait, and all others spin.
    let settled = |memory: &FakeMemory| {
        let table = sample::table();
        let calibration = Calibration::read(memory, &table, BIAS, source().list).unwrap();
        calibration.settle(Some(&layout))
    };
    assert_eq!(settled(&memory), Ok(layout));
    for index in 6..8 {
        assert!(memory.write_u64(GOROUTINES + index * SIZE + layout.sched as u64, 0));
    }
    assert_eq!(settled(&memory), Ok(layout));
    // No goroutine has a stack pointer: that is no `sched`.
    for index in 0..6 {
        assert!(memory.write_u64(GOROUTINES + index * SIZE + layout.sched as u64, 0));
    }
    assert!(matches!(
        settled(&memory),
        Err(CalibrationError::Contradiction { field: "sched", .. })
    ));
}

fn snapshot(memory: &FakeMemory, bounds: GoroutineBounds) -> Result<Snapshot, GoroutinesError> {
    Goroutines::new(memory, &sample::table(), BIAS, &source(), bounds).snapshot()
}

fn census(memory: &FakeMemory, bounds: GoroutineBounds) -> Result<Census, GoroutinesError> {
    Goroutines::new(memory, &sample::table(), BIAS, &source(), bounds).census()
}

#[test]
fn goroutines_are_grouped_by_what_they_do() {
    let snapshot = snapshot(&process(), GoroutineBounds::default()).unwrap();
    let goexit = sample::GOEXIT + 1;
    let found: Vec<_> = snapshot
        .groups
        .iter()
        .map(|group| {
            (
                group.count,
                group.status,
                group.state,
                group.wait_reason,
                group.stack.clone(),
            )
        })
        .collect();
    // The call of `main.inner` is at offset 8 of `main.outer`; the wrapper is left out.
    let blocked = vec![sample::OUTER + 20, sample::OUTER + 9, goexit];
    assert_eq!(
        found,
        [
            (7, Status::Waiting, StackState::Complete, Some(19), blocked),
            (
                2,
                Status::Running,
                StackState::Unreadable,
                None,
                vec![sample::WRAPPER + 1]
            ),
            (1, Status::Runnable, StackState::Complete, None, vec![goexit]),
        ]
    );
    // The first has not been seen by a collection.
    assert_eq!(snapshot.groups[0].blocked_after, Some(1000));
    assert_eq!(snapshot.groups[0].created_at, sample::OUTER + 9);
    let frame = snapshot.groups[0].waits_at(&sample::table()).unwrap();
    assert_eq!((frame.function.as_str(), frame.line), ("main.inner[...]", 300));
    assert_eq!(
        (snapshot.count, snapshot.ended, snapshot.listed, snapshot.stride),
        (10, 2, COUNT, 1)
    );
}

#[test]
fn the_census_counts_the_same() {
    let census = census(&process(), GoroutineBounds::default()).unwrap();
    let found: Vec<_> = census
        .groups
        .iter()
        .map(|group| (group.count, group.status, group.start))
        .collect();
    assert_eq!(
        found,
        [
            (7, Status::Waiting, sample::WRAPPER),
            (2, Status::Running, sample::WRAPPER),
            (1, Status::Runnable, sample::WRAPPER),
        ]
    );
    assert_eq!((census.count, census.ended, census.system), (10, 2, 0));
}

#[test]
fn bounds_are_kept_and_told() {
    let memory = process();
    let few = GoroutineBounds {
        goroutines: 5,
        ..GoroutineBounds::default()
    };
    let sampled = census(&memory, few).unwrap();
    assert_eq!((sampled.stride, sampled.listed), (3, COUNT));
    assert_eq!(sampled.count + sampled.ended, 4);
    let no_room = GoroutineBounds {
        frames: 2,
        ..GoroutineBounds::default()
    };
    let small = snapshot(&memory, no_room).unwrap();
    assert_eq!((small.over_bound, small.count), (7, 10));
}

#[test]
fn what_cannot_be_read_is_counted() {
    let mut memory = process();
    memory.unmap(STACKS);
    let without_stacks = snapshot(&memory, GoroutineBounds::default()).unwrap();
    assert_eq!((without_stacks.moving, without_stacks.count), (8, 10));
    assert!(
        without_stacks
            .groups
            .iter()
            .all(|group| group.state == StackState::Unreadable)
    );
    memory.unmap(GOROUTINES);
    assert_eq!(census(&memory, GoroutineBounds::default()).unwrap().unreadable, COUNT);
    memory.unmap(ARRAY);
    assert!(matches!(
        census(&memory, GoroutineBounds::default()),
        Err(GoroutinesError::Memory(_))
    ));
    let mut memory = process();
    assert!(memory.write_u64(ARRAY + 8, 12));
    let result = census(&memory, GoroutineBounds::default());
    assert_eq!(
        result,
        Err(GoroutinesError::NotAList {
            array: ARRAY,
            length: COUNT
        })
    );
    assert!(memory.write_u64(ARRAY_VARIABLE + 8, u64::MAX));
    let result = snapshot(&memory, GoroutineBounds::default());
    assert_eq!(result, Err(GoroutinesError::TooMany { length: u64::MAX }));
}

/// A stack that returns into itself ends at the bound.
#[test]
fn endless_stacks_end() {
    let mut memory = process();
    let deep = STACKS + COUNT * SIZE;
    memory.map(deep, (BIAS + sample::WRAPPER + 10).to_le_bytes().repeat(1 << 20));
    let layout = layout();
    assert!(memory.write_u64(GOROUTINES, deep));
    assert!(memory.write_u64(GOROUTINES + 8, deep + (8 << 20)));
    assert!(memory.write_u64(GOROUTINES + layout.sched as u64, deep));
    let snapshot = snapshot(&memory, GoroutineBounds::default()).unwrap();
    let partial: Vec<_> = snapshot
        .groups
        .iter()
        .filter(|group| group.state == StackState::Partial)
        .collect();
    assert_eq!(partial.len(), 1);
    assert_eq!((snapshot.count, snapshot.moving), (10, 0));
}

proptest! {
    /// Damaged memory is counted somewhere, and never twice.
    #[test]
    fn damage_is_survived(
        writes in proptest::collection::vec(
            (prop_oneof![
                ARRAY_VARIABLE..ARRAY_VARIABLE + 16,
                ARRAY..ARRAY + COUNT * 8,
                GOROUTINES..GOROUTINES + COUNT * SIZE,
                (0..COUNT, 0_u64..330).prop_map(|(index, offset)| GOROUTINES + index * SIZE + offset),
                (0..COUNT, 1_u64..60).prop_map(|(index, offset)| STACKS + (index + 1) * SIZE - offset),
            ],
            any::<u8>()),
            1..20,
        ),
    ) {
        let mut memory = process();
        for (address, value) in writes {
            memory.write(address, &[value]);
        }
        let bounds = GoroutineBounds { goroutines: 100, frames: 100 };
        if let Ok(snapshot) = snapshot(&memory, bounds) {
            let read = snapshot.count + snapshot.system + snapshot.ended + snapshot.unreadable;
            prop_assert!(read <= snapshot.listed);
            prop_assert_eq!(snapshot.groups.iter().map(|group| group.count).sum::<u64>(), snapshot.count);
            prop_assert!(snapshot.groups.iter().all(|group| !group.stack.is_empty()));
        }
        if let Ok(census) = census(&memory, bounds) {
            prop_assert!(census.count + census.system + census.ended + census.unreadable <= census.listed);
        }
        let table = sample::table();
        if let Ok(calibration) = Calibration::read(&memory, &table, BIAS, source().list) {
            let _learned = calibration.settle(None);
            let _confirmed = calibration.settle(Some(&layout()));
        }
    }
}
