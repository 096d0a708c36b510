//! Against a model that keeps every page by itself.

use super::*;
use proptest::prelude::*;

const PAGE: u64 = 4096;
/// Pages of the small address space that everything happens in.
const PAGES: u64 = 64;
const HEAP_END: u64 = PAGES * PAGE;

/// One entry for each page: who mapped it, and who touched it.
#[derive(Default)]
struct Model {
    owner: BTreeMap<u64, u64>,
    toucher: BTreeMap<u64, u64>,
    touched: BTreeMap<u64, u64>,
    mappings: BTreeMap<u64, u64>,
    heap_end: u64,
}

impl Model {
    fn pages((address, length): Extent) -> Range<u64> {
        address / PAGE..(address + length).div_ceil(PAGE)
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Page { address, fingerprint } => {
                self.toucher.insert(address / PAGE, fingerprint);
                *self.touched.entry(fingerprint).or_default() += 1;
            }
            Change::Map { range, fingerprint } => {
                *self.mappings.entry(fingerprint).or_default() += 1;
                for page in Self::pages(range) {
                    self.owner.insert(page, fingerprint);
                    self.toucher.remove(&page);
                }
            }
            Change::Unmap { range } => {
                for page in Self::pages(range) {
                    self.owner.remove(&page);
                    self.toucher.remove(&page);
                }
            }
            Change::Move { from, to } => {
                let (from, to) = (Self::pages(from), Self::pages(to));
                if from.is_empty() {
                    return;
                }
                let owner = self.owner.get(&from.start).copied();
                let kept: Vec<(u64, u64)> = self
                    .toucher
                    .range(from.clone())
                    .map(|(page, toucher)| (page - from.start, *toucher))
                    .collect();
                for page in from.chain(to.clone()) {
                    self.owner.remove(&page);
                    self.toucher.remove(&page);
                }
                for page in to.clone() {
                    if let Some(owner) = owner {
                        self.owner.insert(page, owner);
                    }
                }
                for (offset, toucher) in kept {
                    if to.contains(&(to.start + offset)) {
                        self.toucher.insert(to.start + offset, toucher);
                    }
                }
            }
            Change::Break { end } => {
                for page in end.div_ceil(PAGE)..self.heap_end / PAGE {
                    self.toucher.remove(&page);
                }
                self.heap_end = end;
            }
            Change::Drop { range } => {
                for page in Self::pages(range) {
                    self.toucher.remove(&page);
                }
            }
        }
    }
}

fn extent() -> impl Strategy<Value = Extent> {
    (0..PAGES, 0..16 * PAGE).prop_map(|(page, length)| (page * PAGE, length))
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (0..PAGES * PAGE, 1..5_u64).prop_map(|(address, fingerprint)| Change::Page { address, fingerprint }),
        2 => (extent(), 1..5_u64).prop_map(|(range, fingerprint)| Change::Map { range, fingerprint }),
        1 => extent().prop_map(|range| Change::Unmap { range }),
        1 => (extent(), extent()).prop_map(|(from, to)| Change::Move { from, to }),
        1 => (0..=PAGES).prop_map(|page| Change::Break { end: page * PAGE }),
        1 => extent().prop_map(|range| Change::Drop { range }),
    ]
}

proptest! {
    #[test]
    fn what_is_left_is_what_page_by_page_is_left(changes in prop::collection::vec(change(), 0..60)) {
        let mut space = AddressSpace::new(PAGE, Some(HEAP_END));
        let mut model = Model { heap_end: HEAP_END, ..Model::default() };
        for change in changes {
            space.apply(change);
            model.apply(change);
        }
        let (by_touch, by_mapping) = (space.by_touch(), space.by_mapping());
        for fingerprint in 1..5 {
            let touch = by_touch.get(&fingerprint).copied().unwrap_or_default();
            let live = model.toucher.values().filter(|toucher| **toucher == fingerprint).count();
            prop_assert_eq!(touch.live_pages, live as u64);
            prop_assert_eq!(touch.pages, model.touched.get(&fingerprint).copied().unwrap_or(0));
            let mapping = by_mapping.get(&fingerprint).copied().unwrap_or_default();
            let owned = |page: &&u64| model.owner.get(page) == Some(&fingerprint);
            prop_assert_eq!(mapping.live_pages, model.toucher.keys().filter(owned).count() as u64);
            prop_assert_eq!(mapping.mappings, model.mappings.get(&fingerprint).copied().unwrap_or(0));
            prop_assert_eq!(mapping.live_mappings > 0, model.owner.values().any(|owner| *owner == fingerprint));
        }
        prop_assert_eq!(space.lost(), 0);
    }
}

#[test]
fn pages_that_do_not_count_are_taken_back() {
    let mut space = AddressSpace::new(PAGE, None);
    space.apply(Change::Map {
        range: (0x10_0000, 4 * PAGE),
        fingerprint: 1,
    });
    for address in [0x10_0123, 0x20_0000, 0x30_0000] {
        space.apply(Change::Page {
            address,
            fingerprint: 2,
        });
    }
    // A file's page, one that is gone, and one that came with 511 others.
    space.disown(0x20_0000);
    space.remove(0x30_0000);
    space.confirm(0x10_0000, 512);
    let touched = space.by_touch()[&2];
    assert_eq!((touched.pages, touched.live_pages), (513, 512));
    let mapped = space.by_mapping()[&1];
    assert_eq!((mapped.pages, mapped.live_pages), (512, 512));
}
