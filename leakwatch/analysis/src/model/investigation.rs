//! The guided workflow: ordered questions, each answered by the tool, each of which a person may overrule.

use crate::model::profile::ProfileType;
use crate::model::reading::Missing;
use crate::model::units::Timestamp;
use crate::model::verdict::Evidence;
use crate::model::verdict::Verdict;

/// The steps, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StepId {
    /// Is the target's memory growing?
    Memory,
    /// Which part of it grows?
    Ledger,
    /// Is the number of goroutines growing?
    Goroutines,
    /// Is the live Go heap growing?
    LiveHeap,
    /// Does memory outside the Go heap grow?
    Native,
    /// Is there another explanation (limit, warm-up, neighbour)?
    Other,
    /// What is it?
    Conclusion,
}

impl StepId {
    /// All, in the order they are asked.
    pub const ALL: [Self; 7] = [
        Self::Memory,
        Self::Ledger,
        Self::Goroutines,
        Self::LiveHeap,
        Self::Native,
        Self::Other,
        Self::Conclusion,
    ];

    /// Name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Ledger => "ledger",
            Self::Goroutines => "goroutines",
            Self::LiveHeap => "live_heap",
            Self::Native => "native",
            Self::Other => "other",
            Self::Conclusion => "conclusion",
        }
    }

    /// From the wire name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.name() == name)
    }
}

/// An answer to a step's question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// Yes.
    Yes,
    /// No.
    No,
    /// The data does not tell.
    Unknown,
}

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AnsweredBy {
    /// The tool.
    Leakwatch,
    /// A person overruled it.
    User,
}

/// One answered question.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Which step.
    pub id: StepId,
    /// The question.
    pub question: String,
    /// The answer in force.
    pub answer: Answer,
    /// Whose answer it is.
    pub answered_by: AnsweredBy,
    /// Confidence of the tool in its answer, 0 to 1.
    pub confidence: f64,
    /// Why: a sentence with the numbers.
    pub why: String,
    /// How memory works in this runtime, as far as it matters for this question.
    pub explanation: String,
    /// The numbers.
    pub evidence: Vec<Evidence>,
    /// Metric names to draw.
    pub series: Vec<&'static str>,
    /// Profiles to compare: type, base and compare instants.
    pub diff: Option<(ProfileType, Timestamp, Timestamp)>,
    /// What could not be read.
    pub missing: Vec<(&'static str, Missing)>,
    /// Set when the question needs no answer.
    pub skipped_because: Option<String>,
}

/// The whole workflow for one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Investigation {
    /// When it was made.
    pub at: Timestamp,
    /// The verdict it leads to; answers of a person are already in it.
    pub verdict: Verdict,
    /// All steps in order.
    pub steps: Vec<Step>,
}
