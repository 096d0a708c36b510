//! Units as types: constructors are named after the unit at the source, so that no number changes its meaning silently.

use std::fmt;
use std::time::Duration;

/// An amount of memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Bytes {
    /// From KiB, the unit of `/proc/PID/status` and of the `oom:mark_victim` tracepoint ("kB" there means KiB).
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib.saturating_mul(1024))
    }

    /// From pages of `page_size` bytes, the unit of `/proc/PID/statm`.
    pub const fn from_pages(pages: u64, page_size: u64) -> Self {
        Self(pages.saturating_mul(page_size))
    }

    /// From MiB; for constants and tests.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib.saturating_mul(1024 * 1024))
    }

    /// As a float, for statistics. Exact below 2^53 bytes (8 PiB).
    #[expect(
        clippy::cast_precision_loss,
        reason = "statistics tolerate the rounding, which starts at 8 PiB"
    )]
    pub const fn as_f64(self) -> f64 {
        self.0 as f64
    }

    /// Difference, never below zero.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Sum, never wrapping.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Bytes {
    /// Binary units with one decimal: `512 B`, `1.5 KiB`, `64.0 MiB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        if self.0 < 1024 {
            return write!(f, "{} B", self.0);
        }
        let mut value = self.as_f64() / 1024.0;
        let mut unit = 0;
        while value >= 1023.95 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        write!(f, "{value:.1} {}", UNITS.get(unit).copied().unwrap_or("EiB"))
    }
}

/// An instant: nanoseconds since the Unix epoch, taken from the boot clock plus an offset fixed when the daemon starts.
/// It therefore never goes backwards while the daemon runs and shares its axis with the kernel's own timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From nanoseconds since the Unix epoch.
    pub const fn from_unix_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// From whole seconds since the Unix epoch.
    pub const fn from_unix_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the Unix epoch.
    pub const fn unix_nanos(self) -> u64 {
        self.0
    }

    /// Milliseconds since the Unix epoch, rounded down.
    pub const fn unix_millis(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Time passed since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Seconds from `origin` to this instant, negative if it is before. For regressions.
    pub fn seconds_from(self, origin: Self) -> f64 {
        if self >= origin {
            self.since(origin).as_secs_f64()
        } else {
            -origin.since(self).as_secs_f64()
        }
    }

    /// This instant moved into the future.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }

    /// This instant moved into the past.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_print_in_binary_units() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1024 * 1024 - 1, "1.0 MiB"),
            (64 << 20, "64.0 MiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }

    #[test]
    fn a_timestamp_never_wraps() {
        let origin = Timestamp::from_unix_seconds(10);
        assert!((Timestamp::from_unix_seconds(4).seconds_from(origin) + 6.0).abs() < 1e-9);
        assert_eq!(origin.since(Timestamp::from_unix_seconds(20)), Duration::ZERO);
        assert_eq!(origin.minus(Duration::from_secs(11)), Timestamp::from_unix_nanos(0));
    }
}
