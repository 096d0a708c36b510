//! How often profiles are kept. Pure.

use leakwatch_analysis::model::units::Timestamp;
use std::time::Duration;

/// How much a target matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Importance {
    /// Nothing speaks for growth.
    Ordinary,
    /// It grows, or may be.
    Growing,
}

/// When the last profile of one type of a target was kept, of which process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cadence {
    kept: Option<Timestamp>,
}

impl Cadence {
    /// Whether a profile taken at `at` is kept: the first, the last of a process, and others at the distance that importance asks for.
    pub(crate) fn is_due(&self, at: Timestamp, importance: Importance, is_last: bool) -> bool {
        let Some(kept) = self.kept else { return true };
        at > kept && (is_last || at.since(kept) >= Self::distance(importance))
    }

    pub(crate) fn keep(&mut self, at: Timestamp) {
        self.kept = Some(at);
    }

    /// Between two profiles that are kept.
    pub(crate) const fn distance(importance: Importance) -> Duration {
        match importance {
            Importance::Growing => Duration::from_mins(5),
            Importance::Ordinary => Duration::from_hours(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_and_the_last_are_kept_and_growing_targets_more_often() {
        let at = Timestamp::from_unix_seconds;
        let mut cadence = Cadence::default();
        assert!(cadence.is_due(at(1000), Importance::Ordinary, false));
        cadence.keep(at(1000));
        assert!(!cadence.is_due(at(1299), Importance::Growing, false));
        assert!(cadence.is_due(at(1300), Importance::Growing, false));
        assert!(!cadence.is_due(at(1300), Importance::Ordinary, false));
        assert!(cadence.is_due(at(1001), Importance::Ordinary, true));
        assert!(
            !cadence.is_due(at(1000), Importance::Growing, true),
            "it is kept already"
        );
    }
}
