//! The guided workflow of a target, and a person's say in it.

use crate::api::body_limit::MAX_BODY_BYTES;
use crate::api::context::Context;
use crate::api::error::ApiError;
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
use axum::http::StatusCode;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::target::TargetId;
use std::time::Duration;
use tokio::time::timeout;

/// How long an answer may take to come into force before the client is told to look again.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
const ANSWER_POLL: Duration = Duration::from_millis(10);

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
    body(&view, id)
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
    let (step, answer) = parse(&whole(body)?)?;
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
    let unavailable = |reason: &str| ApiError::Unavailable {
        reason: reason.to_owned(),
    };
    timeout(ANSWER_DEADLINE, async {
        context
            .inputs
            .send(input)
            .await
            .map_err(|_closed| unavailable("the daemon is shutting down"))?;
        loop {
            {
                let view = context.view();
                let (id, stored) = lookup::target(&view, target.as_str())?;
                if stored.overrides.get(&step).copied() == answer {
                    return self::body(&view, id);
                }
            }
            tokio::time::sleep(ANSWER_POLL).await;
        }
    })
    .await
    .map_err(|_elapsed| unavailable("the answer was taken but is not in force yet, look again"))?
}

fn whole(body: Result<Bytes, BytesRejection>) -> Result<Bytes, ApiError> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge { max: MAX_BODY_BYTES },
        _ => ApiError::BadBody {
            reason: rejection.body_text(),
        },
    })
}

fn parse(body: &Bytes) -> Result<(StepId, Option<Answer>), ApiError> {
    let request: OverrideBody = serde_json::from_slice(body).map_err(|error| ApiError::BadBody {
        reason: error.to_string(),
    })?;
    let step = StepId::from_name(&request.step).ok_or_else(|| {
        let names: Vec<&str> = StepId::ALL.iter().map(|step| step.name()).collect();
        ApiError::parameter("step", format!("{:?} is not one of {}", request.step, names.join(", ")))
    })?;
    let answer = match request.answer {
        None => None,
        Some(AnswerBody::Yes) => Some(Answer::Yes),
        Some(AnswerBody::No) => Some(Answer::No),
        Some(AnswerBody::Unknown) => {
            return Err(ApiError::parameter(
                "answer",
                "a person answers yes, no or null; unknown is the tool's word",
            ));
        }
    };
    Ok((step, answer))
}

fn body(view: &View, id: &TargetId) -> Result<Json<InvestigationBody>, ApiError> {
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
