//! Services: their replicas, and the odd one out.

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::page;
use crate::api::parameter::Parameters;
use crate::api::segment::Segments;
use crate::dto::page::LossBody;
use crate::dto::page::Page;
use crate::dto::problem::Problem;
use crate::dto::service::ServiceBody;
use crate::query::services;
use axum::Json;
use axum::extract::State;

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
