//! Numbers as a person reads them. Must not decide anything.

use crate::model::units::Bytes;

/// Bytes from a float; negative amounts keep their sign.
pub(crate) fn bytes(value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast of a float saturates"
    )]
    let magnitude = Bytes(value.abs() as u64);
    if value < 0.0 {
        format!("-{magnitude}")
    } else {
        magnitude.to_string()
    }
}

/// `40.6 MiB -> 114.1 MiB (+73.5 MiB)`.
pub(crate) fn change(before: f64, after: f64, amount: impl Fn(f64) -> String) -> String {
    let sign = if after < before { "" } else { "+" };
    format!(
        "{} -> {} ({sign}{})",
        amount(before),
        amount(after),
        amount(after - before)
    )
}

/// A number of things.
pub(crate) fn count(value: f64) -> String {
    format!("{value:.0}")
}

/// A rate of bytes.
pub(crate) fn rate(bytes_per_second: f64) -> String {
    format!("{}/s", bytes(bytes_per_second))
}

/// A duration in the largest unit that keeps two digits.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "never".to_owned();
    }
    if seconds < 120.0 {
        format!("{seconds:.0} s")
    } else if seconds < 7200.0 {
        format!("{:.0} min", seconds / 60.0)
    } else if seconds < 172_800.0 {
        format!("{:.1} h", seconds / 3600.0)
    } else {
        format!("{:.1} days", seconds / 86_400.0)
    }
}

/// `once`, `twice`, `3 times`.
pub(crate) fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        _ => format!("{count} times"),
    }
}

/// A share as a percentage.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// `function (file:line)`, as much of it as is known.
pub(crate) fn call_site(frame: &crate::model::stack::Frame) -> String {
    let file = frame.file.rsplit('/').next().unwrap_or("");
    match (file, frame.line) {
        ("", _) => frame.function.to_string(),
        (file, 0) => format!("{} ({file})", frame.function),
        (file, line) => format!("{} ({file}:{line})", frame.function),
    }
}
