//! Files that are mapped into memory and belong to somebody else: where the owner cuts one short, or its disk fails, the kernel sends SIGBUS to whoever
//! touches what is gone. Here that reads as zeros, and the daemon lives.
//!
//! The library that reads symbols maps the files that it reads; everything else here reads files with system calls.

use std::ffi::c_int;
use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::OnceLock;

/// Set before the handler is.
static BEFORE: OnceLock<Before> = OnceLock::new();

struct Before {
    page_bytes: usize,
    action: libc::sigaction,
}

/// From here on what is missing of a mapped file is zeros, a page at a time. Once for the whole process.
pub fn read_missing_pages_as_zeros() -> io::Result<()> {
    // SAFETY: asks for a number.
    let page_bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    let page_bytes = usize::try_from(page_bytes).map_err(|_negative| io::Error::last_os_error())?;
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: without a new action the call writes the present one, to a structure of that size.
    let asked = unsafe { libc::sigaction(libc::SIGBUS, ptr::null(), action.as_mut_ptr()) };
    if asked != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has written it.
    let action = unsafe { action.assume_init() };
    BEFORE.get_or_init(|| Before { page_bytes, action });
    // SAFETY: zeros are a valid structure: no flags, an empty mask, the default action.
    let mut new: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    new.sa_sigaction = handle as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
    new.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: the handler has the signature that SA_SIGINFO asks for, and calls nothing that a signal could have interrupted.
    let set = unsafe { libc::sigaction(libc::SIGBUS, &raw const new, ptr::null_mut()) };
    if set != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Puts a page of zeros where one is missing, or lets things take their former course: the instruction is executed again.
extern "C" fn handle(_signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    let Some(before) = BEFORE.get() else { return };
    // SAFETY: the kernel passes a valid structure to handlers with SA_SIGINFO.
    let info = unsafe { &*info };
    // SAFETY: SIGBUS has an address.
    let address = unsafe { info.si_addr() };
    if info.si_code == libc::BUS_ADRERR && replace(address as usize & !(before.page_bytes - 1), before.page_bytes) {
        return;
    }
    // SAFETY: the action is one that the kernel has told.
    unsafe { libc::sigaction(libc::SIGBUS, &raw const before.action, ptr::null_mut()) };
}

fn replace(page: usize, bytes: usize) -> bool {
    // SAFETY: the error number is the thread's own; it is put back, as the code that was interrupted may be about to read it.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let kept = unsafe { *errno };
    // SAFETY: the page is in a mapping of a file, and cannot be read: nobody has seen anything else in it, or relies on it.
    let mapped = unsafe {
        libc::mmap(
            page as *mut c_void,
            bytes,
            libc::PROT_READ,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
            -1,
            0,
        )
    };
    // SAFETY: as above.
    unsafe { *errno = kept };
    mapped != libc::MAP_FAILED
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Write as _;
    use std::os::fd::AsRawFd as _;

    #[test]
    fn what_is_cut_off_reads_as_zeros() {
        read_missing_pages_as_zeros().unwrap();
        let path = std::env::temp_dir().join(format!("leakwatch-mapped-{}", std::process::id()));
        let mut file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .unwrap();
        std::fs::remove_file(&path).unwrap();
        let bytes = 3 * BEFORE.get().unwrap().page_bytes;
        file.write_all(&vec![7; bytes]).unwrap();
        // SAFETY: a new mapping, of an open file.
        let start = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        assert_ne!(start, libc::MAP_FAILED);
        let read = |offset: usize| {
            // SAFETY: the offset is within the mapping.
            let byte = unsafe { start.cast::<u8>().add(offset) };
            // SAFETY: the mapping can be read, whatever becomes of the file.
            unsafe { byte.read_volatile() }
        };
        assert_eq!((read(0), read(bytes - 1)), (7, 7));
        file.set_len(10).unwrap();
        assert_eq!((read(0), read(9), read(10)), (7, 7, 0));
        assert_eq!((read(bytes / 3), read(bytes - 1)), (0, 0));
        file.set_len(0).unwrap();
        file.set_len(bytes as u64).unwrap();
        assert_eq!(read(bytes - 1), 0);
    }
}
