//! The only module that asks the system: memory, executable and start of a process, through `/proc/PID`, and `process_vm_readv` for much memory.
//!
//! Reads and never writes; sends no signal, attaches no debugger. `/proc/PID/mem` needs the same right as a debugger
//! (`CAP_SYS_PTRACE`, or the same user where Yama allows it). An open `mem` stays with the address space it was opened
//! for: after an exit or an `execve` it reads nothing, so that a reused pid can never be mistaken for the process.

use crate::memory::MAX_READ;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::io::Read as _;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;
use std::time::Instant;

/// Why a process could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such process (any more).
    #[error("process {pid} has ended")]
    Gone {
        /// The process.
        pid: u32,
    },
    /// The right to read it is missing.
    #[error("reading process {pid} is not permitted; it needs CAP_SYS_PTRACE")]
    Denied {
        /// The process.
        pid: u32,
    },
    /// Any other refusal of the system.
    #[error("open /proc/{pid}/{file}")]
    Io {
        /// The process.
        pid: u32,
        /// Which of its files.
        file: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// Time that one reading of a process may take. Reading a million buckets takes a tenth of it.
const LONGEST: Duration = Duration::from_secs(5);

/// Reads of so many bytes and more are asked for by pid: `/proc/PID/mem` copies everything twice. Smaller ones are not worth the second call.
const LARGE: usize = 32 << 10;

/// The memory of a running process: `/proc/PID/mem`.
#[derive(Debug)]
pub struct ProcessMemory {
    file: File,
    /// Its number for the system; none where that is not the one in `/proc`, or the system refuses.
    pid: Cell<Option<libc::pid_t>>,
    begun: Cell<Instant>,
}

impl ProcessMemory {
    /// Opens the memory of the program that the process runs now.
    pub fn open(pid: u32) -> Result<Self, OpenError> {
        Ok(Self {
            file: open(pid, "mem")?,
            pid: Cell::new(libc::pid_t::try_from(pid).ok().filter(|_| is_our_proc())),
            begun: Cell::new(Instant::now()),
        })
    }

    /// Reads all of a large buffer at once, or nothing.
    #[expect(unsafe_code, reason = "no library that is in use has the system call")]
    fn read_large(&self, address: u64, buffer: &mut [u8]) -> bool {
        let Some(pid) = self.pid.get().filter(|_| buffer.len() >= LARGE) else {
            return false;
        };
        let Ok(remote) = usize::try_from(address) else {
            return false;
        };
        let local = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        let remote = libc::iovec {
            iov_base: std::ptr::without_provenance_mut(remote),
            iov_len: buffer.len(),
        };
        // SAFETY: what is written is the buffer, within its length; the other address is never followed in this process.
        let read = unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) };
        if read == -1
            && matches!(
                io::Error::last_os_error().raw_os_error(),
                Some(libc::EPERM | libc::ENOSYS)
            )
        {
            self.pid.set(None);
        }
        // It went by pid. The pid was not another's, and the process executed no other program, if the address space that was opened is there still.
        usize::try_from(read) == Ok(buffer.len()) && matches!(self.file.read_at(&mut [0], address), Ok(1))
    }
}

/// Whether `/proc` has the numbers that the system knows processes by here.
fn is_our_proc() -> bool {
    let own = std::fs::read_link("/proc/self");
    own.is_ok_and(|own| own.as_os_str() == std::process::id().to_string().as_str())
}

impl ReadMemory for ProcessMemory {
    fn begin(&self) {
        self.begun.set(Instant::now());
    }

    fn read_some(&self, address: u64, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let length = buffer.len() as u64;
        if buffer.len() > MAX_READ {
            return Err(MemoryError::OutOfBounds { address, length });
        }
        if self.begun.get().elapsed() > LONGEST {
            return Err(MemoryError::TimedOut);
        }
        if self.read_large(address, buffer) {
            return Ok(buffer.len());
        }
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..)
            && !rest.is_empty()
        {
            let Some(next) = address.checked_add(read as u64) else {
                break;
            };
            match self.file.read_at(rest, next) {
                // No byte and no error: the address space is gone.
                Ok(0) => return Err(MemoryError::Gone),
                Ok(count) => read += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if read == 0 => return Err(failure(&error, address, length)),
                Err(_) => break,
            }
        }
        Ok(read)
    }
}

/// The bytes of a file, offsets being addresses.
#[derive(Debug)]
pub struct FileBytes {
    file: File,
}

impl FileBytes {
    /// The executable of a process, also when it has been deleted or lies in another mount namespace.
    pub fn executable(pid: u32) -> Result<Self, OpenError> {
        Ok(Self {
            file: open(pid, "exe")?,
        })
    }

    /// The open file.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl From<File> for FileBytes {
    fn from(file: File) -> Self {
        Self { file }
    }
}

impl ReadMemory for FileBytes {
    fn read_some(&self, address: u64, buffer: &mut [u8]) -> Result<usize, MemoryError> {
        let mut read = 0;
        while let Some(rest) = buffer.get_mut(read..)
            && !rest.is_empty()
        {
            let Some(next) = address.checked_add(read as u64) else {
                break;
            };
            match self.file.read_at(rest, next) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if read == 0 => return Err(failure(&error, address, buffer.len() as u64)),
                Err(_) => break,
            }
        }
        if read == 0 && !buffer.is_empty() {
            return Err(MemoryError::Unmapped { address });
        }
        Ok(read)
    }
}

/// The address at which the program starts, as the kernel told it (`AT_ENTRY` in `/proc/PID/auxv`). `None` when the
/// vector does not say, as in the moment in which a program replaces another.
pub fn entry_point(pid: u32) -> Result<Option<u64>, OpenError> {
    const AT_ENTRY: u64 = 9;
    // The vector has some twenty pairs.
    const MAX_VECTOR: u64 = 4096;
    let mut vector = Vec::new();
    open(pid, "auxv")?
        .take(MAX_VECTOR)
        .read_to_end(&mut vector)
        .map_err(|source| refusal(pid, "auxv", source))?;
    let pairs = vector.chunks_exact(16).filter_map(|pair| {
        let key = crate::memory::u64_at(pair, 0)?;
        let value = crate::memory::u64_at(pair, 8)?;
        Some((key, value))
    });
    Ok(pairs
        .into_iter()
        .find(|(key, _)| *key == AT_ENTRY)
        .map(|(_, value)| value))
}

fn open(pid: u32, file: &'static str) -> Result<File, OpenError> {
    File::open(format!("/proc/{pid}/{file}")).map_err(|source| refusal(pid, file, source))
}

fn refusal(pid: u32, file: &'static str, source: io::Error) -> OpenError {
    match source.kind() {
        ErrorKind::NotFound => OpenError::Gone { pid },
        ErrorKind::PermissionDenied => OpenError::Denied { pid },
        _ if source.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => OpenError::Gone { pid },
        _ => OpenError::Io { pid, file, source },
    }
}

fn failure(error: &io::Error, address: u64, length: u64) -> MemoryError {
    // EIO: nothing mapped or not readable; EFAULT and EINVAL: no such address.
    let unmapped = [
        rustix::io::Errno::IO,
        rustix::io::Errno::FAULT,
        rustix::io::Errno::INVAL,
    ];
    if unmapped
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
    {
        return MemoryError::Unmapped { address };
    }
    MemoryError::Io {
        address,
        length,
        kind: error.kind(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakwatch_test_support::wait::wait_until;

    #[test]
    fn reads_its_own_memory() {
        let pid = std::process::id();
        let memory = ProcessMemory::open(pid).unwrap();
        let secret = Box::new(0x1234_5678_9abc_def0_u64);
        let address = std::ptr::from_ref(&*secret).addr() as u64;
        assert_eq!(memory.read_u64(address), Ok(*secret));
        assert_eq!(memory.read_u64(0), Err(MemoryError::Unmapped { address: 0 }));
        assert_eq!(
            memory.read_u64(u64::MAX - 7),
            Err(MemoryError::Unmapped { address: u64::MAX - 7 })
        );
        assert!(
            entry_point(pid)
                .unwrap()
                .is_some_and(|entry| memory.read_u64(entry).is_ok())
        );
    }

    #[test]
    fn large_reads_say_the_same_up_to_a_hole() {
        let memory = ProcessMemory::open(std::process::id()).unwrap();
        let large: Vec<u8> = (0..LARGE * 2).map(|at| (at % 251).to_le_bytes()[0]).collect();
        let address = large.as_ptr().addr() as u64;
        let mut read = vec![0; large.len()];
        assert!(memory.read_large(address, &mut read));
        assert_eq!(read, large);
        assert_eq!(memory.read_vec(address, large.len()).as_ref(), Ok(&large));
        let mut small = [0; 8];
        assert!(!memory.read_large(address, &mut small), "not worth it");
        // Nothing is mapped at the beginning.
        assert!(!memory.read_large(0, &mut read));
        assert_eq!(
            memory.read_some(0, &mut read),
            Err(MemoryError::Unmapped { address: 0 })
        );
    }

    #[test]
    fn a_reading_that_takes_too_long_ends() {
        let memory = ProcessMemory::open(std::process::id()).unwrap();
        let number = Box::new(7_u64);
        let address = std::ptr::from_ref(&*number).addr() as u64;
        memory.begun.set(Instant::now().checked_sub(LONGEST * 2).unwrap());
        assert_eq!(memory.read_u64(address), Err(MemoryError::TimedOut));
        let mut asked = 0;
        let ranges = vec![address..address + 8; 1000];
        let many = crate::memory::read_many(&memory, &ranges, |_, _| asked += 1);
        assert_eq!((many, asked), (Err(MemoryError::TimedOut), 0));
        memory.begin();
        assert_eq!(memory.read_u64(address), Ok(*number));
    }

    #[test]
    fn a_process_that_ended_is_gone() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let memory = ProcessMemory::open(child.id()).unwrap();
        // The new program's vector appears a moment after it has replaced the old one.
        let entry = wait_until("the vector", Duration::from_secs(10), || Ok(entry_point(child.id())?)).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(memory.read_u64(entry), Err(MemoryError::Gone));
        assert_eq!(memory.read_some(entry, &mut vec![0; LARGE]), Err(MemoryError::Gone));
        assert!(matches!(ProcessMemory::open(child.id()), Err(OpenError::Gone { .. })));
    }
}
