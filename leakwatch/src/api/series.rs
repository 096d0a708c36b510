//! Numbers of a target over time, and its ledger.

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::lookup;
use crate::api::parameter::Parameters;
use crate::api::segment::Segments;
use crate::dto::ledger::LedgerBody;
use crate::dto::page::LossBody;
use crate::dto::problem::Problem;
use crate::dto::series::SeriesBody;
use crate::dto::series::SeriesSetBody;
use axum::Json;
use axum::extract::State;
use leakwatch_analysis::history::MemoryPoint;
use leakwatch_analysis::model::metric::Metric;
use leakwatch_analysis::model::units::Timestamp;
use std::time::Duration;

/// Steps of one answer: what a chart can show, with room.
const MAX_STEPS: u64 = 10_000;
/// Steps when the client does not say.
const DEFAULT_STEPS: u32 = 300;
const MIN_STEP: Duration = Duration::from_millis(100);

/// Series, aligned to common steps. A step in which no sample was taken is `null`.
#[utoipa::path(
    get,
    operation_id = "get_series",
    path = "/api/v1/targets/{id}/series",
    tag = "series",
    params(
        ("id" = String, Path, description = "id, container id prefix, unit name, cgroup path or pid"),
        ("metrics" = Option<String>, Query, description = "names, separated by commas; `charge_bytes` and \
            `unreclaimable_bytes` without it"),
        ("from" = Option<String>, Query, description = "RFC 3339, unix seconds, or relative; the first sample without it"),
        ("to" = Option<String>, Query, description = "RFC 3339, unix seconds, or relative; the newest sample without it"),
        ("step" = Option<String>, Query, description = "seconds, or with a unit (`1m`); chosen so that samples leave no \
            gaps without it"),
    ),
    responses(
        (status = 200, description = "the answer", body = SeriesSetBody),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn series(
    State(context): State<Context>,
    Segments(id): Segments<String>,
    parameters: Parameters,
) -> Result<Json<SeriesSetBody>, ApiError> {
    parameters.allow(&["metrics", "from", "to", "step"])?;
    let metrics = metrics(&parameters)?;
    let now = context.now();
    let (from, to) = (parameters.instant("from", now)?, parameters.instant("to", now)?);
    let step = parameters.duration("step")?;
    let view = context.view();
    let (id, stored) = lookup::target(&view, &id)?;
    let kept: Vec<Vec<(Timestamp, Option<u64>)>> = metrics
        .iter()
        .map(|metric| metric.values(&stored.history, from.unwrap_or_default(), to.unwrap_or(now)))
        .collect();
    let instants = || kept.iter().flatten().map(|(at, _)| *at);
    // Without bounds the answer spans what is kept.
    let to = to.or_else(|| instants().max()).unwrap_or(now);
    let from = from.or_else(|| instants().min()).unwrap_or(to);
    if from > to {
        return Err(ApiError::parameter("from", "it is later than `to`"));
    }
    let grid = Grid::new(from, to, step, &kept)?;
    let series = metrics
        .iter()
        .zip(&kept)
        .map(|(metric, values)| SeriesBody {
            metric: metric.name().to_owned(),
            unit: metric.unit().to_owned(),
            values: grid.align(values),
        })
        .collect();
    Ok(Json(SeriesSetBody {
        target: id.to_string(),
        from: from.into(),
        to: to.into(),
        step_seconds: grid.step.as_secs_f64(),
        at: grid.ends().map(Into::into).collect(),
        series,
        losses: LossBody::list(view.losses()),
    }))
}

/// The ledger at the sample nearest to `at`.
#[utoipa::path(
    get,
    operation_id = "get_ledger",
    path = "/api/v1/targets/{id}/ledger",
    tag = "series",
    params(
        ("id" = String, Path, description = "id, container id prefix, unit name, cgroup path or pid"),
        ("at" = Option<String>, Query, description = "RFC 3339, unix seconds, or relative; the newest without it"),
    ),
    responses(
        (status = 200, description = "the answer", body = LedgerBody),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "never sampled"),
    )
)]
pub(crate) async fn ledger(
    State(context): State<Context>,
    Segments(id): Segments<String>,
    parameters: Parameters,
) -> Result<Json<LedgerBody>, ApiError> {
    parameters.allow(&["at"])?;
    let at = parameters.instant("at", context.now())?;
    let view = context.view();
    let (_, stored) = lookup::target(&view, &id)?;
    let points = stored.history.points.as_slice();
    let point: Option<&MemoryPoint> = match at {
        None => points.last(),
        Some(at) => points
            .iter()
            .min_by_key(|point| point.at.since(at).max(at.since(point.at))),
    };
    let point = point.ok_or_else(|| ApiError::Conflict {
        reason: stored.history.newest.as_ref().err().map_or_else(
            || format!("target `{id}` was not sampled yet"),
            |missing| format!("target `{id}` could not be sampled: {}", missing.detail),
        ),
    })?;
    Ok(Json(LedgerBody::at_point(
        &stored.history,
        point,
        LossBody::list(view.losses()),
    )))
}

fn metrics(parameters: &Parameters) -> Result<Vec<Metric>, ApiError> {
    let Some(text) = parameters.text("metrics") else {
        return Ok(vec![Metric::Charge, Metric::Unreclaimable]);
    };
    let names = || Metric::ALL.map(|metric| (metric.name(), metric));
    let mut metrics = Vec::new();
    for name in text.split(',') {
        let metric = crate::api::parameter::choose("metrics", name.trim(), names())?;
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
    Ok(metrics)
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
    ) -> Result<Self, ApiError> {
        let span = to.since(from);
        let step = match step {
            Some(step) if step < MIN_STEP => return Err(ApiError::parameter("step", "at least 0.1 s")),
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
            let reason = format!("{steps} steps are more than {MAX_STEPS}, make it longer or the range shorter");
            return Err(ApiError::parameter("step", reason));
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
