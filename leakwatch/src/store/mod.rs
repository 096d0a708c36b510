//! The bounded in-process history: what the engine writes and the API reads. A durable store will sit behind the same seam.
//!
//! Every collection here has a bound, stated in [`Bounds`]; what falls out of a bound is counted as a loss where it may be missed.

pub mod event;
pub mod post_mortem;

use crate::store::event::Event;
use crate::store::event::EventKind;
use crate::store::post_mortem::PostMortem;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::final_heap::ProcessDeath;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::Investigation;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::time::Duration;

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Targets with a living cgroup.
    pub targets: usize,
    /// Targets whose cgroup is gone.
    pub gone_targets: usize,
    /// How long a gone target is remembered.
    pub gone_for: Duration,
    /// Events.
    pub events: usize,
    /// Post-mortems of OOM kills.
    pub post_mortems: usize,
    /// Bytes of profiles, originals and values, over all targets; the oldest interior snapshots go first.
    pub profile_bytes: usize,
    /// Bytes of profiles in post-mortems; those of the oldest go first.
    pub post_mortem_bytes: usize,
    /// Deaths that wait for the OOM kill that brought them about.
    pub deaths: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            targets: 2_000,
            gone_targets: 200,
            gone_for: Duration::from_hours(6),
            events: 10_000,
            post_mortems: 500,
            profile_bytes: 64 << 20,
            post_mortem_bytes: 24 << 20,
            deaths: 16,
        }
    }
}

/// One target with all that is known and concluded about it.
#[derive(Clone, Debug)]
pub struct StoredTarget {
    /// Samples, processes, profiles, kills.
    pub history: TargetHistory,
    /// The newest answer; none before the first tick after it appeared.
    pub investigation: Option<Investigation>,
    /// Steps that a person overruled.
    pub overrides: BTreeMap<StepId, Answer>,
    /// Something came in since the investigation was made.
    pub changed: bool,
}

/// All that is remembered.
#[derive(Clone, Debug)]
pub struct Store {
    bounds: Bounds,
    now: Timestamp,
    targets: BTreeMap<TargetId, StoredTarget>,
    by_inode: HashMap<u64, TargetId>,
    events: VecDeque<Event>,
    next_event: u64,
    post_mortems: VecDeque<PostMortem>,
    deaths: VecDeque<ProcessDeath>,
    losses: BTreeMap<Cow<'static, str>, u64>,
}

impl Store {
    /// An empty store.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            now: Timestamp::default(),
            targets: BTreeMap::new(),
            by_inode: HashMap::new(),
            events: VecDeque::new(),
            next_event: 1,
            post_mortems: VecDeque::new(),
            deaths: VecDeque::new(),
            losses: BTreeMap::new(),
        }
    }

    /// The bounds in force.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The instant of the newest input.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// All targets, gone ones included, by id.
    pub fn targets(&self) -> impl Iterator<Item = (&TargetId, &StoredTarget)> {
        self.targets.iter()
    }

    /// One target.
    pub fn target(&self, id: &TargetId) -> Option<&StoredTarget> {
        self.targets.get(id)
    }

    /// The target whose cgroup directory has this inode.
    pub fn target_by_inode(&self, inode: u64) -> Option<&TargetId> {
        self.by_inode.get(&inode)
    }

    /// Targets of a service, gone ones included, by id.
    pub fn replicas<'a>(&'a self, service: &'a str) -> impl Iterator<Item = (&'a TargetId, &'a StoredTarget)> {
        self.targets
            .iter()
            .filter(move |(_, stored)| stored.history.target.service == service)
    }

    /// Events, oldest first.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.iter()
    }

    /// Post-mortems, oldest first.
    pub fn post_mortems(&self) -> impl DoubleEndedIterator<Item = &PostMortem> {
        self.post_mortems.iter()
    }

    /// One post-mortem.
    pub fn post_mortem(&self, id: &str) -> Option<&PostMortem> {
        self.post_mortems.iter().find(|post_mortem| post_mortem.id == id)
    }

    /// All losses since the start, by reason.
    pub fn losses(&self) -> &BTreeMap<Cow<'static, str>, u64> {
        &self.losses
    }

    /// Bytes of original profiles held for living and gone targets; post-mortems share theirs.
    pub fn profile_bytes(&self) -> usize {
        self.targets.values().map(|stored| stored.history.profile_bytes()).sum()
    }

    pub(crate) fn advance(&mut self, at: Timestamp) {
        self.now = self.now.max(at);
    }

    /// The entry of a target, made if it is new. `None` when the bound is reached.
    pub(crate) fn see_target(&mut self, target: Target, at: Timestamp) -> Option<&mut StoredTarget> {
        let id = target.id();
        if !self.targets.contains_key(&id) {
            let living = self
                .targets
                .values()
                .filter(|stored| stored.history.gone_at.is_none())
                .count();
            if living >= self.bounds.targets {
                return None;
            }
            self.by_inode.insert(target.cgroup.inode, id.clone());
        }
        let stored = self.targets.entry(id).or_insert_with(|| StoredTarget {
            history: TargetHistory::new(target.clone(), at),
            investigation: None,
            overrides: BTreeMap::new(),
            changed: true,
        });
        stored.history.target = target;
        stored.history.gone_at = None;
        Some(stored)
    }

    pub(crate) fn target_mut(&mut self, id: &TargetId) -> Option<&mut StoredTarget> {
        self.targets.get_mut(id)
    }

    pub(crate) fn push_event(&mut self, at: Timestamp, target: Option<TargetId>, kind: EventKind) {
        if self.events.len() >= self.bounds.events {
            self.events.pop_front();
        }
        self.events.push_back(Event {
            id: self.next_event,
            at,
            target,
            kind,
        });
        self.next_event += 1;
    }

    pub(crate) fn push_post_mortem(&mut self, post_mortem: PostMortem) {
        if self.post_mortems.len() >= self.bounds.post_mortems {
            self.post_mortems.pop_front();
        }
        self.post_mortems.push_back(post_mortem);
        self.retain_post_mortem_profiles();
    }

    pub(crate) fn post_mortem_mut(&mut self, id: &str) -> Option<&mut PostMortem> {
        self.post_mortems.iter_mut().find(|post_mortem| post_mortem.id == id)
    }

    pub(crate) fn post_mortems_mut(&mut self) -> impl Iterator<Item = &mut PostMortem> {
        self.post_mortems.iter_mut()
    }

    /// Drops the profiles of the oldest post-mortems until the others fit.
    pub(crate) fn retain_post_mortem_profiles(&mut self) {
        let bytes = |post_mortem: &PostMortem| {
            post_mortem
                .profiles
                .iter()
                .map(|profile| profile.pprof.len())
                .sum::<usize>()
        };
        let mut total: usize = self.post_mortems.iter().map(bytes).sum();
        let mut dropped = 0;
        for post_mortem in &mut self.post_mortems {
            if total <= self.bounds.post_mortem_bytes {
                break;
            }
            total -= bytes(post_mortem);
            dropped += u64::from(!post_mortem.profiles.is_empty());
            post_mortem.profiles.clear();
        }
        if dropped > 0 {
            self.count_loss("post_mortem_profiles_dropped", dropped);
        }
    }

    /// Keeps a death whose kill has not been reported yet. One that no kill was reported of was not the OOM killer's doing.
    pub(crate) fn keep_death(&mut self, death: ProcessDeath) {
        if self.deaths.len() >= self.bounds.deaths {
            self.deaths.pop_front();
        }
        self.deaths.push_back(death);
    }

    /// Takes out the death that belongs to a kill.
    pub(crate) fn take_death(&mut self, belongs: impl Fn(&ProcessDeath) -> bool) -> Option<ProcessDeath> {
        let index = self.deaths.iter().position(belongs)?;
        self.deaths.remove(index)
    }

    pub(crate) fn count_loss(&mut self, reason: impl Into<Cow<'static, str>>, count: u64) {
        let total = self.losses.entry(reason.into()).or_default();
        *total = total.saturating_add(count);
    }

    /// Forgets what is beyond the bounds: gone targets that are old or too many, then interior profiles.
    pub(crate) fn retain_within_bounds(&mut self) {
        /// A kill is reported within milliseconds.
        const DEATHS_KEPT: Duration = Duration::from_secs(30);
        let now = self.now;
        self.deaths.retain(|death| now.since(death.at) <= DEATHS_KEPT);
        let mut gone: Vec<(Timestamp, TargetId)> = self
            .targets
            .iter()
            .filter_map(|(id, stored)| stored.history.gone_at.map(|gone_at| (gone_at, id.clone())))
            .collect();
        gone.sort_unstable();
        let surplus = gone.len().saturating_sub(self.bounds.gone_targets);
        for (index, (gone_at, id)) in gone.into_iter().enumerate() {
            if index < surplus || now.since(gone_at) > self.bounds.gone_for {
                self.forget(&id);
            }
        }
        self.thin_profiles();
    }

    fn forget(&mut self, id: &TargetId) {
        if let Some(stored) = self.targets.remove(id) {
            let inode = stored.history.target.cgroup.inode;
            if self.by_inode.get(&inode) == Some(id) {
                self.by_inode.remove(&inode);
            }
        }
    }

    /// Halves the profile series of the heaviest targets until all fit.
    fn thin_profiles(&mut self) {
        let mut total = self.profile_bytes();
        while total > self.bounds.profile_bytes {
            let heaviest = self
                .targets
                .values_mut()
                .max_by_key(|stored| stored.history.profile_bytes());
            let Some(stored) = heaviest else { return };
            let before = stored.history.profile_bytes();
            stored.history.thin_profiles();
            let after = stored.history.profile_bytes();
            if after >= before {
                return;
            }
            total -= before - after;
            self.count_loss("profiles_thinned", 1);
        }
    }
}
