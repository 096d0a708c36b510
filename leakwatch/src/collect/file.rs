//! Control files kept open between rounds, within a budget of descriptors, and why a file could not be read.
//!
//! `pread` at offset 0 on a kept descriptor makes the kernel produce a fresh text; that costs about a third of open,
//! read and close. When the budget is used up files are opened for each read: slower, never wrong.

use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::path::Arg;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::process::getrlimit;
use rustix::process::setrlimit;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

/// Why a file of the kernel gave no value.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: Errno,
    },
    #[error("{path} is larger than {bound} bytes")]
    TooLarge { path: PathBuf, bound: usize },
    #[error("{path} does not have the documented form: {expected}")]
    Malformed { path: PathBuf, expected: &'static str },
}

impl FileError {
    /// The file, cgroup or process is not there any more.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Read { source, .. } if matches!(*source, Errno::NOENT | Errno::NODEV | Errno::SRCH))
    }

    /// As the absent value the analysis and the API show.
    pub(super) fn missing(&self) -> Missing {
        let detail = self.to_string();
        match self {
            Self::TooLarge { .. } => Missing::new(MissingReason::TooLarge, detail),
            Self::Malformed { .. } => Missing::new(MissingReason::Malformed, detail),
            Self::Read { source, .. } => {
                let detail = format!("{detail}: {source}");
                match *source {
                    Errno::NOENT | Errno::NODEV | Errno::SRCH => Missing::new(MissingReason::Gone, detail),
                    Errno::OPNOTSUPP => Missing::new(MissingReason::Unsupported, detail),
                    Errno::ACCESS | Errno::PERM => Missing::new(MissingReason::NotPermitted, detail)
                        .with_fix("run leakwatch as root, or give it CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE"),
                    Errno::MFILE | Errno::NFILE => Missing::new(MissingReason::Failed, detail)
                        .with_fix("raise the limit of open files (LimitNOFILE= of the unit, fs.file-max)"),
                    _ => Missing::new(MissingReason::Failed, detail),
                }
            }
        }
    }
}

/// How many descriptors may be kept open.
#[derive(Debug)]
pub(super) struct Descriptors {
    free: AtomicUsize,
}

impl Descriptors {
    /// Left to the rest of the daemon: sockets, store, probes.
    const RESERVED: u64 = 256;
    /// More than any host needs (16,384 cgroups and 32,768 processes), less than an unlimited hard limit.
    const MOST: u64 = 131_072;

    /// Raises the soft limit of open files to the hard one and budgets three quarters of it.
    pub(super) fn raise_limit() -> Arc<Self> {
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        let soft = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => maximum,
            Err(_) => current,
        };
        let soft = soft.unwrap_or(Self::MOST);
        Self::with_budget((soft - soft / 4).saturating_sub(Self::RESERVED).min(Self::MOST))
    }

    pub(super) fn with_budget(budget: u64) -> Arc<Self> {
        Arc::new(Self {
            free: AtomicUsize::new(usize::try_from(budget).unwrap_or(usize::MAX)),
        })
    }

    fn take(self: &Arc<Self>) -> Option<Permit> {
        self.free
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(1))
            .ok()?;
        Some(Permit(Arc::clone(self)))
    }

    /// Keeps a descriptor if there is room in the budget.
    pub(super) fn keep(self: &Arc<Self>, descriptor: OwnedFd) -> Result<Kept, OwnedFd> {
        match self.take() {
            Some(permit) => Ok(Kept {
                descriptor,
                _permit: permit,
            }),
            None => Err(descriptor),
        }
    }
}

#[derive(Debug)]
struct Permit(Arc<Descriptors>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.free.fetch_add(1, Ordering::Relaxed);
    }
}

/// A descriptor that counts against the budget while it lives.
#[derive(Debug)]
pub(super) struct Kept {
    descriptor: OwnedFd,
    _permit: Permit,
}

impl AsFd for Kept {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }
}

/// The buffer of a round and the budget.
#[derive(Debug)]
pub(super) struct Reader {
    buffer: Vec<u8>,
    descriptors: Arc<Descriptors>,
}

impl Reader {
    /// Bound of one file: `cgroup.procs` of 32,768 processes. Pages that no file reaches are never touched.
    pub(super) const BOUND: usize = 256 * 1024;
    /// A text shorter than this came whole: seq files fill a page before they return part of a text.
    const WHOLE: usize = 2048;

    pub(super) fn new(descriptors: Arc<Descriptors>) -> Self {
        Self {
            buffer: vec![0; Self::BOUND],
            descriptors,
        }
    }

    pub(super) fn descriptors(&self) -> &Arc<Descriptors> {
        &self.descriptors
    }

    /// Reads `name` in `directory`, opening and closing it.
    pub(super) fn read(&mut self, directory: impl AsFd, name: impl Arg) -> Result<&[u8], Errno> {
        let file = open(directory, name)?;
        self.fill(file.as_fd())
    }

    /// Reads a text from its beginning. [`Errno::FBIG`] if it is larger than the bound.
    fn fill(&mut self, file: BorrowedFd<'_>) -> Result<&[u8], Errno> {
        let mut length = 0;
        loop {
            let Some(free @ [_, ..]) = self.buffer.get_mut(length..) else {
                return Err(Errno::FBIG);
            };
            let offset = u64::try_from(length).unwrap_or(u64::MAX);
            let read = match rustix::io::pread(file, free, offset) {
                Err(Errno::INTR) => continue,
                read => read?,
            };
            length += read;
            if read == 0 || length < Self::WHOLE {
                return self.buffer.get(..length).ok_or(Errno::FBIG);
            }
        }
    }
}

/// Opens a file for reading.
pub(super) fn open(directory: impl AsFd, name: impl Arg) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(
        directory,
        name,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY,
        Mode::empty(),
    )
}

/// Opens a directory to resolve names in, not to list it.
pub(super) fn open_directory(path: &Path) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(
        CWD,
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// One file of a cgroup, kept open once it was read if that is wanted and the budget allows.
#[derive(Debug)]
pub(super) struct ControlFile {
    name: &'static str,
    keep: bool,
    kept: Option<Kept>,
}

impl ControlFile {
    pub(super) const fn new(name: &'static str) -> Self {
        Self {
            name,
            keep: true,
            kept: None,
        }
    }

    /// A file that is opened anew for every reading.
    pub(super) const fn reopened(name: &'static str) -> Self {
        Self {
            name,
            keep: false,
            kept: None,
        }
    }

    /// Its whole text.
    pub(super) fn read<'b>(&mut self, directory: &Path, reader: &'b mut Reader) -> Result<&'b [u8], FileError> {
        let name = self.name;
        let error = |source| match source {
            Errno::FBIG => FileError::TooLarge {
                path: directory.join(name),
                bound: Reader::BOUND,
            },
            source => FileError::Read {
                path: directory.join(name),
                source,
            },
        };
        if let Some(kept) = &self.kept {
            return reader.fill(kept.as_fd()).map_err(error);
        }
        let file = open(CWD, directory.join(name)).map_err(error)?;
        if !self.keep {
            return reader.fill(file.as_fd()).map_err(error);
        }
        match reader.descriptors.keep(file) {
            Ok(kept) => reader.fill(self.kept.insert(kept).as_fd()).map_err(error),
            Err(file) => reader.fill(file.as_fd()).map_err(error),
        }
    }

    pub(super) fn malformed(&self, directory: &Path, expected: &'static str) -> FileError {
        FileError::Malformed {
            path: directory.join(self.name),
            expected,
        }
    }

    pub(super) fn exists(&self, directory: &Path) -> bool {
        rustix::fs::accessat(
            CWD,
            directory.join(self.name),
            rustix::fs::Access::EXISTS,
            AtFlags::empty(),
        )
        .is_ok()
    }
}
