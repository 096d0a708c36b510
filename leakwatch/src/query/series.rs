//! Numbers of a target over time, aligned to common steps.

use crate::store::disk::column::Column;
use crate::store::disk::history::Found;
use crate::store::disk::history::History;
use crate::store::view::TargetView;
use leakwatch_analysis::history::Points;
use leakwatch_analysis::model::metric::Metric;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use std::time::Duration;

/// Steps of one answer: what a chart can show, with room.
const MAX_STEPS: u64 = 10_000;
/// Steps when nobody says how long one is.
const DEFAULT_STEPS: u32 = 300;
const MIN_STEP: Duration = Duration::from_millis(100);
/// Values of all series of one answer together.
const MAX_VALUES: u64 = 500_000;

/// Why a range cannot be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// It ends before it begins.
    #[error("it is later than `to`")]
    Reversed,
    /// The steps are too short to tell samples apart.
    #[error("at least 0.1 s")]
    ShortStep,
    /// There would be too many steps.
    #[error("{0} steps are more than {MAX_STEPS}, make it longer or the range shorter")]
    TooManySteps(u64),
    /// There would be too many values, over all lines.
    #[error("{0} values are more than {MAX_VALUES}, make it longer or ask for fewer metrics")]
    TooManyValues(u64),
}

/// What part of the time is wanted; what is not set follows from what is kept.
#[derive(Clone, Copy, Debug, Default)]
pub struct Range {
    /// Begin.
    pub from: Option<Timestamp>,
    /// End.
    pub to: Option<Timestamp>,
    /// Length of a step.
    pub step: Option<Duration>,
}

/// Series over the same steps.
#[derive(Debug, PartialEq, Eq)]
pub struct SeriesSet {
    /// Begin.
    pub from: Timestamp,
    /// End.
    pub to: Timestamp,
    /// Length of a step.
    pub step: Duration,
    /// End of each step.
    pub at: Vec<Timestamp>,
    /// The newest value in each step, for each metric.
    pub values: Vec<Vec<Option<u64>>>,
}

/// Whose values are shown.
#[derive(Clone, Copy, Debug)]
pub enum Line<'a> {
    /// A target that is known.
    Target(&'a TargetView),
    /// One that only the store remembers.
    Past(&'a TargetId),
}

type Values = Vec<(Timestamp, Option<u64>)>;

/// Values of these metrics over a range that ends at `now` at the latest. What is no longer in memory at full resolution is read from `disk`, if the range
/// says where it begins.
pub fn series(
    target: &TargetView,
    metrics: &[Metric],
    range: Range,
    now: Timestamp,
    disk: Option<&History>,
) -> Result<SeriesSet, RangeError> {
    together(&[Line::Target(target)], metrics, range, now, disk)
}

/// The same of several lines over the same steps: all metrics of the first, then all of the second.
pub fn together(
    lines: &[Line<'_>],
    metrics: &[Metric],
    range: Range,
    now: Timestamp,
    disk: Option<&History>,
) -> Result<SeriesSet, RangeError> {
    if let (Some(from), Some(to)) = (range.from, range.to)
        && from > to
    {
        return Err(RangeError::Reversed);
    }
    let kept: Vec<Values> = lines
        .iter()
        .flat_map(|line| line.values(metrics, range, now, disk))
        .collect();
    let instants = || kept.iter().flatten().map(|(at, _)| *at);
    // Without bounds the answer spans what is kept.
    let to = range.to.or_else(|| instants().max()).unwrap_or(now);
    let from = range.from.or_else(|| instants().min()).unwrap_or(to);
    if from > to {
        return Err(RangeError::Reversed);
    }
    let grid = Grid::new(from, to, range.step, &kept)?;
    let values = grid.steps.saturating_mul(kept.len() as u64);
    if values > MAX_VALUES {
        return Err(RangeError::TooManyValues(values));
    }
    Ok(SeriesSet {
        from,
        to,
        step: grid.step,
        at: grid.ends().collect(),
        values: kept.iter().map(|values| grid.align(values)).collect(),
    })
}

impl Line<'_> {
    /// For each metric, in memory and on disk.
    fn values(&self, metrics: &[Metric], range: Range, now: Timestamp, disk: Option<&History>) -> Vec<Values> {
        let (from, to) = (range.from, range.to);
        let older = from.zip(disk).map(|(from, disk)| match self {
            Self::Target(target) => older(target, disk, metrics, range, from, now),
            Self::Past(id) => disk.samples(id.as_str(), from, to.unwrap_or(now), step_of(range, from, now)),
        });
        let values = |metric: &Metric| {
            let values = match self {
                Self::Target(target) => metric.values(&target.history, from.unwrap_or_default(), to.unwrap_or(now)),
                Self::Past(_) => Vec::new(),
            };
            let older = older.as_ref().map(|older| older.values(Column::of(*metric)));
            continued(older.unwrap_or_default(), values)
        };
        metrics.iter().map(values).collect()
    }
}

fn step_of(range: Range, from: Timestamp, to: Timestamp) -> Duration {
    range.step.unwrap_or_else(|| to.since(from) / DEFAULT_STEPS)
}

/// What is on disk of the part of a range that memory has only thinned, or not at all.
fn older(
    target: &TargetView,
    disk: &History,
    metrics: &[Metric],
    range: Range,
    from: Timestamp,
    now: Timestamp,
) -> Found {
    let points = target.history.points.all();
    let full = points.len().saturating_sub(Points::CAPACITY / 2);
    let to = range.to.unwrap_or(now);
    // Few profiles are in memory, and what each counted is on disk.
    let full = points.get(full).filter(|_| !metrics.iter().copied().any(of_profiles));
    match full.map(|point| point.at) {
        Some(full) if full <= from => Found::default(),
        full => {
            let to = full.map_or(to, |full| full.min(to));
            disk.samples(target.history.target.id().as_str(), from, to, step_of(range, from, to))
        }
    }
}

fn of_profiles(metric: Metric) -> bool {
    matches!(metric, Metric::LiveHeap | Metric::Goroutines | Metric::LeakedGoroutines)
}

/// Values on disk, then those in memory that are newer.
fn continued(
    older: Vec<(Timestamp, Option<u64>)>,
    values: Vec<(Timestamp, Option<u64>)>,
) -> Vec<(Timestamp, Option<u64>)> {
    let newest = older.iter().rev().find(|(_, value)| value.is_some()).map(|(at, _)| *at);
    let Some(newest) = newest else { return values };
    let mut all = older;
    // Rows on disk are to the millisecond.
    all.extend(
        values
            .into_iter()
            .filter(|(at, _)| at.unix_millis() > newest.unix_millis()),
    );
    all
}

/// Steps of equal length; the last one ends at `to`.
struct Grid {
    to: Timestamp,
    step: Duration,
    steps: u64,
}

impl Grid {
    fn new(
        from: Timestamp,
        to: Timestamp,
        step: Option<Duration>,
        kept: &[Vec<(Timestamp, Option<u64>)>],
    ) -> Result<Self, RangeError> {
        let span = to.since(from);
        let step = match step {
            Some(step) if step < MIN_STEP => return Err(RangeError::ShortStep),
            Some(step) => step,
            None => {
                let spacing = kept.iter().filter_map(|values| typical_spacing(values)).max();
                // Whole seconds, so that rounding does not push a sample into its neighbour's step.
                let least = (span / DEFAULT_STEPS).max(spacing.unwrap_or_default()).max(MIN_STEP);
                Duration::from_secs(least.as_secs().saturating_add(u64::from(least.subsec_nanos() > 0)))
            }
        };
        let steps = span.as_nanos().div_ceil(step.as_nanos()).saturating_add(1);
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        if steps > MAX_STEPS {
            return Err(RangeError::TooManySteps(steps));
        }
        Ok(Self { to, step, steps })
    }

    fn ends(&self) -> impl Iterator<Item = Timestamp> + '_ {
        (0..self.steps).rev().map(|before| self.to.minus(self.times(before)))
    }

    fn times(&self, count: u64) -> Duration {
        let nanos = self.step.as_nanos().saturating_mul(u128::from(count));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The newest value of each step: later than the end of the step before, not later than its own.
    fn align(&self, values: &[(Timestamp, Option<u64>)]) -> Vec<Option<u64>> {
        let mut values = values.iter().peekable();
        let start = self.to.minus(self.times(self.steps));
        while values
            .next_if(|(at, _)| *at <= start && start.unix_nanos() > 0)
            .is_some()
        {}
        self.ends()
            .map(|end| {
                let mut newest = None;
                while let Some((_, value)) = values.next_if(|(at, _)| *at <= end) {
                    newest = value.or(newest);
                }
                newest
            })
            .collect()
    }
}

/// Nine of ten neighbours are not further apart.
fn typical_spacing(values: &[(Timestamp, Option<u64>)]) -> Option<Duration> {
    let mut spacings: Vec<Duration> = values
        .iter()
        .zip(values.iter().skip(1))
        .map(|((earlier, _), (later, _))| later.since(*earlier))
        .collect();
    spacings.sort_unstable();
    spacings.get(spacings.len() * 9 / 10).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_seconds(1_000_000 + seconds)
    }

    fn samples(seconds: &[u64]) -> Vec<(Timestamp, Option<u64>)> {
        seconds.iter().map(|second| (at(*second), Some(*second))).collect()
    }

    #[test]
    fn a_step_without_a_sample_is_a_gap() {
        let values = samples(&[0, 5, 10, 25, 30]);
        let grid = Grid::new(at(0), at(30), Some(Duration::from_secs(5)), &[]).unwrap();
        assert_eq!(
            grid.align(&values),
            [Some(0), Some(5), Some(10), None, None, Some(25), Some(30)]
        );
        assert_eq!(grid.ends().collect::<Vec<_>>(), [0, 5, 10, 15, 20, 25, 30].map(at));
    }

    #[test]
    fn without_a_step_regular_samples_leave_no_gaps() {
        let values = samples(&(0..200).map(|n| n * 7).collect::<Vec<_>>());
        let grid = Grid::new(at(0), at(199 * 7), None, std::slice::from_ref(&values)).unwrap();
        assert_eq!(grid.step, Duration::from_secs(7));
        assert!(grid.align(&values).iter().all(Option::is_some));
    }

    #[test]
    fn the_number_of_steps_is_bounded() {
        assert!(Grid::new(at(0), at(3600), Some(Duration::from_millis(100)), &[]).is_err());
        assert!(Grid::new(at(0), at(3600), Some(Duration::from_millis(1)), &[]).is_err());
        assert!(Grid::new(Timestamp::default(), at(0), None, &[]).is_ok());
    }
}
