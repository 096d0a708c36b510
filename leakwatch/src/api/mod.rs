//! The HTTP API: routes over the newest view of what is known. The only module that serves HTTP; it computes nothing, it looks
//! things up, converts them with `dto` and refuses what it cannot understand.

pub mod context;
pub mod listen;
pub mod serve;
mod guard;
mod places;
mod etag;
mod body;
mod in_force;
mod error;
mod document;
mod segment;
mod parameter;
mod page;
mod ui;
mod lanes;
mod status;
mod metrics;
mod services;
mod targets;
mod series;
mod render;
mod profiles;
mod investigation;
mod rulings;
mod events;
mod pins;
mod stream;
mod captures;
mod bundle;
#[cfg(test)]
pub(crate) mod tests;

use crate::api::body::MAX_BODY_BYTES;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::guard::Guard;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::HeaderValue;
use axum::http::Uri;
use axum::http::header;
use axum::middleware;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "leakwatch",
        description = "Memory leaks and OOM kills of the containers, services and processes of one host.",
        license(name = "Apache-2.0 OR MIT")
    ),
    tags(
        (name = "daemon", description = "The daemon about itself and its host"),
        (name = "targets", description = "What is watched"),
        (name = "services", description = "Replicas of one program"),
        (name = "series", description = "Numbers over time"),
        (name = "profiles", description = "Stacks with values"),
        (name = "investigation", description = "The guided workflow"),
        (name = "rulings", description = "What people decide for a service or a version of it"),
        (name = "events", description = "What happened"),
        (name = "captures", description = "Looking closer for a while"),
    )
)]
struct Document;

/// All routes with their checks.
pub fn router(context: Context) -> Router {
    let guard = Guard::new(context.config.clone());
    let (router, _document) = routes().split_for_parts();
    router
        .route(ui::SCRIPT_PATH, get(ui::script))
        .route(ui::STYLE_PATH, get(ui::style))
        .fallback(async |uri: Uri| ApiError::not_found("route", uri.path()))
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .with_state(context)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn(etag::etag))
        .layer(middleware::from_fn_with_state(guard, guard::guard))
}

/// The OpenAPI document of the routes, as it is served and committed.
pub fn openapi() -> String {
    let (_router, document) = routes().split_for_parts();
    // The document is made of maps with text keys, which always become JSON.
    let document = document::narrowed(serde_json::to_value(&document).unwrap_or_default());
    serde_json::to_string_pretty(&document).unwrap_or_default() + "\n"
}

fn routes() -> OpenApiRouter<Context> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(ui::index))
        .routes(routes!(status::healthz))
        .routes(routes!(status::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(openapi_json))
        .routes(routes!(status::status))
        .routes(routes!(status::capabilities))
        .routes(routes!(services::list))
        .routes(routes!(services::one))
        .routes(routes!(services::list_runs))
        .routes(routes!(services::service_series))
        .routes(routes!(targets::list))
        .routes(routes!(targets::one))
        .routes(routes!(series::ledger))
        .routes(routes!(series::series))
        .routes(routes!(profiles::list))
        .routes(routes!(profiles::one))
        .routes(routes!(profiles::diff))
        .routes(routes!(profiles::pprof))
        .routes(routes!(investigation::get))
        .routes(routes!(investigation::answer))
        .routes(routes!(rulings::list_mutes, rulings::mute))
        .routes(routes!(rulings::unmute))
        .routes(routes!(rulings::list_overrules, rulings::overrule))
        .routes(routes!(rulings::take_back_overrule))
        .routes(routes!(events::list))
        .routes(routes!(events::oom_kills))
        .routes(routes!(events::oom_kill))
        .routes(routes!(events::oom_kill_profile))
        .routes(routes!(pins::pin, pins::unpin))
        .routes(routes!(stream::stream))
        .routes(routes!(captures::start_capture))
        .routes(routes!(captures::capture, captures::stop_capture))
        .routes(routes!(captures::detach, captures::undo_detach))
        .routes(routes!(bundle::bundle))
}

/// This document.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "daemon",
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json"))
)]
async fn openapi_json() -> Response {
    (
        [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        openapi(),
    )
        .into_response()
}
