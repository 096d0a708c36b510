//! What each call site retains, from all kept profiles of a target: which of them retain more and more.
//!
//! Two questions per call site: is the growth between base and newest profile larger than what sampling and normal fluctuation
//! explain (with the false discovery rate controlled over all call sites), and is it spread over the whole time (`persistence`),
//! as a leak's growth is and a burst's is not. Source: `profile::Snapshot`; must not know verdicts. See `docs/detectors/site_trend.md`.

mod series;
mod amount;
mod load;
mod site;

pub use crate::measure::site_trend::site::SiteTrend;

use crate::history::TargetHistory;
use crate::history::window;
use crate::measure::site_trend::amount::amount;
use crate::measure::site_trend::amount::estimate;
use crate::measure::site_trend::amount::growth_variance;
use crate::measure::site_trend::load::allocation_rate_change;
use crate::measure::site_trend::site::sites;
use crate::model::profile::ProfileType;
use crate::model::profile::Snapshot;
use crate::model::profile::StackValue;
use crate::model::units::Timestamp;
use crate::model::verdict::Culprit;
use crate::model::verdict::Estimate;
use crate::stats::robust;
use std::time::Duration;

/// Growth in the weakest part of the time relative to even growth. A saturating exponential has 0.36 in its last
/// quarter when its time constant is 0.45 of the observation.
const LEAST_PERSISTENCE: f64 = 0.35;
/// Parts of the time after which growth that started late is looked for.
const LATE_PARTS: [(usize, usize); 4] = [(1, 3), (1, 2), (2, 3), (3, 4)];
/// Fewer profiles do not show that it goes on.
const LEAST_FOR_LATE: usize = 4;
/// A call site that grows at this false discovery rate makes the later parts not worth measuring.
const SUSPECT_RATE: f64 = 1e-3;

/// How the totals and the call sites of one profile type move.
#[derive(Clone, Debug, PartialEq)]
pub struct ProfileTrend {
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
    /// Call sites with the largest growth first.
    pub sites: Vec<SiteTrend>,
}

impl ProfileTrend {
    /// Time between baseline and newest.
    pub fn span(&self) -> Duration {
        self.compare.since(self.base)
    }

    /// Call sites whose growth is significant at a false discovery rate and spread over the time.
    pub fn persistent(&self, false_discovery_rate: f64) -> impl Iterator<Item = &SiteTrend> {
        self.sites.iter().filter(move |site| {
            site.false_discovery_rate <= false_discovery_rate && site.persistence >= LEAST_PERSISTENCE
        })
    }
}

/// Measures the growth in the profiles of one type, up to `now`, of the process that is followed. None with fewer than two that differ.
/// Over all of the time; when nothing grows all along, over the later parts of it, for growth that started late and
/// left everything behind that was seen before.
pub fn measure(history: &TargetHistory, profile_type: ProfileType, now: Timestamp) -> Option<ProfileTrend> {
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
pub fn all_of_newest(history: &TargetHistory, profile_type: ProfileType, now: Timestamp) -> Option<ProfileTrend> {
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
pub fn measure_previous_process(history: &TargetHistory, profile_type: ProfileType) -> Option<ProfileTrend> {
    let series = window::previous_series(history, profile_type)?;
    let all = window::distinct_snapshots(series.as_slice().iter(), profile_type);
    measure_between(history, profile_type, &[], &after_start_up(history, &all))
}

/// Live heap as of each kept profile of the process that is followed and of the one before, start-up left out where enough follows.
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
) -> Option<ProfileTrend> {
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
    Some(ProfileTrend {
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

/// Turns a call site into what the verdict shows.
pub fn culprit(history: &TargetHistory, growth: &ProfileTrend, site: &SiteTrend) -> Culprit {
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
