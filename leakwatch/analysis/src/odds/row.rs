//! One piece of evidence as a number that is added.

use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;

/// What pieces of evidence measure; those of one family measure the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// How often growth is a leak before anything else is known.
    Prior,
    /// Other runs and replicas of the service.
    Comparison,
    /// What happens when the load changes.
    Load,
    /// How much of what is allocated at the place is kept.
    Retention,
    /// Goroutines that wait.
    Goroutines,
    /// Kills.
    Limit,
    /// What a person says.
    Person,
    /// What was known when the leak was claimed.
    Claim,
}

impl Family {
    /// The families of evidence.
    pub const ALL: [Self; 6] = [
        Self::Comparison,
        Self::Load,
        Self::Retention,
        Self::Goroutines,
        Self::Limit,
        Self::Person,
    ];

    /// The most that a family can say. No family but a proof and a person reaches a claim on the prior alone, which takes 5.1.
    pub const fn bound(self) -> f64 {
        match self {
            Self::Prior | Self::Goroutines | Self::Person | Self::Claim => 8.0,
            Self::Comparison => 4.0,
            Self::Load => 3.0,
            Self::Retention => 2.5,
            Self::Limit => 1.5,
        }
    }
}

/// One piece of evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct OddsRow {
    /// What it measures.
    pub family: Family,
    /// A sentence.
    pub claim: String,
    /// The number in it.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// Logarithm of the likelihood ratio: above 0 for a leak.
    pub weight: f64,
    /// Whether it proves the leak by itself.
    pub is_proof: bool,
    /// What shows it.
    pub link: Option<EvidenceLink>,
}

impl OddsRow {
    pub(super) const fn new(family: Family, claim: String, value: f64, unit: &'static str, weight: f64) -> Self {
        Self {
            family,
            claim,
            value,
            unit,
            weight,
            is_proof: false,
            link: None,
        }
    }

    /// A person who knows the program says that it leaks.
    pub(super) fn of_person() -> Self {
        Self {
            is_proof: true,
            ..Self::new(
                Family::Person,
                "a person answered that this leaks".to_owned(),
                1.0,
                "answers",
                8.0,
            )
        }
    }

    /// As it is shown.
    pub fn evidence(&self) -> Evidence {
        Evidence {
            claim: self.claim.clone(),
            value: self.value,
            unit: self.unit,
            weight: Some(self.weight),
            link: self.link.clone(),
        }
    }
}
