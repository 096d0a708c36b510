//! What a person has decided for a service or for one version of it, and until when: that its leaks and kills alert nobody, or that a question about it
//! has another answer.

use crate::model::investigation::Answer;
use crate::model::investigation::StepId;
use crate::model::units::Timestamp;

/// One decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// Opaque.
    pub id: String,
    /// Name of the service.
    pub service: String,
    /// Beginning of the build id, the module's version or the commit of the version that it is for; none for all versions.
    pub version: Option<String>,
    /// What was decided.
    pub ruled: Ruled,
    /// Why, in the person's words.
    pub reason: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// When it ends by itself.
    pub until: Timestamp,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruled {
    /// Leaks and kills alert nobody.
    Mute,
    /// A question has this answer.
    Overrule(StepId, Answer),
}

impl Ruling {
    /// Whether it is for a service of which this version runs, by any of its names. A version that is not known is none in particular.
    pub fn is_for<'a>(&self, service: &str, mut versions: impl Iterator<Item = &'a str>) -> bool {
        let is_version = |ruled: &str| versions.any(|version| version.starts_with(ruled));
        self.service == service && self.version.as_deref().is_none_or(is_version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ruling_is_for_a_service_or_for_a_version_of_it() {
        let ruling = |version: Option<&str>| Ruling {
            id: "1".to_owned(),
            service: "shop".to_owned(),
            version: version.map(str::to_owned),
            ruled: Ruled::Mute,
            reason: "known".to_owned(),
            made_at: Timestamp::default(),
            until: Timestamp::from_unix_seconds(1),
        };
        let known: &[&str] = &["0c0ffee", "v1.4.2"];
        for (ruled, service, versions, expected) in [
            (None, "shop", &[][..], true),
            (None, "shop", known, true),
            (None, "cart", known, false),
            (Some("0c0"), "shop", known, true),
            (Some("v1.4"), "shop", known, true),
            (Some("0c0ffee1"), "shop", known, false),
            (Some("0c0"), "shop", &[][..], false),
            (Some("0c0"), "cart", known, false),
        ] {
            let is_for = ruling(ruled).is_for(service, versions.iter().copied());
            assert_eq!(is_for, expected, "{ruled:?} {service} {versions:?}");
        }
    }
}
