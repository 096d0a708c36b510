//! Growth per place in the code, from all kept profiles of a target: which stacks retain more and more.
//!
//! Two questions per place: is the growth between base and newest profile larger than what sampling and normal fluctuation
//! explain (with the false discovery rate controlled over all places), and is it spread over the whole time (`persistence`),
//! as a leak's growth is and a burst's is not. Source: `profile::Snapshot`; must not know verdicts.

use crate::culprit::Build;
use crate::history::TargetHistory;
use crate::profile::ProfileType;
use crate::profile::Snapshot;
use crate::profile::StackValue;
use crate::stack::Frame;
use crate::stack::StackId;
use crate::stats;
use crate::stats::count;
use crate::units::Timestamp;
use crate::verdict::Culprit;
use crate::verdict::Estimate;
use crate::window;
use std::collections::BTreeMap;
use std::time::Duration;

/// Most changed stacks that are attributed to places; the rest is too small to matter.
const MAX_STACKS: usize = 512;
/// Most places that get a series over all profiles.
const MAX_SITES: usize = 24;
/// Growth in the weakest part of the time relative to even growth. A saturating exponential has 0.36 in its last
/// quarter when its time constant is 0.45 of the observation.
const LEAST_PERSISTENCE: f64 = 0.35;
/// Default `runtime.MemProfileRate`: one sample stands for about this many bytes.
const SAMPLE_BYTES: f64 = 524_288.0;
/// A place whose objects are replaced all the time holds what load demands, and load fluctuates by about this part between two
/// profiles; what is only added to does not.
const LOAD_FLUCTUATION: f64 = 0.15;
/// Most parts of the time that are compared.
const MAX_PARTS: usize = 4;
/// Samples that a part must be expected to have: with 6, even growth stays above 0.35 of its mean in 94 % of cases (Poisson).
const SAMPLES_PER_PART: f64 = 6.0;
/// Parts of the time after which growth that started late is looked for.
const LATE_PARTS: [(usize, usize); 4] = [(1, 3), (1, 2), (2, 3), (3, 4)];
/// A place that once fell by this part of its later growth holds what load demands.
const WAVE_PART: f64 = 0.15;
/// Fewer profiles do not show that it goes on.
const LEAST_FOR_LATE: usize = 4;
/// A place that grows at this false discovery rate makes the later parts not worth a look.
const SUSPECT_RATE: f64 = 1e-3;
/// Fewer profiles do not tell rising load from the grain of collections.
const LEAST_FOR_LOAD: usize = 5;
/// Goroutine counts fluctuate by single goroutines even when idle.
const GOROUTINE_NOISE: f64 = 2.0;

/// A place in the code whose retained amount was followed.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The own-code frame that the growth is attributed to.
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
    /// Least false discovery rate at which the growth is significant among all places of the profile.
    pub false_discovery_rate: f64,
}

/// Growth of one profile type.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileGrowth {
    /// Profiles that showed something new.
    pub observations: usize,
    /// Baseline.
    pub base: Timestamp,
    /// Newest.
    pub compare: Timestamp,
    /// Growth of the total from base to newest with its 95 % interval.
    pub total: Estimate,
    /// Growth of the total per second (Theil-Sen over all profiles since the baseline).
    pub rate: f64,
    /// Total now.
    pub now: f64,
    /// Ratio of the allocation rate in the second half to that in the first; none when it cannot be told. Follows load.
    pub allocation_rate_change: Option<f64>,
    /// Places with the largest growth first.
    pub sites: Vec<Site>,
}

impl ProfileGrowth {
    /// Time between baseline and newest.
    pub fn span(&self) -> Duration {
        self.compare.since(self.base)
    }

    /// Places whose growth is significant at a false discovery rate and spread over the time.
    pub fn persistent(&self, false_discovery_rate: f64) -> impl Iterator<Item = &Site> {
        self.sites.iter().filter(move |site| {
            site.false_discovery_rate <= false_discovery_rate && site.persistence >= LEAST_PERSISTENCE
        })
    }
}

/// Measures the growth in the profiles of one type of the process that is looked at. None with fewer than two that differ.
/// Looks at all of the time first; when nothing grows all along, at the later parts of it, for growth that started late and
/// left everything behind that was seen before.
pub fn measure(history: &TargetHistory, profile_type: ProfileType) -> Option<ProfileGrowth> {
    let all = window::distinct_snapshots(window::snapshots(history, profile_type), profile_type);
    let snapshots = after_start_up(history, &all);
    let whole = measure_between(history, profile_type, &[], &snapshots)?;
    if whole.persistent(SUSPECT_RATE).next().is_some() || !at_new_height(profile_type, &snapshots) {
        return Some(whole);
    }
    let late = LATE_PARTS.into_iter().find_map(|(numerator, denominator)| {
        let (earlier, later) = snapshots.split_at(snapshots.len() * numerator / denominator);
        let late = measure_between(history, profile_type, earlier, later)?;
        let enough = later.len() >= LEAST_FOR_LATE && late.persistent(SUSPECT_RATE).next().is_some();
        enough.then_some(late)
    });
    Some(late.unwrap_or(whole))
}

/// The same for the process before, as far as it is remembered.
pub fn measure_previous(history: &TargetHistory, profile_type: ProfileType) -> Option<ProfileGrowth> {
    let series = history.previous_snapshots.get(&profile_type)?;
    let all = window::distinct_snapshots(series.as_slice().iter(), profile_type);
    measure_between(history, profile_type, &[], &after_start_up(history, &all))
}

/// Whether the newest total is above all that was seen in the first half.
fn at_new_height(profile_type: ProfileType, snapshots: &[&Snapshot]) -> bool {
    let total = |snapshot: &&Snapshot| amount(profile_type, &snapshot.total);
    let (earlier, later) = snapshots.split_at(snapshots.len() / 2);
    let highest = earlier.iter().map(total).fold(0.0, f64::max);
    later.last().map(total).is_some_and(|newest| newest > highest)
}

fn measure_between(
    history: &TargetHistory,
    profile_type: ProfileType,
    earlier: &[&Snapshot],
    snapshots: &[&Snapshot],
) -> Option<ProfileGrowth> {
    let (&base, &compare) = (snapshots.first()?, snapshots.last()?);
    if base.at >= compare.at {
        return None;
    }
    let seconds = |snapshot: &Snapshot| snapshot.at.seconds_from(base.at);
    let totals: Vec<(f64, f64)> = snapshots
        .iter()
        .map(|snapshot| (seconds(snapshot), amount(profile_type, &snapshot.total)))
        .collect();
    let variance = growth_variance(profile_type, &base.total, &compare.total);
    Some(ProfileGrowth {
        observations: snapshots.len(),
        base: base.at,
        compare: compare.at,
        total: estimate(profile_type, &totals, variance),
        rate: stats::theil_sen(&totals).unwrap_or(0.0),
        now: totals.last().map_or(0.0, |point| point.1),
        allocation_rate_change: allocation_rate_change(snapshots),
        sites: sites(history, profile_type, earlier, snapshots),
    })
}

/// Turns a place into what the verdict shows.
pub fn culprit(history: &TargetHistory, growth: &ProfileGrowth, site: &Site) -> Culprit {
    let all: f64 = growth.sites.iter().map(|site| site.growth.estimate.max(0.0)).sum();
    let all = all.max(growth.total.estimate).max(f64::MIN_POSITIVE);
    Culprit {
        frame: site.frame.clone(),
        share_of_growth: (site.growth.estimate / all).clamp(0.0, 1.0),
        growth: site.growth,
        stack: history.stacks.frames(site.stack).cloned().collect(),
    }
}

fn after_start_up<'a>(history: &TargetHistory, all: &[&'a Snapshot]) -> Vec<&'a Snapshot> {
    let Some(newest) = all.last() else { return Vec::new() };
    let Some(record) = history.processes.get(&newest.process) else {
        return all.to_vec();
    };
    let end = window::start_up_end(record.process.started_at, newest.at);
    let later: Vec<&Snapshot> = all.iter().copied().filter(|snapshot| snapshot.at >= end).collect();
    if later.len() >= 3 { later } else { all.to_vec() }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "statistics tolerate the rounding, which starts at 8 PiB"
)]
fn amount(profile_type: ProfileType, value: &StackValue) -> f64 {
    match profile_type {
        ProfileType::Heap => value.inuse_space as f64,
        ProfileType::Goroutine | ProfileType::GoroutineLeak => value.inuse_objects as f64,
    }
}

/// Variance of the growth, from sampling and from load. What is in both profiles was sampled once and cancels: only what was allocated or freed in
/// between contributes, and no more than what is in either.
#[expect(
    clippy::cast_precision_loss,
    reason = "statistics tolerate the rounding, which starts at 8 PiB"
)]
fn growth_variance(profile_type: ProfileType, base: &StackValue, compare: &StackValue) -> f64 {
    if profile_type != ProfileType::Heap {
        return 0.0;
    }
    let both = base.inuse_variance + compare.inuse_variance;
    let live = (base.inuse_space as f64) + (compare.inuse_space as f64);
    let allocated = (compare.alloc_space as f64 - base.alloc_space as f64).max(0.0);
    let freed = (allocated - (compare.inuse_space as f64 - base.inuse_space as f64)).max(0.0);
    if live <= 0.0 || allocated <= 0.0 {
        return both;
    }
    let replaced = (freed / (base.inuse_space as f64).max(1.0)).min(1.0);
    let load = LOAD_FLUCTUATION * replaced * live / 2.0;
    both * ((allocated + freed) / live).min(1.0) + load * load
}

/// Growth from the first to the last point with a 95 % interval from sampling variance and fluctuation around the trend.
fn estimate(profile_type: ProfileType, points: &[(f64, f64)], variance: f64) -> Estimate {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Estimate::default();
    };
    let growth = last.1 - first.1;
    let half_width = 1.96 * (variance + fluctuation(points).powi(2) + noise_floor(profile_type).powi(2)).sqrt();
    Estimate {
        estimate: growth,
        low: growth - half_width,
        high: growth + half_width,
    }
}

const fn noise_floor(profile_type: ProfileType) -> f64 {
    match profile_type {
        // One size class of the runtime's largest small objects.
        ProfileType::Heap => 32_768.0,
        ProfileType::Goroutine | ProfileType::GoroutineLeak => GOROUTINE_NOISE,
    }
}

fn fluctuation(points: &[(f64, f64)]) -> f64 {
    let Some(slope) = stats::theil_sen(points).filter(|_| points.len() >= 4) else {
        return 0.0;
    };
    let residuals: Vec<f64> = points.iter().map(|&(t, y)| y - slope * t).collect();
    stats::robust_deviation(&residuals)
}

/// The least growth of what never came back, over equal parts of the time, relative to even growth. The growth being `z`
/// sampling deviations large, there are as many parts as can each be expected to stand out from sampling noise, two to four.
pub fn persistence(points: &[(f64, f64)], z: f64) -> f64 {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return 0.0;
    };
    // Retained: from each instant on, the least that was ever seen again.
    let mut retained = points.to_vec();
    let mut least = f64::INFINITY;
    for point in retained.iter_mut().rev() {
        least = least.min(point.1);
        point.1 = least;
    }
    let at = |t: f64| interpolate(&retained, t);
    let growth = at(last.0) - at(first.0);
    if growth <= 0.0 {
        return 0.0;
    }
    let distinguishable = (2..=MAX_PARTS)
        .rev()
        .find(|&parts| z * z >= count(parts) * SAMPLES_PER_PART)
        .unwrap_or(2);
    let parts = points.len().saturating_sub(1).clamp(2, distinguishable.max(2));
    let width = (last.0 - first.0) / count(parts);
    (0..parts)
        .map(|part| {
            let from = first.0 + width * count(part);
            (at(from + width) - at(from)) / growth * count(parts)
        })
        .fold(f64::INFINITY, f64::min)
        .clamp(0.0, 1.0)
}

/// Whether at least half of the growth lies above all that was seen before, and nothing worth mentioning went away before:
/// else it is a wave that comes back from its trough.
fn exceeds(points: &[(f64, f64)], before: &[(f64, f64)], growth: f64) -> bool {
    let (mut highest, mut fell) = (0.0_f64, 0.0_f64);
    for &(_, value) in before.iter().chain(points.first()) {
        highest = highest.max(value);
        fell = fell.max(highest - value);
    }
    let above = points.last().is_some_and(|last| last.1 - highest >= growth / 2.0);
    before.is_empty() || (above && fell <= growth * WAVE_PART)
}

/// Growth in the second half of the time relative to that in the first.
fn acceleration(points: &[(f64, f64)]) -> f64 {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return 1.0;
    };
    let middle = interpolate(points, f64::midpoint(first.0, last.0));
    let before = middle - first.1;
    if before > 0.0 { (last.1 - middle) / before } else { 1.0 }
}

/// A profile shows the state of the collection before the last one: its numbers belong to the time of the profile before.
fn dated(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    points
        .iter()
        .zip(points.iter().skip(1))
        .map(|(before, point)| (before.0, point.1))
        .collect()
}

fn interpolate(points: &[(f64, f64)], t: f64) -> f64 {
    let next = points.partition_point(|point| point.0 < t);
    match (next.checked_sub(1).and_then(|i| points.get(i)), points.get(next)) {
        (Some(before), Some(after)) if after.0 > before.0 => {
            before.1 + (after.1 - before.1) * (t - before.0) / (after.0 - before.0)
        }
        (_, Some(point)) | (Some(point), None) => point.1,
        (None, None) => 0.0,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "statistics tolerate the rounding, which starts at 8 PiB"
)]
fn allocation_rate_change(snapshots: &[&Snapshot]) -> Option<f64> {
    let first = snapshots.first()?;
    let totals: Vec<(f64, f64)> = snapshots
        .iter()
        .map(|snapshot| (snapshot.at.seconds_from(first.at), snapshot.total.alloc_space as f64))
        .collect();
    let dated = dated(&totals);
    let (&(start, allocated), &(end, allocated_last)) = (dated.first()?, dated.last()?);
    if dated.len() < LEAST_FOR_LOAD || end <= start {
        return None;
    }
    let middle = interpolate(&dated, f64::midpoint(start, end));
    let (before, after) = (middle - allocated, allocated_last - middle);
    let change = after / before;
    // Few samples differ by chance.
    let deviation = (SAMPLE_BYTES / before + SAMPLE_BYTES / after).sqrt();
    (change.is_finite() && change.ln().abs() > 2.0 * deviation).then_some(change)
}

fn sites(
    history: &TargetHistory,
    profile_type: ProfileType,
    earlier: &[&Snapshot],
    snapshots: &[&Snapshot],
) -> Vec<Site> {
    let (Some(&base), Some(&compare)) = (snapshots.first(), snapshots.last()) else {
        return Vec::new();
    };
    let seconds = compare.at.seconds_from(base.at).max(f64::MIN_POSITIVE);
    let build = Build::learn(&history.stacks, compare.values.iter().map(|(id, _)| *id).take(64));
    let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    for change in changes(profile_type, base, compare) {
        let Some(frame) = build.culprit(history.stacks.frames(change.stack)) else {
            continue;
        };
        let group = groups
            .entry(&frame.function)
            .or_insert_with(|| Group::new(frame, &change));
        group.add(frame, &change);
    }
    let tested = groups.len().max(1);
    let mut largest: Vec<Group<'_>> = groups.into_values().filter(|group| group.delta > 0.0).collect();
    largest.sort_by(|a, b| b.delta.total_cmp(&a.delta));
    largest.truncate(MAX_SITES);
    let mut found: Vec<(Site, f64)> = largest
        .into_iter()
        .map(|mut group| {
            let points = group.series(profile_type, snapshots, base.at);
            let before = group.series(profile_type, earlier, base.at);
            let growth = estimate(profile_type, &points, group.variance);
            let deviation = (growth.high - growth.estimate) / 1.96;
            let z = growth.estimate / deviation.max(f64::MIN_POSITIVE);
            let site = Site {
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
                acceleration: acceleration(&dated(&points)),
                false_discovery_rate: 1.0,
            };
            let chance = stats::normal_tail(z);
            (site, chance)
        })
        .collect();
    control_false_discoveries(&mut found, tested);
    found.into_iter().map(|(site, _)| site).collect()
}

/// Benjamini and Hochberg (1995): the least rate at which a place would be reported, given the chances of all `tested` places.
fn control_false_discoveries(sites: &mut [(Site, f64)], tested: usize) {
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

struct Change {
    stack: StackId,
    delta: f64,
    variance: f64,
}

/// Stacks whose value changed, those with the largest change first when there are too many.
fn changes(profile_type: ProfileType, base: &Snapshot, compare: &Snapshot) -> Vec<Change> {
    let none = StackValue::default();
    let mut changes: Vec<Change> = Vec::new();
    let mut note = |stack: StackId, old: &StackValue, new: &StackValue| {
        let delta = amount(profile_type, new) - amount(profile_type, old);
        if delta.abs() > 0.0 {
            changes.push(Change {
                stack,
                delta,
                variance: growth_variance(profile_type, old, new),
            });
        }
    };
    let mut before = base.values.iter().peekable();
    for (stack, new) in &compare.values {
        while let Some((gone, old)) = before.next_if(|(id, _)| id < stack) {
            note(*gone, old, &none);
        }
        let old = before.next_if(|(id, _)| id == stack).map_or(&none, |(_, old)| old);
        note(*stack, old, new);
    }
    for (gone, old) in before {
        note(*gone, old, &none);
    }
    if changes.len() > MAX_STACKS {
        changes.sort_by(|a, b| b.delta.abs().total_cmp(&a.delta.abs()).then(a.stack.cmp(&b.stack)));
        changes.truncate(MAX_STACKS);
    }
    changes
}

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

    fn series(&mut self, profile_type: ProfileType, snapshots: &[&Snapshot], origin: Timestamp) -> Vec<(f64, f64)> {
        self.stacks.sort_unstable();
        snapshots
            .iter()
            .map(|snapshot| {
                let sum = self
                    .stacks
                    .iter()
                    .filter_map(|stack| {
                        let found = snapshot.values.binary_search_by_key(stack, |(id, _)| *id).ok()?;
                        snapshot.values.get(found)
                    })
                    .map(|(_, value)| amount(profile_type, value))
                    .sum();
                (snapshot.at.seconds_from(origin), sum)
            })
            .collect()
    }
}
