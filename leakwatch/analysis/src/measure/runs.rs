//! What earlier runs of the same program say: those that ended by an OOM kill, how long they were and how they grew. A run is the time of
//! the main process, from start to exit. Nothing is computed across runs. Runs of replicas that are gone count as well: in an
//! orchestrator a restarted container is a new cgroup.

use crate::history::PastWindow;
use crate::history::ProcessRecord;
use crate::history::TargetHistory;
use crate::history::WindowEnd;
use crate::history::window;
use crate::measure::loading::Loading;
use crate::model::event::OomKill;
use crate::model::sample::Limit;
use crate::model::units::Timestamp;
use crate::stats::robust;

/// The newest runs, which are examined one by one.
const MAX_RUNS: usize = 8;
/// A run shorter than this may have been killed while it was still loading its data: its growth says nothing by itself.
pub const LOADING_SECONDS: f64 = 32.0;
/// A run shorter than this was killed while it started up, whatever it did.
const START_UP_SECONDS: f64 = 10.0;
/// A run that is so many times as long as the killed ones were is not like them. Bursts that come at random leave such a gap once in
/// twenty (exponential intervals).
const OUTLIVED: f64 = 3.0;
/// A run below this age is like the ones before it.
const LEAST_OUTLIVED_SECONDS: f64 = 60.0;
/// Start-up of a short run, as a part of it.
const START_UP_PART: f64 = 0.2;

/// This part of the highest level counts as near it. A straight line from zero is there for 0.15 of the time.
const NEAR_PEAK: f64 = 0.85;
/// At most this part of the time near the peak: climbed until it was killed.
const CLIMB_PART: f64 = 0.4;
/// At least this part of the time near the peak: was on a plateau.
const PLATEAU_PART: f64 = 0.55;

/// Earlier runs that ended by an OOM kill.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Runs {
    /// How many are remembered that had no less room than the limit of now gives.
    pub killed: usize,
    /// Median of their length in seconds.
    pub typical_seconds: f64,
    /// The same of all that were killed, under whatever limit; 0 without any.
    pub any_seconds: f64,
    /// Seconds of those that grew all along until the kill and were long enough to have finished loading.
    pub growing_seconds: f64,
    /// The same of those that may have been killed while they loaded.
    pub short_growing_seconds: f64,
    /// When the newest of them ended.
    pub last_end: Option<Timestamp>,
    /// Of the newest runs, how many went up fast and stayed there until the kill.
    pub levelled: usize,
}

impl Runs {
    /// From the past windows of the target and the last ones of its replicas that were killed and are gone.
    pub fn of(history: &TargetHistory, replicas: &[&TargetHistory]) -> Self {
        let own = history
            .past_windows
            .iter()
            .filter(|past| past.end == WindowEnd::OomKill);
        let mut killed: Vec<(&TargetHistory, PastWindow)> = own.map(|past| (history, *past)).collect();
        killed.extend(
            replicas
                .iter()
                .filter_map(|replica| Some((*replica, last_run(replica)?))),
        );
        killed.sort_by_key(|(_, past)| past.to);
        let counts = |past: &PastWindow| !is_raised(past.limit, history.limit());
        let unseen: Vec<f64> = never_sampled(history).collect();
        let all = killed.iter().map(|(_, past)| length(past));
        let any_seconds = robust::median(&mut all.chain(unseen.iter().copied()).collect::<Vec<f64>>());
        let same_limit = || killed.iter().map(|(_, past)| past).filter(|past| counts(past));
        let mut lengths: Vec<f64> = same_limit().map(length).chain(unseen).collect();
        let newest = history.oom_kills.last().filter(|kill| counts_kill(history, kill));
        let ends = same_limit().map(|past| past.to);
        let mut runs = Self {
            killed: lengths.len(),
            typical_seconds: robust::median(&mut lengths).unwrap_or(0.0),
            any_seconds: any_seconds.unwrap_or(0.0),
            last_end: ends.chain(newest.map(|kill| kill.at)).max(),
            ..Self::default()
        };
        for (history, past) in killed.iter().rev().take(MAX_RUNS) {
            let seconds = length(past);
            match time_near_peak(history, past) {
                Some(part) if part >= PLATEAU_PART && !counts(past) => {}
                Some(part) if part <= CLIMB_PART && seconds >= LOADING_SECONDS => runs.growing_seconds += seconds,
                Some(part) if part <= CLIMB_PART && seconds >= START_UP_SECONDS => {
                    runs.short_growing_seconds += seconds;
                }
                Some(part) if part >= PLATEAU_PART => runs.levelled += 1,
                _ => {}
            }
        }
        runs
    }

    /// Whether none was killed.
    pub const fn is_empty(&self) -> bool {
        self.killed == 0
    }

    /// Whether the run since then may still end as the ones before did.
    pub fn are_recent(&self, now: Timestamp) -> bool {
        let outlived = (self.typical_seconds * OUTLIVED).max(LEAST_OUTLIVED_SECONDS);
        let since = self.last_end.map(|end| now.since(end).as_secs_f64());
        self.killed > 0 && since.is_some_and(|since| since < outlived)
    }

    /// Whether the typical run ended before start-up could be told from growth, `main` having been `loading` all that time, or at
    /// some time of a very short run.
    pub fn are_short(&self, loading: Loading) -> bool {
        let least = match loading {
            Loading::Always => LOADING_SECONDS,
            Loading::Sometimes => START_UP_SECONDS,
            Loading::Never => return false,
        };
        self.killed > 0 && self.typical_seconds < least
    }

    /// Whether no run was long enough to show what the program needs.
    pub fn hide_need(&self) -> bool {
        self.killed > 0 && self.typical_seconds < LOADING_SECONDS
    }
}

/// Whether there is more room now than a run had: what it was killed at is no level that it needs.
fn is_raised(then: Limit, now: Limit) -> bool {
    match (then.bytes(), now.bytes()) {
        (Some(then), Some(now)) => now > then,
        (Some(_), None) => true,
        (None, _) => false,
    }
}

/// Whether a kill was at a limit that is no lower than the one of now, as far as that is known.
fn counts_kill(history: &TargetHistory, kill: &OomKill) -> bool {
    let limit = kill.memcg.as_ref().ok().map(|memcg| Limit::Bytes(memcg.limit));
    limit.is_none_or(|limit| !is_raised(limit, history.limit()))
}

/// Lengths, at most, of runs that began and were killed between two samples: the time since the kill before.
fn never_sampled(history: &TargetHistory) -> impl Iterator<Item = f64> {
    let kills = &history.oom_kills;
    let pairs = kills.iter().zip(kills.iter().skip(1));
    pairs
        .filter(|(_, kill)| counts_kill(history, kill))
        .filter_map(|(before, kill)| {
            let sampled = |past: &PastWindow| past.from <= kill.at && past.to >= before.at;
            let survived = |record: &&ProcessRecord| record.first_seen <= kill.at;
            let known =
                history.past_windows.iter().any(sampled) || history.main_process().as_ref().is_some_and(survived);
            (!known).then(|| kill.at.seconds_from(before.at))
        })
}

/// The run that a gone replica was killed in.
fn last_run(replica: &TargetHistory) -> Option<PastWindow> {
    replica.gone_at?;
    let kill = replica
        .oom_kills
        .last()
        .filter(|kill| kill.at >= replica.window_start)?;
    let (first, last) = (replica.window().first()?, replica.window().last()?);
    Some(PastWindow {
        from: first.at,
        to: last.at.max(kill.at),
        end: WindowEnd::OomKill,
        limit: replica.limit(),
        first: first.unreclaimable.bytes(),
        peak: replica
            .window()
            .iter()
            .filter_map(|point| point.unreclaimable_max.bytes())
            .max(),
    })
}

fn length(past: &PastWindow) -> f64 {
    past.to.since(past.from).as_secs_f64()
}

/// Part of a run, start-up left out, that was spent near the highest level it reached.
fn time_near_peak(history: &TargetHistory, past: &PastWindow) -> Option<f64> {
    let start_up = if length(past) < LOADING_SECONDS {
        past.from.plus(past.to.since(past.from).mul_f64(START_UP_PART))
    } else {
        window::start_up_end(past.from, past.to)
    };
    let peak = past.peak?.as_f64();
    let reached = history
        .points
        .since(start_up)
        .iter()
        .take_while(|point| point.at <= past.to)
        .find(|point| {
            point
                .unreclaimable
                .bytes()
                .is_some_and(|level| level.as_f64() >= peak * NEAR_PEAK)
        })?;
    let run = past.to.seconds_from(start_up);
    (run > 0.0).then(|| past.to.seconds_from(reached.at) / run)
}
