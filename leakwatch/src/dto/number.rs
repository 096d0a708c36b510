//! Numbers on the wire: counts are integers, and nothing that JSON cannot express gets there.

use serde::Deserialize;
use serde::Serialize;
use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::ObjectBuilder;
use utoipa::openapi::RefOr;
use utoipa::openapi::Schema;
use utoipa::openapi::schema::Type;

/// A number whose unit decides whether it is whole.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Number {
    /// Bytes, goroutines, kills.
    Integer(i64),
    /// Rates, ratios, seconds.
    Float(f64),
}

impl Number {
    /// As the unit demands; `None` for NaN and infinities.
    pub fn with_unit(value: f64, unit: &str) -> Option<Self> {
        match unit {
            "bytes" | "goroutines" | "kills" | "count" => integer(value).map(Self::Integer),
            _ => finite(value).map(Self::Float),
        }
    }

    /// For display.
    #[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
    pub const fn as_f64(self) -> f64 {
        match self {
            Self::Integer(value) => value as f64,
            Self::Float(value) => value,
        }
    }
}

impl PartialSchema for Number {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::Number)
            .description(Some("whole for bytes, goroutines and kills"))
            .into()
    }
}

impl ToSchema for Number {}

/// The number unless it is NaN or infinite.
pub fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// The nearest integer unless the number is NaN or infinite.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, which is what is wanted"
)]
pub fn integer(value: f64) -> Option<i64> {
    finite(value).map(|value| value.round() as i64)
}
