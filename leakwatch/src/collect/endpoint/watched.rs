//! A process whose endpoint is asked.

use crate::schedule::reading::Asked;
use crate::schedule::reading::Urgency;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;

/// A Go process to take profiles of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The target it belongs to.
    pub target: TargetId,
    /// The target's service, for rules.
    pub service: String,
    /// Which process.
    pub process: ProcessKey,
    /// Its executable, for rules.
    pub exe: Option<String>,
    /// Its Go version (`go1.27.3`).
    pub go_version: String,
    /// How often to take heap and goroutine profiles.
    pub urgency: Urgency,
    /// What its endpoint is asked for.
    pub asked: Asked,
    /// Ask the runtime which goroutines it can prove leaked, too.
    pub goroutine_leak: bool,
}
