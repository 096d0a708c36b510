//! What the engine keeps of one target.

use crate::store::view::TargetView;
use leakwatch_analysis::history::ProcessRecord;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::Investigation;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::model::verdict::VerdictClass;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What came in of a target since it was judged last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum News {
    /// Nothing that an answer is made of.
    #[default]
    Nothing,
    /// Its memory moved, or a profile was taken.
    Numbers,
    /// What changes the answer at once: it is new, or lives anew; somebody was killed or has ended; it has another limit.
    Event,
}

/// One target with all that is known and concluded about it.
#[derive(Debug)]
pub(crate) struct StoredTarget {
    /// Samples, processes, profiles, kills.
    pub(crate) history: TargetHistory,
    /// The newest answer; none before the first tick after it appeared.
    pub(crate) investigation: Option<Arc<Investigation>>,
    /// Steps that a person overruled.
    pub(crate) overrides: BTreeMap<StepId, Answer>,
    /// What came in since the investigation was made.
    pub(crate) news: News,
    /// The main process that ended and has no successor yet.
    pub(crate) ended: Option<ProcessRecord>,
    /// Class of the newest verdict of a daemon before this one; none once there is a newer.
    pub(crate) class_before: Option<VerdictClass>,
    /// The target as in the last view; none once anything about it may have changed.
    pub(super) view: Option<Arc<TargetView>>,
}

impl StoredTarget {
    /// A target just seen.
    pub(super) fn new(target: Target, at: Timestamp) -> Self {
        Self {
            history: TargetHistory::new(target, at),
            investigation: None,
            overrides: BTreeMap::new(),
            news: News::Event,
            ended: None,
            class_before: None,
            view: None,
        }
    }

    /// A target that a daemon before knew.
    pub(super) fn restored(
        history: TargetHistory,
        overrides: BTreeMap<StepId, Answer>,
        class: Option<VerdictClass>,
    ) -> Self {
        Self {
            history,
            investigation: None,
            overrides,
            news: News::Event,
            ended: None,
            class_before: class,
            view: None,
        }
    }

    /// A target from a bundle.
    pub(super) fn bundled(
        history: TargetHistory,
        overrides: BTreeMap<StepId, Answer>,
        investigation: Option<Investigation>,
    ) -> Self {
        Self {
            history,
            investigation: investigation.map(Arc::new),
            overrides,
            news: News::Nothing,
            ended: None,
            class_before: None,
            view: None,
        }
    }

    /// Something came in.
    pub(crate) fn hear(&mut self, news: News) {
        self.news = self.news.max(news);
    }

    /// As readers see it.
    pub(super) fn view(&mut self) -> Arc<TargetView> {
        let view = self.view.get_or_insert_with(|| {
            Arc::new(TargetView {
                history: self.history.clone(),
                investigation: self.investigation.clone(),
                overrides: self.overrides.clone(),
            })
        });
        Arc::clone(view)
    }
}

/// Replicas compared with a target, the largest first. A service may have hundreds; an outlier shows against a few.
const REPLICAS: usize = 16;

/// Of the other targets of a service those that one is compared with.
pub(crate) fn compared_with<'a>(others: impl Iterator<Item = &'a TargetHistory>) -> Vec<&'a TargetHistory> {
    let by_charge =
        |history: &&TargetHistory| std::cmp::Reverse(history.newest.as_ref().map_or(Bytes(0), |memory| memory.charge));
    let mut replicas: Vec<&TargetHistory> = others.collect();
    // Hundreds of cgroups can run the same program: only those that are kept are put in order.
    if replicas.len() > REPLICAS {
        replicas.select_nth_unstable_by_key(REPLICAS, by_charge);
        replicas.truncate(REPLICAS);
    }
    replicas.sort_by_key(by_charge);
    replicas
}
