//! Events and post-mortems.

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::page;
use crate::api::parameter::Parameters;
use crate::api::profiles;
use crate::api::render;
use crate::api::render::Selection;
use crate::api::segment::Segments;
use crate::dto::event::EventBody;
use crate::dto::event::KINDS;
use crate::dto::oom_kill::OomKillBody;
use crate::dto::page::LossBody;
use crate::dto::page::Page;
use crate::dto::problem::Problem;
use crate::dto::profile::FlamegraphBody;
use crate::query::events;
use crate::query::events::Filter;
use crate::store::post_mortem::PostMortem;
use axum::Json;
use axum::extract::State;
use axum::response::Response;

/// Events, newest first.
#[utoipa::path(
    get,
    operation_id = "list_events",
    path = "/api/v1/events",
    tag = "events",
    params(
        ("kinds" = Option<String>, Query, description = "kinds, separated by commas: `oom_kill`, `process_exit`, \
            `restart`, `limit_change`, `verdict_change`, `deploy`, `capture`, `loss`, `config_reload`"),
        ("target" = Option<String>, Query, description = "id, container id prefix, unit name, cgroup path or pid"),
        ("from" = Option<String>, Query, description = "RFC 3339, unix seconds, or relative (`-30m`)"),
        ("to" = Option<String>, Query, description = "RFC 3339, unix seconds, or relative (`now`)"),
        ("limit" = Option<u32>, Query, description = "items per page, 1 to 1000 (default 100)"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "the answer", body = Page<EventBody>),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn list(
    State(context): State<Context>,
    parameters: Parameters,
) -> Result<Json<Page<EventBody>>, ApiError> {
    parameters.allow(&["kinds", "target", "from", "to", "limit", "cursor"])?;
    let kinds = kinds(&parameters)?;
    let now = context.now();
    let view = context.view();
    let filter = Filter {
        kinds,
        from: parameters.instant("from", now)?.unwrap_or_default(),
        to: parameters.instant("to", now)?,
        target: parameters
            .text("target")
            .map(|text| events::target(&view, text))
            .transpose()?,
    };
    let (found, next_cursor) = page::of(&parameters, events::list(&view, &filter), |event| event.id.to_string())?;
    Ok(Json(Page {
        items: found.into_iter().map(EventBody::from).collect(),
        next_cursor,
        losses: LossBody::list(view.losses()),
    }))
}

/// Post-mortems, newest first.
#[utoipa::path(
    get,
    operation_id = "list_oom_kills",
    path = "/api/v1/oom_kills",
    tag = "events",
    params(
        ("limit" = Option<u32>, Query, description = "items per page, 1 to 1000 (default 100)"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses(
        (status = 200, description = "the answer", body = Page<OomKillBody>),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn oom_kills(
    State(context): State<Context>,
    parameters: Parameters,
) -> Result<Json<Page<OomKillBody>>, ApiError> {
    parameters.allow(&["limit", "cursor"])?;
    let view = context.view();
    let all = view.post_mortems().rev().collect();
    let (found, next_cursor) = page::of(&parameters, all, |post_mortem: &&PostMortem| post_mortem.id.clone())?;
    Ok(Json(Page {
        items: found
            .into_iter()
            .map(|post_mortem| OomKillBody::new(post_mortem, Vec::new()))
            .collect(),
        next_cursor,
        losses: LossBody::list(view.losses()),
    }))
}

/// The post-mortem of an OOM kill.
#[utoipa::path(
    get,
    operation_id = "get_oom_kill",
    path = "/api/v1/oom_kills/{id}",
    tag = "events",
    params(("id" = String, Path, description = "id of the OOM kill, as events name it")),
    responses(
        (status = 200, description = "the answer", body = OomKillBody),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn oom_kill(
    State(context): State<Context>,
    Segments(id): Segments<String>,
    parameters: Parameters,
) -> Result<Json<OomKillBody>, ApiError> {
    parameters.allow(&[])?;
    let view = context.view();
    let post_mortem = view
        .post_mortem(&id)
        .ok_or_else(|| ApiError::not_found("OOM kill", &id))?;
    Ok(Json(OomKillBody::new(post_mortem, LossBody::list(view.losses()))))
}

/// The last profile of a victim. Stays when the target is forgotten.
#[utoipa::path(
    get,
    operation_id = "get_oom_kill_profile",
    path = "/api/v1/oom_kills/{id}/profiles/{type}",
    tag = "events",
    params(
        ("id" = String, Path, description = "id of the OOM kill"),
        ("type" = String, Path, description = "`heap`, `goroutine` or `goroutineleak`"),
        ("format" = Option<String>, Query, description = "`pprof` (default), `flamegraph`, `folded`, `speedscope` or \
            `top`"),
        ("value" = Option<String>, Query, description = "sample type, for example `inuse_space`"),
        ("max_nodes" = Option<u32>, Query, description = "nodes of the flame graph, 2 to 50000 (default 2000)"),
    ),
    responses(
        (status = 200, description = "the profile in the format asked for", content(
            (Vec<u8> = "application/octet-stream"),
            (FlamegraphBody = "application/json"),
            (String = "text/plain"),
        )),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "there is none"),
    )
)]
pub(crate) async fn oom_kill_profile(
    State(context): State<Context>,
    Segments((id, profile_type)): Segments<(String, String)>,
    parameters: Parameters,
) -> Result<Response, ApiError> {
    parameters.allow(&["format", "value", "max_nodes"])?;
    let profile_type = profiles::type_of(&profile_type)?;
    let format = profiles::format(&parameters)?;
    let selection = Selection::new(&parameters, profile_type)?;
    context
        .compute(move |view| {
            let post_mortem = view
                .post_mortem(&id)
                .ok_or_else(|| ApiError::not_found("OOM kill", &id))?;
            let snapshot = post_mortem
                .profiles
                .iter()
                .find(|snapshot| snapshot.profile_type == profile_type)
                .ok_or_else(|| ApiError::Conflict {
                    reason: format!(
                        "no {} profile of the victim was taken before it was killed",
                        profile_type.name()
                    ),
                })?;
            Ok(render::profile(snapshot, &post_mortem.stacks, format, selection))
        })
        .await
}

fn kinds(parameters: &Parameters) -> Result<Vec<&'static str>, ApiError> {
    let names = parameters
        .text("kinds")
        .map(|text| text.split(','))
        .into_iter()
        .flatten();
    names
        .map(|name| crate::api::parameter::choose("kinds", name.trim(), KINDS.map(|kind| (kind, kind))))
        .collect()
}
