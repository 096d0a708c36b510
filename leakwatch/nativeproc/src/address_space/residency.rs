//! Which sampled pages are still there, by `/proc/PID/pagemap`, and how many small pages came with each, by `/proc/kpageflags`: what the
//! records cannot tell, pages of files and those the kernel dropped by itself, is told by the kernel's own tables.
//!
//! Formats: Documentation/admin-guide/mm/pagemap.rst.

use crate::address_space::AddressSpace;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

const ENTRY: usize = 8;
/// Entries read at a time: pages that lie together are told by one read.
const WINDOW: u64 = 512;
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
/// Of a file, or shared anonymous memory.
const FILE: u64 = 1 << 61;
const FRAME: u64 = (1 << 55) - 1;
/// In `/proc/kpageflags`.
const THP: u64 = 1 << 22;
/// Small pages of a transparent huge page.
const HUGE: u64 = 512;

/// Looks at the pages of one process.
#[derive(Debug)]
pub struct Residency {
    pagemap: File,
    /// Where it cannot be read every page is taken for a small one.
    flags: Option<File>,
    page_bytes: u64,
}

impl Residency {
    /// Opens the tables of a process.
    pub fn of_process(pid: u32, page_bytes: u64) -> io::Result<Self> {
        Ok(Self {
            pagemap: File::open(format!("/proc/{pid}/pagemap"))?,
            flags: File::open("/proc/kpageflags").ok(),
            page_bytes: page_bytes.max(1),
        })
    }

    /// Takes out what is not there any more, or does not count.
    pub fn check(&self, space: &mut AddressSpace) {
        let pages: Vec<(u64, bool)> = space.pages().map(|(address, page)| (address, page.checked)).collect();
        let mut window = Window::default();
        for (address, checked) in pages {
            let Some(entry) = window.entry(&self.pagemap, address / self.page_bytes) else {
                continue;
            };
            if entry & (PRESENT | SWAPPED) == 0 {
                space.remove(address);
            } else if entry & FILE != 0 && !space.is_mapped(address) {
                space.disown(address);
            } else if !checked {
                space.confirm(address, self.small_pages(entry));
            }
        }
    }

    fn small_pages(&self, entry: u64) -> u64 {
        let frame = entry & FRAME;
        let flags = self.flags.as_ref().filter(|_| entry & PRESENT != 0 && frame != 0);
        let flags = flags.and_then(|file| {
            let mut bytes = [0; ENTRY];
            file.read_exact_at(&mut bytes, frame * ENTRY as u64).ok()?;
            Some(u64::from_ne_bytes(bytes))
        });
        if flags.is_some_and(|flags| flags & THP != 0) {
            HUGE
        } else {
            1
        }
    }
}

/// The entries read last.
#[derive(Default)]
struct Window {
    first: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The entry of a page; `None` where nothing can be read.
    fn entry(&mut self, pagemap: &File, page: u64) -> Option<u64> {
        let known = |window: &Self| {
            let index = usize::try_from(page.checked_sub(window.first)?).ok()?;
            let at = index.checked_mul(ENTRY)?;
            let bytes = window.bytes.get(at..at.checked_add(ENTRY)?)?;
            bytes.try_into().map(u64::from_ne_bytes).ok()
        };
        if let Some(entry) = known(self) {
            return Some(entry);
        }
        let mut bytes = vec![0; usize::try_from(WINDOW).ok()? * ENTRY];
        let read = pagemap.read_at(&mut bytes, page.checked_mul(ENTRY as u64)?).ok()?;
        bytes.truncate(read);
        *self = Self { first: page, bytes };
        known(self)
    }
}
