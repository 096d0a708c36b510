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

/// `function (file:line)`, as much of it as is known, as people write it. An address that has no name says where its code is.
pub(crate) fn call_site(frame: &crate::model::stack::Frame) -> String {
    let file = frame.file.rsplit('/').next().unwrap_or("");
    let function = crate::short_name::of(&frame.function);
    match (file, frame.line) {
        ("", _) if has_no_name(frame) => format!("{function} (in no file that is known)"),
        (file, 0) if has_no_name(frame) => format!("{function} ({file} has no name for it)"),
        ("", _) => function.into_owned(),
        (file, 0) => format!("{function} ({file})"),
        (file, line) => format!("{function} ({file}:{line})"),
    }
}

/// Whether nothing tells what the code is called: then it is known by its address.
pub(crate) fn has_no_name(frame: &crate::model::stack::Frame) -> bool {
    frame.line == 0 && frame.function.starts_with("0x")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::stack::Frame;

    #[test]
    fn a_call_site_is_named_as_people_do_or_says_why_it_has_no_name() {
        for (function, file, line, told) in [
            ("main.keep", "/src/main.go", 14, "main.keep (main.go:14)"),
            ("remember", "/usr/lib/libshop.so.1", 0, "remember (libshop.so.1)"),
            ("main.keep", "", 0, "main.keep"),
            (
                "0x4a10",
                "/usr/lib/libshop.so.1",
                0,
                "0x4a10 (libshop.so.1 has no name for it)",
            ),
            ("0x7f0012", "", 0, "0x7f0012 (in no file that is known)"),
            (
                "put(std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> > const&)",
                "/src/cache.cc",
                7,
                "put(std::string const&) (cache.cc:7)",
            ),
        ] {
            let frame = Frame {
                function: function.into(),
                file: file.into(),
                line,
            };
            assert_eq!(call_site(&frame), told);
        }
    }
}
