//! All that is remembered of one target, and how samples, events and profiles become part of it.

mod runs;

use crate::history::at_limit::AtLimit;
use crate::history::points::Amount;
use crate::history::points::MemoryPoint;
use crate::history::points::Points;
use crate::history::points::Stretch;
use crate::history::runtimes::RuntimePoint;
use crate::history::runtimes::RuntimeSeries;
use crate::history::snapshots::SnapshotSeries;
use crate::model::event::OomKill;
use crate::model::profile::ProfileType;
use crate::model::profile::Snapshot;
use crate::model::reading::Missing;
use crate::model::reading::MissingReason;
use crate::model::reading::Reading;
use crate::model::run::Run;
use crate::model::run::RunEnd;
use crate::model::runtime::RuntimeStats;
use crate::model::sample::CgroupMemory;
use crate::model::sample::Limit;
use crate::model::sample::ProcessMemory;
use crate::model::sample::Sample;
use crate::model::stack::StackTable;
use crate::model::target::Process;
use crate::model::target::ProcessKey;
use crate::model::target::Target;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use crate::model::verdict::Culprit;
use crate::model::verdict::VerdictClass;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A process of the target, while it lives and for a while after.
#[derive(Clone, Debug)]
pub struct ProcessRecord {
    /// Static facts, shared with whoever copies the record.
    pub process: Arc<Process>,
    /// Newest numbers.
    pub memory: Reading<ProcessMemory>,
    /// Highest anonymous memory seen.
    pub most_anonymous: Bytes,
    /// Its runtime gave up because its own heap was full.
    pub ran_out: bool,
    /// When it was first listed.
    pub first_seen: Timestamp,
    /// When it was last listed.
    pub last_seen: Timestamp,
    /// Set once it is gone.
    pub gone_at: Option<Timestamp>,
}

/// Why a window ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WindowEnd {
    /// The process that held most of the memory was killed for lack of memory.
    OomKill,
    /// That process exited or was replaced.
    Restart,
    /// The limit changed.
    LimitChange,
}

/// A finished window: nothing is computed across its ends, but it may be compared with others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PastWindow {
    /// First point.
    pub from: Timestamp,
    /// Last point.
    pub to: Timestamp,
    /// What ended it.
    pub end: WindowEnd,
    /// Limit in force.
    pub limit: Limit,
    /// Unreclaimable memory at the first point.
    pub first: Option<Bytes>,
    /// Highest unreclaimable memory seen.
    pub peak: Option<Bytes>,
}

/// A leak that was claimed: it stands until something speaks against it.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The process that leaks.
    pub process: ProcessKey,
    /// What was claimed.
    pub class: VerdictClass,
    /// The profiles that showed the place.
    pub profile: Option<ProfileType>,
    /// The place, as of the newest answer that found it.
    pub culprit: Culprit,
    /// Since when it grew.
    pub since: Timestamp,
    /// When it was claimed first.
    pub at: Timestamp,
    /// Natural logarithm of the odds, the highest there were.
    pub log_odds: f64,
}

/// Everything remembered of one target.
#[derive(Clone, Debug)]
pub struct TargetHistory {
    /// Who it is.
    pub target: Arc<Target>,
    /// Set once its cgroup is gone.
    pub gone_at: Option<Timestamp>,
    /// Start of the current window: all points before belong to another identity.
    pub window_start: Timestamp,
    /// Earlier windows, oldest first, bounded by [`TargetHistory::MAX_PAST_WINDOWS`].
    pub past_windows: Vec<PastWindow>,
    /// The run of the process that holds most of the memory, by its age; none before its first sample.
    pub run: Option<Run>,
    /// Runs that ended, oldest first, bounded by [`TargetHistory::MAX_PAST_RUNS`].
    pub past_runs: Vec<Run>,
    /// The leak that was claimed of this run.
    pub claim: Option<Claim>,
    /// What was answered last of which process.
    pub told: Option<(ProcessKey, VerdictClass)>,
    /// All points, across windows.
    pub points: Points,
    /// The newest raw numbers of the cgroup.
    pub newest: Reading<CgroupMemory>,
    /// Instant of the newest sample.
    pub newest_at: Timestamp,
    /// Living processes and recently gone ones, bounded by [`TargetHistory::MAX_PROCESSES`].
    pub processes: BTreeMap<ProcessKey, ProcessRecord>,
    /// The stacks of all snapshots, shared with all targets.
    pub stacks: Arc<StackTable>,
    /// Profiles by type.
    pub snapshots: BTreeMap<ProfileType, SnapshotSeries>,
    /// Profiles of the process that was followed before: what a restart must not make forgotten.
    pub previous_snapshots: BTreeMap<ProfileType, SnapshotSeries>,
    /// What the runtime of the followed process counts.
    pub runtimes: RuntimeSeries,
    /// Why there is nothing newer.
    pub runtime_missing: Option<Missing>,
    /// Why a profile type has no newer snapshot.
    pub profile_missing: BTreeMap<ProfileType, Missing>,
    /// OOM kills in this cgroup, oldest first, bounded by [`TargetHistory::MAX_OOM_KILLS`].
    pub oom_kills: Vec<OomKill>,
    /// All OOM kills ever seen here, also those no longer kept.
    pub oom_kill_count: u64,
    /// When the charge was last seen to have hit a limit: the kernel had to reclaim to go on.
    pub pressure_at: Option<Timestamp>,
    /// The time that it has spent at its limit of late, in this window.
    pub at_limit: Option<AtLimit>,
    /// The process that held most memory in the newest sample; it may have exited since.
    main_sampled: Option<ProcessKey>,
    /// The cgroup's own kill counter in the first sample: kills before that are not ours to report.
    counted_before: Option<u64>,
    /// Kills by the cgroup's own counter that no event had told of, in the newest sample and the one before.
    counted_excess: [u64; 2],
}

impl TargetHistory {
    /// Finished windows kept.
    pub const MAX_PAST_WINDOWS: usize = 32;
    /// Finished runs kept: 2 kB each, and the newest say most.
    pub const MAX_PAST_RUNS: usize = 8;
    /// Processes kept.
    pub const MAX_PROCESSES: usize = 4096;
    /// OOM kills kept per target.
    pub const MAX_OOM_KILLS: usize = 64;

    /// A target just seen.
    pub fn new(target: Target, at: Timestamp) -> Self {
        Self {
            target: Arc::new(target),
            gone_at: None,
            window_start: at,
            past_windows: Vec::new(),
            run: None,
            past_runs: Vec::new(),
            claim: None,
            told: None,
            points: Points::default(),
            newest: Err(Missing::new(MissingReason::NotYet, "no sample taken yet")),
            newest_at: at,
            processes: BTreeMap::new(),
            stacks: Arc::default(),
            snapshots: BTreeMap::new(),
            previous_snapshots: BTreeMap::new(),
            runtimes: RuntimeSeries::default(),
            runtime_missing: None,
            profile_missing: BTreeMap::new(),
            oom_kills: Vec::new(),
            oom_kill_count: 0,
            main_sampled: None,
            pressure_at: None,
            at_limit: None,
            counted_before: None,
            counted_excess: [0; 2],
        }
    }

    /// Points of the current window.
    pub fn window(&self) -> Stretch<'_> {
        self.points.since(self.window_start)
    }

    /// The limit in force.
    pub fn limit(&self) -> Limit {
        self.newest.as_ref().map_or(Limit::Max, |memory| memory.limit)
    }

    /// The living process with most resident memory. The one that had most stays it until another has more than twice as much: equal workers
    /// take turns at being the largest, and none of them has ended by that.
    pub fn main_process(&self) -> Option<&ProcessRecord> {
        let rss = |record: &ProcessRecord| record.memory.as_ref().map_or(Bytes(0), |memory| memory.rss);
        let largest = self.living().max_by_key(|record| (rss(record), record.process.key))?;
        let before = self.main_sampled().filter(|before| before.gone_at.is_none());
        Some(
            before
                .filter(|before| rss(largest).0 / 2 <= rss(before).0)
                .unwrap_or(largest),
        )
    }

    /// The process that held most memory in the newest sample; it may have exited since.
    pub fn main_sampled(&self) -> Option<&ProcessRecord> {
        self.processes.get(&self.main_sampled?)
    }

    /// Why there is no profile of a type. A process whose executable may not be read is not known to be a Go program,
    /// and so was never asked for one: then that is the reason.
    pub fn no_profile(&self, profile_type: ProfileType) -> Option<&Missing> {
        self.profile_missing.get(&profile_type).or_else(|| {
            let unseen = self.main_process()?.process.runtime.as_ref().err()?;
            let none = !self.snapshots.contains_key(&profile_type);
            (none && unseen.reason == MissingReason::NotPermitted).then_some(unseen)
        })
    }

    /// Processes listed in the newest sample.
    pub fn living(&self) -> impl Iterator<Item = &ProcessRecord> {
        self.processes.values().filter(|record| record.gone_at.is_none())
    }

    /// All series of profiles.
    pub fn series(&self) -> impl Iterator<Item = &SnapshotSeries> {
        self.snapshots.values().chain(self.previous_snapshots.values())
    }

    /// All series of profiles, to be changed.
    pub fn series_mut(&mut self) -> impl Iterator<Item = &mut SnapshotSeries> {
        self.snapshots.values_mut().chain(self.previous_snapshots.values_mut())
    }

    /// Takes in a sample.
    pub fn apply_sample(&mut self, sample: &Sample) {
        // As of the sample before: its exit may have been told of in between.
        let main_before = self.main_sampled;
        let limit_before = self.newest.as_ref().ok().map(|memory| memory.limit);
        self.apply_processes(sample);
        let main_gone =
            main_before.is_some_and(|key| self.processes.get(&key).is_none_or(|record| record.gone_at.is_some()));
        let limit_now = sample.cgroup.as_ref().ok().map(|memory| memory.limit);
        let limit_changed = matches!((limit_before, limit_now), (Some(before), Some(now)) if before != now);
        self.main_sampled = self.main_process().map(|record| record.process.key);
        if main_gone {
            let killed = main_before.is_some_and(|key| {
                self.oom_kills
                    .iter()
                    .any(|kill| kill.victim.pid == key.pid && kill.at >= self.window_start)
            });
            self.end_window(sample.at, if killed { WindowEnd::OomKill } else { WindowEnd::Restart });
        } else if limit_changed {
            self.end_window(sample.at, WindowEnd::LimitChange);
        } else if main_before.is_none() && self.main_sampled.is_some() {
            // What was charged before the first process started is not part of its run.
            self.window_start = sample.at;
        }
        if hit_limit(&self.newest, &sample.cgroup) {
            self.pressure_at = Some(sample.at);
        }
        let before = (self.newest_at, &self.newest);
        self.at_limit = AtLimit::follow(self.at_limit, before, (sample.at, &sample.cgroup));
        self.newest.clone_from(&sample.cgroup);
        self.newest_at = sample.at;
        self.follow_run(sample);
        if let Ok(memory) = &sample.cgroup {
            self.count_kills(memory);
            let unreclaimable = Amount::from(memory.unreclaimable().ok());
            let rss = sample
                .processes
                .iter()
                .map(|process| process.memory.as_ref().ok().map(|memory| memory.rss))
                .try_fold(Bytes(0), |sum, rss| rss.map(|rss| sum.saturating_add(rss)));
            self.points.push(MemoryPoint {
                at: sample.at,
                begins_window: self.window_start == sample.at || self.points.all().is_empty(),
                lowest_before: 0,
                charge: memory.charge.into(),
                unreclaimable,
                unreclaimable_min: unreclaimable,
                unreclaimable_max: unreclaimable,
                anon: memory.anon().ok().into(),
                file: memory.reclaimable_file().ok().into(),
                shmem: memory.shmem().ok().into(),
                kernel: memory.kernel().ok().into(),
                rss: rss.into(),
            });
        }
    }

    /// Takes in that the cgroup is gone, and with it all its processes.
    pub fn apply_gone(&mut self, at: Timestamp) {
        self.end_run(at);
        self.gone_at.get_or_insert(at);
        for record in self.processes.values_mut() {
            record.gone_at.get_or_insert(at);
        }
    }

    /// Kills that the cgroup's own counter shows in two samples in a row without an event for them: an event under way
    /// when the counter was read has arrived by the second.
    pub fn unreported_oom_kills(&self) -> Option<u64> {
        let [newest, before] = self.counted_excess;
        let unreported = newest.min(before);
        (unreported > 0).then_some(unreported)
    }

    /// The process that held most memory among those that disappeared last.
    pub fn largest_gone_process(&self) -> Option<&ProcessRecord> {
        let last = self.processes.values().filter_map(|record| record.gone_at).max()?;
        self.processes
            .values()
            .filter(|record| record.gone_at == Some(last))
            .max_by_key(|record| record.memory.as_ref().map_or(Bytes(0), |memory| memory.rss))
    }

    fn count_kills(&mut self, memory: &CgroupMemory) {
        let Ok(counted) = memory.oom_kills() else { return };
        let before = *self
            .counted_before
            .get_or_insert(counted.saturating_sub(self.oom_kill_count));
        let excess = counted.saturating_sub(before).saturating_sub(self.oom_kill_count);
        self.counted_excess = [excess, self.counted_excess[0]];
    }

    /// Takes in a profile. One process of a target is followed at a time: a profile of another process starts the series
    /// anew if the followed one is gone or clearly smaller (half or less), and is refused otherwise.
    pub fn apply_snapshot(&mut self, snapshot: Snapshot) -> bool {
        let followed = self
            .snapshots
            .get(&snapshot.profile_type)
            .and_then(SnapshotSeries::newest)
            .map(|newest| newest.process);
        if let Some(followed) = followed
            && followed != snapshot.process
            && self.living().any(|record| record.process.key == followed)
            && self.rss(snapshot.process).0 / 2 < self.rss(followed).0
        {
            return false;
        }
        self.profile_missing.remove(&snapshot.profile_type);
        let series = self.snapshots.entry(snapshot.profile_type).or_default();
        if followed.is_some_and(|followed| followed != snapshot.process) {
            let previous = std::mem::take(series);
            self.previous_snapshots.insert(snapshot.profile_type, previous);
        }
        // A capture counts from its own beginning: what an earlier one has counted is no baseline for it.
        let restarted = |before: &Snapshot| before.total.alloc_space > snapshot.total.alloc_space;
        if snapshot.profile_type.is_of_capture() && series.newest().is_some_and(restarted) {
            *series = SnapshotSeries::default();
        }
        series.push(snapshot);
        true
    }

    /// Takes in what the runtime of a process counts, or why that is not known.
    pub fn apply_runtime(&mut self, at: Timestamp, process: ProcessKey, stats: Reading<RuntimeStats>) {
        match stats {
            Ok(stats) => {
                self.runtime_missing = None;
                self.runtimes.push(RuntimePoint { at, process, stats });
            }
            Err(missing) => self.runtime_missing = Some(missing),
        }
    }

    fn rss(&self, key: ProcessKey) -> Bytes {
        let memory = self.processes.get(&key).and_then(|record| record.memory.as_ref().ok());
        memory.map_or(Bytes(0), |memory| memory.rss)
    }

    /// Takes in an OOM kill of a process of this cgroup.
    pub fn apply_oom_kill(&mut self, kill: OomKill) {
        self.oom_kill_count += 1;
        self.counted_excess = self.counted_excess.map(|excess| excess.saturating_sub(1));
        // The sample that missed the victim may have been quicker than the news of its kill.
        let is_gone = |record: &ProcessRecord| record.process.key.pid == kill.victim.pid && record.gone_at.is_some();
        if kill.at <= self.window_start
            && self.processes.values().any(is_gone)
            && let Some(last) = self.past_windows.last_mut()
            && last.end == WindowEnd::Restart
            && kill.at >= last.from
        {
            last.end = WindowEnd::OomKill;
        }
        if let Some(last) = self.past_runs.last_mut()
            && last.process.pid == kill.victim.pid
            && let Some((at, end)) = &mut last.ended
            && kill.at <= *at
        {
            *end = RunEnd::OomKill;
        }
        if self.oom_kills.len() >= Self::MAX_OOM_KILLS {
            self.oom_kills.remove(0);
        }
        self.oom_kills.push(kill);
    }

    fn apply_processes(&mut self, sample: &Sample) {
        for process in &sample.new_processes {
            // Announced again: its program became known, or it runs another one since `exec`.
            if let Some(record) = self.processes.get_mut(&process.key) {
                record.process.clone_from(process);
                continue;
            }
            self.processes.insert(
                process.key,
                ProcessRecord {
                    process: Arc::clone(process),
                    memory: Err(Missing::new(MissingReason::NotYet, "not sampled yet")),
                    most_anonymous: Bytes(0),
                    ran_out: false,
                    first_seen: sample.at,
                    last_seen: sample.at,
                    gone_at: None,
                },
            );
        }
        for process in &sample.processes {
            if let Some(record) = self.processes.get_mut(&process.key) {
                record.memory.clone_from(&process.memory);
                let anonymous = record.memory.as_ref().map_or(Bytes(0), |memory| memory.anon);
                record.most_anonymous = record.most_anonymous.max(anonymous);
                record.last_seen = sample.at;
                record.gone_at = None;
            }
        }
        for record in self.processes.values_mut() {
            if record.last_seen < sample.at {
                record.gone_at.get_or_insert(sample.at);
            }
        }
        while self.processes.len() > Self::MAX_PROCESSES {
            let oldest = self
                .processes
                .iter()
                .min_by_key(|(_, record)| (record.gone_at.is_none(), record.last_seen));
            let Some(key) = oldest.map(|(key, _)| *key) else { break };
            self.processes.remove(&key);
        }
        // Gone processes are kept for the post-mortem of the window they belong to, not for ever.
        let keep_from = self.past_windows.last().map_or(self.window_start, |window| window.from);
        self.processes
            .retain(|_, record| record.gone_at.is_none_or(|gone| gone >= keep_from));
    }

    fn end_window(&mut self, at: Timestamp, end: WindowEnd) {
        if let (Some(first), Some(last)) = (self.window().first(), self.window().last()) {
            let past = PastWindow {
                from: first.at,
                to: last.at,
                end,
                limit: self.limit(),
                first: first.unreclaimable.bytes(),
                peak: self
                    .window()
                    .iter()
                    .filter_map(|point| point.unreclaimable_max.bytes())
                    .max(),
            };
            if self.past_windows.len() >= Self::MAX_PAST_WINDOWS {
                self.past_windows.remove(0);
            }
            self.past_windows.push(past);
        }
        self.window_start = at;
        self.at_limit = None;
    }
}

/// Whether the charge hit a limit between two samples.
fn hit_limit(before: &Reading<CgroupMemory>, now: &Reading<CgroupMemory>) -> bool {
    let hits = |memory: &Reading<CgroupMemory>| memory.as_ref().ok()?.limit_hits().ok();
    matches!((hits(before), hits(now)), (Some(before), Some(now)) if now > before)
}

#[cfg(test)]
mod tests;
