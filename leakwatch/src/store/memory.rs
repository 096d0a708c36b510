//! What the engine keeps: bounded, in memory, and open to nobody else. Readers get a [`View`] of it.
//!
//! What is big in here is shared between one view and the next, and copied only when it changes after a view was made.

use crate::input::TakenProfile;
use crate::store::Bounds;
use crate::store::bundle::BundledTarget;
use crate::store::disk::restore::Restored;
use crate::store::event::Event;
use crate::store::event::EventKind;
use crate::store::oom_kills::OomKillCounts;
use crate::store::post_mortem::PostMortem;
use crate::store::profiles::Kept;
use crate::store::profiles::Profiles;
use crate::store::rulings::Rulings;
use crate::store::target::StoredTarget;
use crate::store::versions::Versions;
use crate::store::view::View;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::decoded::Summary;
use leakwatch_analysis::model::final_heap::FinalState;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::Investigation;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::run::Run;
use leakwatch_analysis::model::run::ServiceRun;
use leakwatch_analysis::model::shared_log::SharedLog;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// What a bundle knows besides targets.
#[derive(Debug)]
pub(crate) struct BundleRest {
    pub(crate) events: Vec<Event>,
    pub(crate) post_mortems: Vec<(PostMortem, Vec<TakenProfile>)>,
    pub(crate) runs: Vec<ServiceRun>,
    pub(crate) losses: BTreeMap<String, u64>,
}

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
    oom_kills: Arc<OomKillCounts>,
    runs: Arc<BTreeMap<Arc<str>, VecDeque<Arc<ServiceRun>>>>,
    /// Runs by service whose targets are forgotten, oldest first.
    earlier: BTreeMap<Arc<str>, VecDeque<Run>>,
    versions: Versions,
    /// What people have ruled for services.
    pub(crate) rulings: Arc<Rulings>,
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
            oom_kills: Arc::default(),
            runs: Arc::default(),
            earlier: BTreeMap::new(),
            versions: Versions::default(),
            rulings: Arc::default(),
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
            oom_kills: Arc::clone(&self.oom_kills),
            runs: Arc::clone(&self.runs),
            rulings: Arc::clone(&self.rulings),
            profile_bytes: self.profiles.bytes(),
        }
    }

    /// Looks up the stacks of a profile among those that are known, which get those that are not yet: its values by them, and the table.
    pub(crate) fn intern(&mut self, content: &ProfileContent) -> (Summary, Arc<StackTable>) {
        self.profiles.intern(content, None)
    }

    /// The same of a heap profile that others of the same process will follow.
    pub(crate) fn intern_next(&mut self, process: ProcessKey, content: &ProfileContent) -> (Summary, Arc<StackTable>) {
        self.profiles.intern(content, Some(process))
    }

    /// Brings all profiles within their bound; what had to go is counted.
    pub(crate) fn fit_profiles(&mut self) {
        let bound = self.bounds.profile_bytes;
        let mut post_mortems: Vec<_> = self.post_mortems.iter_mut().collect();
        // The first lose their profiles first.
        post_mortems.sort_by_key(|post_mortem| post_mortem.pinned);
        let kept = Kept {
            targets: self.targets.values_mut().collect(),
            post_mortems,
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

    /// Events, oldest first.
    pub(crate) fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.newest(self.bounds.events)
    }

    /// The number that the next event gets.
    pub(crate) fn next_event(&self) -> u64 {
        self.next_event
    }

    /// Numbers of events go on from there: those on disk keep theirs.
    pub(crate) fn go_on_after(&mut self, next_event: u64) {
        self.next_event = self.next_event.max(next_event);
    }

    /// The bounds in force.
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// What people answer about a target.
    pub(crate) fn answers(&self, stored: &StoredTarget) -> BTreeMap<StepId, Answer> {
        self.rulings.answers(&stored.history, &stored.overrides)
    }

    /// Adds a run that has ended. Of each service the newest are kept.
    pub(crate) fn push_run(&mut self, run: ServiceRun) {
        let service: Arc<str> = run.service.as_str().into();
        let runs = Arc::make_mut(&mut self.runs);
        keep_newest(runs, service, Arc::new(run), self.bounds, |run| run.last_at);
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
        let earlier = self.earlier.get(target.service.as_str());
        let stored = self.targets.entry(id).or_insert_with(|| {
            let mut stored = StoredTarget::new(target.clone(), at);
            for run in earlier.into_iter().flatten() {
                stored.history.push_past_run(run.clone());
            }
            stored
        });
        if *stored.history.target != target {
            stored.history.target = Arc::new(target);
        }
        stored.history.gone_at = None;
        stored.view = None;
        Some(stored)
    }

    /// Takes in what a daemon before knew. A target counts as gone until it is seen again.
    pub(crate) fn restore(&mut self, restored: Restored) {
        for known in restored.targets {
            let target = Arc::clone(&known.history.target);
            let id = target.id();
            Arc::make_mut(&mut self.by_inode).insert(target.cgroup.inode, id.clone());
            let stored = StoredTarget::restored(known.history, known.overrides, known.class);
            self.targets.insert(id.clone(), stored);
            if let Some(run) = &known.run {
                self.versions.restore(run, self.bounds.runs);
            }
            for taken in known.profiles {
                self.restore_profile(&id, &taken);
            }
        }
        for ruling in restored.rulings {
            Arc::make_mut(&mut self.rulings).put(ruling);
        }
        for event in restored.events {
            self.next_event = self.next_event.max(event.id.saturating_add(1));
            self.events.push(event);
        }
        self.events.forget_all_but(self.bounds.events);
        for (post_mortem, profiles) in restored.post_mortems {
            self.restore_post_mortem(post_mortem, &profiles);
            self.fit_profiles();
        }
        for run in restored.runs {
            self.versions.restore(&run, self.bounds.runs);
            match self.targets.get_mut(&run.target) {
                Some(stored) => stored.history.push_past_run(run.run.clone()),
                None => self.remember_earlier(&run.service, run.run.clone()),
            }
            self.push_run(run);
        }
        self.fit_profiles();
    }

    /// Remembers a run whose target is forgotten: what a new target of its service is compared with.
    fn remember_earlier(&mut self, service: &str, run: Run) {
        let is_same = |known: &Run| (known.process, known.started_at) == (run.process, run.started_at);
        if !self.earlier.get(service).is_some_and(|runs| runs.iter().any(is_same)) {
            keep_newest(&mut self.earlier, service.into(), run, self.bounds, |run| {
                run.started_at
            });
        }
    }

    fn restore_post_mortem(&mut self, mut post_mortem: PostMortem, profiles: &[TakenProfile]) {
        for taken in profiles {
            if let Ok(content) = &taken.profile {
                let (summary, stacks) = self.profiles.intern(content, None);
                post_mortem.profiles.push(snapshot_of(taken, summary));
                post_mortem.stacks = stacks;
            }
        }
        self.push_post_mortem(post_mortem);
    }

    /// Takes in a bundle: this is all that is known then. Each target comes with what was answered about it.
    pub(crate) fn open_bundle(
        &mut self,
        made_at: Timestamp,
        targets: Vec<(BundledTarget, Option<Investigation>)>,
        rest: BundleRest,
    ) {
        self.now = made_at;
        for (target, investigation) in targets {
            let id = target.history.target.id();
            Arc::make_mut(&mut self.by_inode).insert(target.history.target.cgroup.inode, id.clone());
            let stored = StoredTarget::bundled(target.history, target.overrides, investigation);
            self.targets.insert(id, stored);
        }
        for event in rest.events {
            self.next_event = self.next_event.max(event.id.saturating_add(1));
            self.events.push(event);
        }
        for (post_mortem, profiles) in rest.post_mortems {
            self.restore_post_mortem(post_mortem, &profiles);
        }
        rest.runs.into_iter().for_each(|run| self.push_run(run));
        for (reason, count) in rest.losses {
            self.count_loss(reason, count);
        }
    }

    fn restore_profile(&mut self, id: &TargetId, taken: &TakenProfile) {
        if let Ok(content) = &taken.profile {
            let (summary, stacks) = self.profiles.intern(content, None);
            if let Some(stored) = self.targets.get_mut(id) {
                stored.history.apply_snapshot(snapshot_of(taken, summary));
                stored.history.stacks = stacks;
            }
        }
    }

    /// Takes in the version that a process of a target is of; an event tells of one that is new to the service.
    pub(crate) fn tell_version(&mut self, id: &TargetId, process: ProcessKey, at: Timestamp) {
        let Some(stored) = self.targets.get(id) else { return };
        let history = &stored.history;
        let Some(record) = history.processes.get(&process) else {
            return;
        };
        let (service, to) = (&history.target.service, history.version());
        let before = self
            .versions
            .tell(service, to, record.process.started_at, self.bounds.runs);
        if let Some(from) = before {
            let (service, from, to) = (service.clone(), from.to_string(), to.to_owned());
            self.push_event(at, Some(id.clone()), EventKind::Deploy { service, from, to });
        }
    }

    /// Adds an event.
    pub(crate) fn push_event(&mut self, at: Timestamp, target: Option<TargetId>, kind: EventKind) {
        let stored = target.as_ref().and_then(|target| self.targets.get(target));
        let muted = stored.is_some_and(|stored| self.rulings.mute_of(&stored.history).is_some());
        self.events.push(Event {
            id: self.next_event,
            at,
            target,
            kind,
            muted,
        });
        self.events.forget_all_but(self.bounds.events);
        self.next_event += 1;
    }

    /// Adds a post-mortem.
    pub(crate) fn push_post_mortem(&mut self, post_mortem: PostMortem) {
        if self.post_mortems.len() >= self.bounds.post_mortems
            && let Some(oldest) = self.post_mortems.iter().position(|post_mortem| !post_mortem.pinned)
        {
            self.post_mortems.remove(oldest);
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

    /// Counts a kill for the service of its target.
    pub(crate) fn count_oom_kill(&mut self, target: Option<&TargetId>) {
        let stored = target.and_then(|id| self.targets.get(id));
        let service = stored.map(|stored| stored.history.target.service.as_str());
        Arc::make_mut(&mut self.oom_kills).count(service);
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
            for run in &stored.history.past_runs {
                self.remember_earlier(&stored.history.target.service, run.clone());
            }
            let inode = stored.history.target.cgroup.inode;
            if self.by_inode.get(&inode) == Some(id) {
                Arc::make_mut(&mut self.by_inode).remove(&inode);
            }
        }
    }
}

/// Adds the newest run of a service. Of each the newest are kept; when all together are too many, the service goes that has had none for longest.
fn keep_newest<R>(
    runs: &mut BTreeMap<Arc<str>, VecDeque<R>>,
    service: Arc<str>,
    run: R,
    bounds: Bounds,
    at: impl Fn(&R) -> Timestamp,
) {
    let of_service = runs.entry(service).or_default();
    of_service.push_back(run);
    if of_service.len() > bounds.runs_per_service {
        of_service.pop_front();
    }
    if runs.values().map(VecDeque::len).sum::<usize>() > bounds.runs {
        let oldest = runs.iter().min_by_key(|(_, runs)| runs.back().map(&at));
        if let Some(service) = oldest.map(|(service, _)| Arc::clone(service)) {
            runs.remove(&service);
        }
    }
}

/// A profile as it is kept, with its stacks looked up.
pub(crate) fn snapshot_of(taken: &TakenProfile, summary: Summary) -> Snapshot {
    Snapshot {
        target: taken.target.clone(),
        process: taken.process,
        profile_type: taken.profile_type,
        at: taken.at,
        source: taken.source,
        values: summary.values,
        total: summary.total,
        period: summary.period,
        program: summary.program,
        losses: summary.losses.into(),
    }
}
