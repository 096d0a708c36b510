//! Why a request is not answered, and how that is said: always `application/problem+json`, never a 500 for anything a
//! client sent.

use crate::dto::problem::Problem;
use crate::query::lookup::LookupError;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header;
use axum::response::IntoResponse;
use axum::response::Response;

/// A request that is not answered as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// A parameter cannot be understood.
    #[error("parameter `{name}`: {reason}")]
    BadParameter {
        /// Its name.
        name: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// The request body cannot be understood.
    #[error("request body: {reason}")]
    BadBody {
        /// What is wrong with it.
        reason: String,
    },
    /// The request itself is broken.
    #[error("{reason}")]
    BadRequest {
        /// What is wrong with it.
        reason: String,
    },
    /// No token, or a wrong one.
    #[error("a token is needed: `Authorization: Bearer TOKEN`, or HTTP Basic with the token as the password")]
    Unauthorized,
    /// The `Host` or `Origin` is not ours: a web page that tries DNS rebinding, or a name nobody configured.
    #[error("{header} `{value}` is not allowed: use an IP address or localhost, or add the name to `api.hosts`")]
    Forbidden {
        /// Which header.
        header: &'static str,
        /// Its value.
        value: String,
    },
    /// Nothing has that id.
    #[error("no {what} `{id}`")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// As asked.
        id: String,
    },
    /// The method is not for this route.
    #[error("this route does not take that method")]
    MethodNotAllowed,
    /// Not possible now.
    #[error("{reason}")]
    Conflict {
        /// Why, and what to do instead.
        reason: String,
    },
    /// The request body is larger than anything that makes sense.
    #[error("the request body has more than {max} bytes")]
    TooLarge {
        /// The bound.
        max: usize,
    },
    /// The daemon answers as many requests as it may.
    #[error("too many requests at once, try again in {retry_after_seconds} s")]
    TooMany {
        /// When to come back.
        retry_after_seconds: u32,
    },
    /// It takes longer than a client should wait.
    #[error("{reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
}

impl ApiError {
    /// A parameter that cannot be understood.
    pub(crate) fn parameter(name: &str, reason: impl Into<String>) -> Self {
        Self::BadParameter {
            name: name.to_owned(),
            reason: reason.into(),
        }
    }

    /// Nothing has that id.
    pub(crate) fn not_found(what: &'static str, id: &str) -> Self {
        Self::NotFound {
            what,
            id: id.to_owned(),
        }
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::BadParameter { .. } | Self::BadBody { .. } | Self::BadRequest { .. } => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden { .. } => StatusCode::FORBIDDEN,
            Self::NotFound { .. } => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict { .. } => StatusCode::CONFLICT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn problem(&self) -> Problem {
        let status = self.status();
        Problem {
            r#type: "about:blank".to_owned(),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16(),
            detail: self.to_string(),
            parameter: match self {
                Self::BadParameter { name, .. } => Some(name.clone()),
                _ => None,
            },
        }
    }
}

impl From<LookupError> for ApiError {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::Unknown { text } => Self::not_found("target", &text),
            LookupError::Ambiguous { .. } => Self::Conflict {
                reason: error.to_string(),
            },
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status(), axum::Json(self.problem())).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        match self {
            Self::Unauthorized => {
                for challenge in ["Bearer", "Basic realm=\"leakwatch\", charset=\"UTF-8\""] {
                    headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
                }
            }
            Self::TooMany { retry_after_seconds } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after_seconds));
            }
            Self::Unavailable { .. } => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(1));
            }
            _ => {}
        }
        response
    }
}
