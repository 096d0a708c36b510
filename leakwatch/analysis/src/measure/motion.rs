//! How the memory of a target as a whole moves in its current window: the trend of the charge that cannot be reclaimed, and what that
//! trend amounts to. Thresholds: `docs/detectors/growth.md`.

use crate::history::TargetHistory;
use crate::history::window;
use crate::measure::recurrence;
use crate::model::units::Timestamp;
use crate::model::verdict::Estimate;
use crate::stats::trend;
use crate::stats::trend::Shape;
use crate::stats::trend::Trend;
use std::time::Duration;

/// Growth below this is never called material: allocators and the kernel move by such amounts without meaning.
pub const MATERIAL_BYTES: f64 = 1_048_576.0;
/// Growth over a window below this part of the level is flat.
pub const MATERIAL_PART: f64 = 0.02;
/// The same for a process that was told to be steady: that is given up for more than it was given for.
const MATERIAL_PART_OF_STEADY: f64 = 0.1;
/// And when it did so as of this part of the window ago, at most so many seconds.
const AGO_PART: f64 = 0.1;
const AGO_SECONDS: f64 = 3600.0;

/// Noise that could hide growth of more than this part of the level over half the window leaves the question open.
pub const HIDDEN_PART: f64 = 0.2;

/// Where growth that started late is looked for: the last half of the window, the last quarter and so on, so often.
const LATE_HALVINGS: usize = 12;
/// Fewer samples do not show that growth goes on.
const LEAST_FOR_LATE: usize = 10;

/// Part of a wave's height by which samples may miss its peaks and troughs: of a wave that takes ten samples.
const MISSED_PART: f64 = 0.1;
/// Two waves: up and down, and up and down again.
const LEAST_TURNS: u32 = 3;

/// How memory moves, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// Too little to say.
    Unknown,
    /// Flat, or back where it was.
    Flat,
    /// Moves within what came and went before.
    Returning,
    /// Grew and is levelling off.
    Levelling,
    /// Keeps growing.
    Growing,
    /// Moves, without a trend that can be told from noise.
    Unclear,
}

/// The unreclaimable charge of one window, up to one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryTrend {
    /// The trend; none below three samples.
    pub trend: Option<Trend>,
    /// What it amounts to.
    pub motion: Motion,
    /// Newest level in bytes.
    pub level: f64,
    /// Seconds between the first and the newest sample.
    pub observed: f64,
    window_start: Timestamp,
}

impl MemoryTrend {
    /// Up to `now`. A process that is `dying`, killed for lack of memory at `now`, had reached its limit, whenever it was sampled last.
    pub fn of(history: &TargetHistory, now: Timestamp, dying: bool) -> Self {
        let mut series = window::memory(history, now);
        if let Some(limit) = history.limit().bytes().filter(|_| dying) {
            series.push((now.seconds_from(history.window_start), limit.as_f64()));
        }
        let series_after = window::after_start_up(history, &series, now);
        let (trend, motion) = if history.is_told_steady() {
            trend_of_steady(series_after)
        } else {
            memory_trend(series_after, MATERIAL_PART)
        };
        let observed = match (series.first(), series.last()) {
            (Some(first), Some(last)) => last.0 - first.0,
            _ => 0.0,
        };
        Self {
            trend,
            motion,
            level: series.last().map_or(0.0, |point| point.1),
            observed,
            window_start: history.window_start,
        }
    }

    /// Whether it keeps growing.
    pub fn grows(&self) -> bool {
        self.motion == Motion::Growing
    }

    /// Whether it neither grows nor is about to: flat, or within what came and went.
    pub fn is_steady(&self) -> bool {
        matches!(self.motion, Motion::Flat | Motion::Returning)
    }

    /// Growth in bytes per second, if it was measured.
    pub fn growth_rate(&self) -> Option<f64> {
        let trend = self.trend.as_ref()?;
        Some(match self.motion {
            Motion::Growing => trend.end_slope,
            Motion::Flat | Motion::Returning => 0.0,
            Motion::Levelling => trend.end_slope.max(0.0),
            Motion::Unknown | Motion::Unclear => trend.recent.estimate,
        })
    }

    /// The rate of growth with its 95 % interval: that of the shape, so that the rate lies within it.
    pub fn growth(&self) -> Option<Estimate> {
        let trend = self.trend.as_ref()?;
        let estimate = self.growth_rate()?;
        let interval = match trend.shape {
            Shape::Linear => trend.slope,
            _ => trend.recent,
        };
        Some(Estimate {
            estimate,
            low: interval.low.min(estimate),
            high: interval.high.max(estimate),
        })
    }

    /// Instant at which the growth began, or the trend where there is none.
    pub fn since(&self) -> Option<Timestamp> {
        let trend = self.trend.as_ref()?;
        let from = match trend.shape {
            Shape::LateGrowth { at } | Shape::Step { at } if !self.is_steady() => at,
            _ => trend.from,
        };
        Some(self.window_start.plus(Duration::from_secs_f64(from.clamp(0.0, 1e9))))
    }
}

/// The same for a process that was told to be steady: it moves from that for more, and when it did so a while ago as well.
fn trend_of_steady(series: &[(f64, f64)]) -> (Option<Trend>, Motion) {
    let (trend, motion) = memory_trend(series, MATERIAL_PART_OF_STEADY);
    let moves = |motion| !matches!(motion, Motion::Flat | Motion::Returning);
    let (Some(first), Some(last)) = (series.first(), series.last()) else {
        return (trend, motion);
    };
    let ago = ((last.0 - first.0) * AGO_PART).min(AGO_SECONDS);
    let then = series.get(..series.partition_point(|point| point.0 <= last.0 - ago));
    if !moves(motion) || then.is_some_and(|then| moves(memory_trend(then, MATERIAL_PART_OF_STEADY).1)) {
        return (trend, motion);
    }
    (trend, Motion::Returning)
}

/// The trend over all of the window; when that does not grow, over the later part of it whose growth left everything behind
/// that was seen before. What comes and goes does not grow. `part` of the level is material.
fn memory_trend(series: &[(f64, f64)], part: f64) -> (Option<Trend>, Motion) {
    let Some(whole) = trend::fit(series) else {
        return (None, Motion::Unknown);
    };
    let moves = motion(&whole, part);
    let least = MATERIAL_BYTES.max(whole.level.abs() * part);
    let returns = || recurrence::returns(&trend::blocks(series, trend::MAX_FIT_POINTS), least);
    if matches!(moves, Motion::Growing | Motion::Levelling) {
        let moves = if returns() { Motion::Returning } else { moves };
        return (Some(whole), moves);
    }
    let (from, to) = (
        series.first().map_or(0.0, |point| point.0),
        series.last().map_or(0.0, |point| point.0),
    );
    let lengths = std::iter::successors(Some((to - from) / 2.0), |length| Some(length / 2.0));
    for length in lengths.take(LATE_HALVINGS) {
        let (earlier, later) = series.split_at(series.partition_point(|point| point.0 < to - length));
        let highest = earlier.iter().map(|point| point.1).fold(0.0, f64::max);
        let newest = later.last().map_or(0.0, |point| point.1);
        if later.len() < LEAST_FOR_LATE || newest <= highest {
            break;
        }
        if let Some(late) = trend::fit(later)
            && motion(&late, part) == Motion::Growing
            && late.level - highest >= late.growth() / 2.0
        {
            if returns() {
                break;
            }
            return (Some(late), Motion::Growing);
        }
    }
    if moves == Motion::Unclear && (comes_and_goes(series) || returns()) {
        return (Some(whole), Motion::Returning);
    }
    (Some(whole), moves)
}

/// Whether a series went up and down at least twice, and neither its peaks nor its troughs rise.
fn comes_and_goes(series: &[(f64, f64)]) -> bool {
    let bounds = |part: &[(f64, f64)]| {
        part.iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), point| {
                (low.min(point.1), high.max(point.1))
            })
    };
    let (low, high) = bounds(series);
    let (earlier, later) = series.split_at(series.len() / 2);
    let ((trough, peak), (later_trough, later_peak)) = (bounds(earlier), bounds(later));
    let missed = MATERIAL_BYTES.max((high - low) * MISSED_PART);
    if later_peak > peak + missed || later_trough > trough + missed {
        return false;
    }
    let quarter = (high - low) / 4.0;
    let (mut turns, mut is_up) = (0, None);
    for &(_, value) in series {
        let now = match value {
            _ if value >= high - quarter => true,
            _ if value <= low + quarter => false,
            _ => continue,
        };
        turns += u32::from(is_up.is_some_and(|before| before != now));
        is_up = Some(now);
    }
    turns >= LEAST_TURNS
}

fn motion(trend: &Trend, part: f64) -> Motion {
    let material = MATERIAL_BYTES.max(trend.level.abs().max(trend.first_level.abs()) * part);
    let recent_span = trend.span() / 2.0;
    let recent_growth = trend.recent.estimate * recent_span;
    if trend.grows() && trend.growth() >= material.max(3.0 * trend.noise) {
        return Motion::Growing;
    }
    if trend.decelerates() && trend.growth() >= material {
        let settled = recent_growth.abs() < material / 2.0;
        return if settled { Motion::Flat } else { Motion::Levelling };
    }
    if recent_growth.abs() < material || trend.recent.high <= 0.0 {
        return Motion::Flat;
    }
    // No trend beyond the noise, and the noise is small enough to have shown one.
    let possible = trend.recent.high * recent_span;
    if trend.recent.low.min(trend.slope.low) <= 0.0 && possible < trend.level.abs() * HIDDEN_PART {
        return Motion::Flat;
    }
    Motion::Unclear
}
