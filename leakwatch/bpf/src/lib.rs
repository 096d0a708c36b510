//! Programs for many user-space functions at a time, and for entry and return of a function in one: loading them with the attach type
//! they need, and attaching them. aya does everything else; it has no such programs yet.
//!
//! The unsafe code of the daemon is here: two structures handed to one system call. Layouts: `union bpf_attr` of
//! `include/uapi/linux/bpf.h`.

use aya_obj::generated::bpf_insn;
use std::ffi::CString;
use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

const BPF_PROG_LOAD: libc::c_long = 5;
const BPF_LINK_CREATE: libc::c_long = 28;
const BPF_PROG_TYPE_KPROBE: u32 = 2;
const NAME_BYTES: usize = 16;
/// The verifier's log ends where this does, and only a refused program has one.
const LOG_BYTES: usize = 64 << 10;
const LOG_LEVEL: u32 = 1;

/// How a program is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attachment {
    /// `BPF_TRACE_UPROBE_MULTI`, Linux 6.6: at the probed instruction.
    Entry,
    /// `BPF_TRACE_UPROBE_SESSION`, Linux 6.13: there, and at the return if it answered zero.
    Session,
}

impl Attachment {
    const fn number(self) -> u32 {
        match self {
            Self::Entry => 48,
            Self::Session => 57,
        }
    }
}

#[repr(C)]
struct ProgramLoad {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; NAME_BYTES],
    interface_index: u32,
    attach_type: u32,
}

#[repr(C)]
struct LinkCreate {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    reference_counter_offsets: u64,
    cookies: u64,
    count: u32,
    uprobe_flags: u32,
    pid: u32,
    padding: u32,
}

/// Why the kernel has refused a program.
#[derive(Debug)]
pub struct Refused {
    /// The system call's error.
    pub error: io::Error,
    /// What the verifier says; empty when it did not come that far.
    pub log: String,
}

/// Loads a program of the kprobe kind with a licence that is compatible with the GPL.
pub fn load(name: &str, instructions: &[bpf_insn], attachment: Attachment) -> Result<OwnedFd, Refused> {
    let unlogged = attempt(name, instructions, attachment, &mut []);
    let Err(error) = unlogged else {
        return unlogged.map_err(|error| Refused {
            error,
            log: String::new(),
        });
    };
    if error.kind() == io::ErrorKind::WouldBlock {
        return Err(Refused {
            error,
            log: String::new(),
        });
    }
    let mut log = vec![0; LOG_BYTES];
    attempt(name, instructions, attachment, &mut log).map_err(|error| {
        let end = log.iter().position(|&byte| byte == 0).unwrap_or(log.len());
        log.truncate(end);
        Refused {
            error,
            log: String::from_utf8_lossy(&log).into_owned(),
        }
    })
}

fn attempt(name: &str, instructions: &[bpf_insn], attachment: Attachment, log: &mut [u8]) -> io::Result<OwnedFd> {
    let too_many = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let mut name_bytes = [0; NAME_BYTES];
    // The last one stays zero.
    for (to, from) in name_bytes.iter_mut().zip(name.bytes()).take(NAME_BYTES - 1) {
        *to = from;
    }
    let attributes = ProgramLoad {
        program_type: BPF_PROG_TYPE_KPROBE,
        instruction_count: u32::try_from(instructions.len()).map_err(too_many)?,
        instructions: address(instructions.as_ptr()),
        license: address(c"GPL".as_ptr()),
        log_level: if log.is_empty() { 0 } else { LOG_LEVEL },
        log_size: u32::try_from(log.len()).map_err(too_many)?,
        log: if log.is_empty() { 0 } else { address(log.as_mut_ptr()) },
        kernel_version: 0,
        flags: 0,
        name: name_bytes,
        interface_index: 0,
        attach_type: attachment.number(),
    };
    bpf(BPF_PROG_LOAD, &attributes)
}

/// Instructions of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Places<'a> {
    /// Where they are in the file.
    pub offsets: &'a [u64],
    /// What the program is told at each.
    pub cookies: &'a [u64],
    /// For static probes, offsets in the file of the counters that the kernel raises while something is attached; zero for none.
    pub reference_counters: Option<&'a [u64]>,
}

/// Attaches a program to instructions of a file, for one process. Closing the link detaches.
pub fn attach(
    program: BorrowedFd<'_>,
    attachment: Attachment,
    file: &Path,
    places: Places<'_>,
    pid: u32,
) -> io::Result<OwnedFd> {
    let count = places.offsets.len();
    let counters = places.reference_counters;
    if places.cookies.len() != count || counters.is_some_and(|counters| counters.len() != count) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let path = CString::new(file.as_os_str().as_bytes())?;
    let invalid = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let attributes = LinkCreate {
        program: program.as_raw_fd().cast_unsigned(),
        target: 0,
        attach_type: attachment.number(),
        flags: 0,
        path: address(path.as_ptr()),
        offsets: address(places.offsets.as_ptr()),
        reference_counter_offsets: counters.map_or(0, |counters| address(counters.as_ptr())),
        cookies: address(places.cookies.as_ptr()),
        count: u32::try_from(count).map_err(invalid)?,
        uprobe_flags: 0,
        pid,
        padding: 0,
    };
    bpf(BPF_LINK_CREATE, &attributes)
}

fn address<T>(pointer: *const T) -> u64 {
    pointer.expose_provenance() as u64
}

/// Calls the kernel, for commands that answer a descriptor.
fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<OwnedFd> {
    // SAFETY: the kernel reads as many bytes as it is told; the memory their addresses point to is borrowed by the callers, and
    // only the log is written.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, &raw const *attributes, size_of::<T>()) };
    let descriptor = i32::try_from(answer).map_err(|_too_large| io::Error::from(io::ErrorKind::InvalidData))?;
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}
