//! Instants on the wire: RFC 3339, UTC, with milliseconds.

use leakwatch_analysis::model::units::Timestamp;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use std::fmt;
use std::str::FromStr;
use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::KnownFormat;
use utoipa::openapi::ObjectBuilder;
use utoipa::openapi::RefOr;
use utoipa::openapi::Schema;
use utoipa::openapi::SchemaFormat;
use utoipa::openapi::schema::Type;

/// A [`Timestamp`] as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub Timestamp);

impl Instant {
    fn civil(self) -> jiff::Timestamp {
        // Years beyond 9999 have no RFC 3339 form; no clock of a host gets there.
        jiff::Timestamp::from_nanosecond(i128::from(self.0.unix_nanos())).unwrap_or(jiff::Timestamp::MAX)
    }
}

impl From<Timestamp> for Instant {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.civil())
    }
}

impl FromStr for Instant {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let civil: jiff::Timestamp = text.parse()?;
        let nanos = u64::try_from(civil.as_nanosecond()).unwrap_or(0);
        Ok(Self(Timestamp::from_unix_nanos(nanos)))
    }
}

impl Serialize for Instant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Instant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl PartialSchema for Instant {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("RFC 3339, UTC, with milliseconds"))
            .into()
    }
}

impl ToSchema for Instant {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_in_utc_with_milliseconds() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_790_000_000_123_999_999, "2026-09-21T14:13:20.123Z"),
        ] {
            assert_eq!(Instant(Timestamp::from_unix_nanos(nanos)).to_string(), text);
        }
        let parsed: Instant = "2026-09-21T16:13:20.5+02:00".parse().unwrap();
        assert_eq!(parsed.to_string(), "2026-09-21T14:13:20.500Z");
        assert!("yesterday".parse::<Instant>().is_err());
    }
}
