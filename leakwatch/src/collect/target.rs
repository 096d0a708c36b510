//! One watched cgroup between rounds: what was read last and what has to be read again.
//!
//! A quiet cgroup costs two reads per round: charge and limit. The list of processes, `memory.stat`, the events and the
//! processes are read again when the charge moved, and at least every minute. The instants of those are spread over the
//! targets, so that no round has to refresh all of them. What this can miss for at most a minute: memory that changes its kind, and
//! processes that come and go, while the charge stays the same to the byte. Nothing is missed of a cgroup without processes: one that is
//! moved into it brings no charge along. Files like `memory.pressure` are read every 5 minutes, and within a minute after the charge has
//! hit a limit.

use super::cgroup::CgroupFiles;
use super::cgroup::CounterFiles;
use super::file::Reader;
use super::limits::Holder;
use super::process::Budget;
use super::process::ProcessReader;
use super::process::Processes;
use super::process::Refresh;
use crate::config::exclude::Exclude;
use crate::identity::cgroup::Directory;
use crate::identity::cgroup::Version;
use crate::identity::container::Recognised;
use crate::identity::container::recognise;
use crate::identity::service;
use crate::input::Input;
use leakwatch_analysis::model::counter::Counter;
use leakwatch_analysis::model::counter::Counters;
use leakwatch_analysis::model::event::Loss;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::sample::CgroupMemory;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::target::CgroupKey;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// Processes tracked at most, over all targets; at about 1 KiB each.
const MAX_PROCESSES: usize = 32_768;
/// Executables looked up in one round.
const MAX_LOOKUPS: usize = 2048;
/// Executables opened and searched for build info in one round.
const MAX_READS: usize = 128;
/// Everything is read again in the first round after this: within a minute at the default interval.
const REFRESH: Duration = Duration::from_secs(55);
/// Files that are read seldom are read again in the first such round after this.
const SELDOM: Duration = Duration::from_mins(5);

/// A cgroup that may be, or is, a target.
#[derive(Debug)]
pub(super) struct Watched {
    pub(super) files: CgroupFiles,
    /// Number of the round that last found the directory.
    pub(super) round: u64,
    directory: Directory,
    id: TargetId,
    recognised: Recognised,
    /// The tightest limit on the way to the root, as the last full round found it.
    pub(super) limit: Reading<Limit>,
    /// Who has that limit.
    pub(super) holder: Option<Holder>,
    /// Set once the cgroup has had a process: it stays a target until its directory is gone.
    announced: Option<Target>,
    pids: Vec<u32>,
    processes: Processes,
    refresh_at: Option<Timestamp>,
    seldom: Option<Seldom>,
    last: Option<Last>,
}

/// What was read when something moved.
#[derive(Debug)]
struct Last {
    charge: Bytes,
    limit: Reading<Limit>,
    counters: Counters,
}

/// What was read of the files that are read seldom.
#[derive(Debug)]
struct Seldom {
    at: Timestamp,
    /// Times the charge had hit a limit by then.
    limit_hits: Option<u64>,
    counters: Counters,
}

/// What the targets of a round share.
#[derive(Debug)]
pub(super) struct Round<'a> {
    pub(super) now: Timestamp,
    pub(super) reader: &'a mut Reader,
    pub(super) processes: &'a mut ProcessReader,
    pub(super) budget: Budget,
    pub(super) machine: Option<Bytes>,
    /// What the machine has left.
    pub(super) available: Option<Bytes>,
    pub(super) exclude: &'a Exclude,
}

impl<'a> Round<'a> {
    /// A round with its whole budget before it.
    pub(super) fn new(
        now: Timestamp,
        reader: &'a mut Reader,
        processes: &'a mut ProcessReader,
        machine: Option<Bytes>,
        exclude: &'a Exclude,
    ) -> Self {
        let budget = Budget {
            tracked: MAX_PROCESSES,
            lookups: MAX_LOOKUPS,
            reads: MAX_READS,
            postponed: 0,
            untracked: 0,
            unreadable: 0,
        };
        Self {
            now,
            reader,
            available: processes.available(),
            processes,
            budget,
            machine,
            exclude,
        }
    }

    /// What the round had to leave out.
    pub(super) fn losses(self) -> Vec<Loss> {
        let counts = [
            ("process_identification_postponed", self.budget.postponed),
            ("processes_over_bound", self.budget.untracked),
            ("process_unreadable", self.budget.unreadable),
        ];
        let counted = counts.into_iter().filter(|(_, count)| *count > 0);
        counted
            .map(|(reason, count)| Loss {
                at: self.now,
                reason: reason.into(),
                count,
            })
            .collect()
    }
}

impl Watched {
    pub(super) fn new(version: Version, directory: Directory, counter_files: Arc<CounterFiles>) -> Self {
        Self {
            files: CgroupFiles::new(version, &directory.path, counter_files),
            round: 0,
            recognised: recognise(&directory.key.path),
            id: (&directory.key).into(),
            directory,
            limit: Ok(Limit::Max),
            holder: None,
            announced: None,
            pids: Vec::new(),
            processes: Processes::default(),
            refresh_at: None,
            seldom: None,
            last: None,
        }
    }

    /// A cgroup can be renamed (v1) and an inode reused: then it is another target.
    pub(super) fn is(&self, directory: &Directory) -> bool {
        self.directory.key == directory.key
    }

    /// Id, if it was announced.
    pub(super) fn id(&self) -> Option<TargetId> {
        self.announced.as_ref().map(|_| self.id.clone())
    }

    /// Its path.
    pub(super) fn path(&self) -> &str {
        &self.directory.key.path
    }

    /// Samples the cgroup; nothing if it never had a process.
    pub(super) fn sample(&mut self, round: &mut Round<'_>, inputs: &mut Vec<Input>) {
        let charge = self.files.charge(round.reader);
        let moved = match (&charge, &self.last) {
            (Ok(charge), Some(last)) => *charge != last.charge || self.limit != last.limit,
            _ => true,
        };
        let due = self.refresh_at.is_none_or(|at| round.now >= at);
        let mut relisted = false;
        if moved || due || self.pids.is_empty() {
            let mut pids = Vec::new();
            if self.files.pids(round.reader, &mut pids).is_ok() {
                relisted = pids != self.pids;
                self.pids = pids;
            }
        }
        if self.announced.is_none() && self.pids.is_empty() {
            return;
        }
        let refresh = if due {
            self.refresh_at = Some(match self.refresh_at {
                Some(_) => round.now.plus(REFRESH),
                None => first_refresh(round.now, self.directory.key.inode),
            });
            Refresh::Everything
        } else if moved || relisted {
            Refresh::Memory
        } else {
            Refresh::Nothing
        };
        self.processes
            .update(&self.pids, refresh, &mut round.budget, round.processes, round.reader);
        if self.announced.is_none() && self.processes.is_empty() {
            return;
        }
        let renamed = relisted || refresh != Refresh::Nothing || !self.processes.all_announced();
        if !self.announce(renamed, round, inputs) {
            return;
        }
        let cgroup = charge.and_then(|charge| self.memory(charge, refresh, round));
        inputs.push(Input::Sample(Sample {
            target: self.id.clone(),
            at: round.now,
            cgroup,
            new_processes: self.processes.announcements(),
            processes: self.processes.samples(),
        }));
    }

    /// Says who the target is, at first and when its service became known or changed, which it may have if it is `renamed`. False for one that is
    /// excluded by who it is.
    fn announce(&mut self, renamed: bool, round: &Round<'_>, inputs: &mut Vec<Input>) -> bool {
        let now = round.now;
        let service = match &self.announced {
            // Nothing to learn from an empty cgroup: it keeps its service.
            Some(target) if !renamed || self.processes.is_empty() => Cow::Borrowed(target.service.as_str()),
            known => {
                let known = known.as_ref().map(|target| target.service.as_str());
                Cow::Owned(service::name(&self.recognised, self.processes.candidates(), known))
            }
        };
        if round.exclude.has_label(&self.recognised.name, &service) {
            if self.announced.take().is_some() {
                inputs.push(Input::TargetGone {
                    at: now,
                    target: self.id.clone(),
                });
            }
            // Whoever is to know them later knows nothing of them.
            self.processes.forget_announcements();
            return false;
        }
        if self.announced.as_ref().is_some_and(|target| target.service == service) {
            return true;
        }
        let target = Target {
            cgroup: self.directory.key.clone(),
            kind: self.recognised.kind,
            name: self.recognised.name.clone(),
            service: service.into_owned(),
            container: self.recognised.container.clone(),
            started_at: self.directory.started_at,
        };
        self.announced = Some(target.clone());
        inputs.push(Input::TargetSeen { at: now, target });
        true
    }

    fn memory(&mut self, charge: Bytes, refresh: Refresh, round: &mut Round<'_>) -> Reading<CgroupMemory> {
        let last = match self.last.take() {
            Some(last) if refresh == Refresh::Nothing => last,
            last => Last {
                charge,
                limit: self.limit.clone(),
                counters: self.counters(refresh, last, round),
            },
        };
        let last = self.last.insert(last);
        // v1 also tells a limit of ancestors that are not visible from inside a container.
        let hidden = match last.counters.get(Counter::HierarchicalLimit) {
            Some(u64::MAX) | None => Limit::Max,
            Some(bytes) => Limit::Bytes(Bytes(bytes)),
        };
        let visible = self.limit.clone()?;
        let mut memory = CgroupMemory {
            charge,
            limit: tighter(visible, hidden),
            counters: last.counters.clone(),
        };
        let mut found = Vec::new();
        match self.holder.filter(|_| memory.limit == visible) {
            Some(holder) => {
                found.push((Counter::LimitLevels, holder.levels));
                let others = holder.held.zip(memory.unreclaimable().ok());
                let others = others
                    .filter(|_| holder.levels > 0)
                    .map(|(held, own)| held.saturating_sub(own));
                found.extend(others.map(|others| (Counter::LimitOthers, others.0)));
            }
            None if memory.limit == Limit::Max => {
                found.extend(round.available.map(|available| (Counter::NodeAvailable, available.0)));
            }
            None => {}
        }
        memory.counters = memory.counters.with(found);
        Ok(memory)
    }

    fn counters(&mut self, refresh: Refresh, last: Option<Last>, round: &mut Round<'_>) -> Counters {
        let hits = last.and_then(|last| limit_hits(&last.counters));
        let current = self.seldom.take().filter(|seldom| {
            let pressed = matches!((seldom.limit_hits, hits), (Some(before), Some(now)) if now > before);
            refresh != Refresh::Everything || (!pressed && round.now.since(seldom.at) < SELDOM)
        });
        let is_new = current.is_none();
        let seldom = self.seldom.insert(current.unwrap_or_else(|| Seldom {
            at: round.now,
            limit_hits: None,
            counters: self.files.seldom_counters(round.reader),
        }));
        let counters = self.files.counters(round.reader, &seldom.counters);
        if is_new {
            seldom.limit_hits = limit_hits(&counters);
        }
        counters
    }
}

fn limit_hits(counters: &Counters) -> Option<u64> {
    let hits = [Counter::LocalMax, Counter::LocalHigh, Counter::MemswMax].map(|counter| counters.get(counter));
    hits.into_iter().flatten().reduce(u64::saturating_add)
}

/// The tighter of two limits.
pub(super) fn tighter(one: Limit, other: Limit) -> Limit {
    match (one, other) {
        (Limit::Bytes(one), Limit::Bytes(other)) => Limit::Bytes(one.min(other)),
        (Limit::Max, limit) | (limit, Limit::Max) => limit,
    }
}

/// The first refresh comes at an instant of its own within the period, so that later ones of all targets are spread.
fn first_refresh(now: Timestamp, inode: u64) -> Timestamp {
    let spread = u64::from(CgroupKey::spread(inode));
    let milliseconds = u64::try_from(REFRESH.as_millis()).unwrap_or(u64::MAX);
    now.plus(Duration::from_millis((spread * milliseconds) >> 32))
}
