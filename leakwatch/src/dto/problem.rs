//! Errors as `application/problem+json` (RFC 9457).

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: the status says what kind of problem it is.
    pub r#type: String,
    /// The status in words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What exactly is wrong and what would be right.
    pub detail: String,
    /// The parameter that is wrong, for 400.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub parameter: Option<String>,
}
