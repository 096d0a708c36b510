//! The guided workflow of a target, and a person's say in it.

use crate::api::body;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::in_force::in_force;
use crate::api::parameter::Parameters;
use crate::api::segment::Segments;
use crate::dto::investigation::AnswerBody;
use crate::dto::investigation::InvestigationBody;
use crate::dto::investigation::OverrideBody;
use crate::dto::page::LossBody;
use crate::dto::problem::Problem;
use crate::input::Input;
use crate::query::lookup;
use crate::store::view::View;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::target::TargetId;

/// All questions about the target, answered.
#[utoipa::path(
    get,
    operation_id = "get_investigation",
    path = "/api/v1/targets/{id}/investigation",
    tag = "investigation",
    params(("id" = String, Path, description = "id, container id prefix, unit name, cgroup path or pid")),
    responses(
        (status = 200, description = "the answer", body = InvestigationBody),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "not judged yet"),
    )
)]
pub(crate) async fn get(
    State(context): State<Context>,
    Segments(id): Segments<String>,
    parameters: Parameters,
) -> Result<Json<InvestigationBody>, ApiError> {
    parameters.allow(&[])?;
    let view = context.view();
    let (id, _) = lookup::target(&view, &id)?;
    answered(&view, id)
}

/// Overrules the answer of a step; `null` takes that back. Answers with the investigation as it is then.
#[utoipa::path(
    post,
    operation_id = "answer_step",
    path = "/api/v1/targets/{id}/investigation/answers",
    tag = "investigation",
    params(("id" = String, Path, description = "id, container id prefix, unit name, cgroup path or pid")),
    request_body = OverrideBody,
    responses(
        (status = 200, description = "the answer", body = InvestigationBody),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "the target is gone"),
        (status = 503, description = "starting or ending", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn answer(
    State(context): State<Context>,
    Segments(id): Segments<String>,
    parameters: Parameters,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<InvestigationBody>, ApiError> {
    parameters.allow(&[])?;
    let asked: OverrideBody = body::parsed(body)?;
    let step = step(&asked.step)?;
    let answer = asked.answer.map(decided).transpose()?;
    let target = {
        let view = context.view();
        let (id, stored) = lookup::target(&view, &id)?;
        if stored.history.gone_at.is_some() {
            return Err(ApiError::Conflict {
                reason: format!("target `{id}` is gone, its answers are final"),
            });
        }
        id.clone()
    };
    let input = Input::Answer {
        at: context.now(),
        target: target.clone(),
        step,
        answer,
    };
    in_force(&context, input, |view| {
        let (id, stored) = lookup::target(view, target.as_str())?;
        if stored.overrides.get(&step).copied() != answer {
            return Ok(None);
        }
        answered(view, id).map(Some)
    })
    .await
}

/// The step of that name.
pub(super) fn step(name: &str) -> Result<StepId, ApiError> {
    StepId::from_name(name).ok_or_else(|| {
        let names: Vec<&str> = StepId::ALL.iter().map(|step| step.name()).collect();
        ApiError::parameter("step", format!("{name:?} is not one of {}", names.join(", ")))
    })
}

/// What a person answers.
pub(super) fn decided(answer: AnswerBody) -> Result<Answer, ApiError> {
    match answer {
        AnswerBody::Yes => Ok(Answer::Yes),
        AnswerBody::No => Ok(Answer::No),
        AnswerBody::Unknown => Err(ApiError::parameter(
            "answer",
            "a person answers yes or no; unknown is the tool's word",
        )),
    }
}

fn answered(view: &View, id: &TargetId) -> Result<Json<InvestigationBody>, ApiError> {
    let investigation = view.target(id).and_then(|stored| stored.investigation.as_ref());
    let investigation = investigation.ok_or_else(|| ApiError::Conflict {
        reason: format!("target `{id}` was just found and is judged at the end of the first round of samples"),
    })?;
    Ok(Json(InvestigationBody::new(
        id,
        investigation,
        LossBody::list(view.losses()),
    )))
}
