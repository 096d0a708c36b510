//! What a person rules for a service or for one version of it: that its leaks and kills alert nobody, or that a question has another answer.

use crate::api::body;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::in_force::in_force;
use crate::api::investigation::decided;
use crate::api::investigation::step;
use crate::api::page;
use crate::api::parameter::Parameters;
use crate::api::segment::Segments;
use crate::dto::page::LossBody;
use crate::dto::page::Page;
use crate::dto::problem::Problem;
use crate::dto::ruling::MuteBody;
use crate::dto::ruling::MuteRequestBody;
use crate::dto::ruling::OverruleBody;
use crate::dto::ruling::OverruleRequestBody;
use crate::input::Input;
use crate::store::rulings::Rulings;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use leakwatch_analysis::model::ruling::Ruled;
use leakwatch_analysis::model::ruling::Ruling;
use std::time::Duration;

/// The longest text in a ruling, in characters.
const MAX_TEXT: usize = 256;
/// A year: what is to hold longer is not a ruling but a change of the program.
const MAX_SECONDS: u64 = 365 * 24 * 3600;

/// Services, and versions of services, of which leaks and kills alert nobody.
#[utoipa::path(
    get,
    path = "/api/v1/mutes",
    tag = "rulings",
    params(
        ("limit" = Option<u32>, Query, description = "items per page, 1 to 1000 (default 100)"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "the answer", body = Page<MuteBody>))
)]
pub(crate) async fn list_mutes(
    State(context): State<Context>,
    parameters: Parameters,
) -> Result<Json<Page<MuteBody>>, ApiError> {
    listed(&context, &parameters, MuteBody::of, |mute| mute.id.clone())
}

/// Lets leaks and kills of a service, or of one version of it, alert nobody until then. They are shown all the same, with a label.
#[utoipa::path(
    post,
    path = "/api/v1/mutes",
    tag = "rulings",
    request_body = MuteRequestBody,
    responses(
        (status = 201, description = "it is in force", body = MuteBody),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "there are too many"),
    )
)]
pub(crate) async fn mute(
    State(context): State<Context>,
    parameters: Parameters,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<MuteBody>), ApiError> {
    parameters.allow(&[])?;
    let asked: MuteRequestBody = body::parsed(body)?;
    let ruling = Asked {
        service: asked.service,
        version: asked.version,
        reason: asked.reason,
        for_seconds: asked.for_seconds,
    };
    make(&context, ruling, Ruled::Mute, MuteBody::of).await
}

/// Takes a mute back.
#[utoipa::path(
    delete,
    path = "/api/v1/mutes/{id}",
    tag = "rulings",
    params(("id" = String, Path, description = "id of the mute")),
    responses(
        (status = 200, description = "it holds no more; as it was", body = MuteBody),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn unmute(
    State(context): State<Context>,
    Segments(id): Segments<String>,
    parameters: Parameters,
) -> Result<Json<MuteBody>, ApiError> {
    parameters.allow(&[])?;
    take_back(&context, "mute", &id, MuteBody::of).await
}

/// Questions that a person has answered for a service, or for one version of it.
#[utoipa::path(
    get,
    path = "/api/v1/overrules",
    tag = "rulings",
    params(
        ("limit" = Option<u32>, Query, description = "items per page, 1 to 1000 (default 100)"),
        ("cursor" = Option<String>, Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "the answer", body = Page<OverruleBody>))
)]
pub(crate) async fn list_overrules(
    State(context): State<Context>,
    parameters: Parameters,
) -> Result<Json<Page<OverruleBody>>, ApiError> {
    listed(&context, &parameters, OverruleBody::of, |overrule| overrule.id.clone())
}

/// Answers a question for all targets of a service, or of one version of it, those that come later too, until then. What a person answers for a single
/// target goes before it.
#[utoipa::path(
    post,
    path = "/api/v1/overrules",
    tag = "rulings",
    request_body = OverruleRequestBody,
    responses(
        (status = 201, description = "it is in force", body = OverruleBody),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "there are too many"),
    )
)]
pub(crate) async fn overrule(
    State(context): State<Context>,
    parameters: Parameters,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<OverruleBody>), ApiError> {
    parameters.allow(&[])?;
    let asked: OverruleRequestBody = body::parsed(body)?;
    let ruled = Ruled::Overrule(step(&asked.step)?, decided(asked.answer)?);
    let ruling = Asked {
        service: asked.service,
        version: asked.version,
        reason: asked.reason,
        for_seconds: asked.for_seconds,
    };
    make(&context, ruling, ruled, OverruleBody::of).await
}

/// Takes an overrule back.
#[utoipa::path(
    delete,
    path = "/api/v1/overrules/{id}",
    tag = "rulings",
    params(("id" = String, Path, description = "id of the overrule")),
    responses(
        (status = 200, description = "it holds no more; as it was", body = OverruleBody),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn take_back_overrule(
    State(context): State<Context>,
    Segments(id): Segments<String>,
    parameters: Parameters,
) -> Result<Json<OverruleBody>, ApiError> {
    parameters.allow(&[])?;
    take_back(&context, "overrule", &id, OverruleBody::of).await
}

/// What both kinds of requests say.
struct Asked {
    service: String,
    version: Option<String>,
    reason: String,
    for_seconds: u64,
}

fn listed<B>(
    context: &Context,
    parameters: &Parameters,
    body: impl Fn(&Ruling) -> Option<B>,
    id: impl Fn(&B) -> String,
) -> Result<Json<Page<B>>, ApiError> {
    parameters.allow(&["limit", "cursor"])?;
    let view = context.view();
    let newest_first = view.rulings().iter().rev().filter_map(body).collect();
    let (items, next_cursor) = page::of(parameters, newest_first, id)?;
    Ok(Json(Page {
        items,
        next_cursor,
        losses: LossBody::list(view.losses()),
    }))
}

async fn make<B>(
    context: &Context,
    asked: Asked,
    ruled: Ruled,
    body: impl Fn(&Ruling) -> Option<B>,
) -> Result<(StatusCode, Json<B>), ApiError> {
    let texts = [
        ("service", Some(&asked.service)),
        ("version", asked.version.as_ref()),
        ("reason", Some(&asked.reason)),
    ];
    for (name, text) in texts {
        if text.is_some_and(|text| text.is_empty() || text.chars().count() > MAX_TEXT) {
            return Err(ApiError::parameter(name, format!("is not 1 to {MAX_TEXT} characters")));
        }
    }
    if !(1..=MAX_SECONDS).contains(&asked.for_seconds) {
        return Err(ApiError::parameter("for_seconds", format!("is not 1 to {MAX_SECONDS}")));
    }
    if context.view().rulings().is_full() {
        return Err(ApiError::Conflict {
            reason: format!("there are {} mutes and overrules: take some back", Rulings::MOST),
        });
    }
    let now = context.now();
    // Of one width, so that the order of ids is that of time.
    let id = format!("{:016x}", now.unix_nanos());
    let ruling = Ruling {
        id: id.clone(),
        service: asked.service,
        version: asked.version,
        ruled,
        reason: asked.reason,
        made_at: now,
        until: now.plus(Duration::from_secs(asked.for_seconds)),
    };
    let made = body(&ruling).ok_or_else(|| ApiError::not_found("ruling", &id))?;
    tell(context, &id, Some(ruling)).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn take_back<B>(
    context: &Context,
    what: &'static str,
    id: &str,
    body: impl Fn(&Ruling) -> Option<B>,
) -> Result<Json<B>, ApiError> {
    let before = context.view().rulings().get(id).and_then(body);
    let before = before.ok_or_else(|| ApiError::not_found(what, id))?;
    tell(context, id, None).await?;
    Ok(Json(before))
}

/// Tells the engine, and waits until readers see it.
async fn tell(context: &Context, id: &str, ruling: Option<Ruling>) -> Result<(), ApiError> {
    let is_made = ruling.is_some();
    let input = Input::Ruling {
        at: context.now(),
        id: id.to_owned(),
        ruling,
    };
    in_force(context, input, |view| {
        Ok((view.rulings().get(id).is_some() == is_made).then_some(()))
    })
    .await
}
