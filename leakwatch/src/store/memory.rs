//! What the engine keeps: bounded, in memory, and open to nobody else. Readers get a [`View`] of it.
//!
//! What is big in here is shared between one view and the next, and copied only when it changes after a view was made.

use crate::store::Bounds;
use crate::store::event::Event;
use crate::store::event::EventKind;
use crate::store::post_mortem::PostMortem;
use crate::store::profiles::Kept;
use crate::store::profiles::Profiles;
use crate::store::target::StoredTarget;
use crate::store::view::View;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::decoded::Summary;
use leakwatch_analysis::model::final_heap::FinalState;
use leakwatch_analysis::model::shared_log::SharedLog;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// All that is remembered.
#[derive(Debug)]
pub(crate) struct Memory {
    bounds: Bounds,
    now: Timestamp,
    targets: BTreeMap<TargetId, StoredTarget>,
    by_inode: Arc<HashMap<u64, TargetId>>,
    events: SharedLog<Event>,
    next_event: u64,
    post_mortems: VecDeque<Arc<PostMortem>>,
    final_states: VecDeque<FinalState>,
    profiles: Profiles,
    losses: Arc<BTreeMap<Cow<'static, str>, u64>>,
}

impl Memory {
    /// Nothing is known yet.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            now: Timestamp::default(),
            targets: BTreeMap::new(),
            by_inode: Arc::default(),
            events: SharedLog::default(),
            next_event: 1,
            post_mortems: VecDeque::new(),
            final_states: VecDeque::new(),
            profiles: Profiles::default(),
            losses: Arc::default(),
        }
    }

    /// All that is known now. Only targets that may have changed since the view before are copied.
    pub(crate) fn view(&mut self) -> View {
        let targets = self.targets.iter_mut();
        View {
            bounds: self.bounds,
            now: self.now,
            targets: targets.map(|(id, stored)| (id.clone(), stored.view())).collect(),
            by_inode: Arc::clone(&self.by_inode),
            events: self.events.clone(),
            post_mortems: self.post_mortems.clone(),
            losses: Arc::clone(&self.losses),
            profile_bytes: self.profiles.bytes(),
        }
    }

    /// Looks up the stacks of a profile among those that are known, which get those that are not yet: its values by them, and the table.
    pub(crate) fn intern(&mut self, content: &ProfileContent) -> (Summary, Arc<StackTable>) {
        self.profiles.intern(content)
    }

    /// Brings all profiles within their bound; what had to go is counted.
    pub(crate) fn fit_profiles(&mut self) {
        let bound = self.bounds.profile_bytes;
        let kept = Kept {
            targets: self.targets.values_mut().collect(),
            post_mortems: self.post_mortems.iter_mut().collect(),
        };
        for (reason, count) in self.profiles.fit(kept, bound) {
            self.count_loss(reason, count);
        }
    }

    /// All targets, gone ones included, by id.
    pub(crate) fn targets(&self) -> impl Iterator<Item = (&TargetId, &StoredTarget)> {
        self.targets.iter()
    }

    /// One target.
    pub(crate) fn target(&self, id: &TargetId) -> Option<&StoredTarget> {
        self.targets.get(id)
    }

    /// One target, to be changed.
    pub(crate) fn target_mut(&mut self, id: &TargetId) -> Option<&mut StoredTarget> {
        let stored = self.targets.get_mut(id)?;
        stored.view = None;
        Some(stored)
    }

    /// The target whose cgroup directory has this inode.
    pub(crate) fn target_by_inode(&self, inode: u64) -> Option<&TargetId> {
        self.by_inode.get(&inode)
    }

    /// Targets of a service, gone ones included, by id.
    pub(crate) fn replicas<'a>(&'a self, service: &'a str) -> impl Iterator<Item = (&'a TargetId, &'a StoredTarget)> {
        self.targets
            .iter()
            .filter(move |(_, stored)| stored.history.target.service == service)
    }

    /// Post-mortems, oldest first.
    pub(crate) fn post_mortems(&self) -> impl DoubleEndedIterator<Item = &PostMortem> {
        self.post_mortems.iter().map(|post_mortem| &**post_mortem)
    }

    /// One post-mortem.
    pub(crate) fn post_mortem(&self, id: &str) -> Option<&PostMortem> {
        self.post_mortems().find(|post_mortem| post_mortem.id == id)
    }

    /// Time goes on.
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
            Arc::make_mut(&mut self.by_inode).insert(target.cgroup.inode, id.clone());
        }
        let stored = self
            .targets
            .entry(id)
            .or_insert_with(|| StoredTarget::new(target.clone(), at));
        if *stored.history.target != target {
            stored.history.target = Arc::new(target);
        }
        stored.history.gone_at = None;
        stored.view = None;
        Some(stored)
    }

    /// Adds an event.
    pub(crate) fn push_event(&mut self, at: Timestamp, target: Option<TargetId>, kind: EventKind) {
        self.events.push(Event {
            id: self.next_event,
            at,
            target,
            kind,
        });
        self.events.forget_all_but(self.bounds.events);
        self.next_event += 1;
    }

    /// Adds a post-mortem.
    pub(crate) fn push_post_mortem(&mut self, post_mortem: PostMortem) {
        if self.post_mortems.len() >= self.bounds.post_mortems {
            self.post_mortems.pop_front();
        }
        self.post_mortems.push_back(Arc::new(post_mortem));
    }

    /// One post-mortem, to be changed.
    pub(crate) fn post_mortem_mut(&mut self, id: &str) -> Option<&mut PostMortem> {
        self.post_mortems_mut(|post_mortem| post_mortem.id == id).next()
    }

    /// Post-mortems of which this is so, to be changed.
    pub(crate) fn post_mortems_mut(
        &mut self,
        is_meant: impl Fn(&PostMortem) -> bool,
    ) -> impl Iterator<Item = &mut PostMortem> {
        let meant = self
            .post_mortems
            .iter_mut()
            .filter(move |post_mortem| is_meant(post_mortem));
        meant.map(Arc::make_mut)
    }

    /// Keeps the final state of a process whose kill has not been reported yet. Where no kill is reported, it was not the OOM
    /// killer's doing.
    pub(crate) fn keep_final_state(&mut self, state: FinalState) {
        if self.final_states.len() >= self.bounds.final_states {
            self.final_states.pop_front();
        }
        self.final_states.push_back(state);
    }

    /// Takes out the final state that belongs to a kill.
    pub(crate) fn take_final_state(&mut self, belongs: impl Fn(&FinalState) -> bool) -> Option<FinalState> {
        let index = self.final_states.iter().position(belongs)?;
        self.final_states.remove(index)
    }

    /// Counts what was dropped.
    pub(crate) fn count_loss(&mut self, reason: impl Into<Cow<'static, str>>, count: u64) {
        let total = Arc::make_mut(&mut self.losses).entry(reason.into()).or_default();
        *total = total.saturating_add(count);
    }

    /// Forgets what is beyond the bounds: gone targets that are old or too many, then interior profiles.
    pub(crate) fn retain_within_bounds(&mut self) {
        /// A kill is reported within milliseconds.
        const FINAL_STATES_KEPT: Duration = Duration::from_secs(30);
        let now = self.now;
        self.final_states
            .retain(|state| now.since(state.at) <= FINAL_STATES_KEPT);
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
        self.fit_profiles();
    }

    fn forget(&mut self, id: &TargetId) {
        if let Some(stored) = self.targets.remove(id) {
            let inode = stored.history.target.cgroup.inode;
            if self.by_inode.get(&inode) == Some(id) {
                Arc::make_mut(&mut self.by_inode).remove(&inode);
            }
        }
    }
}
