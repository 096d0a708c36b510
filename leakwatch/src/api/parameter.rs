//! Query parameters: taken apart once, refused by name.

use crate::api::error::ApiError;
use crate::dto::instant::Instant;
use crate::size_text::parse_duration;
use axum::extract::FromRequestParts;
use axum::extract::Query;
use axum::http::request::Parts;
use leakwatch_analysis::model::units::Timestamp;
use std::str::FromStr;
use std::time::Duration;

/// The query of a request.
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        query
            .map(|Query(pairs)| Self(pairs))
            .map_err(|rejection| ApiError::BadRequest {
                reason: rejection.to_string(),
            })
    }
}

impl Parameters {
    /// Refuses parameters that the route does not know, and those given twice.
    pub(crate) fn allow(&self, known: &[&str]) -> Result<(), ApiError> {
        for (index, (name, value)) in self.0.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                let reason = if known.is_empty() {
                    "this route takes no parameters".to_owned()
                } else {
                    format!("unknown, this route takes {}", known.join(", "))
                };
                return Err(ApiError::parameter(name, reason));
            }
            if value.is_empty() {
                return Err(ApiError::parameter(name, "has no value: leave it out"));
            }
            if self.0.iter().skip(index + 1).any(|(other, _)| other == name) {
                return Err(ApiError::parameter(name, "given more than once"));
            }
        }
        Ok(())
    }

    /// The text of a parameter, unless it is absent or empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
            .filter(|text| !text.is_empty())
    }

    /// A parameter that is one of a list of names.
    pub(crate) fn one_of<T: Copy>(
        &self,
        name: &str,
        values: impl IntoIterator<Item = (&'static str, T)>,
    ) -> Result<Option<T>, ApiError> {
        self.text(name).map(|text| choose(name, text, values)).transpose()
    }

    /// A whole number within bounds.
    pub(crate) fn integer(
        &self,
        name: &str,
        bounds: std::ops::RangeInclusive<usize>,
    ) -> Result<Option<usize>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let (low, high) = (bounds.start(), bounds.end());
        match usize::from_str(text) {
            Ok(number) if bounds.contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::parameter(
                name,
                format!("{text:?} is not a whole number from {low} to {high}"),
            )),
        }
    }

    /// An instant: RFC 3339, unix seconds, `now`, or relative to now.
    pub(crate) fn instant(&self, name: &str, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
        self.text(name)
            .map(|text| {
                parse_instant(text, now).ok_or_else(|| {
                    let examples = "2026-01-31T12:00:00Z, 1769860800, -30m or now";
                    ApiError::parameter(name, format!("{text:?} is not an instant, write one like {examples}"))
                })
            })
            .transpose()
    }

    /// A length of time: with a unit, or in seconds.
    pub(crate) fn duration(&self, name: &str) -> Result<Option<Duration>, ApiError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let seconds = text.parse::<f64>().ok().map(Duration::try_from_secs_f64);
        let parsed = match seconds {
            Some(Ok(duration)) => Ok(duration),
            Some(Err(error)) => Err(error.to_string()),
            None => parse_duration(text).map_err(|error| error.to_string()),
        };
        parsed.map(Some).map_err(|reason| ApiError::parameter(name, reason))
    }
}

/// The value of that name.
pub(crate) fn choose<T: Copy>(
    parameter: &str,
    text: &str,
    values: impl IntoIterator<Item = (&'static str, T)>,
) -> Result<T, ApiError> {
    let values: Vec<(&'static str, T)> = values.into_iter().collect();
    values
        .iter()
        .find(|(name, _)| *name == text)
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
            ApiError::parameter(parameter, format!("{text:?} is not one of {}", names.join(", ")))
        })
}

/// Parses an instant.
pub(crate) fn parse_instant(text: &str, now: Timestamp) -> Option<Timestamp> {
    if text == "now" {
        return Some(now);
    }
    if let Some(ago) = text.strip_prefix('-') {
        return parse_duration(ago).ok().map(|ago| now.minus(ago));
    }
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        // Unix seconds: the duration parser counts fractions exactly.
        let since_epoch = parse_duration(&format!("{text}s")).ok()?;
        return Some(Timestamp::from_unix_nanos(0).plus(since_epoch));
    }
    text.parse::<Instant>().ok().map(|instant| instant.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_790_000_000);

    #[test]
    fn all_forms_of_an_instant() {
        for (text, seconds) in [
            ("now", 1_790_000_000),
            ("-30m", 1_790_000_000 - 1800),
            ("-2h", 1_790_000_000 - 7200),
            ("1790000000", 1_790_000_000),
            ("2026-09-21T14:13:20Z", 1_790_000_000),
            ("2026-09-21T16:13:20+02:00", 1_790_000_000),
        ] {
            assert_eq!(
                parse_instant(text, NOW),
                Some(Timestamp::from_unix_seconds(seconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "-",
            "yesterday",
            "-30",
            "30m",
            "+30m",
            "2026-09-21",
            "1e9",
            "NaN",
            "99999999999999999999",
        ] {
            assert_eq!(parse_instant(text, NOW), None, "{text}");
        }
    }

    #[test]
    fn durations_in_seconds_or_with_a_unit() {
        let given = |text: &str| {
            Parameters(vec![("step".to_owned(), text.to_owned())])
                .duration("step")
                .ok()
                .flatten()
        };
        assert_eq!(given("15"), Some(Duration::from_secs(15)));
        assert_eq!(given("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(given("1m30s"), Some(Duration::from_secs(90)));
        for text in ["-1", "NaN", "inf", "1GiB", "1e300"] {
            assert_eq!(given(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_instant_survives_the_wire(nanos in 0..4_000_000_000_000_000_000_u64) {
            let at = Timestamp::from_unix_nanos(nanos);
            let parsed = parse_instant(&Instant(at).to_string(), NOW);
            prop_assert_eq!(parsed.map(Timestamp::unix_millis), Some(at.unix_millis()));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _parsed = parse_instant(&text, NOW);
            let _duration = Parameters(vec![("step".to_owned(), text)]).duration("step");
        }
    }
}
