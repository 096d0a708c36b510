//! The blocking part: attaches to processes, keeps them attached, and takes their profiles.

use crate::clock::Clock;
use crate::collect::endpoint::Watched;
use crate::collect::runtime::go::build_stacks::BuildStacks;
use crate::collect::runtime::go::build_stacks::HeapStacks;
use crate::collect::runtime::go::build_stacks::Names;
use crate::collect::runtime::go::final_heap;
use crate::collect::runtime::go::goroutine_stacks::Change;
use crate::collect::runtime::go::goroutine_stacks::LastStacks;
use crate::collect::runtime::go::missing;
use crate::collect::runtime::go::numbers;
use crate::collect::runtime::go::profile;
use crate::collect::runtime::go::profile::LastHeap;
use crate::collect::runtime::go::wakers::LookBudget;
use crate::collect::runtime::go::wakers::Looks;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::final_heap::FinalState;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::runtime::GoRuntimeStats;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_goproc::Binary;
use leakwatch_goproc::BinaryError;
use leakwatch_goproc::attach::AttachError;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::attach::NoHeap;
use leakwatch_goproc::final_heap::HeapWalk;
use leakwatch_goproc::final_heap::WalkPlan;
use leakwatch_goproc::goroutines::GoroutineBounds;
use leakwatch_goproc::heap::Frames;
use leakwatch_goproc::heap::HeapError;
use leakwatch_goproc::heap::Snapshot;
use leakwatch_goproc::memory::MemoryError;
use leakwatch_goproc::memory::ReadMemory as _;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::Weak;
use std::time::Duration;
use std::time::Instant;

/// A profile, or why there is none, with the instant.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) profile_type: ProfileType,
    pub(super) at: Timestamp,
    /// `None` when what was said last still holds.
    pub(super) profile: Reading<Option<Arc<ProfileContent>>>,
}

/// What one round brought.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) profiles: Vec<Taken>,
    /// What the runtime counts; `None` where the process could not even be attached.
    pub(super) runtime: Option<(Timestamp, Reading<GoRuntimeStats>)>,
    /// How long it took to look which goroutines nobody can wake.
    pub(super) looking: Duration,
}

impl Round {
    /// A round that has not come to an end.
    pub(super) fn hung(process: ProcessKey, at: Timestamp) -> Self {
        let missing = Missing::new(
            MissingReason::Timeout,
            format!("reading the memory of process {process} hangs"),
        );
        let profiles = [ProfileType::Heap, ProfileType::Goroutine].map(|profile_type| Taken {
            profile_type,
            at,
            profile: Err(missing.clone()),
        });
        Self {
            profiles: profiles.into(),
            runtime: Some((at, Err(missing))),
            ..Self::default()
        }
    }
}

/// Identity of an executable: device, inode, time of change (seconds, nanoseconds).
type BinaryId = (u64, u64, i64, i64);

/// How long a process that is no longer wanted is kept: what the kernel read of it at its end may still be on its way.
const KEPT: Duration = Duration::from_secs(10);

/// Executables remembered not to be readable.
const MAX_FOREIGN: usize = 4096;

/// A process that can be read.
#[derive(Debug)]
pub(super) struct Attached {
    process: GoProcess,
    target: TargetId,
    /// What the kernel was told to read at its end.
    plan: WalkPlan,
    /// The stacks of its executable.
    build: Arc<Mutex<BuildStacks>>,
    last_heap: LastHeap,
    /// The goroutines whose stacks were read last.
    stacks: Option<LastStacks>,
    /// Why its goroutines are not known, as long as they are not.
    no_goroutines: Option<Missing>,
    /// Looks which of them nobody can wake.
    looks: Looks,
}

/// How a first try to read a process went.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tried {
    /// It is attached, and its heap was read.
    Readable,
    /// It may be readable later.
    NotYet,
    /// It will not be: it has ended, or is no Go program.
    Never,
}

/// The processes that are attached.
#[derive(Debug)]
pub(super) struct Reader {
    clock: Clock,
    attached: HashMap<ProcessKey, Attached>,
    /// Those that are no longer wanted, since when.
    left: HashMap<ProcessKey, (Instant, Attached)>,
    /// Executables of attached processes; one that nobody runs any more is dropped.
    binaries: HashMap<BinaryId, Weak<Binary>>,
    /// Their stacks; likewise.
    builds: HashMap<BinaryId, Weak<Mutex<BuildStacks>>>,
    /// Executables that are no Go programs.
    foreign: HashSet<BinaryId>,
    look_budget: LookBudget,
}

impl Reader {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            attached: HashMap::new(),
            left: HashMap::new(),
            binaries: HashMap::new(),
            builds: HashMap::new(),
            foreign: HashSet::new(),
            look_budget: LookBudget::default(),
        }
    }

    /// Lets go of all other processes, and answers of which.
    pub(super) fn retain(&mut self, wanted: impl Fn(&ProcessKey) -> bool) -> Vec<ProcessKey> {
        let unwanted: Vec<ProcessKey> = self.attached.keys().filter(|key| !wanted(key)).copied().collect();
        for key in &unwanted {
            self.leave(key);
        }
        self.left.retain(|_, (since, _)| since.elapsed() < KEPT);
        self.binaries.retain(|_, binary| binary.strong_count() > 0);
        self.builds.retain(|_, build| build.strong_count() > 0);
        unwanted
    }

    /// It has ended, or executes another program now.
    pub(super) fn leave(&mut self, key: &ProcessKey) {
        if let Some(attached) = self.attached.remove(key) {
            self.left.insert(*key, (Instant::now(), attached));
        }
    }

    /// Whether another process with the same pid is attached.
    pub(super) fn has_pid(&self, pid: u32) -> bool {
        self.attached.keys().any(|key| key.pid == pid)
    }

    /// Whether the memory of an attached process is gone.
    pub(super) fn is_gone(&self, key: &ProcessKey) -> bool {
        self.attached.get(key).is_none_or(|attached| {
            let text = attached.process.module().text.start;
            let memory = attached.process.memory();
            memory.begin();
            matches!(memory.read_u64(text), Err(MemoryError::Gone))
        })
    }

    /// Takes both profiles of a process and the numbers of its runtime.
    pub(super) fn round(&mut self, watched: &Watched) -> Round {
        let clock = self.clock;
        let taken = |profile_type, at, profile| Taken {
            profile_type,
            at,
            profile,
        };
        let attached = match self.attach(watched.process, &watched.target) {
            Ok(attached) => attached,
            Err(missing) => {
                let both = [ProfileType::Heap, ProfileType::Goroutine];
                return Round {
                    profiles: both
                        .map(|profile_type| taken(profile_type, clock.now(), Err(missing.clone())))
                        .into(),
                    ..Round::default()
                };
            }
        };
        let at = clock.now();
        let heap = taken(ProfileType::Heap, at, attached.heap());
        let at = clock.now();
        let goroutines = taken(ProfileType::Goroutine, at, attached.goroutines(at));
        let mut both = vec![heap, goroutines];
        let runtime = Some((clock.now(), numbers::read(&mut attached.process)));
        let gone = |taken: &Taken| {
            let missing = taken.profile.as_ref().err();
            missing.is_some_and(|missing| missing.reason == MissingReason::Gone)
        };
        if both.iter().any(gone) {
            // It may have executed another program, which is attached to next time.
            self.leave(&watched.process);
        }
        let begun = Instant::now();
        let at = clock.now();
        let leaked = self
            .attached
            .get_mut(&watched.process)
            .filter(|attached| watched.goroutine_leak && attached.looks.is_due(&self.look_budget, begun))
            .map(|attached| attached.leaked(watched.process.pid, &mut self.look_budget));
        both.extend(leaked.map(|leaked| taken(ProfileType::GoroutineLeak, at, leaked)));
        Round {
            profiles: both,
            runtime,
            looking: begun.elapsed(),
        }
    }

    /// Of processes that have just been started, those that are worth a try; the others have ended, or are no Go programs.
    pub(super) fn sift(
        &self,
        processes: Vec<(ProcessKey, TargetId)>,
    ) -> (Vec<(ProcessKey, TargetId)>, Vec<ProcessKey>) {
        let (promising, others): (Vec<_>, Vec<_>) = processes
            .into_iter()
            .partition(|(key, _)| binary_id(key.pid).is_some_and(|id| !self.foreign.contains(&id)));
        (promising, others.into_iter().map(|(key, _)| key).collect())
    }

    /// Tries a process that has just been started: its buckets are read, no profile is made.
    pub(super) fn try_one(&mut self, key: ProcessKey, target: &TargetId) -> Tried {
        let attached = match self.attach(key, target) {
            Ok(attached) => attached,
            Err(missing) => {
                return match missing.reason {
                    MissingReason::NotYet | MissingReason::Failed | MissingReason::Malformed => Tried::NotYet,
                    _ => Tried::Never,
                };
            }
        };
        match attached.read_heap() {
            // Without heap profile there are still the goroutines; what tells their layout may not be there yet.
            Ok(_) | Err(NoHeap::NotLinked | NoHeap::RateZero { .. }) => {
                match attached.process.goroutines(GoroutineBounds::default()) {
                    Ok(_) => {
                        attached.no_goroutines = None;
                        Tried::Readable
                    }
                    Err(error) => {
                        tracing::debug!(%key, %error, "goroutines are not known yet");
                        attached.no_goroutines = Some(missing::no_goroutines(&error));
                        Tried::NotYet
                    }
                }
            }
            Err(NoHeap::Heap(HeapError::Gone)) => {
                self.leave(&key);
                Tried::Never
            }
            Err(_) => Tried::NotYet,
        }
    }

    /// What the kernel is to read at the end of a process, when that is not what it was told before.
    pub(super) fn new_plan(&mut self, key: ProcessKey) -> Option<WalkPlan> {
        let attached = self.attached.get_mut(&key)?;
        let plan = attached.process.walk_plan();
        (plan != attached.plan).then(|| {
            attached.plan = plan;
            plan
        })
    }

    /// Gives away a process that was killed, with all that is known of it; `None` for one that was not attached.
    pub(super) fn take(&mut self, key: &ProcessKey) -> Option<Attached> {
        let left = self.left.remove(key).map(|(_, attached)| attached);
        self.attached.remove(key).or(left)
    }

    fn attach(&mut self, key: ProcessKey, target: &TargetId) -> Reading<&mut Attached> {
        let attached = match self.attached.remove(&key) {
            Some(attached) => attached,
            None => Attached {
                process: self.open(key)?,
                build: self.build(key.pid),
                last_heap: LastHeap::default(),
                target: target.clone(),
                plan: WalkPlan::default(),
                stacks: None,
                no_goroutines: None,
                looks: Looks::default(),
            },
        };
        Ok(self.attached.entry(key).or_insert(attached))
    }

    fn open(&mut self, key: ProcessKey) -> Reading<GoProcess> {
        let before = binary_id(key.pid);
        if before.is_some_and(|id| self.foreign.contains(&id)) {
            return Err(missing::attach(&AttachError::Binary {
                pid: key.pid,
                source: BinaryError::NotGo,
            }));
        }
        let known = before.and_then(|id| self.binaries.get(&id)?.upgrade());
        let process = match known {
            Some(binary) => GoProcess::attach_known(key.pid, &binary),
            None => GoProcess::attach(key.pid),
        };
        let process = process.map_err(|error| {
            if let (
                AttachError::Binary {
                    source: BinaryError::NotGo,
                    ..
                },
                Some(id),
            ) = (&error, before)
            {
                self.remember_foreign(id);
            }
            missing::attach(&error)
        })?;
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

    fn build(&mut self, pid: u32) -> Arc<Mutex<BuildStacks>> {
        let id = binary_id(pid);
        let known = id.and_then(|id| self.builds.get(&id)?.upgrade());
        known.unwrap_or_else(|| {
            let build = Arc::new(Mutex::new(BuildStacks::new(&executable(pid), &build_id(pid))));
            if let Some(id) = id {
                self.builds.insert(id, Arc::downgrade(&build));
            }
            build
        })
    }

    fn remember_foreign(&mut self, id: BinaryId) {
        if self.foreign.len() >= MAX_FOREIGN {
            self.foreign.clear();
        }
        self.foreign.insert(id);
    }
}

impl Attached {
    /// Puts in words what the kernel read of it. Takes about as long as a round.
    pub(super) fn final_state(mut self, at: Timestamp, process: ProcessKey, walk: &HeapWalk) -> FinalState {
        FinalState {
            at,
            process,
            heap: final_heap::heap(&self.process, walk, &mut lock(&self.build)),
            goroutines: final_heap::goroutines(&mut self.process, walk, self.no_goroutines),
            target: self.target,
        }
    }

    fn heap(&mut self) -> Reading<Option<Arc<ProfileContent>>> {
        let snapshot = self.read_heap().map_err(|error| missing::heap(&error))?;
        let build = lock(&self.build);
        Ok(Some(profile::heap(
            &self.process,
            &snapshot,
            &build,
            &mut self.last_heap,
        )))
    }

    /// Reads the heap; the stacks of buckets that are new are put in words.
    fn read_heap(&mut self) -> Result<Snapshot, NoHeap> {
        let binary = Arc::clone(self.process.binary());
        let bias = self.process.bias();
        let mut stacks = HeapStacks {
            build: &mut lock(&self.build),
            names: Names::new(Frames::new(binary.pclntab(), bias), bias),
        };
        self.process.heap(&mut stacks)
    }

    /// Counts the goroutines, and reads the stacks of those that are new; all of them when many have changed, and now and then.
    fn goroutines(&mut self, at: Timestamp) -> Reading<Option<Arc<ProfileContent>>> {
        let goroutines = self.process.goroutines(GoroutineBounds::default());
        let goroutines = goroutines.map_err(|error| missing::no_goroutines(&error));
        self.no_goroutines = goroutines.as_ref().err().cloned();
        let goroutines = goroutines?;
        let newest = self.stacks.as_ref().map_or(u64::MAX, LastStacks::newest);
        let counted = goroutines.census_since(newest);
        let (census, newcomers) = counted.map_err(|error| missing::goroutines(&error))?;
        // As long as a program runs it has one of its own: none is no number.
        if census.count == 0 {
            let detail = format!("none of {} goroutines is the program's own", census.listed);
            return Err(Missing::new(MissingReason::NotYet, detail));
        }
        let change = self
            .stacks
            .as_ref()
            .map_or(Change::Much, |last| last.change(at, &census, &newcomers));
        let mut snapshot = match change {
            Change::Nothing => return Ok(None),
            Change::Little => goroutines.snapshot_of(&newcomers.blocked),
            Change::Much => goroutines.snapshot(),
        }
        .map_err(|error| missing::goroutines(&error))?;
        let build = &mut *lock(&self.build);
        let mut groups = profile::groups(&self.process, &snapshot, build);
        match self.stacks.as_mut().filter(|_| change == Change::Little) {
            Some(last) => {
                snapshot.listed = census.listed;
                let process = &self.process;
                groups = last.with(&groups, &census, &newcomers, |start| {
                    profile::of_start(process, start, build)
                });
            }
            None => self.stacks = Some(LastStacks::new(at, &census, &groups, self.stacks.as_ref())),
        }
        Ok(Some(profile::goroutines(&groups, &snapshot, build)))
    }
}

impl Attached {
    /// Those goroutines that two looks agree nobody can wake; `None` when this look is compared with none.
    fn leaked(&mut self, pid: u32, budget: &mut LookBudget) -> Reading<Option<Arc<ProfileContent>>> {
        let found = self.looks.look(&mut self.process, pid, budget)?;
        let build = &mut *lock(&self.build);
        Ok(found.map(|snapshot| {
            let groups = profile::groups(&self.process, &snapshot, build);
            profile::goroutines(&groups, &snapshot, build)
        }))
    }
}

/// What panicked while it held the lock has left whole stacks behind.
fn lock(build: &Mutex<BuildStacks>) -> MutexGuard<'_, BuildStacks> {
    build.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The path of its executable, for people; empty when it cannot be read.
fn executable(pid: u32) -> String {
    let path = fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
    let path = path.to_string_lossy();
    path.strip_suffix(" (deleted)").unwrap_or(&path).to_owned()
}

/// What tells its build from others; empty when it cannot be read.
fn build_id(pid: u32) -> String {
    let file = fs::File::open(format!("/proc/{pid}/exe")).ok();
    file.and_then(|file| leakwatch_goproc::build_id::read(&file))
        .unwrap_or_default()
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
