//! The one answer for a target, and what it rests on.

use crate::model::profile::ProfileType;
use crate::model::reading::Missing;
use crate::model::stack::Frame;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use std::fmt;

/// What is going on with a target's memory. Each class is declared by its detector; `detect::table` lists all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerdictClass {
    name: &'static str,
    is_leak: bool,
    is_open: bool,
}

impl VerdictClass {
    /// A class for which a person has to fix code: a claim.
    pub const fn leak(name: &'static str) -> Self {
        Self {
            name,
            is_leak: true,
            is_open: false,
        }
    }

    /// A class beside which memory may grow for a reason that is not found yet.
    pub const fn open(name: &'static str) -> Self {
        Self {
            name,
            is_leak: false,
            is_open: true,
        }
    }

    /// Any other class.
    pub const fn other(name: &'static str) -> Self {
        Self {
            name,
            is_leak: false,
            is_open: false,
        }
    }

    /// Name on the wire.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The name as words of a sentence.
    pub fn words(self) -> String {
        let words = self.name.replace('_', " ");
        words
            .strip_prefix("go ")
            .map_or(words.clone(), |rest| format!("Go {rest}"))
    }

    /// Whether a person has to fix code (exit code 3 of `investigate` and `replay`).
    pub const fn is_leak(self) -> bool {
        self.is_leak
    }

    /// Whether growth may have a reason that is not found yet, which a capture may show.
    pub const fn is_open(self) -> bool {
        self.is_open
    }
}

impl fmt::Debug for VerdictClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A number with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Best guess.
    pub estimate: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// Quantiles of the predicted time until the limit is reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TimeToLimit {
    /// 10 % of futures are shorter; seconds.
    pub p10_seconds: f64,
    /// Median; seconds.
    pub p50_seconds: f64,
    /// 90 % of futures are shorter; seconds. Infinite when growth may stop.
    pub p90_seconds: f64,
}

/// The chance that the limit is reached within some hours, whatever the cause.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LimitProbability {
    /// Within an hour.
    pub hour: f64,
    /// Within six hours.
    pub six_hours: f64,
    /// Within a day.
    pub day: f64,
}

/// What will decide whether growth ends by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deciding {
    /// The observation, as a sentence without a full stop.
    pub what: String,
    /// When it will be there, as far as that is known.
    pub at: Option<Timestamp>,
}

/// The code that makes memory grow: the innermost frame of the program's own code on the growing stacks.
#[derive(Clone, Debug, PartialEq)]
pub struct Culprit {
    /// Innermost own-code frame; for goroutines the own-code frame that blocks.
    pub frame: Frame,
    /// Its part of all growth, 0 to 1.
    pub share_of_growth: f64,
    /// Growth in bytes (heap) or goroutines (goroutine leaks).
    pub growth: Estimate,
    /// The stack that grew most through this frame, complete, innermost first.
    pub stack: Vec<Frame>,
}

/// What shows a piece of evidence. Turned into a link by the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EvidenceLink {
    /// Series of the target by metric names.
    Series(Vec<&'static str>),
    /// Difference of two profiles of a type.
    Diff {
        /// Profile type name.
        profile_type: ProfileType,
        /// Earlier instant.
        base: Timestamp,
        /// Later instant.
        compare: Timestamp,
    },
    /// OOM kills of the target.
    Events,
}

/// One number that speaks for an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// A sentence.
    pub claim: String,
    /// The number in it.
    pub value: f64,
    /// Its unit: `bytes`, `bytes_per_second`, `goroutines`, `seconds`, `ratio`, `kills`, `runs`, `replicas`.
    pub unit: &'static str,
    /// Logarithm of the likelihood ratio for (above 0) or against a leak; none when it only describes.
    pub weight: Option<f64>,
    /// What shows it.
    pub link: Option<EvidenceLink>,
}

/// A class that was considered and did not win.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// The class.
    pub class: VerdictClass,
    /// Why not.
    pub because: String,
    /// Whether there was what it takes to look for it; else it is not ruled out.
    pub checked: bool,
}

/// The one answer for a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What is going on.
    pub class: VerdictClass,
    /// Probability of the class, 0 to 1.
    pub confidence: f64,
    /// Probability that what grows does not end by itself.
    pub leak_probability: f64,
    /// Chance that the limit is reached; none without a limit.
    pub limit_probability: Option<LimitProbability>,
    /// What will decide whether growth ends by itself; empty once it is decided.
    pub decided_by: Vec<Deciding>,
    /// Part of the memory needed that what grows explains, with its garbage; none when nothing grows at a known place.
    pub explains_share_of_need: Option<f64>,
    /// One sentence a person can act on.
    pub summary: String,
    /// Since when this class holds by the data (start of the growth, of the plateau, ...).
    pub since: Timestamp,
    /// Growth of the unreclaimable charge.
    pub growth_bytes_per_second: Option<f64>,
    /// When the limit will be reached; none without growth or limit.
    pub time_to_limit: Option<TimeToLimit>,
    /// The profiles that show what grows; none when the place is not known.
    pub profile: Option<ProfileType>,
    /// The code that makes memory grow.
    pub culprit: Option<Culprit>,
    /// What speaks for it.
    pub evidence: Vec<Evidence>,
    /// What else was considered.
    pub rejected: Vec<Rejected>,
    /// What to do, most useful first.
    pub advice: Vec<String>,
    /// A limit that would fit; for `undersized_limit`.
    pub recommended_limit: Option<Bytes>,
    /// Observations that would change the verdict.
    pub would_change_our_mind: Vec<String>,
    /// What could not be read, by name of the field or lane, and how to get it.
    pub missing: Vec<(&'static str, Missing)>,
}

impl Verdict {
    /// What is about the future goes: nothing is on its way to a limit any more.
    pub fn without_future(&mut self, because: &Missing) {
        self.time_to_limit = None;
        self.limit_probability = None;
        self.decided_by = Vec::new();
        self.note("time_to_limit_seconds", because);
        self.note("limit_probability", because);
    }

    /// As of a target in which no process lives: it says what ended there, and nothing grows.
    pub fn of_the_dead(&mut self, because: &Missing) {
        self.without_future(because);
        self.growth_bytes_per_second = None;
        self.note("growth_bytes_per_second", because);
    }

    fn note(&mut self, field: &'static str, because: &Missing) {
        if !self.missing.iter().any(|(known, _)| *known == field) {
            self.missing.push((field, because.clone()));
        }
    }
}
