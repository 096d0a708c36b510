//! Whether the daemon before this one was killed: a daemon leaves a note in its state directory while it runs, and whoever finds one there tells what
//! became of its writer, as far as the kernel says so.

use rustix::time::ClockId;
use rustix::time::clock_gettime;
use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::thread;

/// Name of the note.
const NOTE: &str = "run";
/// More is no note of ours.
const MAX_NOTE_BYTES: u64 = 1_024;
/// The kernel's log, one record for each read.
const KERNEL_LOG: &str = "/dev/kmsg";
/// `CONSOLE_EXT_LOG_MAX` (kernel/printk/internal.h).
const RECORD_BYTES: usize = 8_192;
/// Records read at most; a log of 1 MiB has some ten thousand.
const MAX_RECORDS: usize = 65_536;

/// The note of a daemon that runs. Dropping it takes it away, unless the daemon panics.
#[derive(Debug)]
pub struct RunNote(PathBuf);

/// A daemon that did not end by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousRun {
    /// Its process id.
    pub pid: u32,
    /// What became of it.
    pub end: End,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With the host, which was started again since.
    WithHost,
    /// The kernel killed it for its memory, and says so in this line of its log.
    OutOfMemory(String),
    /// By SIGKILL or a crash: the kernel's log does not name it, or cannot be read.
    Unknown,
}

/// What a note says.
#[derive(Debug, PartialEq, Eq)]
struct Written {
    boot_id: String,
    pid: u32,
    /// Seconds since the host was started.
    started: u64,
}

impl RunNote {
    /// Writes the note of this daemon, after reading one that was left over.
    pub fn begin(directory: &Path, boot_id: &str) -> io::Result<(Self, Option<PreviousRun>)> {
        let path = directory.join(NOTE);
        let left = read(&path).map(|written| {
            let end = if written.boot_id == boot_id {
                out_of_memory(&written).map_or(End::Unknown, End::OutOfMemory)
            } else {
                End::WithHost
            };
            PreviousRun { pid: written.pid, end }
        });
        let started = clock_gettime(ClockId::Monotonic).tv_sec;
        fs::write(&path, format!("{boot_id}\n{}\n{started}\n", std::process::id()))?;
        Ok((Self(path), left))
    }
}

impl Drop for RunNote {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(%error, "the next daemon will take this one for killed");
        }
    }
}

impl std::fmt::Display for PreviousRun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let pid = self.pid;
        match &self.end {
            End::WithHost => write!(
                f,
                "the daemon before (pid {pid}) ended with the host, which was started again since"
            ),
            End::OutOfMemory(line) => write!(f, "the daemon before (pid {pid}) was killed for its memory: {line}"),
            End::Unknown => write!(
                f,
                "the daemon before (pid {pid}) was killed or crashed; the kernel's log does not say why"
            ),
        }
    }
}

fn read(path: &Path) -> Option<Written> {
    let mut text = String::new();
    let file = File::open(path).ok()?;
    file.take(MAX_NOTE_BYTES).read_to_string(&mut text).ok()?;
    let mut lines = text.lines();
    Some(Written {
        boot_id: lines.next()?.to_owned(),
        pid: lines.next()?.parse().ok()?,
        started: lines.next()?.parse().ok()?,
    })
}

/// The newest record of the kernel's log that says so.
fn out_of_memory(written: &Written) -> Option<String> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).ok()?;
    let mut log = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking)
        .open(KERNEL_LOG)
        .ok()?;
    let mut record = vec![0; RECORD_BYTES];
    let mut found = None;
    for _ in 0..MAX_RECORDS {
        match log.read(&mut record) {
            Ok(0) => break,
            Ok(length) => {
                let text = String::from_utf8_lossy(record.get(..length).unwrap_or_default());
                found = killed(&text, written).or(found);
            }
            // Overwritten meanwhile: the next one is read.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(_) => break,
        }
    }
    found
}

/// The text of a record (`level,sequence,microseconds,flags;text`) if it tells of the process's end.
fn killed(record: &str, written: &Written) -> Option<String> {
    let (head, text) = record.split_once(';')?;
    let text = text.lines().next()?;
    let microseconds: u64 = head.split(',').nth(2)?.parse().ok()?;
    // Its pid may have been another's before. The clocks differ by less than a second.
    let is_later = microseconds / 1_000_000 + 1 >= written.started;
    (is_later && text.contains(&format!("Killed process {} (", written.pid))).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_left_by_who_did_not_end_by_itself() {
        let directory = tempfile::tempdir().unwrap();
        let (note, left) = RunNote::begin(directory.path(), "boot-1").unwrap();
        assert_eq!(left, None);
        drop(note);
        let (killed, left) = RunNote::begin(directory.path(), "boot-1").unwrap();
        assert_eq!(left, None);
        std::mem::forget(killed);
        let pid = std::process::id();
        let (killed, left) = RunNote::begin(directory.path(), "boot-1").unwrap();
        std::mem::forget(killed);
        assert_eq!(left, Some(PreviousRun { pid, end: End::Unknown }));
        let (_killed, left) = RunNote::begin(directory.path(), "boot-2").unwrap();
        assert_eq!(
            left,
            Some(PreviousRun {
                pid,
                end: End::WithHost
            })
        );
        fs::write(directory.path().join(NOTE), "boot-2\nno number\n").unwrap();
        let (_note, left) = RunNote::begin(directory.path(), "boot-2").unwrap();
        assert_eq!(left, None);
    }

    #[test]
    fn the_kernel_names_who_it_has_killed() {
        let written = Written {
            boot_id: String::new(),
            pid: 4242,
            started: 100,
        };
        let line = "Memory cgroup out of memory: Killed process 4242 (leakwatch) total-vm:90000kB, anon-rss:64000kB";
        let record = |microseconds: u64, text: &str| format!("3,991,{microseconds},-;{text}\n SUBSYSTEM=x\n");
        assert_eq!(killed(&record(100_400_000, line), &written).as_deref(), Some(line));
        assert_eq!(killed(&record(99_400_000, line), &written).as_deref(), Some(line));
        for other in [
            record(98_000_000, line),
            record(100_400_000, &line.replace("4242", "42424")),
            record(100_400_000, "oom-kill: task=leakwatch,pid=4242"),
            "rubbish".to_owned(),
        ] {
            assert_eq!(killed(&other, &written), None, "{other}");
        }
    }
}
