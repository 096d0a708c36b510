//! Lists of targets.

use crate::store::view::TargetView;
use crate::store::view::View;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::target::TargetKind;
use leakwatch_analysis::model::verdict::VerdictClass;
use std::cmp::Ordering;

/// Whether a cgroup still exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Life {
    /// It does.
    #[default]
    Living,
    /// It does not.
    Gone,
    /// Either.
    All,
}

/// Which targets are listed; what is not set does not matter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Of this kind.
    pub kind: Option<TargetKind>,
    /// Replicas of this service.
    pub service: Option<&'a str>,
    /// With a verdict of this class.
    pub verdict: Option<VerdictClass>,
    /// Living or gone.
    pub life: Life,
}

/// What a list is sorted by: the most interesting first, that is numbers descending except the time that is left; unknown ones last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortKey {
    /// Name.
    Name,
    /// What the kernel charges.
    #[default]
    Charge,
    /// Growth per second.
    Growth,
    /// Claims of leaks, then what is likely to be one or to reach its limit.
    Leak,
    /// Confidence of the verdict.
    Confidence,
    /// Time to the limit.
    TimeToLimit,
}

/// The targets that a filter lets through, in order.
pub fn list<'a>(
    view: &'a View,
    filter: &Filter<'_>,
    key: SortKey,
    reversed: bool,
) -> Vec<(&'a TargetId, &'a TargetView)> {
    let mut found: Vec<_> = view
        .targets()
        .filter(|(_, target)| filter.lets_through(target))
        .collect();
    found.sort_by(|a, b| {
        let order = compare(key, a.1, b.1);
        let order = if reversed { order.reverse() } else { order };
        // What is empty stands on top of no list, but for one by name.
        let is_empty = |target: &TargetView| key != SortKey::Name && !target.has_process();
        is_empty(a.1).cmp(&is_empty(b.1)).then(order).then_with(|| a.0.cmp(b.0))
    });
    found
}

impl Filter<'_> {
    fn lets_through(&self, target: &TargetView) -> bool {
        let about = &target.history.target;
        let class = target.verdict().map(|verdict| verdict.class);
        self.kind.is_none_or(|kind| about.kind == kind)
            && self.service.is_none_or(|service| about.service == service)
            && self.verdict.is_none_or(|verdict| class == Some(verdict))
            && match self.life {
                Life::Living => target.is_living(),
                Life::Gone => !target.is_living(),
                Life::All => true,
            }
    }
}

fn compare(key: SortKey, a: &TargetView, b: &TargetView) -> Ordering {
    let number = |target: &TargetView| -> Option<f64> {
        let verdict = target.verdict();
        match key {
            SortKey::Name => None,
            SortKey::Charge => target.history.newest.as_ref().ok().map(|memory| memory.charge.as_f64()),
            SortKey::Growth => verdict.and_then(|verdict| verdict.growth_bytes_per_second),
            SortKey::Leak => verdict.map(|verdict| {
                let near = verdict.limit_probability.map_or(0.0, |limit| limit.hour);
                f64::from(u8::from(verdict.class.is_leak())) * 2.0 + verdict.leak_probability.max(near)
            }),
            SortKey::Confidence => verdict.map(|verdict| verdict.confidence),
            SortKey::TimeToLimit => verdict
                .and_then(|verdict| verdict.time_to_limit.as_ref())
                .map(|time| -time.p50_seconds),
        }
    };
    match (number(a), number(b)) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.history.target.name.cmp(&b.history.target.name),
    }
}
