//! The table of verdict classes: one row each, with all that anything else needs to know of it. To add a class, write its file, its row
//! and `docs/detectors/NAME.md`.

use crate::detect::facts::Facts;
use crate::detect::finding::Examination;
use crate::detect::go_heap_leak;
use crate::detect::goroutine_leak;
use crate::detect::growing;
use crate::detect::kernel_memory;
use crate::detect::load_driven;
use crate::detect::managed_heap_growth;
use crate::detect::mapping_leak;
use crate::detect::native_leak;
use crate::detect::not_enough_data;
use crate::detect::stable;
use crate::detect::tmpfs;
use crate::detect::undersized_limit;
use crate::detect::warm_up;
use crate::model::investigation::Answer;
use crate::model::investigation::StepId;
use crate::model::profile::ProfileType;
use crate::model::verdict::VerdictClass;

/// Below this a finding is not told: a wrong verdict costs more than a late one.
const LEAST_CONFIDENCE: f64 = 0.7;
/// The same for what grows at a place; whether it is a leak is weighed afterwards.
const LEAST_LEAK_CONFIDENCE: f64 = 0.9;

/// One verdict class.
#[derive(Debug)]
pub struct Detector {
    /// The class that a finding stands for.
    pub class: VerdictClass,
    /// Examines a target.
    pub examine: fn(&Facts<'_>) -> Examination,
    /// The profiles that the finding rests on; none when it rests on memory alone.
    pub profile: Option<ProfileType>,
    /// Confidence from which on the finding can be the verdict.
    pub least_confidence: f64,
    /// Confidence from which on it stays the verdict once it was, until a later profile contradicts it; none when every instant decides
    /// anew.
    pub stays_from: Option<f64>,
    /// The step of an investigation that shows what was examined.
    pub step: StepId,
    /// A person's answer that asks for the class, whatever the confidence.
    pub asked_for_by: Option<(StepId, Answer)>,
    /// A person's answers that exclude the class.
    pub excluded_by: &'static [(StepId, Answer)],
}

impl Detector {
    /// Confidence from which on the finding can be the verdict. After a kill nothing more can be learned: the likeliest explanation is
    /// given with the doubt that is left.
    pub const fn least_confidence(&self, dying: bool) -> f64 {
        if dying { LEAST_CONFIDENCE } else { self.least_confidence }
    }
}

/// All detectors in order of precedence: root causes first, then what would explain growth, then its absence.
pub const DETECTORS: &[Detector] = &[
    Detector {
        class: goroutine_leak::CLASS,
        examine: goroutine_leak::examine,
        profile: Some(ProfileType::Goroutine),
        least_confidence: LEAST_LEAK_CONFIDENCE,
        stays_from: Some(LEAST_CONFIDENCE),
        step: StepId::Goroutines,
        asked_for_by: Some((StepId::Goroutines, Answer::Yes)),
        excluded_by: &[(StepId::Goroutines, Answer::No), (StepId::Memory, Answer::No)],
    },
    Detector {
        class: go_heap_leak::CLASS,
        examine: go_heap_leak::examine,
        profile: Some(ProfileType::Heap),
        least_confidence: LEAST_LEAK_CONFIDENCE,
        stays_from: Some(LEAST_CONFIDENCE),
        step: StepId::LiveHeap,
        asked_for_by: Some((StepId::LiveHeap, Answer::Yes)),
        excluded_by: &[(StepId::LiveHeap, Answer::No), (StepId::Memory, Answer::No)],
    },
    Detector {
        class: native_leak::CLASS,
        examine: native_leak::examine,
        profile: Some(ProfileType::Native),
        least_confidence: LEAST_LEAK_CONFIDENCE,
        stays_from: Some(LEAST_CONFIDENCE),
        step: StepId::Native,
        asked_for_by: Some((StepId::Native, Answer::Yes)),
        excluded_by: &[(StepId::Native, Answer::No), (StepId::Memory, Answer::No)],
    },
    Detector {
        class: mapping_leak::CLASS,
        examine: mapping_leak::examine,
        profile: Some(ProfileType::Mapping),
        least_confidence: LEAST_LEAK_CONFIDENCE,
        stays_from: Some(LEAST_CONFIDENCE),
        step: StepId::Native,
        asked_for_by: Some((StepId::Native, Answer::Yes)),
        excluded_by: &[(StepId::Native, Answer::No), (StepId::Memory, Answer::No)],
    },
    Detector {
        class: tmpfs::CLASS,
        examine: tmpfs::examine,
        profile: None,
        least_confidence: LEAST_CONFIDENCE,
        stays_from: None,
        step: StepId::Other,
        asked_for_by: None,
        excluded_by: &[(StepId::Other, Answer::No)],
    },
    Detector {
        class: kernel_memory::CLASS,
        examine: kernel_memory::examine,
        profile: None,
        least_confidence: LEAST_CONFIDENCE,
        stays_from: None,
        step: StepId::Other,
        asked_for_by: None,
        excluded_by: &[(StepId::Other, Answer::No)],
    },
    Detector {
        class: undersized_limit::CLASS,
        examine: undersized_limit::examine,
        profile: None,
        least_confidence: LEAST_CONFIDENCE,
        stays_from: None,
        step: StepId::Other,
        asked_for_by: None,
        excluded_by: &[(StepId::Other, Answer::No)],
    },
    Detector {
        class: warm_up::CLASS,
        examine: warm_up::examine,
        profile: None,
        least_confidence: LEAST_CONFIDENCE,
        stays_from: None,
        step: StepId::Other,
        asked_for_by: None,
        excluded_by: &[(StepId::Other, Answer::No)],
    },
    Detector {
        class: load_driven::CLASS,
        examine: load_driven::examine,
        profile: None,
        least_confidence: LEAST_CONFIDENCE,
        stays_from: None,
        step: StepId::Other,
        asked_for_by: None,
        excluded_by: &[(StepId::Other, Answer::No)],
    },
    Detector {
        class: managed_heap_growth::CLASS,
        examine: managed_heap_growth::examine,
        profile: None,
        least_confidence: LEAST_CONFIDENCE,
        stays_from: None,
        step: StepId::Other,
        asked_for_by: None,
        excluded_by: &[(StepId::Memory, Answer::No)],
    },
    Detector {
        class: growing::CLASS,
        examine: growing::examine,
        profile: None,
        least_confidence: LEAST_CONFIDENCE,
        stays_from: None,
        step: StepId::Memory,
        asked_for_by: None,
        excluded_by: &[(StepId::Memory, Answer::No)],
    },
    Detector {
        class: stable::CLASS,
        examine: stable::examine,
        profile: None,
        least_confidence: LEAST_CONFIDENCE,
        stays_from: None,
        step: StepId::Memory,
        asked_for_by: None,
        excluded_by: &[
            (StepId::Memory, Answer::Yes),
            (StepId::LiveHeap, Answer::Yes),
            (StepId::Goroutines, Answer::Yes),
        ],
    },
];

/// Classes that say what grows, or fills the limit, and not whether that ends.
pub const UNDECIDED: [VerdictClass; 4] = [
    tmpfs::CLASS,
    kernel_memory::CLASS,
    managed_heap_growth::CLASS,
    growing::CLASS,
];

/// All verdict classes: those that detectors find, and the one for when none does.
pub fn classes() -> impl Iterator<Item = VerdictClass> {
    let found = DETECTORS.iter().map(|detector| detector.class);
    found.chain(std::iter::once(not_enough_data::CLASS))
}

/// The profiles that a class rests on; none when it rests on memory alone.
pub fn profile_of(class: VerdictClass) -> Option<ProfileType> {
    let detector = DETECTORS.iter().find(|detector| detector.class == class)?;
    detector.profile
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn every_class_has_a_name_of_its_own_and_is_documented() {
        let names: BTreeSet<&str> = classes().map(VerdictClass::name).collect();
        assert_eq!(names.len(), classes().count());
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/detectors");
        for name in names {
            assert!(docs.join(format!("{name}.md")).exists(), "docs/detectors/{name}.md");
        }
    }

    #[test]
    fn only_a_leak_needs_the_higher_confidence_and_stays_and_names_its_profile() {
        for detector in DETECTORS {
            let is_leak = detector.class.is_leak();
            let name = detector.class.name();
            assert_eq!(
                detector.least_confidence(false) >= LEAST_LEAK_CONFIDENCE,
                is_leak,
                "{name}"
            );
            assert_eq!(detector.stays_from.is_some(), is_leak, "{name}");
            assert_eq!(detector.profile.is_some(), is_leak, "{name}");
        }
    }
}
