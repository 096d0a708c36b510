//! What is to be kept of the past, whatever its age: a person pins an OOM kill.

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::in_force::in_force;
use crate::api::parameter::Parameters;
use crate::api::segment::Segments;
use crate::dto::oom_kill::OomKillBody;
use crate::dto::page::LossBody;
use crate::dto::problem::Problem;
use crate::input::Input;
use crate::store::post_mortem::PostMortem;
use axum::Json;
use axum::extract::State;

/// Keeps the post-mortem of an OOM kill with its profiles until that is taken back, whatever the bounds of age and size say.
#[utoipa::path(
    post,
    path = "/api/v1/oom_kills/{id}/pin",
    tag = "events",
    params(("id" = String, Path, description = "id of the OOM kill")),
    responses(
        (status = 200, description = "it is kept", body = OomKillBody),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "there are too many"),
    )
)]
pub(crate) async fn pin(
    State(context): State<Context>,
    Segments(id): Segments<String>,
    parameters: Parameters,
) -> Result<Json<OomKillBody>, ApiError> {
    parameters.allow(&[])?;
    let view = context.view();
    let pinned = view.post_mortems().filter(|post_mortem| post_mortem.pinned);
    let is_new = view.post_mortem(&id).is_some_and(|post_mortem| !post_mortem.pinned);
    if is_new && pinned.count() >= PostMortem::MOST_PINNED {
        return Err(ApiError::Conflict {
            reason: format!("{} OOM kills are pinned: take some back", PostMortem::MOST_PINNED),
        });
    }
    set(&context, id, true).await
}

/// Lets the bounds of age and size hold for an OOM kill again.
#[utoipa::path(
    delete,
    path = "/api/v1/oom_kills/{id}/pin",
    tag = "events",
    params(("id" = String, Path, description = "id of the OOM kill")),
    responses(
        (status = 200, description = "it is kept as long as others", body = OomKillBody),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn unpin(
    State(context): State<Context>,
    Segments(id): Segments<String>,
    parameters: Parameters,
) -> Result<Json<OomKillBody>, ApiError> {
    parameters.allow(&[])?;
    set(&context, id, false).await
}

async fn set(context: &Context, id: String, pinned: bool) -> Result<Json<OomKillBody>, ApiError> {
    let unknown = || ApiError::not_found("OOM kill", &id);
    context.view().post_mortem(&id).ok_or_else(unknown)?;
    let input = Input::Pin {
        at: context.now(),
        oom_kill: id.clone(),
        pinned,
    };
    in_force(context, input, |view| {
        let post_mortem = view.post_mortem(&id).ok_or_else(unknown)?;
        let is_set = post_mortem.pinned == pinned;
        Ok(is_set.then(|| Json(OomKillBody::new(post_mortem, LossBody::list(view.losses())))))
    })
    .await
}
