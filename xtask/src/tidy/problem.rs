//! A place that breaks a rule.

/// One place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) rule: &'static str,
    pub(super) path: String,
    pub(super) text: String,
}

impl Problem {
    pub(super) fn new(rule: &'static str, path: &str, text: impl Into<String>) -> Self {
        Self {
            rule,
            path: path.to_owned(),
            text: text.into(),
        }
    }
}
