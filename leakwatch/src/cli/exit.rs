//! Exit codes, for scripts.

use std::process::ExitCode;

/// How a command ended. Errors are 1, wrong usage is 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0
    Fine,
    /// 1: the command worked, what it looked at does not
    Failed,
    /// 3: a leak was found
    LeakFound,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::Failed => 1,
            Exit::LeakFound => 3,
        })
    }
}

/// Whether a person has to fix code.
pub(crate) fn is_leak(class: &str) -> bool {
    class.ends_with("_leak")
}
