//! Growth per place in the code, from all kept profiles of a target: which stacks retain more and more.
//!
//! Two questions per place: is the growth between base and newest profile larger than what sampling and normal fluctuation
//! explain (with the false discovery rate controlled over all places), and is it spread over the whole time (`persistence`),
//! as a leak's growth is and a burst's is not. Source: `profile::Snapshot`; must not know verdicts.

mod series;
mod sites;

use crate::culprit::Build;
use crate::history::TargetHistory;
use crate::history::window;
use crate::measure::site_trend::series::dated;
use crate::measure::site_trend::series::fluctuation;
use crate::measure::site_trend::series::interpolate;
use crate::measure::site_trend::sites::sites;
use crate::model::profile::ProfileType;
use crate::model::profile::Snapshot;
use crate::model::profile::StackValue;
use crate::model::stack::Frame;
use crate::model::stack::StackId;
use crate::model::units::Timestamp;
use crate::model::verdict::Culprit;
use crate::model::verdict::Estimate;
use crate::stats::robust;
use std::time::Duration;

/// Growth in the weakest part of the time relative to even growth. A saturating exponential has 0.36 in its last
/// quarter when its time constant is 0.45 of the observation.
const LEAST_PERSISTENCE: f64 = 0.35;
/// Default `runtime.MemProfileRate`: one sample stands for about this many bytes.
const SAMPLE_BYTES: f64 = 524_288.0;
/// A place whose objects are replaced all the time holds what load demands, and load fluctuates by about this part between two
/// profiles; what is only added to does not.
const LOAD_FLUCTUATION: f64 = 0.15;
/// Parts of the time after which growth that started late is looked for.
const LATE_PARTS: [(usize, usize); 4] = [(1, 3), (1, 2), (2, 3), (3, 4)];
/// Fewer profiles do not show that it goes on.
const LEAST_FOR_LATE: usize = 4;
/// A place that grows at this false discovery rate makes the later parts not worth a look.
const SUSPECT_RATE: f64 = 1e-3;
/// Fewer profiles do not tell rising load from the grain of collections.
const LEAST_FOR_LOAD: usize = 5;
/// One in this many parts of the live heap is much.
const LARGE_PART: i64 = 10;
/// Stacks from which the layout of a build is learned.
const LEARNED_STACKS: usize = 64;
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

impl Site {
    /// Standard deviation of the growth relative to it; its halves differ by twice as much from chance alone.
    pub fn grain(&self) -> f64 {
        (self.growth.high - self.growth.low) / (2.0 * 1.96) / self.growth.estimate
    }
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

/// Measures the growth in the profiles of one type, up to `now`, of the process that is looked at. None with fewer than two that differ.
/// Looks at all of the time first; when nothing grows all along, at the later parts of it, for growth that started late and
/// left everything behind that was seen before.
pub fn measure(history: &TargetHistory, profile_type: ProfileType, now: Timestamp) -> Option<ProfileGrowth> {
    let all = window::distinct_snapshots(window::snapshots(history, profile_type, now), profile_type);
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

/// All that the newest profile holds, as growth since the process started.
pub fn all_of_newest(history: &TargetHistory, profile_type: ProfileType, now: Timestamp) -> Option<ProfileGrowth> {
    let newest = window::snapshots(history, profile_type, now).last()?;
    let nothing = Snapshot {
        at: window::process_start(history),
        values: [].into(),
        total: StackValue::default(),
        ..newest.clone()
    };
    measure_between(history, profile_type, &[], &[&nothing, newest])
}

/// The same for the process before, as far as it is remembered.
pub fn measure_previous(history: &TargetHistory, profile_type: ProfileType) -> Option<ProfileGrowth> {
    let series = window::previous_series(history, profile_type)?;
    let all = window::distinct_snapshots(series.as_slice().iter(), profile_type);
    measure_between(history, profile_type, &[], &after_start_up(history, &all))
}

/// Live heap as of each kept profile of the process that is looked at and of the one before, start-up left out where enough follows.
pub fn live_heaps(history: &TargetHistory, now: Timestamp) -> [Vec<f64>; 2] {
    let totals = |snapshots: Vec<&Snapshot>| -> Vec<f64> {
        let settled = after_start_up(history, &snapshots).into_iter();
        settled
            .map(|snapshot| amount(ProfileType::Heap, &snapshot.total))
            .collect()
    };
    let before = window::previous_series(history, ProfileType::Heap).map_or(&[][..], |series| series.as_slice());
    [
        totals(window::snapshots(history, ProfileType::Heap, now).collect()),
        totals(before.iter().collect()),
    ]
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
        rate: robust::theil_sen(&totals).unwrap_or(0.0),
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
        ProfileType::Goroutine | ProfileType::GoroutineLeak => value.inuse_objects as f64,
        _ => value.inuse_space as f64,
    }
}

/// Variance of the growth, from sampling and from load. What is in both profiles was sampled once and cancels: only what was allocated or freed in
/// between contributes, and no more than what is in either.
#[expect(
    clippy::cast_precision_loss,
    reason = "statistics tolerate the rounding, which starts at 8 PiB"
)]
fn growth_variance(profile_type: ProfileType, base: &StackValue, compare: &StackValue) -> f64 {
    if matches!(profile_type, ProfileType::Goroutine | ProfileType::GoroutineLeak) {
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
        ProfileType::Goroutine | ProfileType::GoroutineLeak => GOROUTINE_NOISE,
        // One size class of the runtime's largest small objects.
        _ => 32_768.0,
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
    let dated = dated(&totals, snapshots);
    let (&(start, allocated), &(end, allocated_last)) = (dated.first()?, dated.last()?);
    if dated.len() < LEAST_FOR_LOAD || end <= start {
        return None;
    }
    let middle = interpolate(&dated, f64::midpoint(start, end));
    let (before, after) = (middle - allocated, allocated_last - middle);
    let change = after / before;
    // Few samples differ by chance. And each profile may belong to any time since the one before it.
    let gaps = dated
        .iter()
        .zip(dated.iter().skip(1))
        .map(|(before, after)| after.0 - before.0);
    let gap = gaps.fold(0.0, f64::max);
    let dating = gap / (end - start);
    let deviation = (SAMPLE_BYTES / before + SAMPLE_BYTES / after + 2.0 * dating * dating).sqrt();
    (change.is_finite() && change.ln().abs() > 2.0 * deviation).then_some(change)
}

/// The functions that a heap profile shows to hold much.
pub fn large_places<'a>(history: &'a TargetHistory, heap: &Snapshot) -> Vec<&'a str> {
    let build = Build::learn(
        &history.stacks,
        heap.values.iter().map(|(id, _)| *id).take(LEARNED_STACKS),
    );
    heap.values
        .iter()
        .filter(|(_, value)| value.inuse_space > heap.total.inuse_space / LARGE_PART)
        .filter_map(|(stack, _)| Some(&*build.culprit(history.stacks.frames(*stack))?.function))
        .collect()
}

/// In how many of the goroutine profiles of a life something was so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// In none.
    None,
    /// In some, not in all.
    Some,
    /// In all.
    All,
}

/// Whether `main` itself was at work in one of the functions: in all goroutine profiles of a life, it still loaded when it ended; in
/// none, it serves. None when no goroutine profile tells.
pub fn main_is_in<'a>(
    history: &TargetHistory,
    goroutines: impl Iterator<Item = &'a Snapshot>,
    functions: &[&str],
) -> Option<Share> {
    let (mut inside, mut seen) = (0_usize, 0_usize);
    for snapshot in goroutines {
        let at_work = snapshot.values.iter().filter(|(_, value)| value.inuse_objects > 0);
        let mut stacks = at_work.map(|(stack, _)| *stack);
        let is_inside = stacks.any(|stack| {
            let (mut is_main, mut in_function) = (false, false);
            for frame in history.stacks.frames(stack) {
                is_main |= &*frame.function == "runtime.main";
                in_function |= functions.contains(&&*frame.function);
            }
            is_main && in_function
        });
        seen += 1;
        inside += usize::from(is_inside);
    }
    match inside {
        _ if seen == 0 => None,
        0 => Some(Share::None),
        _ if inside == seen => Some(Share::All),
        _ => Some(Share::Some),
    }
}
