//! Detectors: each looks at the same facts and either claims its class with a confidence, or says why it is not that.
//! `judge` picks one. Every threshold is explained in docs/detectors.md.

pub mod facts;
pub mod charge;
pub mod outside;
pub mod need;
pub mod go_heap_leak;
pub mod goroutine_leak;
mod kept;
pub mod native_leak;
pub mod mapping_leak;
pub mod native_growth;
pub mod undersized_limit;
pub mod warm_up;
pub mod stable;
pub mod not_enough_data;
pub mod judge;

use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use crate::model::verdict::Culprit;
use crate::model::verdict::Evidence;
use crate::model::verdict::VerdictClass;

/// What a detector claims.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// The class.
    pub class: VerdictClass,
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

/// A claim, or why there is none.
pub type Opinion = Result<Claim, String>;
