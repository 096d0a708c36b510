//! A pointer chase through memory that lies close together: one large read answers many small ones.

use super::MemoryError;
use super::ReadMemory;

/// Bytes read before the address that was asked for. The runtime allocates what it keeps for ever upwards and links new
/// in front of old, so that a chase runs downwards through memory that has been used already.
const BEHIND: u64 = 32 << 10;

/// Bytes read behind what was asked for: most often the next question is for what follows the answer to this one.
const AHEAD: usize = 2 << 10;

const PAGE: u64 = 4 << 10;

/// The last bytes read, kept to answer the next reads.
#[derive(Debug)]
pub struct Window<'m, M: ?Sized> {
    memory: &'m M,
    start: u64,
    bytes: Vec<u8>,
    /// How many reads the memory has been asked for.
    reads: u64,
}

impl<'m, M: ReadMemory + ?Sized> Window<'m, M> {
    /// A window on nothing yet.
    pub fn new(memory: &'m M) -> Self {
        Self {
            memory,
            start: 0,
            bytes: Vec::new(),
            reads: 0,
        }
    }

    /// `length` bytes at `address`, from the window when they lie in it.
    pub fn read(&mut self, address: u64, length: usize) -> Result<&[u8], MemoryError> {
        if self.offset(address, length).is_none() {
            self.fill(address, length)?;
        }
        let found = self
            .offset(address, length)
            .and_then(|offset| self.bytes.get(offset..)?.get(..length));
        found.ok_or(MemoryError::Unmapped { address })
    }

    /// How many reads the memory has been asked for.
    pub fn reads(&self) -> u64 {
        self.reads
    }

    fn offset(&self, address: u64, length: usize) -> Option<usize> {
        let offset = usize::try_from(address.checked_sub(self.start)?).ok()?;
        (offset.checked_add(length)? <= self.bytes.len()).then_some(offset)
    }

    fn fill(&mut self, address: u64, length: usize) -> Result<(), MemoryError> {
        let out_of_bounds = MemoryError::OutOfBounds {
            address,
            length: length as u64,
        };
        let Some(end) = address.checked_add(length as u64) else {
            return Err(out_of_bounds);
        };
        // What lies far before may not be mapped; most often whole pages are.
        let mut failure = out_of_bounds;
        for start in [address.saturating_sub(BEHIND), address & !(PAGE - 1), address] {
            let span = usize::try_from(end - start).unwrap_or(usize::MAX);
            if span > super::MAX_READ - AHEAD {
                break;
            }
            self.bytes.resize(span + AHEAD, 0);
            self.start = start;
            self.reads += 1;
            match self.memory.read_some(start, &mut self.bytes) {
                Ok(read) if read >= span => {
                    self.bytes.truncate(read);
                    return Ok(());
                }
                Ok(read) => {
                    let address = start.saturating_add(read as u64);
                    failure = MemoryError::Unmapped { address };
                }
                Err(error) => failure = error,
            }
            if failure.is_final() {
                break;
            }
        }
        self.bytes.clear();
        Err(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FakeMemory;

    #[test]
    fn a_chase_downwards_costs_one_read_per_window() {
        let mut memory = FakeMemory::new();
        memory.map(0x10_0000, (0..=u8::MAX).cycle().take(1 << 18).collect::<Vec<_>>());
        let mut window = Window::new(&memory);
        for address in (0x10_0000..0x14_0000_u64).rev().step_by(64).skip(1) {
            assert_eq!(window.read(address, 16).unwrap()[0], address.to_le_bytes()[0]);
        }
        assert!(window.reads() < 30, "{}", window.reads());
    }

    #[test]
    fn a_hole_before_does_not_hide_what_is_asked_for() {
        let mut memory = FakeMemory::new();
        memory.map(0x10_0000, vec![7; 4096]);
        let mut window = Window::new(&memory);
        assert_eq!(window.read(0x10_0010, 8), Ok([7; 8].as_slice()));
        assert_eq!(
            window.read(0x10_1000, 8),
            Err(MemoryError::Unmapped { address: 0x10_1000 })
        );
        assert_eq!(window.read(0x10_0010, 8), Ok([7; 8].as_slice()));
        assert!(window.read(u64::MAX - 3, 8).is_err());
    }
}
