//! What a detector answers: a finding with its evidence, or why there is none.

use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use crate::model::verdict::Culprit;
use crate::model::verdict::Evidence;

/// What one detector found, which is of its class.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// 0 to 1.
    pub confidence: f64,
    /// One sentence a person can act on.
    pub summary: String,
    /// Since when.
    pub since: Timestamp,
    /// The code responsible.
    pub culprit: Option<Culprit>,
    /// Numbers for it.
    pub evidence: Vec<Evidence>,
    /// What to do.
    pub advice: Vec<String>,
    /// A limit that would fit.
    pub recommended_limit: Option<Bytes>,
    /// What would change the answer.
    pub would_change_our_mind: Vec<String>,
}

/// A finding, or why it is not that class.
pub type Examination = Result<Finding, String>;
