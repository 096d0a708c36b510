//! Heaps made of bytes in which everything that refers to anything is known: what a look says is compared with what follows from that,
//! and with whatever damaged memory says.

use super::*;
use crate::goroutines::GoroutineSource;
use crate::goroutines::LayoutOrigin;
use crate::goroutines::ListAddress;
use crate::goroutines::WaitReasons;
use crate::layout::Layout;
use crate::memory::FakeMemory;
use proptest::prelude::*;
use std::collections::BTreeSet;

const VARIABLES: u64 = 0x50_0000;
const TEXTS: u64 = 0x51_0000;
const REASONS: u64 = 0x52_0000;
const HEAP: u64 = 0x60_0000;
const RECORDS: u64 = 0x7f00_0000_0000;
const ALL_SPANS: u64 = 0x7f00_0001_0000;
const ALL_GOROUTINES: u64 = 0x7f00_0002_0000;
const BITS: u64 = 0x7f00_0003_0000;
const SPECIALS: u64 = 0x7f00_0004_0000;
/// One span each: objects, sudogs, goroutines, stacks.
const OBJECTS: u64 = 0xc0_0000_0000;
const SUDOGS: u64 = OBJECTS + 0x2000;
const GOROUTINES: u64 = OBJECTS + 0x4000;
const STACKS: u64 = OBJECTS + 0x6000;
const OBJECT: u64 = 64;
const STACK: u64 = 256;
/// As many words as an object has.
const FIELDS: usize = 8;
const COUNT: usize = 24;
const NOW: u64 = 100_000_000_000;
const BLOCKED_AT: u64 = 50_000_000_000;
const TEXT: [&str; 6] = [
    "",
    "GC assist marking",
    "IO wait",
    "select",
    "select (no cases)",
    "sleep",
];

/// What one goroutine does.
#[derive(Debug, Clone)]
enum Does {
    Sleeps,
    WaitsForNothing,
    /// For one of these objects.
    Waits(Vec<usize>),
    /// The same, but for so short a time that it is not judged.
    HasJustBegunToWait(Vec<usize>),
}

/// A program at one moment. Objects are told by their number.
#[derive(Debug, Clone)]
struct Model {
    references: Vec<(usize, usize)>,
    variables: Vec<usize>,
    /// Each with what its stack refers to.
    goroutines: Vec<(Does, Vec<usize>)>,
    free: BTreeSet<usize>,
    /// An object with a finalizer.
    finalized: Option<usize>,
    is_swept: bool,
}

fn awaited(does: &Does) -> &[usize] {
    match does {
        Does::Waits(objects) | Does::HasJustBegunToWait(objects) => objects,
        _ => &[],
    }
}

impl Model {
    fn is_free(&self, object: usize) -> bool {
        let is_awaited = self.goroutines.iter().any(|(does, _)| awaited(does).contains(&object));
        self.is_swept && self.free.contains(&object) && !is_awaited
    }

    /// Forwards, from what is alive, as the collector of the runtime goes.
    fn stuck(&self) -> BTreeSet<u64> {
        let mut objects: BTreeSet<usize> = self.variables.iter().chain(&self.finalized).copied().collect();
        let mut goroutines = BTreeSet::new();
        loop {
            let before = (objects.len(), goroutines.len());
            for (from, to) in &self.references {
                if objects.contains(from) && !self.is_free(*from) {
                    objects.insert(*to);
                }
            }
            for (index, (does, holds)) in self.goroutines.iter().enumerate() {
                let is_alive = match does {
                    Does::Sleeps | Does::HasJustBegunToWait(_) => true,
                    Does::WaitsForNothing => false,
                    Does::Waits(waits) => waits.iter().any(|object| objects.contains(object)),
                };
                if is_alive {
                    goroutines.insert(index);
                    objects.extend(holds);
                }
            }
            if before == (objects.len(), goroutines.len()) {
                break;
            }
        }
        let all = 0..self.goroutines.len();
        all.filter(|index| !goroutines.contains(index))
            .map(|index| index as u64 + 1)
            .collect()
    }

    fn memory(&self) -> FakeMemory {
        let layout = Layout::of(27).unwrap();
        let waiting = &layout.waiting;
        let mut memory = FakeMemory::new();
        for (start, length) in [
            (VARIABLES, 0x200),
            (HEAP, waiting.heap_size.next_multiple_of(8) + 64),
            (RECORDS, 0x1000),
            (ALL_SPANS, 0x100),
            (ALL_GOROUTINES, 0x100),
            (BITS, 0x100),
            (SPECIALS, 0x100),
            (OBJECTS, 0x8000),
        ] {
            memory.map(start, vec![0; length]);
        }
        let mut put = |address: u64, value: u64| assert!(memory.write_u64(address, value), "{address:#x}");
        let object = |number: usize| OBJECTS + number as u64 * OBJECT;
        let generation = 8;
        put(HEAP + crate::spans::SWEEP_GENERATION, generation);
        let list = HEAP + crate::spans::SWEEP_GENERATION + 8;
        let sudog = waiting.sudog_size.next_multiple_of(16) as u64;
        let spans = [
            (OBJECTS, OBJECT, 1_u64),
            (SUDOGS, sudog, 1),
            (GOROUTINES, 480, 1),
            (STACKS, STACK, 2),
        ];
        for (offset, value) in [(0, ALL_SPANS), (8, spans.len() as u64), (16, spans.len() as u64)] {
            put(list + offset, value);
        }
        for (number, (start, size, state)) in (0..).zip(spans) {
            let record = RECORDS + number * 0x100;
            put(ALL_SPANS + number * 8, record);
            put(record + 24, start);
            put(record + 32, 1);
            let elements = 0x2000 / size;
            let is_objects = start == OBJECTS;
            // `freeindex`, `nelems`; sweep generation; class with scan bit, state.
            put(record + 48, (if is_objects { 0 } else { elements }) | elements << 16);
            put(record + 64, BITS);
            put(
                record + 88,
                if is_objects && !self.is_swept {
                    generation - 2
                } else {
                    generation
                },
            );
            put(record + 96, 8 << 16 | state << 24);
            put(record + 104, size);
            put(
                record + 128,
                if is_objects && self.finalized.is_some() {
                    SPECIALS
                } else {
                    0
                },
            );
        }
        let mut bits = [0_u64; 2];
        for number in (0..128).filter(|number| !self.is_free(*number)) {
            bits[number / 64] |= 1 << (number % 64);
        }
        put(BITS, bits[0]);
        put(BITS + 8, bits[1]);
        if let Some(number) = self.finalized {
            put(SPECIALS + 8, object(number) - OBJECTS);
            put(SPECIALS + waiting.special_kind as u64, 2);
        }
        for (index, variable) in (0_u64..).zip(&self.variables) {
            // Into the middle of the object.
            put(VARIABLES + index * 8, object(*variable) + index % OBJECT);
        }
        for number in 0..COUNT {
            let targets = self.references.iter().filter(|(from, _)| *from == number);
            for (field, (_, to)) in (0_u64..).zip(targets).take(FIELDS) {
                put(object(number) + field * 8, object(*to));
            }
        }
        put(VARIABLES + 0x100, ALL_GOROUTINES);
        put(VARIABLES + 0x108, self.goroutines.len() as u64);
        let mut next_sudog = SUDOGS;
        for (index, (does, holds)) in (0_u64..).zip(&self.goroutines) {
            let address = GOROUTINES + index * 480;
            let fields = &layout.goroutine;
            put(ALL_GOROUTINES + index * 8, address);
            let stack = STACKS + index * STACK;
            put(address, stack);
            put(address + 8, stack + STACK);
            put(address + fields.sched as u64, stack + STACK / 2);
            put(address + fields.status as u64, 4);
            put(address + fields.id as u64, index + 1);
            let (reason, since) = match does {
                Does::Sleeps => (5, BLOCKED_AT),
                Does::WaitsForNothing => (4, BLOCKED_AT),
                Does::Waits(_) => (3, BLOCKED_AT),
                Does::HasJustBegunToWait(_) => (3, NOW - 1),
            };
            put(address + fields.wait_since as u64, since);
            put(address + fields.wait_reason as u64, reason);
            let mut link = address + waiting.goroutine_waiting as u64;
            for number in awaited(does) {
                put(link, next_sudog);
                put(next_sudog, address);
                put(next_sudog + waiting.sudog_channel as u64, object(*number));
                link = next_sudog + waiting.sudog_waitlink as u64;
                next_sudog += sudog;
            }
            for (slot, held) in (0_u64..).zip(holds) {
                put(stack + STACK / 2 + 8 + slot * 8, object(*held));
            }
            // Dead words below the stack pointer are nobody's.
            put(stack + 8, object(0));
        }
        memory
    }
}

fn reasons() -> WaitReasons {
    let mut memory = FakeMemory::new();
    let mut table = Vec::new();
    for (text, address) in TEXT.iter().zip((TEXTS..).step_by(0x100)) {
        table.extend((if text.is_empty() { 0 } else { address }).to_le_bytes());
        table.extend((text.len() as u64).to_le_bytes());
        memory.map(address, text.as_bytes());
    }
    table.extend([0xff; 32]);
    let range = REASONS..REASONS + table.len() as u64;
    memory.map(REASONS, table);
    WaitReasons::find(&memory, range).unwrap().unwrap()
}

fn look(memory: &FakeMemory, bounds: LookBounds) -> Result<Look, WakersError> {
    let layout = Layout::of(27).unwrap();
    let source = GoroutineSource {
        layout: layout.goroutine,
        origin: LayoutOrigin::Confirmed,
        list: ListAddress {
            array: VARIABLES + 0x100,
            length: VARIABLES + 0x108,
        },
        reasons: reasons(),
    };
    let wakers = Wakers {
        memory,
        places: Places {
            heap: HEAP,
            variables: [
                VARIABLES..VARIABLES + 0x100,
                HEAP..HEAP + layout.waiting.heap_size as u64 + 64,
            ],
            types: VARIABLES,
            layout: &layout.waiting,
            minor: 27,
            goroutines: &source,
        },
        bounds,
    };
    wakers.look(NOW)
}

fn found(look: &Look) -> BTreeSet<u64> {
    look.unreached.keys().map(|(id, _)| *id).collect()
}

fn model() -> impl Strategy<Value = Model> {
    let objects = || prop::collection::vec(0..COUNT, 1..4);
    let does = prop_oneof![
        1 => Just(Does::Sleeps),
        1 => Just(Does::WaitsForNothing),
        5 => objects().prop_map(Does::Waits),
        1 => objects().prop_map(Does::HasJustBegunToWait),
    ];
    (
        prop::collection::vec((0..COUNT, 0..COUNT), 0..30),
        prop::collection::vec(0..COUNT, 0..3),
        prop::collection::vec((does, prop::collection::vec(0..COUNT, 0..3)), 1..12),
        prop::collection::btree_set(0..COUNT, 0..6),
        prop::option::of(0..COUNT),
        any::<bool>(),
    )
        .prop_map(|(mut references, variables, goroutines, free, finalized, is_swept)| {
            // What does not fit into the object is not there.
            let mut counts = [0; COUNT];
            references.retain(|(from, _)| {
                counts[*from] += 1;
                counts[*from] <= FIELDS
            });
            Model {
                references,
                variables,
                goroutines,
                free,
                finalized,
                is_swept,
            }
        })
}

proptest! {
    /// Going back from what is waited for finds exactly what going forward from what is alive leaves over.
    #[test]
    fn a_look_finds_what_the_collector_would(model in model()) {
        let look = look(&model.memory(), LookBounds::default()).unwrap();
        prop_assert_eq!(found(&look), model.stuck());
    }

    /// Whatever the memory holds, a look ends, within its bounds.
    #[test]
    fn damage_does_no_harm(
        model in model(),
        damage in prop::collection::vec((0_usize..8, 0_u64..0x2000, any::<u64>()), 1..20),
    ) {
        let mut memory = model.memory();
        for (segment, offset, value) in damage {
            let start = [RECORDS, ALL_SPANS, ALL_GOROUTINES, SPECIALS, OBJECTS, SUDOGS, GOROUTINES, STACKS][segment];
            // Words that are addresses of something do more harm than others.
            let value = if value % 2 == 0 { value } else { OBJECTS + value % 0x8000 };
            memory.write_u64(start + (offset & !7), value);
        }
        let bounds = LookBounds { bytes: 1 << 20, objects: 1000, ..LookBounds::default() };
        if let Ok(look) = look(&memory, bounds) {
            prop_assert!(look.objects <= 1000 && look.readings <= bounds.steps + 8);
            prop_assert!(look.count() as u64 <= look.judged);
        }
    }
}

/// One goroutine that waits for an object which nothing refers to but its own stack.
fn forgotten() -> Model {
    Model {
        references: vec![(1, 0)],
        variables: vec![],
        goroutines: vec![(Does::Waits(vec![0]), vec![0]), (Does::Sleeps, vec![])],
        free: BTreeSet::new(),
        finalized: None,
        is_swept: true,
    }
}

#[test]
fn each_thing_that_could_wake_it_clears_a_goroutine() {
    let clear = |change: &dyn Fn(&mut Model)| {
        let mut model = forgotten();
        change(&mut model);
        found(&look(&model.memory(), LookBounds::default()).unwrap()).is_empty()
    };
    assert!(!clear(&|_| {}));
    assert!(clear(&|model| model.variables.push(0)), "a variable");
    assert!(clear(&|model| model.variables.push(1)), "a variable, over an object");
    assert!(
        clear(&|model| model.goroutines[1].1.push(1)),
        "the stack of one that sleeps"
    );
    assert!(clear(&|model| model.finalized = Some(1)), "a finalizer");
    assert!(!clear(&|model| {
        model.finalized = None;
        model.free.insert(1);
    }));
    assert!(
        clear(&|model| model.goroutines[0].0 = Does::HasJustBegunToWait(vec![0])),
        "a short time"
    );
    assert!(
        !clear(&|model| model.goroutines[1] = (Does::Waits(vec![1]), vec![0])),
        "one that waits as well"
    );
}

#[test]
fn two_looks_must_agree_on_who_waits_since_when() {
    let mut memory = forgotten().memory();
    let first = look(&memory, LookBounds::default()).unwrap();
    assert_eq!(first.agreed(&first), [(GOROUTINES, 1)].into());
    let field = Layout::of(27).unwrap().goroutine.wait_since as u64;
    assert!(memory.write_u64(GOROUTINES + field, BLOCKED_AT + 1));
    let second = look(&memory, LookBounds::default()).unwrap();
    assert_eq!((second.count(), second.agreed(&first)), (1, [].into()));
}

#[test]
fn what_is_more_than_is_read_proves_nothing() {
    let memory = forgotten().memory();
    for bounds in [
        LookBounds {
            goroutines: 1,
            ..LookBounds::default()
        },
        LookBounds {
            bytes: 4096,
            ..LookBounds::default()
        },
        LookBounds {
            steps: 0,
            ..LookBounds::default()
        },
        LookBounds {
            objects: 1,
            ..LookBounds::default()
        },
    ] {
        let refused = look(&memory, bounds);
        assert!(
            matches!(refused, Err(WakersError::TooMuch { .. })),
            "{bounds:?}: {refused:?}"
        );
    }
}
