//! Makes a bundle of what is known now and of what is on disk.

use super::Bundle;
use super::BundledTarget;
use crate::input::Head;
use crate::store::disk::history::History;
use crate::store::post_mortem::PostMortem;
use crate::store::target::compared_with;
use crate::store::view::TargetView;
use crate::store::view::View;
use leakwatch_analysis::history::SnapshotSeries;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::stack::Adopted;
use leakwatch_analysis::model::stack::StackId;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Of the subject.
const MAX_ROWS: usize = 20_000;
/// Profiles from disk, spread over the range.
const MAX_KEPT: usize = 96;
const MAX_RUNS: usize = 200;
const MAX_EVENTS: usize = 1_000;
const MAX_POST_MORTEMS: usize = 16;

/// A bundle of a target, with its samples and profiles between two instants; none if it is not known.
pub fn make(
    view: &View,
    disk: Option<&History>,
    subject: &TargetId,
    (from, to): (Timestamp, Timestamp),
    head: Head,
) -> Option<Bundle> {
    let of = view.target(subject)?;
    let service = &of.history.target.service;
    let others = view.replicas(service).filter(|(id, _)| *id != subject);
    let compared: BTreeSet<TargetId> = compared_with(others.map(|(_, other)| &other.history))
        .into_iter()
        .map(|history| history.target.id())
        .collect();
    let mut targets = vec![bundled(view, of, true)];
    targets.extend(
        compared
            .iter()
            .filter_map(|id| Some(bundled(view, view.target(id)?, false))),
    );
    let is_of = |target: Option<&TargetId>| target.is_some_and(|target| target == subject || compared.contains(target));
    let mut events: Vec<_> = view
        .events()
        .rev()
        .filter(|event| is_of(event.target.as_ref()))
        .collect();
    events.truncate(MAX_EVENTS);
    events.reverse();
    let mut post_mortems: Vec<&PostMortem> = view.post_mortems().rev().collect();
    post_mortems.retain(|post_mortem| is_of(post_mortem.target.as_ref()));
    post_mortems.truncate(MAX_POST_MORTEMS);
    post_mortems.reverse();
    let mut runs = disk.map_or_else(
        || view.runs(service).rev().cloned().collect(),
        |disk| disk.runs(service, (Timestamp::default(), view.now()), |_| true, MAX_RUNS),
    );
    runs.truncate(MAX_RUNS);
    runs.reverse();
    // All tables are copies of one, at different times.
    let tables = targets.iter().map(|target| &target.history.stacks);
    let mut stacks = tables
        .max_by_key(|table| table.len())
        .map(|table| StackTable::clone(table))
        .unwrap_or_default();
    let kept = disk
        .map(|disk| kept(disk, of, (from, to), &mut stacks))
        .unwrap_or_default();
    let rows = disk.map(|disk| disk.samples(subject.as_str(), from, to, Duration::ZERO).rows);
    let mut rows = rows.unwrap_or_default();
    rows.drain(..rows.len().saturating_sub(MAX_ROWS));
    Some(Bundle {
        head,
        made_at: view.now(),
        subject: subject.clone(),
        targets,
        stacks: Arc::new(stacks),
        events: events.into_iter().cloned().collect(),
        post_mortems: post_mortems
            .into_iter()
            .map(|post_mortem| (post_mortem.clone(), Vec::new()))
            .collect(),
        runs,
        losses: view
            .losses()
            .iter()
            .map(|(reason, count)| (reason.to_string(), *count))
            .collect(),
        rows,
        kept,
    })
}

/// The subject is judged again as of when it was judged, or now if something came in since, so that verdict and history belong together. What ended is not
/// judged again, nor are replicas: they are not all here with those that they were compared with.
fn bundled(view: &View, target: &TargetView, is_subject: bool) -> BundledTarget {
    let history = &target.history;
    let made = target.investigation.as_deref();
    let as_made = !is_subject || history.living().next().is_none();
    let (judged_at, verdict) = match made {
        Some(made) if !as_made => {
            let at = if made.at >= history.newest_at {
                made.at
            } else {
                view.now()
            };
            let id = history.target.id();
            let others = view
                .replicas(&history.target.service)
                .filter(|(other, _)| **other != id);
            let replicas = compared_with(others.map(|(_, other)| &other.history));
            let again = leakwatch_analysis::investigate(history, &view.answers(target), &replicas, at);
            (Some(at), Some(again.verdict))
        }
        made => (made.map(|made| made.at), made.map(|made| made.verdict.clone())),
    };
    BundledTarget {
        history: history.clone(),
        overrides: view.answers(target),
        judged_at,
        verdict,
        as_made,
    }
}

/// Profiles that are on disk only.
fn kept(disk: &History, of: &TargetView, (from, to): (Timestamp, Timestamp), stacks: &mut StackTable) -> Vec<Snapshot> {
    let history = &of.history;
    let id = history.target.id();
    let in_memory: BTreeSet<(ProfileType, u64)> = history
        .series()
        .flat_map(SnapshotSeries::as_slice)
        .map(|snapshot| (snapshot.profile_type, snapshot.at.unix_millis()))
        .collect();
    let found = disk.profiles(id.as_str(), &ProfileType::ALL, from, to);
    let only: Vec<_> = found
        .items
        .iter()
        .filter(|kept| !in_memory.contains(&(kept.profile_type, kept.at_millis)))
        .collect();
    let every = only.len().div_ceil(MAX_KEPT).max(1);
    let mut snapshots = Vec::new();
    for item in only.into_iter().step_by(every) {
        let Some(stored) = found.profile(item) else { continue };
        let ProfileContent { summary, stacks: there } = stored.content;
        let mut known = Adopted::of(&there);
        let mut here = |stack| stacks.adopt(&there, stack, &mut known).unwrap_or(StackId::EMPTY);
        let mut values: Vec<_> = summary
            .values
            .iter()
            .map(|(stack, value)| (here(stack), value))
            .collect();
        values.sort_by_key(|(stack, _)| *stack);
        snapshots.push(Snapshot {
            target: id.clone(),
            process: stored.process,
            profile_type: item.profile_type,
            at: stored.at,
            source: stored.source,
            values: values.into(),
            total: summary.total,
            period: summary.period,
            program: summary.program,
            losses: summary.losses.into(),
        });
    }
    snapshots
}
