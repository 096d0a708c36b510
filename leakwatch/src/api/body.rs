//! Bodies of requests: how large they may be, and what they say.

use crate::api::error::ApiError;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use serde::de::DeserializeOwned;

/// The largest request body: an answer of a person is some dozens of bytes.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

/// What a body says.
pub(crate) fn parsed<B: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<B, ApiError> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::TooLarge { max: MAX_BODY_BYTES },
        _ => ApiError::BadBody {
            reason: rejection.body_text(),
        },
    })?;
    serde_json::from_slice(&body).map_err(|error| ApiError::BadBody {
        reason: error.to_string(),
    })
}
