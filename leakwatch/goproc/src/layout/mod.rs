//! Where the fields of the runtime's structures are, by minor release of Go: what moved between them.
//!
//! The table comes from the debug information of each release (`cargo xtask goproc-layouts`). It is an expectation, not
//! the truth: memory must confirm it at every attach, and what memory contradicts is refused.

mod goroutine;
mod record;
mod gc;
mod waiting;
mod release;
mod table;

pub use gc::GcControllerLayout;
pub use gc::MemstatsLayout;
pub use goroutine::GoroutineLayout;
pub use record::RecordFormat;
pub use release::Layout;
pub use waiting::WaitingLayout;

pub(crate) use goroutine::STACK_HIGH;
pub(crate) use goroutine::STACK_LOW;

impl Layout {
    /// The layout of a minor release; `None` for one that the table does not have.
    pub fn of(minor: u32) -> Option<&'static Self> {
        table::TABLE.iter().find(|layout| layout.minor == minor)
    }

    /// All known layouts, oldest first.
    pub fn all() -> &'static [Self] {
        table::TABLE
    }
}

/// The minor release in a version as the linker records it: `go1.27.3`, `go1.27rc1`, `go1.24.11 X:nocoverageredesign`,
/// `devel go1.28-0123abcd Thu ...`, or with the suffix of a distribution. `None` where it does not say.
pub fn minor_release(version: &str) -> Option<u32> {
    let version = version.strip_prefix("devel ").unwrap_or(version);
    let rest = version.strip_prefix("go1.")?;
    let digits = rest.split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_tell_their_minor_release() {
        let cases = [
            ("go1.27.3", Some(27)),
            ("go1.27", Some(27)),
            ("go1.27rc1", Some(27)),
            ("go1.24.11 X:nocoverageredesign", Some(24)),
            ("devel go1.28-0123abcd Thu Nov 12 10:00:00 2026 +0000", Some(28)),
            ("go1.19.8-debian", Some(19)),
            ("devel +0123abcd", None),
            ("go2.1", None),
            ("go1.", None),
            ("go1.99999999999", None),
            ("", None),
        ];
        for (version, minor) in cases {
            assert_eq!(minor_release(version), minor, "{version}");
        }
    }

    #[test]
    fn the_table_is_in_order_and_without_gaps() {
        let minors: Vec<_> = Layout::all().iter().map(|layout| layout.minor).collect();
        assert_eq!(minors, (19..=27).collect::<Vec<_>>());
        assert_eq!(Layout::of(18), None);
        assert_eq!(Layout::of(28), None);
    }
}
