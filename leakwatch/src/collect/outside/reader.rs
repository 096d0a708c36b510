//! The blocking part: attaches to processes, keeps them attached, and takes their profiles.

use crate::clock::Clock;
use crate::collect::endpoint::Watched;
use crate::collect::outside::census::LastStacks;
use crate::collect::outside::missing;
use crate::collect::outside::profile;
use crate::collect::outside::profile::Encoded;
use leakwatch_analysis::profile::ProfileType;
use leakwatch_analysis::sample::Missing;
use leakwatch_analysis::sample::MissingReason;
use leakwatch_analysis::sample::Reading;
use leakwatch_analysis::target::ProcessKey;
use leakwatch_analysis::units::Timestamp;
use leakwatch_goproc::Binary;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::goroutines::GoroutineBounds;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::Weak;

/// A profile, or why there is none, with the instant.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) profile_type: ProfileType,
    pub(super) at: Timestamp,
    /// `None` when what was said last still holds.
    pub(super) profile: Reading<Option<Encoded>>,
}

/// Identity of an executable: device, inode, time of change (seconds, nanoseconds).
type BinaryId = (u64, u64, i64, i64);

/// The processes that are attached.
#[derive(Debug)]
pub(super) struct Reader {
    clock: Clock,
    attached: HashMap<ProcessKey, Attached>,
    /// Executables of attached processes; one that nobody runs any more is dropped.
    binaries: HashMap<BinaryId, Weak<Binary>>,
}

/// A process and what was last read of it.
#[derive(Debug)]
struct Attached {
    process: GoProcess,
    stacks: Option<LastStacks>,
}

impl Reader {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            attached: HashMap::new(),
            binaries: HashMap::new(),
        }
    }

    /// Lets go of all other processes.
    pub(super) fn retain(&mut self, wanted: impl Fn(&ProcessKey) -> bool) {
        self.attached.retain(|key, _| wanted(key));
        self.binaries.retain(|_, binary| binary.strong_count() > 0);
    }

    /// Takes both profiles of a process.
    pub(super) fn round(&mut self, watched: &Watched) -> Vec<Taken> {
        let clock = self.clock;
        let taken = |profile_type, at, profile| Taken {
            profile_type,
            at,
            profile,
        };
        let attached = match self.attach(watched.process) {
            Ok(attached) => attached,
            Err(missing) => {
                return [ProfileType::Heap, ProfileType::Goroutine]
                    .map(|profile_type| taken(profile_type, clock.now(), Err(missing.clone())))
                    .into();
            }
        };
        let exe = watched.exe.as_deref().unwrap_or_default();
        let at = clock.now();
        let heap = taken(ProfileType::Heap, at, heap(&mut attached.process, exe, at));
        let at = clock.now();
        let goroutines = taken(ProfileType::Goroutine, at, attached.goroutines(exe, at));
        let both = vec![heap, goroutines];
        let gone = |taken: &Taken| {
            let missing = taken.profile.as_ref().err();
            missing.is_some_and(|missing| missing.reason == MissingReason::Gone)
        };
        if both.iter().any(gone) {
            // It may have executed another program, which is attached to next time.
            self.attached.remove(&watched.process);
        }
        both
    }

    fn attach(&mut self, key: ProcessKey) -> Reading<&mut Attached> {
        let attached = match self.attached.remove(&key) {
            Some(attached) => attached,
            None => Attached {
                process: self.open(key)?,
                stacks: None,
            },
        };
        Ok(self.attached.entry(key).or_insert(attached))
    }

    fn open(&mut self, key: ProcessKey) -> Reading<GoProcess> {
        let before = binary_id(key.pid);
        let known = before.and_then(|id| self.binaries.get(&id)?.upgrade());
        let process = match known {
            Some(binary) => GoProcess::attach_known(key.pid, &binary),
            None => GoProcess::attach(key.pid),
        };
        let process = process.map_err(|error| missing::attach(&error))?;
        // Its memory is open now: whoever has the pid at this point is who had it when it was opened.
        if start_ticks(key.pid) != Some(key.start_ticks) {
            return Err(Missing::new(
                MissingReason::Gone,
                format!("process {} has ended", key.pid),
            ));
        }
        let after = binary_id(key.pid);
        if before != after {
            return Err(Missing::new(
                MissingReason::NotYet,
                format!("process {} is just executing another program", key.pid),
            ));
        }
        if let Some(id) = after {
            self.binaries.insert(id, Arc::downgrade(process.binary()));
        }
        Ok(process)
    }
}

fn heap(process: &mut GoProcess, exe: &str, at: Timestamp) -> Reading<Option<Encoded>> {
    let snapshot = process.heap().map_err(|error| missing::heap(&error))?;
    Ok(Some(profile::heap(process, &snapshot, exe, at)))
}

impl Attached {
    /// Counts the goroutines, and reads their stacks when they are not what they were at the last time.
    fn goroutines(&mut self, exe: &str, at: Timestamp) -> Reading<Option<Encoded>> {
        let goroutines = self.process.goroutines(GoroutineBounds::default());
        let goroutines = goroutines.map_err(|error| missing::no_goroutines(&error))?;
        let census = goroutines.census().map_err(|error| missing::goroutines(&error))?;
        if self.stacks.as_ref().is_some_and(|last| last.is_current(at, &census)) {
            return Ok(None);
        }
        let snapshot = goroutines.snapshot().map_err(|error| missing::goroutines(&error))?;
        self.stacks = Some(LastStacks::new(at, &census));
        Ok(Some(profile::goroutines(&self.process, &snapshot, exe, at)))
    }
}

/// Which file the process executes.
fn binary_id(pid: u32) -> Option<BinaryId> {
    let file = fs::metadata(format!("/proc/{pid}/exe")).ok()?;
    Some((file.dev(), file.ino(), file.ctime(), file.ctime_nsec()))
}

/// When the process with this pid was started.
fn start_ticks(pid: u32) -> Option<u64> {
    let process = procfs::process::Process::new(i32::try_from(pid).ok()?).ok()?;
    Some(process.stat().ok()?.starttime)
}
