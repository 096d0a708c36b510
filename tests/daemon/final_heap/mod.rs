//! Go services that are killed for their memory while the daemon watches: the post-mortem has their heap as it was at the end.
//! What that was, they said themselves before: the objects they hold by their own count, the buckets their own runtime counted,
//! and every piece of memory that they filled.

mod victim;
mod kills;

use crate::LEAKWATCH;
use leakwatch_test_support::daemon::Options;
use std::path::Path;

/// A daemon that watches one subtree, with the interval that is the default.
fn options(only: &str) -> Options<'_> {
    Options {
        executable: Path::new(LEAKWATCH),
        only,
        interval_seconds: 5,
        config: "",
        arguments: &[],
    }
}
