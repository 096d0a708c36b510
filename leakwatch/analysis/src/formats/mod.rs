//! A profile or a diff in the forms of other tools, as plain data: text where the format is text, structs where the
//! caller makes JSON of them. The flame graph is [`Diff::tree`](crate::diff::Diff::tree), the table
//! [`Diff::top`](crate::diff::Diff::top).

mod folded;
mod pprof;
mod speedscope;

pub use folded::folded;
pub use pprof::pprof;
pub use speedscope::Speedscope;
pub use speedscope::speedscope;
