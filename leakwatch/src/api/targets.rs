//! Targets: the list, and one of them.

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::lookup;
use crate::api::page;
use crate::api::parameter::Parameters;
use crate::api::segment::Segments;
use crate::dto::page::LossBody;
use crate::dto::page::Page;
use crate::dto::problem::Problem;
use crate::dto::target::TargetBody;
use crate::dto::target::kind_name;
use crate::store::view::TargetView;
use axum::Json;
use axum::extract::State;
use leakwatch_analysis::detect::table;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::target::TargetKind;
use leakwatch_analysis::model::verdict::VerdictClass;
use std::cmp::Ordering;

/// What a list of targets is sorted by.
#[derive(Clone, Copy)]
enum Sort {
    Name,
    Charge,
    Growth,
    Confidence,
    TimeToLimit,
}

/// Which targets are listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Living,
    Gone,
    All,
}

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
            `time_to_limit`: the most interesting first; `-` in front reverses"),
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
    let kinds = [TargetKind::Container, TargetKind::Service, TargetKind::Cgroup];
    let kind = parameters.one_of("kind", kinds.map(|kind| (kind_name(kind), kind)))?;
    let verdict = parameters.one_of("verdict", table::classes().map(|class| (class.name(), class)))?;
    let life = parameters.one_of(
        "life",
        [("living", Life::Living), ("gone", Life::Gone), ("all", Life::All)],
    )?;
    let (sort, reversed) = sort(&parameters)?;
    let view = context.view();
    let mut found: Vec<(&TargetId, &TargetView)> = view
        .targets()
        .filter(|(_, stored)| kind.is_none_or(|kind| stored.history.target.kind == kind))
        .filter(|(_, stored)| {
            parameters
                .text("service")
                .is_none_or(|name| stored.history.target.service == name)
        })
        .filter(|(_, stored)| verdict.is_none_or(|class| class_of(stored) == Some(class)))
        .filter(|(_, stored)| match life.unwrap_or(Life::Living) {
            Life::Living => stored.history.gone_at.is_none(),
            Life::Gone => stored.history.gone_at.is_some(),
            Life::All => true,
        })
        .collect();
    found.sort_by(|a, b| {
        let order = compare(sort, a.1, b.1);
        let order = if reversed { order.reverse() } else { order };
        order.then_with(|| a.0.cmp(b.0))
    });
    let page = page::of(&parameters, found, |(id, _)| id.to_string())?;
    Ok(Json(Page {
        items: page
            .items
            .into_iter()
            .map(|(_, stored)| TargetBody::new(stored, Vec::new()))
            .collect(),
        next_cursor: page.next_cursor,
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
    Ok(Json(TargetBody::new(stored, LossBody::list(view.losses()))))
}

fn sort(parameters: &Parameters) -> Result<(Sort, bool), ApiError> {
    let Some(text) = parameters.text("sort") else {
        return Ok((Sort::Charge, false));
    };
    let (name, reversed) = text.strip_prefix('-').map_or((text, false), |name| (name, true));
    let sorts = [
        ("name", Sort::Name),
        ("charge", Sort::Charge),
        ("growth", Sort::Growth),
        ("confidence", Sort::Confidence),
        ("time_to_limit", Sort::TimeToLimit),
    ];
    Ok((crate::api::parameter::choose("sort", name, sorts)?, reversed))
}

fn class_of(stored: &TargetView) -> Option<VerdictClass> {
    stored.investigation.as_ref().map(|made| made.verdict.class)
}

/// The most interesting first: numbers descending, except the time that is left; unknown ones last.
fn compare(sort: Sort, a: &TargetView, b: &TargetView) -> Ordering {
    let key = |stored: &TargetView| -> Option<f64> {
        let verdict = stored.investigation.as_ref().map(|made| &made.verdict);
        match sort {
            Sort::Name => None,
            Sort::Charge => stored.history.newest.as_ref().ok().map(|memory| memory.charge.as_f64()),
            Sort::Growth => verdict.and_then(|verdict| verdict.growth_bytes_per_second),
            Sort::Confidence => verdict.map(|verdict| verdict.confidence),
            Sort::TimeToLimit => verdict
                .and_then(|verdict| verdict.time_to_limit.as_ref())
                .map(|time| -time.p50_seconds),
        }
    };
    match (key(a), key(b)) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.history.target.name.cmp(&b.history.target.name),
    }
}
