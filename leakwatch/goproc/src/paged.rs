//! A part of a file as bytes: only the pages in use are kept, and no more than some.
//!
//! Not mapped into memory: a mapping of a file that its owner cuts short ends whoever touches it, and the files here
//! belong to whoever is watched.

use crate::memory::ReadMemory;
use crate::pclntab::TableBytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

/// Bytes per page.
const PAGE: usize = 16 << 10;

/// Pages kept: 4 MiB. What a program's profiles ask for again and again fits.
const MAX_PAGES: usize = 256;

/// The bytes of a file from one offset to another. Offsets in it count from the first.
#[derive(Debug)]
pub(crate) struct Paged<F> {
    file: Arc<F>,
    start: u64,
    length: usize,
    pages: Mutex<HashMap<usize, Box<[u8]>>>,
}

impl<F: ReadMemory> Paged<F> {
    pub(crate) fn new(file: Arc<F>, start: u64, length: usize) -> Self {
        Self {
            file,
            start,
            length,
            pages: Mutex::default(),
        }
    }

    fn read(&self, at: usize, buffer: &mut [u8]) -> Option<()> {
        let offset = self.start.checked_add(at as u64)?;
        self.file.read(offset, buffer).ok()
    }

    /// The part of `buffer` that lies in one page: how many bytes that were.
    fn copy_from_page(&self, at: usize, buffer: &mut [u8]) -> Option<usize> {
        let number = at / PAGE;
        let start = number * PAGE;
        // What panics while it holds the pages has not changed any.
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if !pages.contains_key(&number) {
            let mut page = vec![0; PAGE.min(self.length.checked_sub(start)?)];
            self.read(start, &mut page)?;
            if pages.len() >= MAX_PAGES {
                pages.clear();
            }
            pages.insert(number, page.into());
        }
        let rest = pages.get(&number)?.get(at - start..)?;
        let count = rest.len().min(buffer.len());
        buffer.get_mut(..count)?.copy_from_slice(rest.get(..count)?);
        Some(count)
    }
}

impl<F: ReadMemory> TableBytes for Paged<F> {
    fn length(&self) -> usize {
        self.length
    }

    fn copy(&self, at: usize, buffer: &mut [u8]) -> Option<()> {
        if at.checked_add(buffer.len())? > self.length {
            return None;
        }
        // A pass over all of it is not worth keeping.
        if buffer.len() > PAGE {
            return self.read(at, buffer);
        }
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..)
            && !rest.is_empty()
        {
            done += self.copy_from_page(at + done, rest).filter(|count| *count > 0)?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FakeMemory;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    /// More than all pages that are kept hold.
    static FILE: LazyLock<(Vec<u8>, Arc<FakeMemory>)> = LazyLock::new(|| {
        let words = (0..1_125_000_u64).flat_map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        let bytes: Vec<u8> = words.collect();
        let mut file = FakeMemory::new();
        file.map(0, bytes.clone());
        (bytes, Arc::new(file))
    });

    proptest! {
        /// Whatever is asked for in whatever order, it is what the file has there, and the pages stay few.
        #[test]
        fn equals_the_file(reads in proptest::collection::vec((0_usize..9_000_000, 0_usize..40_000), 0..40)) {
            let (bytes, file) = &*FILE;
            let (start, length) = (1000, 8_000_000);
            let paged = Paged::new(Arc::clone(file), start as u64, length);
            for (at, count) in reads {
                let mut buffer = vec![0; count];
                let copied = paged.copy(at, &mut buffer);
                prop_assert_eq!(copied.is_some(), at + count <= length);
                if copied.is_some() {
                    prop_assert_eq!(&buffer[..], &bytes[start + at..start + at + count]);
                }
                prop_assert!(paged.pages.lock().unwrap().len() <= MAX_PAGES);
            }
        }
    }

    #[test]
    fn a_file_that_has_become_shorter_has_no_more_bytes() {
        let mut file = FakeMemory::new();
        file.map(0, vec![7; 20_000]);
        let paged = Paged::new(Arc::new(file), 0, 40_000);
        assert_eq!(paged.copy(10_000, &mut [0; 100]), Some(()));
        assert_eq!(paged.copy(30_000, &mut [0; 100]), None);
        assert_eq!(paged.copy(16_390, &mut [0; 100]), None, "its page is not whole");
    }
}
