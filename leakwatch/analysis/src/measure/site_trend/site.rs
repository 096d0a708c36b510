//! Attributes the change between two profiles to call sites and follows each of them over all profiles.

use crate::culprit::Build;
use crate::culprit::Origin;
use crate::history::TargetHistory;
use crate::measure::site_trend::amount::amount;
use crate::measure::site_trend::amount::estimate;
use crate::measure::site_trend::amount::growth_variance;
use crate::measure::site_trend::series::acceleration;
use crate::measure::site_trend::series::dated;
use crate::measure::site_trend::series::exceeds;
use crate::measure::site_trend::series::persistence;
use crate::model::profile::ProfileType;
use crate::model::profile::Snapshot;
use crate::model::stack::Frame;
use crate::model::stack::StackId;
use crate::model::units::Timestamp;
use crate::model::verdict::Estimate;
use crate::stats::robust;
use crate::stats::robust::count;
use std::collections::BTreeMap;

/// Most changed stacks that are attributed to call sites, those with the largest change: a leak may be spread over ten thousand.
const MAX_STACKS: usize = 1 << 16;
/// Most call sites that get a series over all profiles.
const MAX_SITES: usize = 24;

/// How the amount that one call site retains moves.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteTrend {
    /// The call site: the own-code frame that the growth is attributed to.
    pub frame: Frame,
    /// Stack through that frame that grew most.
    pub stack: StackId,
    /// Growth from base to newest profile with its 95 % interval: bytes, or goroutines.
    pub growth: Estimate,
    /// Growth per second.
    pub rate: f64,
    /// Retained now.
    pub now: f64,
    /// Least growth in any part of the time relative to even growth: 1 for a line, 0 for a burst.
    pub persistence: f64,
    /// Growth rate in the second half of the time relative to that in the first; below 1 when it slows down.
    pub acceleration: f64,
    /// Least false discovery rate at which the growth is significant among all call sites of the profile.
    pub false_discovery_rate: f64,
}

impl SiteTrend {
    /// Standard deviation of the growth relative to it; its halves differ by twice as much from chance alone.
    pub fn grain(&self) -> f64 {
        (self.growth.high - self.growth.low) / (2.0 * 1.96) / self.growth.estimate
    }
}

/// Call sites that grew between the first and the last of `snapshots`, those that grew most first. `earlier` is what they had before.
pub(super) fn sites(
    history: &TargetHistory,
    profile_type: ProfileType,
    earlier: &[&Snapshot],
    snapshots: &[&Snapshot],
) -> Vec<SiteTrend> {
    let (Some(&base), Some(&compare)) = (snapshots.first(), snapshots.last()) else {
        return Vec::new();
    };
    let seconds = compare.at.seconds_from(base.at).max(f64::MIN_POSITIVE);
    let build = if profile_type.is_of_capture() {
        Build::learn_native(&history.stacks, compare.values.stacks())
    } else {
        Build::learn(&history.stacks, compare.values.stacks())
    };
    let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    for change in changes(profile_type, base, compare) {
        let Some(frame) = build.culprit(history.stacks.frames(change.stack)) else {
            continue;
        };
        if is_of_runtime(history, profile_type, &build, change.stack, frame) {
            continue;
        }
        let group = groups
            .entry(&frame.function)
            .or_insert_with(|| Group::new(frame, &change));
        group.add(frame, &change);
    }
    let tested = groups.len().max(1);
    let mut largest: Vec<Group<'_>> = groups.into_values().filter(|group| group.delta > 0.0).collect();
    largest.sort_by(|a, b| b.delta.total_cmp(&a.delta));
    largest.truncate(MAX_SITES);
    let points = series(&largest, profile_type, snapshots, base.at);
    let before = series(&largest, profile_type, earlier, base.at);
    let mut found: Vec<(SiteTrend, f64)> = largest
        .into_iter()
        .zip(points.into_iter().zip(before))
        .map(|(group, (points, before))| {
            let growth = estimate(profile_type, &points, group.variance);
            let deviation = (growth.high - growth.estimate) / 1.96;
            let z = growth.estimate / deviation.max(f64::MIN_POSITIVE);
            let site = SiteTrend {
                frame: group.frame.clone(),
                stack: group.top.0,
                growth,
                rate: growth.estimate / seconds,
                now: points.last().map_or(0.0, |point| point.1),
                persistence: if exceeds(&points, &before, growth.estimate) {
                    persistence(&points, growth.estimate / group.variance.sqrt())
                } else {
                    0.0
                },
                acceleration: acceleration(&dated(&points, snapshots)),
                false_discovery_rate: 1.0,
            };
            let chance = robust::normal_tail(z);
            (site, chance)
        })
        .collect();
    control_false_discoveries(&mut found, tested);
    found.into_iter().map(|(site, _)| site).collect()
}

/// Whether nobody but a runtime is in a stack: descriptors of goroutines and threads in Go, objects of an interpreter. That is no place that
/// anybody could mend.
fn is_of_runtime(
    history: &TargetHistory,
    profile_type: ProfileType,
    build: &Build,
    stack: StackId,
    culprit: &Frame,
) -> bool {
    let mut frames = history.stacks.frames(stack);
    // Code that a virtual machine makes while it runs is in no file.
    let is_generated = culprit.file.is_empty() && culprit.function.starts_with("0x");
    (build.origin(culprit) == Origin::Runtime || is_generated)
        && (profile_type == ProfileType::Heap || frames.any(|frame| build.is_interpreter(frame)))
}

/// Benjamini and Hochberg (1995): the least rate at which a call site would be reported, given the chances of all `tested` ones.
fn control_false_discoveries(sites: &mut [(SiteTrend, f64)], tested: usize) {
    let mut order: Vec<usize> = (0..sites.len()).collect();
    order.sort_by(|&a, &b| {
        let chance = |i: usize| sites.get(i).map_or(1.0, |(_, chance)| *chance);
        chance(a).total_cmp(&chance(b))
    });
    let mut least = 1.0_f64;
    for (rank, index) in order.into_iter().enumerate().rev() {
        if let Some((site, chance)) = sites.get_mut(index) {
            least = least.min(*chance * count(tested) / count(rank + 1));
            site.false_discovery_rate = least;
        }
    }
}

/// A stack whose value changed.
struct Change {
    stack: StackId,
    delta: f64,
    variance: f64,
}

/// Stacks whose value changed, those with the largest change first when there are too many.
fn changes(profile_type: ProfileType, base: &Snapshot, compare: &Snapshot) -> Vec<Change> {
    let mut changes: Vec<Change> = Vec::new();
    compare.values.each_change(&base.values, |stack, old, new| {
        let delta = amount(profile_type, &new) - amount(profile_type, &old);
        if delta.abs() > 0.0 {
            changes.push(Change {
                stack,
                delta,
                variance: growth_variance(profile_type, &old, &new),
            });
        }
    });
    if changes.len() > MAX_STACKS {
        changes.sort_by(|a, b| b.delta.abs().total_cmp(&a.delta.abs()).then(a.stack.cmp(&b.stack)));
        changes.truncate(MAX_STACKS);
    }
    changes
}

/// The changed stacks of one call site.
struct Group<'a> {
    frame: &'a Frame,
    top: (StackId, f64),
    stacks: Vec<StackId>,
    delta: f64,
    variance: f64,
}

impl<'a> Group<'a> {
    const fn new(frame: &'a Frame, change: &Change) -> Self {
        Self {
            frame,
            top: (change.stack, f64::NEG_INFINITY),
            stacks: Vec::new(),
            delta: 0.0,
            variance: 0.0,
        }
    }

    fn add(&mut self, frame: &'a Frame, change: &Change) {
        if change.delta > self.top.1 {
            self.top = (change.stack, change.delta);
            self.frame = frame;
        }
        self.stacks.push(change.stack);
        self.delta += change.delta;
        self.variance += change.variance;
    }
}

/// What each call site has in each profile, by seconds since the origin.
fn series(
    groups: &[Group<'_>],
    profile_type: ProfileType,
    snapshots: &[&Snapshot],
    origin: Timestamp,
) -> Vec<Vec<(f64, f64)>> {
    let stacks = groups.iter().enumerate();
    let mut group_of: Vec<(StackId, usize)> = stacks
        .flat_map(|(group, of)| of.stacks.iter().map(move |stack| (*stack, group)))
        .collect();
    group_of.sort_unstable();
    let stacks: Vec<StackId> = group_of.iter().map(|(stack, _)| *stack).collect();
    let mut series = vec![Vec::with_capacity(snapshots.len()); groups.len()];
    for snapshot in snapshots {
        let mut sums = vec![0.0; groups.len()];
        let mut places = group_of.iter();
        for (stack, value) in snapshot.values.pick(&stacks) {
            let group = places.find(|(of, _)| *of == stack).map(|(_, group)| *group);
            if let Some(sum) = group.and_then(|group| sums.get_mut(group)) {
                *sum += amount(profile_type, &value);
            }
        }
        for (series, sum) in series.iter_mut().zip(sums) {
            series.push((snapshot.at.seconds_from(origin), sum));
        }
    }
    series
}
