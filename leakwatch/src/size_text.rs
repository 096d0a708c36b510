//! Sizes and durations as people write them: `1GiB`, `5s`, `1h30m`. Shared by the configuration, the command line and
//! the time parameters of the API, so that all three accept and refuse the same texts.

use leakwatch_analysis::model::units::Bytes;
use std::time::Duration;

/// Why a text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// There is no number where one has to be.
    #[error("{text:?} does not start with a number")]
    NoNumber {
        /// As given.
        text: String,
    },
    /// A bare number.
    #[error("{text:?} has no unit, write one of {units}")]
    NoUnit {
        /// As given.
        text: String,
        /// What would be understood.
        units: &'static str,
    },
    /// A unit of something else, or an ambiguous one.
    #[error("{unit:?} in {text:?} is not a unit of {of}, use one of {units}")]
    UnknownUnit {
        /// As given.
        text: String,
        /// The unit.
        unit: String,
        /// `size` or `time`.
        of: &'static str,
        /// What would be understood.
        units: &'static str,
    },
    /// More than can be counted.
    #[error("{text:?} is too large")]
    TooLarge {
        /// As given.
        text: String,
    },
}

const SIZE_UNITS: &str = "B, KiB, MiB, GiB, TiB, kB, MB, GB, TB";
const TIME_UNITS: &str = "ms, s, m, h, d, w";

/// Parses a size: one decimal number with a binary (`KiB`) or decimal (`kB`) unit.
pub fn parse_size(text: &str) -> Result<Bytes, QuantityError> {
    let (number, unit, rest) = next_part(text.trim(), text)?;
    let factor: u64 = match unit {
        "" => {
            return Err(QuantityError::NoUnit {
                text: text.to_owned(),
                units: SIZE_UNITS,
            });
        }
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(unknown(text, unit, "size", SIZE_UNITS)),
    };
    if !rest.is_empty() {
        return Err(unknown(text, rest, "size", SIZE_UNITS));
    }
    number
        .times(factor)
        .map(Bytes)
        .ok_or_else(|| QuantityError::TooLarge { text: text.to_owned() })
}

/// Parses a duration: decimal numbers with units, largest first by custom but in any order, added up; in whole milliseconds.
pub fn parse_duration(text: &str) -> Result<Duration, QuantityError> {
    let too_large = || QuantityError::TooLarge { text: text.to_owned() };
    let mut rest = text.trim();
    let mut nanos: u64 = 0;
    loop {
        let (number, unit, after) = next_part(rest, text)?;
        let factor: u64 = match unit {
            "" => {
                return Err(QuantityError::NoUnit {
                    text: text.to_owned(),
                    units: TIME_UNITS,
                });
            }
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60 * 1_000_000_000,
            "h" => 3_600 * 1_000_000_000,
            "d" => 86_400 * 1_000_000_000,
            "w" => 7 * 86_400 * 1_000_000_000,
            _ => return Err(unknown(text, unit, "time", TIME_UNITS)),
        };
        let part = number.times(factor).ok_or_else(too_large)?;
        nanos = nanos.checked_add(part).ok_or_else(too_large)?;
        rest = after.trim_start();
        if rest.is_empty() {
            // Durations are written in whole milliseconds.
            return Ok(Duration::from_millis(nanos / 1_000_000));
        }
    }
}

/// A size in the largest unit that loses nothing.
pub fn format_size(bytes: Bytes) -> String {
    let units = [
        (1_u64 << 40, "TiB"),
        (1 << 30, "GiB"),
        (1 << 20, "MiB"),
        (1 << 10, "KiB"),
    ];
    units
        .into_iter()
        .find(|(factor, _)| bytes.0 != 0 && bytes.0.is_multiple_of(*factor))
        .map_or_else(
            || format!("{}B", bytes.0),
            |(factor, unit)| format!("{}{unit}", bytes.0 / factor),
        )
}

/// A duration in the largest unit that loses nothing down to a millisecond.
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    units
        .into_iter()
        .find(|(factor, _)| millis != 0 && millis.is_multiple_of(*factor))
        .map_or_else(
            || format!("{millis}ms"),
            |(factor, unit)| format!("{}{unit}", millis / factor),
        )
}

/// A decimal number kept exact: digits and how many of them are behind the point.
struct Decimal {
    digits: u128,
    scale: u32,
}

impl Decimal {
    fn times(&self, factor: u64) -> Option<u64> {
        let divisor = 10_u128.checked_pow(self.scale)?;
        let product = self.digits.checked_mul(u128::from(factor))?;
        u64::try_from(product / divisor).ok()
    }
}

/// Splits `12.5MiB rest` into number, unit and rest.
fn next_part<'a>(rest: &'a str, text: &str) -> Result<(Decimal, &'a str, &'a str), QuantityError> {
    let end = rest
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(rest.len());
    let (number, rest) = rest.split_at(end);
    let rest = rest.trim_start();
    let unit_end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let no_number = || QuantityError::NoNumber { text: text.to_owned() };
    if whole.is_empty() || fraction.contains('.') || number.ends_with('.') {
        return Err(no_number());
    }
    let too_large = |_error| QuantityError::TooLarge { text: text.to_owned() };
    // More than 18 decimal places cannot change a count of bytes or nanoseconds below 2^64, but would overflow.
    let fraction: String = fraction.chars().take(18).collect();
    let digits = format!("{whole}{fraction}").parse().map_err(too_large)?;
    let scale = u32::try_from(fraction.len()).unwrap_or(u32::MAX);
    Ok((Decimal { digits, scale }, unit, rest))
}

fn unknown(text: &str, unit: &str, of: &'static str, units: &'static str) -> QuantityError {
    QuantityError::UnknownUnit {
        text: text.to_owned(),
        unit: unit.to_owned(),
        of,
        units,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_exact() {
        for (text, bytes) in [
            ("1GiB", 1 << 30),
            ("512 MiB", 512 << 20),
            ("1.5KiB", 1536),
            ("64MB", 64_000_000),
            ("0B", 0),
            ("0.1GiB", 107_374_182),
        ] {
            assert_eq!(parse_size(text), Ok(Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn durations_add_up() {
        for (text, seconds) in [
            ("5s", 5.0),
            ("1h30m", 5400.0),
            ("250ms", 0.25),
            ("14d", 1_209_600.0),
            ("1.5h", 5400.0),
        ] {
            let parsed = parse_duration(text).unwrap().as_secs_f64();
            assert!((parsed - seconds).abs() < 1e-9, "{text} gives {parsed}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(matches!(parse_size("1024"), Err(QuantityError::NoUnit { .. })));
        assert!(matches!(parse_size("1G"), Err(QuantityError::UnknownUnit { unit, .. }) if unit == "G"));
        assert!(matches!(parse_size("5s"), Err(QuantityError::UnknownUnit { .. })));
        assert!(matches!(
            parse_size("1GiB 2MiB"),
            Err(QuantityError::UnknownUnit { .. })
        ));
        assert!(matches!(parse_size("GiB"), Err(QuantityError::NoNumber { .. })));
        assert!(matches!(parse_size("-1GiB"), Err(QuantityError::NoNumber { .. })));
        assert!(matches!(parse_size("1..5GiB"), Err(QuantityError::NoNumber { .. })));
        assert!(matches!(parse_size("99999999TiB"), Err(QuantityError::TooLarge { .. })));
        assert_eq!(parse_duration("1.4444444444m"), Ok(Duration::from_millis(86_666)));
        assert!(matches!(parse_duration(""), Err(QuantityError::NoNumber { .. })));
        assert!(matches!(parse_duration("5"), Err(QuantityError::NoUnit { .. })));
        assert!(matches!(
            parse_duration("5 parsecs"),
            Err(QuantityError::UnknownUnit { .. })
        ));
        assert!(matches!(parse_duration("1GiB"), Err(QuantityError::UnknownUnit { .. })));
        assert!(matches!(parse_duration("1h 30"), Err(QuantityError::NoUnit { .. })));
        assert!(matches!(
            parse_duration("400000000d"),
            Err(QuantityError::TooLarge { .. })
        ));
    }

    proptest! {
        #[test]
        fn printing_then_parsing_gives_the_same(bytes in any::<u64>(), millis in 0..10_u64.pow(12)) {
            prop_assert_eq!(parse_size(&format_size(Bytes(bytes))), Ok(Bytes(bytes)));
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text in "\\PC{0,40}") {
            let size = parse_size(&text);
            let duration = parse_duration(&text);
            // Units of size and time do not overlap, so no text is both.
            prop_assert!(size.is_err() || duration.is_err());
        }
    }
}
