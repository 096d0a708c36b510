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
use crate::store::view::TargetView;
use crate::store::view::View;
use axum::Json;
use axum::extract::State;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::service::outlier;
use std::collections::BTreeSet;

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
            let names: BTreeSet<&str> = view
                .targets()
                .filter(|(_, stored)| stored.history.gone_at.is_none())
                .map(|(_, stored)| stored.history.target.service.as_str())
                .collect();
            let page = page::of(&parameters, names.into_iter().collect(), |name| (*name).to_owned())?;
            Ok(Json(Page {
                items: page
                    .items
                    .into_iter()
                    .map(|name| body(view, name, now, Vec::new()))
                    .collect(),
                next_cursor: page.next_cursor,
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
            if view.replicas(&name).all(|(_, stored)| stored.history.gone_at.is_some()) {
                return Err(ApiError::not_found("service", &name));
            }
            Ok(Json(body(view, &name, now, LossBody::list(view.losses()))))
        })
        .await
}

fn body(view: &View, name: &str, now: Timestamp, losses: Vec<LossBody>) -> ServiceBody {
    let mut living: Vec<(&TargetId, &TargetView)> = view
        .replicas(name)
        .filter(|(_, stored)| stored.history.gone_at.is_none())
        .collect();
    living.sort_by(|a, b| (&a.1.history.target.name, a.0).cmp(&(&b.1.history.target.name, b.0)));
    let histories: Vec<&TargetHistory> = living.iter().map(|(_, stored)| &stored.history).collect();
    let odd = if histories.len() < 2 {
        None
    } else {
        outlier(&histories, now)
    };
    ServiceBody::new(name, &living, odd.as_ref(), losses)
}
