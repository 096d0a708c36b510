//! Services: their replicas, and the odd one out.

use crate::store::disk::history::History;
use crate::store::view::TargetView;
use crate::store::view::View;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::service::Outlier;
use leakwatch_analysis::service::outlier;
use std::collections::BTreeSet;

/// Runs that are looked at for targets that are forgotten.
const MAX_PAST_RUNS: usize = 1_000;

/// A service with its living replicas.
#[derive(Debug)]
pub struct Service<'a> {
    /// Its name.
    pub name: &'a str,
    /// The replicas, by name.
    pub replicas: Vec<(&'a TargetId, &'a TargetView)>,
    /// The one that differs from the others.
    pub outlier: Option<Outlier>,
}

/// Names of services that have living replicas.
pub fn names(view: &View) -> BTreeSet<&str> {
    let living = view.targets().filter(|(_, target)| target.is_living());
    living
        .map(|(_, target)| target.history.target.service.as_str())
        .collect()
}

/// Targets of a service that may have samples in a range, at most so many: the living by name, then those that are gone, then those that only the
/// store remembers, the newest first. And how many there are besides.
pub fn lines(
    view: &View,
    disk: Option<&History>,
    name: &str,
    range: (Timestamp, Timestamp),
    at_most: usize,
) -> (Vec<TargetId>, usize) {
    let mut known: Vec<_> = view.replicas(name).collect();
    known.sort_by_key(|(id, target)| (!target.is_living(), &target.history.target.name, *id));
    let mut lines: Vec<TargetId> = known.into_iter().map(|(id, _)| id.clone()).collect();
    let past = disk.map(|disk| disk.runs(name, range, |_| true, MAX_PAST_RUNS));
    for run in past.into_iter().flatten() {
        if !lines.contains(&run.target) {
            lines.push(run.target);
        }
    }
    let left_out = lines.len().saturating_sub(at_most);
    lines.truncate(at_most);
    (lines, left_out)
}

/// A service as of `now`; none when no replica lives.
pub fn service<'a>(view: &'a View, name: &'a str, now: Timestamp) -> Option<Service<'a>> {
    let mut replicas: Vec<_> = view.replicas(name).filter(|(_, target)| target.is_living()).collect();
    replicas.sort_by_key(|(id, target)| (&target.history.target.name, *id));
    let histories: Vec<&TargetHistory> = replicas.iter().map(|(_, target)| &target.history).collect();
    let outlier = outlier(&histories, now);
    (!replicas.is_empty()).then_some(Service {
        name,
        replicas,
        outlier,
    })
}
