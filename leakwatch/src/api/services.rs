//! Services: their replicas, and the odd one out.

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::page;
use crate::api::parameter::Parameters;
use crate::api::segment::Segments;
use crate::api::series;
use crate::dto::missing::MissingBody;
use crate::dto::missing::MissingMap;
use crate::dto::missing::Reason;
use crate::dto::page::LossBody;
use crate::dto::page::Page;
use crate::dto::problem::Problem;
use crate::dto::run;
use crate::dto::run::RunBody;
use crate::dto::series::ReplicaSeriesBody;
use crate::dto::series::SeriesBody;
use crate::dto::series::ServiceSeriesBody;
use crate::dto::service::ServiceBody;
use crate::query::runs;
use crate::query::series::Line;
use crate::query::series::Range;
use crate::query::series::together;
use crate::query::services;
use crate::store::view::TargetView;
use crate::store::view::View;
use axum::Json;
use axum::extract::State;
use leakwatch_analysis::model::metric::Metric;
use leakwatch_analysis::model::target::TargetId;

/// Replicas in one answer: more lines than anybody can tell apart.
const MAX_LINES: usize = 64;

/// Services by name.
#[utoipa::path(
    get,
    operation_id = "list_services",
    path = "/api/v1/services",
    tag = "services",
    params(
        ("limit" = Option<u32>, Query, description = "items per page, 1 to 1000 (default 100)"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "the answer", body = Page<ServiceBody>),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(context): State<Context>,
    parameters: Parameters,
) -> Result<Json<Page<ServiceBody>>, ApiError> {
    parameters.allow(&["limit", "cursor"])?;
    let now = context.now();
    context
        .compute(move |view| {
            let names = services::names(view).into_iter().collect();
            let (names, next_cursor) = page::of(&parameters, names, |name: &&str| (*name).to_owned())?;
            let found = names.into_iter().filter_map(|name| services::service(view, name, now));
            Ok(Json(Page {
                items: found.map(|service| ServiceBody::new(&service, Vec::new())).collect(),
                next_cursor,
                losses: LossBody::list(view.losses()),
            }))
        })
        .await
}

/// One service.
#[utoipa::path(
    get,
    operation_id = "get_service",
    path = "/api/v1/services/{name}",
    tag = "services",
    params(("name" = String, Path, description = "name of the service")),
    responses(
        (status = 200, description = "the answer", body = ServiceBody),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn one(
    State(context): State<Context>,
    Segments(name): Segments<String>,
    parameters: Parameters,
) -> Result<Json<ServiceBody>, ApiError> {
    parameters.allow(&[])?;
    let now = context.now();
    context
        .compute(move |view| {
            let service = services::service(view, &name, now).ok_or_else(|| ApiError::not_found("service", &name))?;
            Ok(Json(ServiceBody::new(&service, LossBody::list(view.losses()))))
        })
        .await
}

/// Runs of a service, those of targets that are gone too: each by the age of its process, newest first.
#[utoipa::path(
    get,
    operation_id = "list_runs",
    path = "/api/v1/services/{name}/runs",
    tag = "services",
    params(
        ("name" = String, Path, description = "name of the service"),
        ("from" = Option<String>, Query, description = "runs that lasted until then or longer: RFC 3339, unix seconds, or relative"),
        ("to" = Option<String>, Query, description = "runs that had started by then"),
        ("limit" = Option<u32>, Query, description = "items per page, 1 to 1000 (default 100)"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "the answer", body = Page<RunBody>),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "too many at once"),
    )
)]
pub(crate) async fn list_runs(
    State(context): State<Context>,
    Segments(name): Segments<String>,
    parameters: Parameters,
) -> Result<Json<Page<RunBody>>, ApiError> {
    parameters.allow(&["from", "to", "limit", "cursor"])?;
    let now = context.now();
    let from = parameters.instant("from", now)?.unwrap_or_default();
    let to = parameters.instant("to", now)?.unwrap_or(now);
    let (limit, before) = (page::limit(&parameters)?, page::after(&parameters, run::key_of)?);
    context
        .read(move |view, disk| {
            if !runs::is_known(view, disk, &name) {
                return Err(ApiError::not_found("service", &name));
            }
            let found = runs::runs(view, disk, &name, (from, to), before, limit);
            let is_known = |target: Option<&TargetId>| target.is_some_and(|target| view.target(target).is_some());
            let body = |known: &runs::KnownRun| RunBody::new(known, is_known(known.target.as_ref()));
            let items: Vec<RunBody> = found.items.iter().map(body).collect();
            let next = items.last().filter(|_| found.more);
            Ok(Json(Page {
                next_cursor: next.map(|run| page::cursor_after(&run.id)),
                items,
                losses: LossBody::list(view.losses()),
            }))
        })
        .await
}

/// Series of all replicas of a service over the same steps, those that are gone too.
#[utoipa::path(
    get,
    operation_id = "get_service_series",
    path = "/api/v1/services/{name}/series",
    tag = "services",
    params(
        ("name" = String, Path, description = "name of the service"),
        ("metrics" = Option<String>, Query, description = "names, separated by commas; `unreclaimable_bytes` without it"),
        ("from" = Option<String>, Query, description = "RFC 3339, unix seconds, or relative; the first sample in memory without it"),
        ("to" = Option<String>, Query, description = "RFC 3339, unix seconds, or relative; the newest sample without it"),
        ("step" = Option<String>, Query, description = "seconds, or with a unit (`1m`); chosen so that samples leave no \
            gaps without it"),
    ),
    responses(
        (status = 200, description = "the answer", body = ServiceSeriesBody),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "too many at once"),
    )
)]
pub(crate) async fn service_series(
    State(context): State<Context>,
    Segments(name): Segments<String>,
    parameters: Parameters,
) -> Result<Json<ServiceSeriesBody>, ApiError> {
    parameters.allow(&["metrics", "from", "to", "step"])?;
    let metrics = series::metrics(&parameters, &[Metric::Unreclaimable])?;
    let now = context.now();
    let range = Range {
        from: parameters.instant("from", now)?,
        to: parameters.instant("to", now)?,
        step: parameters.duration("step")?,
    };
    context
        .read(move |view, disk| {
            if !runs::is_known(view, disk, &name) {
                return Err(ApiError::not_found("service", &name));
            }
            // Without a beginning the answer spans what is in memory.
            let disk = disk.filter(|_| range.from.is_some());
            let span = (range.from.unwrap_or_default(), range.to.unwrap_or(now));
            let (ids, left_out) = services::lines(view, disk, &name, span, MAX_LINES);
            let line = |id| view.target(id).map_or(Line::Past(id), Line::Target);
            let lines: Vec<Line<'_>> = ids.iter().map(line).collect();
            let set = together(&lines, &metrics, range, now, disk).map_err(|error| series::refusal(&error))?;
            let values = set.values.chunks(metrics.len().max(1));
            Ok(Json(ServiceSeriesBody {
                service: name.clone(),
                from: set.from.into(),
                to: set.to.into(),
                step_seconds: set.step.as_secs_f64(),
                at: set.at.iter().copied().map(Into::into).collect(),
                replicas: ids
                    .iter()
                    .zip(values)
                    .map(|(id, values)| replica(view, id, &metrics, values))
                    .collect(),
                left_out,
                losses: LossBody::list(view.losses()),
            }))
        })
        .await
}

fn replica(view: &View, id: &TargetId, metrics: &[Metric], values: &[Vec<Option<u64>>]) -> ReplicaSeriesBody {
    let target = view.target(id);
    let mut missing = MissingMap::default();
    if target.is_none() {
        let why = MissingBody {
            reason: Reason::Gone,
            detail: "its name is forgotten, its samples are not".to_owned(),
            fix: None,
        };
        missing.note("name", why);
    }
    ReplicaSeriesBody {
        target: id.to_string(),
        name: target.map(|target| target.history.target.name.clone()),
        living: target.is_some_and(TargetView::is_living),
        series: metrics
            .iter()
            .zip(values)
            .map(|(metric, values)| SeriesBody {
                metric: metric.name().to_owned(),
                unit: metric.unit().to_owned(),
                values: values.clone(),
            })
            .collect(),
        missing,
    }
}
