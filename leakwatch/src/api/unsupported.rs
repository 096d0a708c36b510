//! Routes of the contract that this daemon cannot serve: refused with the reason, as the contract wants it.

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::segment::Segments;
use crate::dto::problem::Problem;
use crate::query::lookup;
use axum::extract::State;
use std::convert::Infallible;

/// Bundles need inputs kept on disk.
#[utoipa::path(
    get,
    path = "/api/v1/targets/{id}/bundle",
    tag = "captures",
    params(("id" = String, Path, description = "id, container id prefix, unit name, cgroup path or pid")),
    responses(
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "not possible"),
    )
)]
pub(crate) async fn bundle(
    State(context): State<Context>,
    Segments(id): Segments<String>,
) -> Result<Infallible, ApiError> {
    lookup::target(&context.view(), &id)?;
    Err(not_here(
        "bundles need inputs kept on disk; `leakwatch agent --record FILE` writes what `leakwatch replay` opens",
    ))
}

fn not_here(why: &str) -> ApiError {
    ApiError::Conflict {
        reason: format!("this daemon cannot do that: {why}"),
    }
}
