//! Captures on request: start, look, stop.

use crate::api::body;
use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::parameter::Parameters;
use crate::api::segment::Segments;
use crate::capture::Capture;
use crate::capture::CaptureError;
use crate::capture::CaptureRequest;
use crate::capture::lanes::Lane;
use crate::config::CpuBudget;
use crate::dto::capture::CaptureBody;
use crate::dto::capture::CaptureRequestBody;
use crate::dto::capture::DetachBody;
use crate::dto::problem::Problem;
use crate::query::lookup;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use std::time::Duration;

pub(crate) const MAX_SECONDS: u64 = 3_600;
/// No capture may cost a process more of its processor time, whoever asks.
pub(crate) const MAX_CPU_PERCENT: f64 = CpuBudget::MAX_PERCENT;
pub(crate) const MAX_SAMPLE_BYTES: u64 = 1 << 30;

/// Captures the allocator's calls, or what makes memory resident, of the target's largest process for a while. The profile is there, and grows, while it runs.
#[utoipa::path(
    post,
    path = "/api/v1/targets/{id}/captures",
    tag = "captures",
    params(("id" = String, Path, description = "id, container id prefix, unit name, cgroup path or pid")),
    request_body = CaptureRequestBody,
    responses(
        (status = 202, description = "it starts", body = CaptureBody),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "not possible now"),
        (status = 503, description = "starting or ending", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn start_capture(
    State(context): State<Context>,
    Segments(id): Segments<String>,
    parameters: Parameters,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<CaptureBody>), ApiError> {
    parameters.allow(&[])?;
    let asked: CaptureRequestBody = body::parsed(body)?;
    let request = request(&context, &id, &asked)?;
    if context.config().native.observe_only {
        return Err(ApiError::Conflict {
            reason: "no probes are put on programs here: native.observe_only is set".to_owned(),
        });
    }
    let capture = context.captures.start(request).map_err(|error| match error {
        CaptureError::AlreadyRunning { .. }
        | CaptureError::TooMany
        | CaptureError::SwitchedOff
        | CaptureError::Detached => ApiError::Conflict {
            reason: error.to_string(),
        },
        CaptureError::Thread(_) => ApiError::Unavailable {
            reason: error.to_string(),
        },
    })?;
    Ok((StatusCode::ACCEPTED, Json(CaptureBody::from(&capture))))
}

fn request(context: &Context, id: &str, asked: &CaptureRequestBody) -> Result<CaptureRequest, ApiError> {
    let lane = Lane::from_name(&asked.lane)
        .ok_or_else(|| ApiError::parameter("lane", format!("{:?} is not native, growth or usdt", asked.lane)))?;
    if asked.seconds == 0 || asked.seconds > MAX_SECONDS {
        return Err(ApiError::parameter("seconds", format!("is not 1 to {MAX_SECONDS}")));
    }
    if asked.sample_bytes == 0 || asked.sample_bytes > MAX_SAMPLE_BYTES {
        return Err(ApiError::parameter(
            "sample_bytes",
            format!("is not 1 to {MAX_SAMPLE_BYTES}"),
        ));
    }
    let percent = asked
        .cpu_budget_percent
        .unwrap_or(context.config().native.cpu_budget.percent);
    if !(percent > 0.0 && percent <= MAX_CPU_PERCENT) {
        return Err(ApiError::parameter(
            "cpu_budget_percent",
            format!("is not above 0 and at most {MAX_CPU_PERCENT}"),
        ));
    }
    let view = context.view();
    let (target, stored) = lookup::target(&view, id)?;
    let record = stored.history.living().max_by_key(|record| {
        let rss = record.memory.as_ref().map_or(0, |memory| memory.rss.0);
        (id.parse() == Ok(record.process.key.pid), rss, record.process.key)
    });
    let record = record.ok_or_else(|| ApiError::Conflict {
        reason: format!("target `{target}` has no living process"),
    })?;
    Ok(CaptureRequest {
        lane,
        target: target.clone(),
        process: record.process.key,
        exe: record.process.exe.clone().unwrap_or_default(),
        duration: Duration::from_secs(asked.seconds),
        sample_bytes: asked.sample_bytes,
        cpu_budget: CpuBudget {
            percent,
            ..context.config().native.cpu_budget
        },
        automatic: false,
        low_duty: false,
    })
}

/// Takes every probe off every program at once, and puts none on until that is undone, by nobody: neither the daemon itself nor a person.
#[utoipa::path(
    post,
    path = "/api/v1/detach",
    tag = "captures",
    responses((status = 200, description = "no program has a probe on it any more, or loses it now", body = DetachBody))
)]
pub(crate) async fn detach(
    State(context): State<Context>,
    parameters: Parameters,
) -> Result<Json<DetachBody>, ApiError> {
    parameters.allow(&[])?;
    let stopped = context.captures.detach();
    tracing::info!(stopped, "all probes are taken off, and none are put on any more");
    Ok(Json(DetachBody {
        detached: true,
        stopped,
    }))
}

/// Allows captures again.
#[utoipa::path(
    delete,
    path = "/api/v1/detach",
    tag = "captures",
    responses((status = 200, description = "captures are allowed", body = DetachBody))
)]
pub(crate) async fn undo_detach(
    State(context): State<Context>,
    parameters: Parameters,
) -> Result<Json<DetachBody>, ApiError> {
    parameters.allow(&[])?;
    context.captures.attach_again();
    tracing::info!("captures are allowed again");
    Ok(Json(DetachBody {
        detached: false,
        stopped: 0,
    }))
}

/// How far a capture is, what it costs and what it lost.
#[utoipa::path(
    get,
    operation_id = "get_capture",
    path = "/api/v1/captures/{id}",
    tag = "captures",
    params(("id" = String, Path, description = "id of the capture")),
    responses(
        (status = 200, description = "the answer", body = CaptureBody),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn capture(
    State(context): State<Context>,
    Segments(id): Segments<String>,
) -> Result<Json<CaptureBody>, ApiError> {
    answer(context.captures.get(&id), &id)
}

/// Ends a capture; what it has seen stays.
#[utoipa::path(
    delete,
    path = "/api/v1/captures/{id}",
    tag = "captures",
    params(("id" = String, Path, description = "id of the capture")),
    responses(
        (status = 200, description = "it ends, if it has not", body = CaptureBody),
        (status = 404, description = "nothing has that id", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn stop_capture(
    State(context): State<Context>,
    Segments(id): Segments<String>,
) -> Result<Json<CaptureBody>, ApiError> {
    answer(context.captures.stop(&id), &id)
}

fn answer(capture: Option<Capture>, id: &str) -> Result<Json<CaptureBody>, ApiError> {
    let capture = capture.ok_or_else(|| ApiError::not_found("capture", id))?;
    Ok(Json(CaptureBody::from(&capture)))
}
