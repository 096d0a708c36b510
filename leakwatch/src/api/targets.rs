//! Targets: the list, and one of them.

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::page;
use crate::api::parameter::Parameters;
use crate::api::segment::Segments;
use crate::dto::page::LossBody;
use crate::dto::page::Page;
use crate::dto::problem::Problem;
use crate::dto::target::TargetBody;
use crate::query::lookup;
use crate::query::runs;
use crate::query::targets;
use crate::query::targets::Filter;
use crate::query::targets::Life;
use crate::query::targets::SortKey;
use axum::Json;
use axum::extract::State;
use leakwatch_analysis::detect::table;
use leakwatch_analysis::model::target::TargetKind;

/// All targets.
#[utoipa::path(
    get,
    operation_id = "list_targets",
    path = "/api/v1/targets",
    tag = "targets",
    params(
        ("kind" = Option<String>, Query, description = "`container`, `service` or `cgroup`"),
        ("service" = Option<String>, Query, description = "replicas of this service"),
        ("verdict" = Option<String>, Query, description = "targets with a verdict of this class"),
        ("life" = Option<String>, Query, description = "`living` (default), `gone` or `all`"),
        ("sort" = Option<String>, Query, description = "`charge` (default), `name`, `growth`, `confidence` or \
            `time_to_limit`, `leak`: the most interesting first; `-` in front reverses"),
        ("limit" = Option<u32>, Query, description = "items per page, 1 to 1000 (default 100)"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "the answer", body = Page<TargetBody>),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(context): State<Context>,
    parameters: Parameters,
) -> Result<Json<Page<TargetBody>>, ApiError> {
    parameters.allow(&["kind", "service", "verdict", "life", "sort", "limit", "cursor"])?;
    let filter = Filter {
        kind: parameters.one_of("kind", TargetKind::ALL.map(|kind| (kind.name(), kind)))?,
        service: parameters.text("service"),
        verdict: parameters.one_of("verdict", table::classes().map(|class| (class.name(), class)))?,
        life: parameters
            .one_of(
                "life",
                [("living", Life::Living), ("gone", Life::Gone), ("all", Life::All)],
            )?
            .unwrap_or_default(),
    };
    let (key, reversed) = sort(&parameters)?;
    let view = context.view();
    let found = targets::list(&view, &filter, key, reversed);
    let (found, next_cursor) = page::of(&parameters, found, |(id, _)| id.to_string())?;
    Ok(Json(Page {
        items: found
            .into_iter()
            .map(|(_, target)| {
                TargetBody::new(
                    &view,
                    target,
                    runs::predecessor(&view, &target.history).as_ref(),
                    Vec::new(),
                )
            })
            .collect(),
        next_cursor,
        losses: LossBody::list(view.losses()),
    }))
}

/// One target with its processes. `id` may also be a pid, a cgroup path, the start of a container id or a unit name.
#[utoipa::path(
    get,
    operation_id = "get_target",
    path = "/api/v1/targets/{id}",
    tag = "targets",
    params(("id" = String, Path, description = "id, container id prefix, unit name, cgroup path or pid")),
    responses(
        (status = 200, description = "the answer", body = TargetBody),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "several targets fit"),
    )
)]
pub(crate) async fn one(
    State(context): State<Context>,
    Segments(id): Segments<String>,
    parameters: Parameters,
) -> Result<Json<TargetBody>, ApiError> {
    parameters.allow(&[])?;
    let view = context.view();
    let (_, stored) = lookup::target(&view, &id)?;
    let predecessor = runs::predecessor(&view, &stored.history);
    let losses = LossBody::list(view.losses());
    Ok(Json(TargetBody::new(&view, stored, predecessor.as_ref(), losses)))
}

/// What a list can be sorted by.
pub(crate) const SORTS: [(&str, SortKey); 6] = [
    ("name", SortKey::Name),
    ("charge", SortKey::Charge),
    ("leak", SortKey::Leak),
    ("growth", SortKey::Growth),
    ("confidence", SortKey::Confidence),
    ("time_to_limit", SortKey::TimeToLimit),
];

fn sort(parameters: &Parameters) -> Result<(SortKey, bool), ApiError> {
    let Some(text) = parameters.text("sort") else {
        return Ok((SortKey::default(), false));
    };
    let (name, reversed) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    Ok((crate::api::parameter::choose("sort", name, SORTS)?, reversed))
}
