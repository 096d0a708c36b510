//! Lists of spans and of specials made of bytes, whole and damaged.

use super::Allocation::Changed;
use super::Allocation::Free;
use super::Allocation::Object;
use super::*;
use crate::layout::Layout;
use crate::layout::WaitingLayout;
use crate::memory::FakeMemory;
use proptest::prelude::*;

const LIST: u64 = 0x1000;
const ARRAY: u64 = 0x2000;
const RECORDS: u64 = 0x10_0000;
const SPECIAL: u64 = 0x20_0000;
const LOW: u64 = 0xc0_0000_0000;
/// In use by the collector, and a stack.
const STATES: [u8; 2] = [1, 2];

/// Size of the objects, pages, whether it is in use by the collector.
type Written = (u64, u64, bool);

/// Spans one behind the other, with a gap of a page after each.
fn memory(spans: &[Written]) -> FakeMemory {
    let mut memory = FakeMemory::new();
    let count = spans.len() as u64;
    memory.map(LIST, [ARRAY, count, count].map(u64::to_le_bytes).concat());
    memory.map(ARRAY, vec![0; spans.len() * 8 + 8]);
    memory.map(RECORDS, vec![0; spans.len() * 256 + 256]);
    memory.map(SPECIAL, vec![0; 4096]);
    let mut put = |address, value| assert!(memory.write_u64(address, value));
    let mut start = LOW;
    for (index, (size, pages, in_use)) in (0_u64..).zip(spans) {
        let record = RECORDS + index * 256;
        put(ARRAY + index * 8, record);
        put(record + 24, start);
        put(record + 32, *pages);
        put(record + 48, (pages * PAGE / size) << 16);
        put(record + 96, 4 << 16 | u64::from(STATES[usize::from(!in_use)]) << 24);
        put(record + 104, *size);
        start += (pages + 1) * PAGE;
    }
    memory
}

fn spans() -> impl Strategy<Value = Vec<Written>> {
    prop::collection::vec(
        ((1_u64..64).prop_map(|words| words * 16), 1_u64..4, any::<bool>()),
        1..20,
    )
}

proptest! {
    /// Every address leads to the object it lies in, and those of free pages, stacks and the ends of spans to none.
    #[test]
    fn addresses_lead_to_their_objects(written in spans(), offset in 0_u64..0x20_0000) {
        let spans = Spans::read(&memory(&written), LIST).unwrap();
        prop_assert_eq!(spans.all().len(), written.iter().filter(|span| span.2).count());
        let address = LOW + offset;
        let mut start = LOW;
        let mut expected = None;
        for (size, pages, in_use) in &written {
            let end = start + pages * PAGE / size * size;
            if *in_use && (start..end).contains(&address) {
                expected = Some(start + (address - start) / size * size);
            }
            start += (pages + 1) * PAGE;
        }
        prop_assert_eq!(spans.object(address).map(|(_, object)| object), expected);
    }

    /// Whatever the list holds, spans do not reach beyond their pages and every object lies in its span.
    #[test]
    fn damage_does_no_harm(
        written in spans(),
        damage in prop::collection::vec((0_u64..3, 0_u64..0x1800, any::<u64>()), 1..10),
        addresses in prop::collection::vec(any::<u64>(), 10),
    ) {
        let mut memory = memory(&written);
        for (segment, offset, value) in damage {
            memory.write_u64([LIST, ARRAY, RECORDS][usize::try_from(segment).unwrap()] + (offset & !7), value);
        }
        if let Ok(spans) = Spans::read(&memory, LIST) {
            for address in addresses.into_iter().chain((LOW..LOW + 0x4000).step_by(1000)) {
                if let Some((span, object)) = spans.object(address) {
                    prop_assert!(span.objects().contains(&object));
                    prop_assert!(object <= address && address - object < span.size);
                }
            }
        }
    }
}

fn layout() -> &'static WaitingLayout {
    &Layout::of(27).unwrap().waiting
}

/// One span with a list of specials: offset in the span, kind, first word behind.
fn with_specials(specials: &[(u64, u8, u64)]) -> FakeMemory {
    let mut memory = memory(&[(64, 1, true)]);
    let mut put = |address, value| assert!(memory.write_u64(address, value));
    put(RECORDS + 128, SPECIAL);
    for (index, (offset, kind, word)) in (0_u64..).zip(specials) {
        let at = SPECIAL + index * 64;
        let is_last = index + 1 == specials.len() as u64;
        put(at, if is_last { 0 } else { at + 64 });
        put(at + 8, *offset);
        put(at + layout().special_kind as u64, u64::from(*kind));
        put(at + layout().special_size as u64, *word);
    }
    memory
}

#[test]
fn finalizers_keep_their_objects_and_what_they_call() {
    let memory = with_specials(&[(70, 2, LOW + 640), (128, 4, 0x7777), (128, 5, 0)]);
    let spans = Spans::read(&memory, LIST).unwrap();
    let specials = Specials::read(&memory, &spans, layout(), &(2..4)).unwrap();
    assert_eq!(specials.kept, [LOW + 64]);
    assert!(specials.words.contains(&(LOW + 640)));
    assert!(specials.broken.is_empty());
}

/// What was freed is in another list: its span is not trusted, which keeps all of its objects.
#[test]
fn a_list_that_leads_elsewhere_is_no_list() {
    for list in [
        &[(128, 2, 0), (64, 2, 0)][..],
        &[(64, 2, 0), (64, 2, 0)],
        &[(64, 0, 0)],
        &[(0x4000, 2, 0)],
    ] {
        let memory = with_specials(list);
        let spans = Spans::read(&memory, LIST).unwrap();
        let specials = Specials::read(&memory, &spans, layout(), &(2..4)).unwrap();
        let [broken] = specials.broken.as_slice() else {
            panic!("{list:?}: {specials:?}")
        };
        assert_eq!(*broken, LOW..LOW + PAGE, "{list:?}");
    }
}

#[test]
fn slots_are_told_apart_by_their_bits_unless_their_span_is_not_swept() {
    const GENERATION: u64 = 0x3000;
    const BITS: u64 = 0x4000;
    let mut memory = memory(&[(64, 1, true)]);
    memory.map(GENERATION, 8_u64.to_le_bytes());
    memory.map(BITS, 0b10_0000_u64.to_le_bytes());
    let spans = Spans::read(&memory, LIST).unwrap();
    let objects = [LOW, LOW + 4 * 64, LOW + 5 * 64];
    let mut asked = |offset: u64, value: u64| {
        assert!(memory.write_u64(RECORDS + offset, value));
        spans.allocations(&memory, GENERATION, &objects).unwrap()
    };
    asked(64, BITS);
    assert_eq!(asked(88, 8), [Free, Free, Object]);
    assert_eq!(
        asked(48, 2 | 128 << 16),
        [Object, Free, Object],
        "before the free index"
    );
    assert_eq!(asked(88, 6), [Object, Object, Object], "not swept");
    assert_eq!(asked(104, 128), [Changed, Changed, Changed]);
}
