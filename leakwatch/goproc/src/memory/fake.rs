//! Memory made of bytes: what tests and fuzzers read instead of a process.

use super::MemoryError;
use super::ReadMemory;
use std::collections::BTreeMap;

/// Mapped ranges by start address. Ranges that touch are read as one; where two overlap, the one that starts later wins.
#[derive(Clone, Debug, Default)]
pub struct FakeMemory {
    segments: BTreeMap<u64, Vec<u8>>,
}

impl FakeMemory {
    /// Memory in which nothing is mapped.
    pub fn new() -> Self {
        Self::default()
    }

    /// Maps bytes, replacing a segment that started at the same address.
    pub fn map(&mut self, address: u64, bytes: impl Into<Vec<u8>>) {
        self.segments.insert(address, bytes.into());
    }

    /// Writes inside one mapped segment; answers whether it fitted.
    pub fn write(&mut self, address: u64, bytes: &[u8]) -> bool {
        let Some((start, segment)) = self.segments.range_mut(..=address).next_back() else {
            return false;
        };
        let place = usize::try_from(address - start)
            .ok()
            .and_then(|offset| segment.get_mut(offset..))
            .and_then(|rest| rest.get_mut(..bytes.len()));
        place.is_some_and(|place| {
            place.copy_from_slice(bytes);
            true
        })
    }

    /// Writes one word inside one mapped segment; answers whether it fitted.
    pub fn write_u64(&mut self, address: u64, value: u64) -> bool {
        self.write(address, &value.to_le_bytes())
    }

    /// Removes the segment that starts at `address`.
    pub fn unmap(&mut self, address: u64) {
        self.segments.remove(&address);
    }

    /// The mapped bytes from `address` to the end of their segment.
    fn mapped(&self, address: u64) -> Option<&[u8]> {
        let (start, segment) = self.segments.range(..=address).next_back()?;
        let rest = segment.get(usize::try_from(address - start).ok()?..)?;
        (!rest.is_empty()).then_some(rest)
    }
}

impl ReadMemory for FakeMemory {
    fn read_some(&self, address: u64, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let mut read = 0;
        while let Some(missing) = buffer.get_mut(read..)
            && !missing.is_empty()
        {
            let Some(mapped) = address.checked_add(read as u64).and_then(|next| self.mapped(next)) else {
                break;
            };
            for (to, from) in missing.iter_mut().zip(mapped) {
                *to = *from;
            }
            read += missing.len().min(mapped.len());
        }
        if read == 0 && !buffer.is_empty() {
            return Err(MemoryError::Unmapped { address });
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stop_where_nothing_is_mapped() {
        let mut memory = FakeMemory::new();
        memory.map(0x1000, vec![1; 16]);
        memory.map(0x1010, vec![2; 16]);
        memory.map(0x2000, vec![3; 16]);
        let mut buffer = [0; 64];
        assert_eq!(memory.read_some(0x1008, &mut buffer), Ok(24));
        assert_eq!(buffer[7..9], [1, 2]);
        assert_eq!(
            memory.read(0x1008, &mut buffer),
            Err(MemoryError::Unmapped { address: 0x1020 })
        );
        assert_eq!(
            memory.read_some(0x1800, &mut buffer),
            Err(MemoryError::Unmapped { address: 0x1800 })
        );
        assert_eq!(memory.read_some(0x1800, &mut []), Ok(0));
        assert_eq!(memory.read_u64(0x2008), Ok(0x0303_0303_0303_0303));
        assert_eq!(
            memory.read_u64(u64::MAX - 3),
            Err(MemoryError::Unmapped { address: u64::MAX - 3 })
        );
    }

    #[test]
    fn writes_stay_inside_a_segment() {
        let mut memory = FakeMemory::new();
        memory.map(0x1000, vec![0; 16]);
        assert!(memory.write_u64(0x1008, 7));
        assert!(!memory.write_u64(0x1009, 7));
        assert_eq!(memory.read_u64(0x1008), Ok(7));
    }
}
