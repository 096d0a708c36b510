//! Server-sent events: what happened, and which targets changed, looked up once a second.

use crate::api::context::Context;
use crate::api::error::ApiError;
use crate::api::parameter::Parameters;
use crate::dto::event::EventBody;
use crate::dto::problem::Problem;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::response::sse;
use axum::response::sse::KeepAlive;
use axum::response::sse::Sse;
use futures_util::stream;
use leakwatch_analysis::model::units::Timestamp;
use serde_json::json;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Interval;
use tokio::time::interval;

const PERIOD: Duration = Duration::from_secs(1);

/// Events as they happen (`event: event`), and targets with new samples or verdicts (`event: targets`).
#[utoipa::path(
    get,
    path = "/api/v1/stream",
    tag = "events",
    responses(
        (status = 200, description = "the answer", body = String, content_type = "text/event-stream"),
        (status = 400, description = "a parameter is wrong", body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "too many streams", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn stream(State(context): State<Context>, parameters: Parameters) -> Result<Response, ApiError> {
    parameters.allow(&[])?;
    let too_many = |_error| ApiError::TooMany {
        retry_after_seconds: 10,
    };
    let permit = context.streams().try_acquire_owned().map_err(too_many)?;
    let (seen_event, seen_at) = {
        let view = context.view();
        (view.events().next_back().map_or(0, |event| event.id), view.now())
    };
    let watcher = Watcher {
        context,
        _permit: permit,
        ticks: interval(PERIOD),
        seen_event,
        seen_at,
        waiting: VecDeque::new(),
    };
    let messages = stream::unfold(watcher, |mut watcher| async move {
        let message = watcher.next().await;
        Some((Ok::<_, Infallible>(message), watcher))
    });
    Ok(Sse::new(messages).keep_alive(KeepAlive::default()).into_response())
}

/// What one client has seen.
struct Watcher {
    context: Context,
    _permit: OwnedSemaphorePermit,
    ticks: Interval,
    seen_event: u64,
    seen_at: Timestamp,
    /// At most one look at the store: the events since the last one and one list of targets.
    waiting: VecDeque<sse::Event>,
}

impl Watcher {
    async fn next(&mut self) -> sse::Event {
        loop {
            if let Some(message) = self.waiting.pop_front() {
                return message;
            }
            self.ticks.tick().await;
            self.look();
        }
    }

    fn look(&mut self) {
        let view = self.context.view();
        let new = view.events().rev().take_while(|event| event.id > self.seen_event);
        let new: Vec<EventBody> = new.map(EventBody::from).collect();
        for event in new.iter().rev() {
            if let Ok(message) = sse::Event::default().event("event").id(&event.id).json_data(event) {
                self.waiting.push_back(message);
            }
        }
        let changed: Vec<String> = view
            .targets()
            .filter(|(_, stored)| {
                let judged = stored.investigation.as_ref().map(|made| made.at);
                stored.history.newest_at > self.seen_at || judged.is_some_and(|at| at > self.seen_at)
            })
            .map(|(id, _)| id.to_string())
            .collect();
        if !changed.is_empty()
            && let Ok(message) = sse::Event::default()
                .event("targets")
                .json_data(json!({ "changed": changed }))
        {
            self.waiting.push_back(message);
        }
        self.seen_event = view.events().next_back().map_or(self.seen_event, |event| event.id);
        self.seen_at = view.now();
    }
}
