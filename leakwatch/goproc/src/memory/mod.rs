//! Reading the memory of a process: the trait, bounded and with partial reads, and what is built on it alone.
//!
//! Knows nothing of Go. Words are little-endian: only amd64 is read.

mod fake;
mod many;
mod window;

pub use fake::FakeMemory;
pub use many::read_many;
pub use window::Window;

pub(crate) use many::read_ranges;

/// No single read is longer: what is larger is read in pieces by those who know why it is.
pub const MAX_READ: usize = 256 << 20;

/// Why memory could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// Nothing is mapped there, or it may not be read (a guard page, a device).
    #[error("nothing readable is mapped at {address:#x}")]
    Unmapped {
        /// The first address that could not be read.
        address: u64,
    },
    /// The process has ended, or has executed another program since its memory was opened.
    #[error("the process has ended or runs another program")]
    Gone,
    /// One reading of the process has taken all the time that it may.
    #[error("reading the process takes longer than it may")]
    TimedOut,
    /// A length beyond [`MAX_READ`], or a range past the end of the address space: never asked of the system.
    #[error("a read of {length} bytes at {address:#x} is out of bounds")]
    OutOfBounds {
        /// Where it was to start.
        address: u64,
        /// How long it was to be.
        length: u64,
    },
    /// The system refused.
    #[error("read {length} bytes at {address:#x}: {kind}")]
    Io {
        /// Where it was to start.
        address: u64,
        /// How long it was to be.
        length: u64,
        /// What the system said.
        kind: std::io::ErrorKind,
    },
}

impl MemoryError {
    /// No later read of this reading will succeed.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Gone | Self::TimedOut)
    }
}

/// The memory of one process, or of a test.
pub trait ReadMemory {
    /// A reading of several parts begins: where its time is bounded, it counts from now.
    fn begin(&self) {}

    /// Reads what is mapped from `address` on: at least one byte (unless `buffer` is empty), at most the whole buffer. A
    /// short count means that the next byte could not be read.
    fn read_some(&self, address: u64, buffer: &mut [u8]) -> Result<usize, MemoryError>;

    /// Fills the buffer or fails.
    fn read(&self, address: u64, buffer: &mut [u8]) -> Result<(), MemoryError> {
        let wanted = buffer.len();
        let read = self.read_some(address, buffer)?;
        if read < wanted {
            return Err(MemoryError::Unmapped {
                address: address.saturating_add(read as u64),
            });
        }
        Ok(())
    }

    /// Reads `length` bytes.
    fn read_vec(&self, address: u64, length: usize) -> Result<Vec<u8>, MemoryError> {
        if length > MAX_READ {
            return Err(MemoryError::OutOfBounds {
                address,
                length: length as u64,
            });
        }
        let mut buffer = vec![0; length];
        self.read(address, &mut buffer)?;
        Ok(buffer)
    }

    /// Reads one word.
    fn read_u64(&self, address: u64) -> Result<u64, MemoryError> {
        let mut word = [0; 8];
        self.read(address, &mut word)?;
        Ok(u64::from_le_bytes(word))
    }

    /// Reads one 32-bit word.
    fn read_u32(&self, address: u64) -> Result<u32, MemoryError> {
        let mut word = [0; 4];
        self.read(address, &mut word)?;
        Ok(u32::from_le_bytes(word))
    }
}

impl<M: ReadMemory + ?Sized> ReadMemory for &M {
    fn begin(&self) {
        (**self).begin();
    }

    fn read_some(&self, address: u64, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        (**self).read_some(address, buffer)
    }
}

/// The word at a byte offset, when it lies inside.
pub fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..)?.first_chunk().map(|word| u64::from_le_bytes(*word))
}

/// The 32-bit word at a byte offset, when it lies inside.
pub fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}
