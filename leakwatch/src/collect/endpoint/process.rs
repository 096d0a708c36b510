//! One process, opened so that its pid cannot become someone else's while it is looked at.

use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::target::ProcessKey;
use procfs::ProcError;
use procfs::process::FDTarget;
use procfs::process::Process;
use std::collections::HashSet;
use std::fs::File;

/// Descriptors looked at; a process with more may have its listening socket behind them.
const MAX_DESCRIPTORS: usize = 1 << 16;

/// A directory `/proc/PID`, held open: everything read through it is of this process or fails.
pub(super) struct OpenProcess {
    key: ProcessKey,
    process: Process,
}

impl OpenProcess {
    /// Opens a process, if the pid still belongs to it.
    pub(super) fn open(key: ProcessKey) -> Reading<Self> {
        let process = i32::try_from(key.pid)
            .map_err(|_error| ProcError::NotFound(None))
            .and_then(Process::new)
            .map_err(|error| missing(key, "", &error))?;
        let stat = process.stat().map_err(|error| missing(key, "stat", &error))?;
        if stat.starttime != key.start_ticks {
            return Err(Missing::new(
                MissingReason::Gone,
                format!("process {} has exited and its pid was given away", key.pid),
            ));
        }
        Ok(Self { key, process })
    }

    /// Inodes of the sockets it holds, from `/proc/PID/fd`.
    pub(super) fn sockets(&self) -> Reading<HashSet<u64>> {
        let descriptors = self.process.fd().map_err(|error| missing(self.key, "fd", &error))?;
        Ok(descriptors
            .take(MAX_DESCRIPTORS)
            .filter_map(|descriptor| match descriptor.ok()?.target {
                FDTarget::Socket(inode) => Some(inode),
                _ => None,
            })
            .collect())
    }

    /// A file below `/proc/PID`.
    pub(super) fn file(&self, name: &str) -> Reading<File> {
        self.process
            .open_relative(name)
            .map_err(|error| missing(self.key, name, &error))
    }
}

fn missing(key: ProcessKey, name: &str, error: &ProcError) -> Missing {
    let path = format!("/proc/{}/{name}", key.pid);
    match error {
        ProcError::NotFound(_) => Missing::new(MissingReason::Gone, format!("process {} has exited", key.pid)),
        ProcError::PermissionDenied(_) => Missing::new(
            MissingReason::NotPermitted,
            format!("cannot read {path}: permission denied"),
        )
        .with_fix("run the daemon as root or with CAP_SYS_PTRACE"),
        // ESRCH: it exited while it was open.
        ProcError::Io(error, _) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
            Missing::new(MissingReason::Gone, format!("process {} has exited", key.pid))
        }
        other => Missing::new(MissingReason::Failed, format!("cannot read {path}: {other}")),
    }
}
