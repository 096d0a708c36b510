//! The walk over buckets that a test has built, whole and damaged.

use super::*;
use crate::memory::FakeMemory;
use proptest::prelude::*;

const HEAD: u64 = 0x1000;
const CYCLE: u64 = 0x1008;
const RATE: u64 = 0x1010;
const BUCKETS: u64 = 0x10_0000;
/// Bytes between two buckets.
const STRIDE: u64 = 0x400;

/// A bucket as the runtime writes it.
#[derive(Clone, Debug)]
struct Written {
    size: u64,
    stack: Vec<u64>,
    record: [(u64, u64); 4],
}

impl Written {
    fn bytes(&self, next: u64, format: RecordFormat) -> Vec<u8> {
        let mut words = vec![0, next, 1, 0x5eed, self.size, self.stack.len() as u64];
        words.extend(&self.stack);
        for (allocs, frees) in self.record {
            words.extend([allocs, frees]);
            if format == RecordFormat::ObjectsAndBytes {
                words.extend([allocs.wrapping_mul(self.size), frees.wrapping_mul(self.size)]);
            }
        }
        words.into_iter().flat_map(u64::to_le_bytes).collect()
    }
}

fn address(index: usize) -> u64 {
    BUCKETS + index as u64 * STRIDE
}

/// Stacks as they come.
type Stacks = Vec<Vec<u64>>;

/// Buckets in the order of their allocation: the last one is the head.
fn memory(buckets: &[Written], format: RecordFormat, cycle: u32) -> FakeMemory {
    let mut memory = FakeMemory::new();
    memory.map(HEAD, vec![0; 0x18]);
    let mut next = 0;
    for (index, bucket) in buckets.iter().enumerate() {
        let mut bytes = bucket.bytes(next, format);
        bytes.resize(usize::try_from(STRIDE).unwrap(), 0);
        memory.map(address(index), bytes);
        next = address(index);
    }
    assert!(memory.write_u64(HEAD, next));
    assert!(memory.write_u64(CYCLE, u64::from(cycle) << 1));
    assert!(memory.write_u64(RATE, 1));
    memory
}

fn reader(format: Option<RecordFormat>) -> HeapReader {
    HeapReader::new(HeapSource {
        buckets: HEAD,
        cycle: CycleSource::Profile(CYCLE),
        rate: RATE,
        format,
        version: "go1.99".to_owned(),
    })
}

fn bucket(size: u64, active: (u64, u64)) -> Written {
    Written {
        size,
        stack: vec![0x40_1000, 0x40_2000],
        record: [active, (0, 0), (0, 0), (0, 0)],
    }
}

fn some_buckets() -> Vec<Written> {
    (1..40)
        .map(|number| bucket(number * 16, (number * 3, number)))
        .collect()
}

const FORMATS: [RecordFormat; 2] = [RecordFormat::ObjectsAndBytes, RecordFormat::Objects];

#[test]
fn the_layout_is_told_by_the_counters_and_must_be_the_expected_one() {
    for found in FORMATS {
        let memory = memory(&some_buckets(), found, 5);
        for expected in [None, Some(found)] {
            let mut reader = reader(expected);
            let snapshot = reader.read(&memory, &mut Stacks::new()).unwrap();
            assert_eq!(reader.format(), Some(found));
            let in_use: u64 = (1..40).map(|number| number * 2 * number * 16).sum();
            assert_eq!(
                u64::try_from(snapshot.in_use(View::LastGc, reader.index()).bytes),
                Ok(in_use)
            );
        }
        for expected in FORMATS.into_iter().filter(|format| *format != found) {
            let result = reader(Some(expected)).read(&memory, &mut Stacks::new());
            let version = "go1.99".to_owned();
            assert_eq!(
                result,
                Err(HeapError::Layout {
                    version,
                    expected,
                    found
                })
            );
        }
    }
}

#[test]
fn what_cannot_be_told_is_refused() {
    // Nothing counted yet, by a release that nobody knows.
    let quiet = [bucket(64, (0, 0))];
    let result = reader(None).read(&memory(&quiet, RecordFormat::Objects, 0), &mut Stacks::new());
    let version = "go1.99".to_owned();
    assert_eq!(result, Err(HeapError::UnknownLayout { version }));
    // Half of the buckets say one thing, half another.
    let mut memory = memory(&some_buckets(), RecordFormat::ObjectsAndBytes, 0);
    for (index, written) in some_buckets().iter().enumerate().step_by(2) {
        let next = if index == 0 { 0 } else { address(index - 1) };
        let mut bytes = written.bytes(next, RecordFormat::Objects);
        bytes.resize(0x200, 1);
        memory.map(address(index), bytes);
    }
    for expected in [None, Some(RecordFormat::Objects), Some(RecordFormat::ObjectsAndBytes)] {
        let result = reader(expected).read(&memory, &mut Stacks::new());
        assert!(matches!(result, Err(HeapError::Contradiction { .. })), "{result:?}");
    }
}

#[test]
fn damaged_lists_are_refused_with_the_reason() {
    let format = RecordFormat::Objects;
    let whole = memory(&some_buckets(), format, 0);
    let damaged = |damage: &dyn Fn(&mut FakeMemory)| {
        let mut memory = whole.clone();
        damage(&mut memory);
        reader(Some(format)).read(&memory, &mut Stacks::new())
    };
    let at = address(20);
    // A bucket that leads to itself, and one that leads back to a newer one.
    for target in [at, address(35)] {
        let result = damaged(&|memory| assert!(memory.write_u64(at + 8, target)));
        assert!(matches!(result, Err(HeapError::Loop { .. })), "{result:?}");
    }
    let result = damaged(&|memory| assert!(memory.write_u64(at + 16, 2)));
    assert_eq!(result, Err(BucketError::Kind { address: at, kind: 2 }.into()));
    for depth in [1025, u64::MAX, 1 << 61] {
        let result = damaged(&|memory| assert!(memory.write_u64(at + 40, depth)));
        assert_eq!(result, Err(BucketError::Depth { address: at, depth }.into()));
    }
    let result = damaged(&|memory| memory.unmap(at));
    assert!(
        matches!(result, Err(HeapError::Bucket(BucketError::Memory { address, .. })) if address == at),
        "{result:?}"
    );
    let result = damaged(&|memory| assert!(memory.write_u64(at + 8, u64::MAX - 20)));
    assert!(
        matches!(result, Err(HeapError::Bucket(BucketError::Memory { .. }))),
        "{result:?}"
    );
    let result = damaged(&|memory| memory.unmap(HEAD));
    assert!(matches!(result, Err(HeapError::Variable { .. })), "{result:?}");
}

#[test]
fn a_list_that_no_longer_leads_to_known_buckets_is_refused() {
    let format = RecordFormat::Objects;
    let mut memory = memory(&some_buckets(), format, 0);
    let mut reader = reader(Some(format));
    reader.read(&memory, &mut Stacks::new()).unwrap();
    let other = BUCKETS + 0x10_0000;
    memory.map(other, bucket(64, (1, 0)).bytes(0, format));
    assert!(memory.write_u64(HEAD, other));
    assert_eq!(
        reader.read(&memory, &mut Stacks::new()),
        Err(HeapError::HeadLost { address: address(38) })
    );
}

#[test]
fn counters_that_cannot_be_read_are_counted() {
    let format = RecordFormat::Objects;
    let mut memory = memory(&some_buckets(), format, 0);
    let mut reader = reader(Some(format));
    reader.read(&memory, &mut Stacks::new()).unwrap();
    // Its identity is known by now; only its counters are gone.
    memory.unmap(address(7));
    let snapshot = reader.read(&memory, &mut Stacks::new()).unwrap();
    assert_eq!(snapshot.unreadable, 1);
    let gone = reader
        .index()
        .ids()
        .find(|id| reader.index().address(*id) == Some(address(7)));
    assert_eq!(snapshot.record(gone.unwrap()), None);
    assert_eq!(snapshot.all(View::Now).count(), 38);
}

#[test]
fn the_views_add_up_the_cycles_they_should() {
    let record = Record {
        active: Counts {
            allocs: 1000,
            frees: 100,
        },
        future: [1, 10, 100].map(|allocs| Counts {
            allocs,
            frees: allocs / 10,
        }),
    };
    // Cycle, then the sums of pprof, lastgc and now.
    for (cycle, sums) in [
        (0, [1001, 1011, 1111]),
        (1, [1010, 1110, 1111]),
        (2, [1100, 1101, 1111]),
        (3, [1001, 1011, 1111]),
        ((3 << 25) - 1, [1100, 1101, 1111]),
    ] {
        let found = [View::Pprof, View::LastGc, View::Now].map(|view| view.counts(&record, cycle, false).allocs);
        assert_eq!(found, sums, "cycle {cycle}");
    }
    assert_eq!(View::Pprof.counts(&record, 0, true).allocs, 1111);
    assert_eq!(View::LastGc.counts(&record, 0, true).allocs, 1011);
}

#[test]
fn differences_are_those_of_raw_counts() {
    let format = RecordFormat::ObjectsAndBytes;
    let mut buckets = some_buckets();
    let mut reader = reader(Some(format));
    let before = reader.read(&memory(&buckets, format, 0), &mut Stacks::new()).unwrap();
    buckets[3].record[0] = (112, 4);
    buckets.push(bucket(640, (5, 1)));
    let after = reader.read(&memory(&buckets, format, 0), &mut Stacks::new()).unwrap();
    let found: Vec<_> = after
        .since(&before, View::LastGc)
        .map(|difference| {
            (
                difference.id.index(),
                difference.allocs,
                difference.frees,
                difference.in_use(),
            )
        })
        .collect();
    assert_eq!(found, [(3, 100, 0, 100), (39, 5, 1, 4)]);
    assert_eq!(after.since(&after, View::Now).count(), 0);
}

/// Memory in which a collection ends before every reading of the cycle.
struct Busy {
    memory: FakeMemory,
    reads: std::cell::Cell<u64>,
    /// How many readings of the cycle differ from the one before.
    changes: u64,
}

impl ReadMemory for Busy {
    fn read_some(&self, address: u64, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let read = self.memory.read_some(address, buffer)?;
        if address == CYCLE {
            self.reads.set(self.reads.get() + 1);
            let cycle = u32::try_from(self.reads.get().min(self.changes) << 1).unwrap();
            buffer.copy_from_slice(&cycle.to_le_bytes());
        }
        Ok(read)
    }
}

#[test]
fn a_collection_in_the_middle_makes_it_read_again() {
    let format = RecordFormat::Objects;
    for (changes, consistency, reads) in [
        (0, Consistency::OneCycle, 2),
        (4, Consistency::OneCycle, 6),
        (99, Consistency::Mixed, 6),
    ] {
        let busy = Busy {
            memory: memory(&some_buckets(), format, 0),
            reads: std::cell::Cell::new(0),
            changes,
        };
        let snapshot = reader(Some(format)).read(&busy, &mut Stacks::new()).unwrap();
        assert_eq!(
            (snapshot.consistency, busy.reads.get()),
            (consistency, reads),
            "{changes}"
        );
    }
}

/// Has time for so many reads, each time.
struct Slow {
    memory: FakeMemory,
    left: std::cell::Cell<u64>,
}

impl ReadMemory for Slow {
    fn read_some(&self, address: u64, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let left = self.left.get().checked_sub(1).ok_or(MemoryError::TimedOut)?;
        self.left.set(left);
        self.memory.read_some(address, buffer)
    }
}

#[test]
fn a_list_that_takes_several_readings_is_read_to_its_end_while_it_grows() {
    let format = RecordFormat::Objects;
    let sizes = |count| -> Vec<_> { (1..=count).map(|number| bucket(number * 16, (1, 0))).collect() };
    let mut reader = reader(Some(format));
    let mut unfinished = Vec::new();
    // A window holds some thirty of these; the counters take 55 reads.
    let snapshot = (0..).find_map(|round| {
        let slow = Slow {
            memory: memory(&sizes(400 + round.min(9)), format, 0),
            left: std::cell::Cell::new(if round < 9 { 6 } else { 1_000 }),
        };
        match reader.read(&slow, &mut Stacks::new()) {
            Err(HeapError::Unfinished { buckets }) => unfinished.push(buckets),
            read => return Some(read.unwrap()),
        }
        None
    });
    assert!(
        unfinished.len() > 3 && unfinished.is_sorted_by(|before, after| before < after),
        "{unfinished:?}"
    );
    let sizes = reader.index().ids().filter_map(|id| reader.index().size(id));
    assert!(sizes.eq((1..=409).map(|number| number * 16)));
    assert_eq!(snapshot.map(|snapshot| snapshot.all(View::Now).count()), Some(409));
}

#[test]
fn deep_stacks_are_no_trouble() {
    let format = RecordFormat::Objects;
    let mut image = Vec::new();
    let size = 48 + 1024 * 8 + 64;
    let mut next = 0;
    let count = 5_000_u64;
    for index in 0..count {
        let deep = Written {
            size: 32,
            stack: (0..1024).map(|depth| 0x40_0000 + index * 1024 + depth).collect(),
            record: [(2, 1), (0, 0), (0, 0), (0, 0)],
        };
        image.extend(deep.bytes(next, format));
        next = BUCKETS + index * size;
    }
    let mut memory = memory(&[], format, 0);
    memory.map(BUCKETS, image);
    assert!(memory.write_u64(HEAD, next));
    let mut reader = reader(Some(format));
    let mut stacks = Stacks::new();
    let snapshot = reader.read(&memory, &mut stacks).unwrap();
    assert_eq!(reader.index().len() as u64, count);
    assert_eq!(
        snapshot.in_use(View::Now, reader.index()).objects,
        i64::try_from(count).unwrap()
    );
    let last = reader.index().ids().last().unwrap();
    let stack = &stacks[reader.index().stack(last).unwrap().number as usize];
    assert_eq!((stack.len(), stack[0]), (1024, 0x40_0000 + (count - 1) * 1024));
}

/// As many buckets as are kept, one after the other as the runtime puts them, and one more.
#[test]
fn a_million_buckets_are_read_and_one_more_is_told() {
    let mut bytes = vec![0; 0x18];
    let total = MAX_BUCKETS as u64 + 1;
    let length = 48 + 8 + 64;
    for number in 0..total {
        let next = if number == 0 {
            0
        } else {
            HEAD + 0x18 + (number - 1) * length
        };
        let mut written = bucket(16, (3, 1));
        written.stack.truncate(1);
        bytes.extend(written.bytes(next, RecordFormat::Objects));
    }
    let mut memory = FakeMemory::new();
    memory.map(HEAD, bytes);
    assert!(memory.write_u64(HEAD, HEAD + 0x18 + (total - 2) * length));
    assert!(memory.write_u64(RATE, 1));
    let mut reader = reader(Some(RecordFormat::Objects));
    let snapshot = reader.read(&memory, &mut Stacks::new()).unwrap();
    assert_eq!(
        (reader.index().len(), reader.index().is_truncated()),
        (MAX_BUCKETS, false)
    );
    let objects = snapshot.in_use(View::LastGc, reader.index()).objects;
    assert_eq!(objects, 2 * i64::try_from(MAX_BUCKETS).unwrap());
    assert!(memory.write_u64(HEAD, HEAD + 0x18 + (total - 1) * length));
    reader.read(&memory, &mut Stacks::new()).unwrap();
    assert_eq!(
        (reader.index().len(), reader.index().is_truncated()),
        (MAX_BUCKETS, true)
    );
}

fn written() -> impl Strategy<Value = Written> {
    let counts = (0_u64..1 << 40, 0_u64..1 << 40).prop_map(|(allocs, frees)| (allocs.max(frees), allocs.min(frees)));
    (
        1_u64..1 << 20,
        proptest::collection::vec(0x40_0000_u64..0x80_0000, 1..60),
        proptest::array::uniform4(counts),
    )
        .prop_map(|(size, stack, record)| Written { size, stack, record })
}

proptest! {
    /// What is written is read, in pieces or at once, and ids stay.
    #[test]
    fn reads_what_is_written(
        buckets in proptest::collection::vec(written(), 1..30),
        narrow: bool,
        first in 0_usize..30,
        cycle in 0_u32..100,
    ) {
        let format = FORMATS[usize::from(narrow)];
        let mut reader = reader(Some(format));
        let first = first.min(buckets.len());
        let mut stacks = Stacks::new();
        if first > 0 {
            reader.read(&memory(&buckets[..first], format, cycle), &mut stacks).unwrap();
        }
        let snapshot = reader.read(&memory(&buckets, format, cycle), &mut stacks).unwrap();
        prop_assert_eq!(stacks.len(), buckets.len(), "each once");
        prop_assert_eq!(reader.index().len(), buckets.len());
        for (id, written) in reader.index().ids().zip(&buckets) {
            prop_assert_eq!(reader.index().address(id), Some(address(id.index())));
            prop_assert_eq!(reader.index().size(id), Some(written.size));
            let kept = reader.index().stack(id).unwrap();
            prop_assert_eq!(&stacks[kept.number as usize], &written.stack);
            prop_assert_eq!(reader.index().find(address(id.index())), Some(id));
            let [active, future @ ..] = written.record.map(|(allocs, frees)| Counts { allocs, frees });
            prop_assert_eq!(snapshot.record(id), Some(&Record { active, future }));
        }
    }

    /// Any bytes anywhere lead to an answer.
    #[test]
    fn damage_does_no_harm(
        damage in proptest::collection::vec((0_usize..39, 0_u64..20, prop_oneof![
            any::<u64>(), (0_u64..39).prop_map(|index| BUCKETS + index * STRIDE), 0_u64..2000,
        ]), 1..12),
        narrow: bool,
    ) {
        let format = FORMATS[usize::from(narrow)];
        let mut memory = memory(&some_buckets(), format, 0);
        for (index, word, value) in damage {
            memory.write_u64(address(index) + word * 8, value);
        }
        for expected in [None, Some(format)] {
            let mut reader = reader(expected);
            if let Ok(snapshot) = reader.read(&memory, &mut Stacks::new()) {
                prop_assert!(reader.index().len() <= 39);
                for view in [View::Pprof, View::LastGc, View::Now] {
                    std::hint::black_box(snapshot.in_use(view, reader.index()));
                    std::hint::black_box(snapshot.allocated(view, reader.index()));
                }
            }
        }
    }
}
