//! The part of an address space that changed since a capture began: mappings that were made, and sampled pages that were touched, as far
//! as they are still there. Pure: fed with changes ([`change`]), it reads nothing; [`residency`] checks it against `/proc/PID/pagemap`.

pub mod change;
pub mod residency;

use crate::address_space::change::Change;
use crate::address_space::change::Extent;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::ops::Range;

/// Mappings followed, 40 bytes each. A process may have 65,530 by default, but what the kernel joins counts once there.
const MAX_REGIONS: usize = 1 << 18;
/// Pages followed, 50 bytes each: 7 GiB at the least sampling period, with which a process makes as many in an hour.
const MAX_PAGES: usize = 1 << 18;
/// Stacks told apart; what others make is nobody's.
const MAX_STACKS: usize = 1 << 16;
/// Nobody's fingerprint.
const UNKNOWN: u64 = 0;

/// A sampled page that was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Who touched it.
    pub fingerprint: u64,
    /// Small pages that came with it: 1, or those of a huge page.
    pub pages: u64,
    /// Whether it was looked at since.
    pub checked: bool,
}

/// A mapping, or what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Region {
    end: u64,
    fingerprint: u64,
}

/// What one stack has made and what of it is still there. Pages are sampled ones, not scaled up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Made {
    /// Mappings made; none for who only touches.
    pub mappings: u64,
    /// Mappings that are there in part at least.
    pub live_mappings: u64,
    /// Pages touched.
    pub pages: u64,
    /// Pages that are there.
    pub live_pages: u64,
}

/// Mappings and pages by address.
#[derive(Debug)]
pub struct AddressSpace {
    page_bytes: u64,
    heap_end: Option<u64>,
    regions: BTreeMap<u64, Region>,
    pages: BTreeMap<u64, Page>,
    touched: HashMap<u64, u64>,
    mapped: HashMap<u64, (u64, u64)>,
    lost: u64,
}

impl AddressSpace {
    /// Nothing changed yet. `heap_end` is where the heap ends, if there is one.
    pub fn new(page_bytes: u64, heap_end: Option<u64>) -> Self {
        Self {
            page_bytes: page_bytes.max(1),
            heap_end,
            regions: BTreeMap::new(),
            pages: BTreeMap::new(),
            touched: HashMap::new(),
            mapped: HashMap::new(),
            lost: 0,
        }
    }

    /// Takes in the next change.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Page { address, fingerprint } => self.touch(address, among(&self.touched, fingerprint)),
            Change::Map { range, fingerprint } => {
                let range = self.whole_pages(range);
                let fingerprint = among(&self.mapped, fingerprint);
                self.unmap(&range);
                self.mapped.entry(fingerprint).or_default().0 += 1;
                self.map(range, fingerprint);
            }
            Change::Unmap { range } => {
                let range = self.whole_pages(range);
                self.unmap(&range);
            }
            Change::Move { from, to } => self.relocate(from, to),
            Change::Break { end } => {
                if let Some(before) = self.heap_end.replace(end) {
                    self.forget_pages(&(self.page_of(end.saturating_add(self.page_bytes - 1))..before));
                }
            }
            Change::Drop { range } => {
                let range = self.whole_pages(range);
                self.forget_pages(&range);
            }
        }
    }

    /// Mappings and pages that found no room.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Addresses of the sampled pages, ascending.
    pub fn pages(&self) -> impl Iterator<Item = (u64, &Page)> {
        self.pages.iter().map(|(address, page)| (*address, page))
    }

    /// A page is gone without a word: swapped by nobody, dropped by another process, or never counted.
    pub fn remove(&mut self, address: u64) {
        self.pages.remove(&address);
    }

    /// A page is of a file: it does not count, and never did.
    pub fn disown(&mut self, address: u64) {
        if let Some(page) = self.pages.remove(&address)
            && let Some(touched) = self.touched.get_mut(&page.fingerprint)
        {
            *touched = touched.saturating_sub(page.pages);
        }
    }

    /// A page is there, and so many small ones with it.
    pub fn confirm(&mut self, address: u64, pages: u64) {
        let owner = self.owner(address);
        if let Some(page) = self.pages.get_mut(&address).filter(|page| !page.checked) {
            let more = pages.saturating_sub(page.pages);
            page.pages = page.pages.max(pages);
            page.checked = true;
            *self.touched.entry(page.fingerprint).or_default() += more;
            if let Some(owner) = owner {
                self.mapped.entry(owner).or_default().1 += more;
            }
        }
    }

    /// Whether the address is in a mapping that was made since.
    pub fn is_mapped(&self, address: u64) -> bool {
        self.owner(address).is_some()
    }

    /// By the stack that touched the pages.
    pub fn by_touch(&self) -> HashMap<u64, Made> {
        let mut made: HashMap<u64, Made> = HashMap::new();
        for (fingerprint, pages) in &self.touched {
            made.entry(*fingerprint).or_default().pages = *pages;
        }
        for page in self.pages.values() {
            made.entry(page.fingerprint).or_default().live_pages += page.pages;
        }
        made
    }

    /// By the stack that made the mappings the pages are in.
    pub fn by_mapping(&self) -> HashMap<u64, Made> {
        let mut made: HashMap<u64, Made> = HashMap::new();
        for (fingerprint, (mappings, pages)) in &self.mapped {
            let made = made.entry(*fingerprint).or_default();
            (made.mappings, made.pages) = (*mappings, *pages);
        }
        for region in self.regions.values() {
            made.entry(region.fingerprint).or_default().live_mappings += 1;
        }
        for (address, page) in &self.pages {
            if let Some(owner) = self.owner(*address) {
                made.entry(owner).or_default().live_pages += page.pages;
            }
        }
        for made in made.values_mut() {
            // One that was cut in the middle is one still.
            made.live_mappings = made.live_mappings.min(made.mappings);
        }
        made
    }

    fn touch(&mut self, address: u64, fingerprint: u64) {
        let address = self.page_of(address);
        if self.pages.len() >= MAX_PAGES && !self.pages.contains_key(&address) {
            self.lost += 1;
            return;
        }
        let page = Page {
            fingerprint,
            pages: 1,
            checked: false,
        };
        self.pages.insert(address, page);
        *self.touched.entry(fingerprint).or_default() += 1;
        if let Some(owner) = self.owner(address) {
            self.mapped.entry(owner).or_default().1 += 1;
        }
    }

    fn map(&mut self, range: Range<u64>, fingerprint: u64) {
        if range.is_empty() {
            return;
        }
        if self.regions.len() >= MAX_REGIONS {
            self.lost += 1;
            return;
        }
        let region = Region {
            end: range.end,
            fingerprint,
        };
        self.regions.insert(range.start, region);
    }

    fn unmap(&mut self, range: &Range<u64>) {
        self.cut(range);
        self.forget_pages(range);
    }

    /// Takes the range out of all mappings.
    fn cut(&mut self, range: &Range<u64>) {
        if range.is_empty() {
            return;
        }
        let before = self.regions.range(..range.start).next_back();
        let first = before.filter(|(_, region)| region.end > range.start);
        let inside = self.regions.range(range.clone());
        let touched: Vec<(u64, Region)> = first
            .into_iter()
            .chain(inside)
            .map(|(start, region)| (*start, *region))
            .collect();
        for (start, region) in touched {
            self.regions.remove(&start);
            self.map(start..range.start.max(start), region.fingerprint);
            self.map(range.end.min(region.end)..region.end, region.fingerprint);
        }
    }

    fn forget_pages(&mut self, range: &Range<u64>) {
        if range.is_empty() {
            return;
        }
        let gone: Vec<u64> = self.pages.range(range.clone()).map(|(address, _)| *address).collect();
        for address in gone {
            self.pages.remove(&address);
        }
    }

    fn relocate(&mut self, from: Extent, to: Extent) {
        let (from, to) = (self.whole_pages(from), self.whole_pages(to));
        // Nothing that was there: a second view of shared memory.
        if from.is_empty() {
            return;
        }
        let owner = self.owner(from.start);
        let kept: Vec<(u64, Page)> = self
            .pages
            .range(from.clone())
            .map(|(address, page)| (*address - from.start, *page))
            .collect();
        self.unmap(&from);
        self.unmap(&to);
        if let Some(owner) = owner {
            self.map(to.clone(), owner);
        }
        for (offset, page) in kept {
            if to
                .start
                .checked_add(offset)
                .is_some_and(|address| to.contains(&address))
            {
                self.pages.insert(to.start + offset, page);
            }
        }
    }

    /// Who made the mapping that the address is in.
    fn owner(&self, address: u64) -> Option<u64> {
        let (_, region) = self.regions.range(..=address).next_back()?;
        (address < region.end).then_some(region.fingerprint)
    }

    fn page_of(&self, address: u64) -> u64 {
        address - address % self.page_bytes
    }

    fn whole_pages(&self, (address, length): Extent) -> Range<u64> {
        let end = address.saturating_add(length);
        let rest = end % self.page_bytes;
        let end = if rest == 0 {
            end
        } else {
            end.saturating_add(self.page_bytes - rest)
        };
        self.page_of(address)..end
    }
}

/// The fingerprint if there is room for it.
fn among<T>(known: &HashMap<u64, T>, fingerprint: u64) -> u64 {
    if known.len() < MAX_STACKS || known.contains_key(&fingerprint) {
        fingerprint
    } else {
        UNKNOWN
    }
}

#[cfg(test)]
mod tests;
