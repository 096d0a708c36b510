//! A value that was read, or why there is none. A value that could not be read is [`Missing`] with a reason, never zero.

/// Why a value is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MissingReason {
    /// The kernel, the cgroup version or the program does not offer it.
    Unsupported,
    /// The daemon may not read it.
    NotPermitted,
    /// The cgroup or process vanished.
    Gone,
    /// Nothing was configured to collect it.
    NotConfigured,
    /// It was read but does not have the documented form.
    Malformed,
    /// It did not arrive in time.
    Timeout,
    /// It was larger than the bound.
    TooLarge,
    /// It will be there later.
    NotYet,
    /// Reading failed in another way.
    Failed,
}

/// An absent value: the reason, what exactly happened and what a user can do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Machine-readable reason.
    pub reason: MissingReason,
    /// What happened, with the path or address: lowercase, no full stop.
    pub detail: String,
    /// What to do about it, if anything.
    pub fix: Option<String>,
}

impl Missing {
    /// A missing value with nothing the user could do.
    pub fn new(reason: MissingReason, detail: impl Into<String>) -> Self {
        Self {
            reason,
            detail: detail.into(),
            fix: None,
        }
    }

    /// The same with advice.
    #[must_use]
    pub fn with_fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// A value, or why there is none.
pub type Reading<T> = Result<T, Missing>;
