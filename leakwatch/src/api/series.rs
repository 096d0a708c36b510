//! Numbers of a target over time, and its ledger.

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::parameter::Parameters;
use crate::api::segment::Segments;
use crate::dto::ledger::LedgerBody;
use crate::dto::page::LossBody;
use crate::dto::problem::Problem;
use crate::dto::series::SeriesBody;
use crate::dto::series::SeriesSetBody;
use crate::query::lookup;
use crate::query::series;
use crate::query::series::Range;
use crate::query::series::RangeError;
use crate::query::series::SeriesSet;
use crate::store::view::View;
use axum::Json;
use axum::extract::State;
use leakwatch_analysis::history::MemoryPoint;
use leakwatch_analysis::model::metric::Metric;
use leakwatch_analysis::model::target::TargetId;

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
        (status = 429, body = Problem, content_type = "application/problem+json", description = "too many at once"),
    )
)]
pub(crate) async fn series(
    State(context): State<Context>,
    Segments(id): Segments<String>,
    parameters: Parameters,
) -> Result<Json<SeriesSetBody>, ApiError> {
    parameters.allow(&["metrics", "from", "to", "step"])?;
    let metrics = metrics(&parameters, &[Metric::Charge, Metric::Unreclaimable])?;
    let now = context.now();
    let range = Range {
        from: parameters.instant("from", now)?,
        to: parameters.instant("to", now)?,
        step: parameters.duration("step")?,
    };
    let body = context
        .read(move |view, disk| {
            let (id, target) = lookup::target(view, &id)?;
            let set = series::series(target, &metrics, range, now, disk);
            let set = set.map_err(|error| refusal(&error))?;
            Ok(body(view, id, &metrics, set))
        })
        .await?;
    Ok(Json(body))
}

/// What cannot be shown, and which parameter is to blame.
pub(super) fn refusal(error: &RangeError) -> ApiError {
    let parameter = match error {
        RangeError::Reversed => "from",
        RangeError::ShortStep | RangeError::TooManySteps(_) | RangeError::TooManyValues(_) => "step",
    };
    ApiError::parameter(parameter, error.to_string())
}

fn body(view: &View, id: &TargetId, metrics: &[Metric], set: SeriesSet) -> SeriesSetBody {
    let of_metrics = metrics.iter().zip(set.values);
    SeriesSetBody {
        target: id.to_string(),
        from: set.from.into(),
        to: set.to.into(),
        step_seconds: set.step.as_secs_f64(),
        at: set.at.into_iter().map(Into::into).collect(),
        series: of_metrics
            .map(|(metric, values)| SeriesBody {
                metric: metric.name().to_owned(),
                unit: metric.unit().to_owned(),
                values,
            })
            .collect(),
        losses: LossBody::list(view.losses()),
    }
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
    let points = stored.history.points.all();
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

/// The metrics that are asked for, else these.
pub(super) fn metrics(parameters: &Parameters, otherwise: &[Metric]) -> Result<Vec<Metric>, ApiError> {
    let Some(text) = parameters.text("metrics") else {
        return Ok(otherwise.to_vec());
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
