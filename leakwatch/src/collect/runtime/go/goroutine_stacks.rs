//! When all stacks of a process are worth reading: at first, when its goroutines have changed, and now and then.
//!
//! Counting goroutines costs a tenth of reading their stacks and is done every time.

use leakwatch_analysis::model::units::Timestamp;
use leakwatch_goproc::goroutines::Census;
use std::collections::HashMap;
use std::time::Duration;

/// Goroutines more or fewer, over all places that start them, that are not a change: connections come and go. Half of
/// what a leak must have grown by to be one.
const LEAST_CHANGE: u64 = 5;
/// And this part of all goroutines.
const LEAST_PART: u64 = 20;

/// Stacks are not older than this: goroutines may wait elsewhere without being more.
const LONGEST: Duration = Duration::from_mins(5);
/// The first ones are renewed after this time, each later ones after twice that of those before: that nothing has changed is said
/// from two profiles on.
const FIRST: Duration = Duration::from_secs(25);

/// The goroutines at the time of the last stacks, by start function and creator.
#[derive(Debug)]
pub(super) struct LastStacks {
    at: Timestamp,
    good_for: Duration,
    counts: HashMap<(u64, u64), u64>,
}

impl LastStacks {
    pub(super) fn new(at: Timestamp, census: &Census, before: Option<&Self>) -> Self {
        Self {
            at,
            good_for: before.map_or(FIRST, |before| (before.good_for * 2).min(LONGEST)),
            counts: counts(census),
        }
    }

    /// Whether what was seen then still holds.
    pub(super) fn is_current(&self, now: Timestamp, census: &Census) -> bool {
        if now.since(self.at) >= self.good_for {
            return false;
        }
        let counts = counts(census);
        let come = counts
            .iter()
            .map(|(place, count)| count.abs_diff(*self.counts.get(place).unwrap_or(&0)));
        let gone = self.counts.iter().filter(|(place, _)| !counts.contains_key(place));
        let changed = come.sum::<u64>() + gone.map(|(_, count)| count).sum::<u64>();
        changed < LEAST_CHANGE + census.count.saturating_mul(census.stride.max(1)) / LEAST_PART
    }
}

/// Where only every second, third, ... goroutine was counted, each stands for so many.
fn counts(census: &Census) -> HashMap<(u64, u64), u64> {
    let mut counts = HashMap::new();
    for group in &census.groups {
        let count: &mut u64 = counts.entry((group.start, group.created_at)).or_default();
        *count = count.saturating_add(group.count.saturating_mul(census.stride.max(1)));
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakwatch_goproc::goroutines::CensusGroup;
    use leakwatch_goproc::goroutines::Status;

    /// Goroutines of several start functions; the last of each wait for another reason.
    fn census(groups: &[(u64, u64)], stride: u64) -> Census {
        let group = |start, status, count| CensusGroup {
            start,
            created_at: 7,
            status,
            wait_reason: None,
            count,
            blocked_after: None,
        };
        Census {
            groups: groups
                .iter()
                .flat_map(|(start, count)| {
                    [
                        group(*start, Status::Waiting, count - 1),
                        group(*start, Status::Runnable, 1),
                    ]
                })
                .collect(),
            count: groups.iter().map(|(_, count)| count).sum(),
            stride,
            ..Census::default()
        }
    }

    #[test]
    fn stacks_are_read_again_when_goroutines_have_changed() {
        let at = |seconds: u64| Timestamp::from_unix_nanos(seconds * 1_000_000_000);
        let counted = census(&[(1, 100), (2, 100)], 1);
        let first = LastStacks::new(at(0), &counted, None);
        assert!(first.is_current(at(24), &counted) && !first.is_current(at(25), &counted));
        let last = (0..4).fold(first, |last, _| LastStacks::new(at(1000), &counted, Some(&last)));
        let cases = [
            ("nothing", vec![(1, 100), (2, 100)], 1030, true),
            ("one connection more", vec![(1, 104), (2, 100)], 1030, true),
            ("a twentieth and more come", vec![(1, 120), (2, 100)], 1030, false),
            ("a twentieth and more go", vec![(1, 100), (2, 80)], 1030, false),
            (
                "as many as have gone come elsewhere",
                vec![(1, 110), (2, 90)],
                1030,
                false,
            ),
            ("a new kind", vec![(1, 100), (2, 100), (3, 20)], 1030, false),
            ("a kind is gone", vec![(1, 100)], 1030, false),
            ("almost too old", vec![(1, 100), (2, 100)], 1299, true),
            ("too old", vec![(1, 100), (2, 100)], 1300, false),
        ];
        for (what, groups, now, current) in cases {
            assert_eq!(last.is_current(at(now), &census(&groups, 1)), current, "{what}");
        }
    }

    #[test]
    fn a_sample_counts_for_all() {
        let at = Timestamp::from_unix_nanos(1);
        let last = LastStacks::new(at, &census(&[(1, 300_000)], 1), None);
        assert!(last.is_current(at, &census(&[(1, 150_000)], 2)));
        assert!(!last.is_current(at, &census(&[(1, 200_000)], 2)));
    }
}
