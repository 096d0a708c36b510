//! One target as a file that is opened elsewhere.

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::parameter::Parameters;
use crate::api::segment::Segments;
use crate::dto::problem::Problem;
use crate::input::Head;
use crate::query::lookup;
use crate::store::bundle;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;
use std::time::Duration;

/// Samples as they were taken are in it from so long before the end.
const DEFAULT_SPAN: Duration = Duration::from_hours(6);

/// Everything about a target in one file, for `leakwatch replay`: history, profiles, post-mortems, verdict, and the replicas that it was compared with.
#[utoipa::path(
    get,
    operation_id = "get_bundle",
    path = "/api/v1/targets/{id}/bundle",
    tag = "targets",
    params(
        ("id" = String, Path, description = "id, container id prefix, unit name, cgroup path or pid"),
        ("from" = Option<String>, Query, description = "samples and profiles that are on disk only from then on; six hours before `to` without it"),
        ("to" = Option<String>, Query, description = "and until then; now without it"),
    ),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream", description = "the bundle"),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "it would be too large"),
        (status = 429, body = Problem, content_type = "application/problem+json", description = "too many at once"),
    )
)]
pub(crate) async fn bundle(
    State(context): State<Context>,
    Segments(id): Segments<String>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    parameters.allow(&["from", "to"])?;
    let now = context.now();
    let to = parameters.instant("to", now)?.unwrap_or(now);
    let from = parameters.instant("from", now)?.unwrap_or(to.minus(DEFAULT_SPAN));
    if from > to {
        return Err(ApiError::parameter("from", "it is later than `to`"));
    }
    let head = Head::of(context.facts.host.clone());
    context
        .read(move |view, disk| {
            let (subject, _) = lookup::target(view, &id)?;
            let made = bundle::make(view, disk, subject, (from, to), head)
                .ok_or_else(|| ApiError::not_found("target", &id))?;
            let bytes = bundle::encode(&made).map_err(|error| ApiError::Conflict {
                reason: format!("the bundle cannot be made: {error}"),
            })?;
            let file = format!("attachment; filename=\"leakwatch-{subject}.bundle\"");
            let mut response = ([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response();
            if let Ok(file) = HeaderValue::try_from(file) {
                response.headers_mut().insert(header::CONTENT_DISPOSITION, file);
            }
            Ok(response)
        })
        .await
}
