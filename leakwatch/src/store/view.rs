//! What readers see: all that was known at one instant. A view never changes and shares what has not changed with the one before, so
//! that neither making nor reading one waits for anybody.

use crate::store::Bounds;
use crate::store::event::Event;
use crate::store::oom_kills::OomKillCounts;
use crate::store::post_mortem::PostMortem;
use crate::store::rulings::Rulings;
use arc_swap::ArcSwap;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::Investigation;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::ruling::Ruling;
use leakwatch_analysis::model::run::ServiceRun;
use leakwatch_analysis::model::shared_log::SharedLog;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::model::verdict::Verdict;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// One target with all that is known and concluded about it.
#[derive(Clone, Debug)]
pub struct TargetView {
    /// Samples, processes, profiles, kills.
    pub history: TargetHistory,
    /// The newest answer; none before the first tick after it appeared.
    pub investigation: Option<Arc<Investigation>>,
    /// Steps that a person overruled.
    pub overrides: BTreeMap<StepId, Answer>,
}

impl TargetView {
    /// Whether its cgroup still exists.
    pub fn is_living(&self) -> bool {
        self.history.gone_at.is_none()
    }

    /// Whether a process lives in it.
    pub fn has_process(&self) -> bool {
        self.history.living().next().is_some()
    }

    /// The newest verdict.
    pub fn verdict(&self) -> Option<&Verdict> {
        self.investigation.as_ref().map(|made| &made.verdict)
    }
}

/// All that is known.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub(super) bounds: Bounds,
    pub(super) now: Timestamp,
    pub(super) targets: BTreeMap<TargetId, Arc<TargetView>>,
    pub(super) by_inode: Arc<HashMap<u64, TargetId>>,
    pub(super) events: SharedLog<Event>,
    pub(super) post_mortems: VecDeque<Arc<PostMortem>>,
    pub(super) losses: Arc<BTreeMap<Cow<'static, str>, u64>>,
    pub(super) oom_kills: Arc<OomKillCounts>,
    pub(super) runs: Arc<BTreeMap<Arc<str>, VecDeque<Arc<ServiceRun>>>>,
    pub(super) rulings: Arc<Rulings>,
    pub(super) profile_bytes: usize,
}

impl View {
    /// The bounds in force.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The instant of the newest input.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// All targets, gone ones included, by id.
    pub fn targets(&self) -> impl Iterator<Item = (&TargetId, &TargetView)> {
        self.targets.iter().map(|(id, target)| (id, &**target))
    }

    /// The same, to be kept.
    pub fn shared(&self) -> impl Iterator<Item = (&TargetId, &Arc<TargetView>)> {
        self.targets.iter()
    }

    /// Number of targets whose cgroup still exists.
    pub fn living(&self) -> usize {
        self.targets().filter(|(_, target)| target.is_living()).count()
    }

    /// One target.
    pub fn target(&self, id: &TargetId) -> Option<&TargetView> {
        self.targets.get(id).map(|target| &**target)
    }

    /// The target whose cgroup directory has this inode.
    pub fn target_by_inode(&self, inode: u64) -> Option<&TargetId> {
        self.by_inode.get(&inode)
    }

    /// Targets of a service, gone ones included, by id.
    pub fn replicas<'a>(&'a self, service: &'a str) -> impl Iterator<Item = (&'a TargetId, &'a TargetView)> {
        self.targets()
            .filter(move |(_, target)| target.history.target.service == service)
    }

    /// Events, oldest first.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.events.newest(self.bounds.events)
    }

    /// Post-mortems, oldest first.
    pub fn post_mortems(&self) -> impl DoubleEndedIterator<Item = &PostMortem> {
        self.post_mortems.iter().map(|post_mortem| &**post_mortem)
    }

    /// Runs of a service that have ended, oldest first: the newest of them.
    pub fn runs(&self, service: &str) -> impl DoubleEndedIterator<Item = &ServiceRun> {
        self.runs.get(service).into_iter().flatten().map(|run| &**run)
    }

    /// One post-mortem.
    pub fn post_mortem(&self, id: &str) -> Option<&PostMortem> {
        self.post_mortems().find(|post_mortem| post_mortem.id == id)
    }

    /// All losses since the start, by reason.
    pub fn losses(&self) -> &BTreeMap<Cow<'static, str>, u64> {
        &self.losses
    }

    /// OOM kills since the start, by service.
    pub fn oom_kills(&self) -> &OomKillCounts {
        &self.oom_kills
    }

    /// What people have ruled for services.
    pub fn rulings(&self) -> &Rulings {
        &self.rulings
    }

    /// The ruling that lets a target alert nobody.
    pub fn mute_of(&self, target: &TargetView) -> Option<&Ruling> {
        self.rulings.mute_of(&target.history)
    }

    /// What people answer about a target, for it alone or for its service.
    pub(crate) fn answers(&self, target: &TargetView) -> BTreeMap<StepId, Answer> {
        self.rulings.answers(&target.history, &target.overrides)
    }

    /// Bytes of all profiles: their values, their stacks and the names in them.
    pub fn profile_bytes(&self) -> usize {
        self.profile_bytes
    }
}

/// Where the engine puts each view and readers find the newest.
#[derive(Clone, Debug, Default)]
pub struct Views(Arc<ArcSwap<View>>);

impl Views {
    /// The newest view.
    pub fn newest(&self) -> Arc<View> {
        self.0.load_full()
    }

    /// Puts a view in the place of the one before.
    pub(crate) fn publish(&self, view: View) {
        self.0.store(Arc::new(view));
    }
}
