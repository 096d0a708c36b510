//! Which stacks of a process are worth reading: all at first, when many of its goroutines have changed, and now and then; between those the stacks of
//! the goroutines that are new, by their numbers, so that few that stay are seen beside many.
//!
//! Counting goroutines costs a tenth of reading their stacks and is done every time.

use crate::collect::runtime::go::profile::KeptGroup;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_goproc::goroutines::Census;
use leakwatch_goproc::goroutines::Newcomers;
use leakwatch_goproc::heap::Kept;
use std::collections::HashMap;
use std::time::Duration;

/// Goroutines more or fewer, over all places that start them, that are not a change: connections come and go. Half of
/// what a leak must have grown by to be one.
const LEAST_CHANGE: u64 = 5;
/// And this part of all goroutines, until all stacks are read again.
const LEAST_PART: u64 = 20;

/// Stacks are not older than this: goroutines may wait elsewhere without being more.
const LONGEST: Duration = Duration::from_mins(5);
/// The first ones are renewed after this time, each later ones after twice that of those before: that nothing has changed is said
/// from two profiles on.
const FIRST: Duration = Duration::from_secs(25);
/// Distinct stacks that are remembered, at 40 bytes each; of a process with more all are read again.
const MAX_GROUPS: usize = 2048;

/// Start function and creator.
type Place = (u64, u64);

/// How much is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// What was said last still holds.
    Nothing,
    /// The stacks of those that came.
    Little,
    /// All stacks.
    Much,
}

/// The goroutines at the time when all stacks were read last.
#[derive(Debug)]
pub(super) struct LastStacks {
    at: Timestamp,
    good_for: Duration,
    counts: HashMap<Place, u64>,
    /// As of the profile that was made last.
    told: HashMap<Place, u64>,
    newest: u64,
    /// Their stacks; none where there were too many, or not all were read.
    groups: Option<Vec<KeptGroup>>,
}

impl LastStacks {
    pub(super) fn new(at: Timestamp, census: &Census, groups: &[KeptGroup], before: Option<&Self>) -> Self {
        let counts = counts(census);
        let can_be_kept = groups.len() <= MAX_GROUPS && census.stride <= 1;
        Self {
            at,
            good_for: before.map_or(FIRST, |before| (before.good_for * 2).min(LONGEST)),
            told: counts.clone(),
            counts,
            newest: census.newest,
            groups: can_be_kept.then(|| groups.to_vec()),
        }
    }

    /// Goroutines with higher numbers came after that.
    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    /// What has changed by now.
    pub(super) fn change(&self, now: Timestamp, census: &Census, newcomers: &Newcomers) -> Change {
        let counts = counts(census);
        let many = LEAST_CHANGE + census.count.saturating_mul(census.stride.max(1)) / LEAST_PART;
        if now.since(self.at) >= self.good_for || changed(&self.counts, &counts) >= many {
            return Change::Much;
        }
        if changed(&self.told, &counts) < LEAST_CHANGE {
            return Change::Nothing;
        }
        let can_be_added = self.groups.is_some() && newcomers.over_bound == 0 && census.stride <= 1;
        if can_be_added { Change::Little } else { Change::Nothing }
    }

    /// All goroutines as of now: of each place as many of the earlier ones as are left, and those that came with the stacks they have. Of those that run,
    /// only the start function is known.
    pub(super) fn with(
        &mut self,
        new: &[KeptGroup],
        census: &Census,
        newcomers: &Newcomers,
        mut of_start: impl FnMut(u64) -> Kept,
    ) -> Vec<KeptGroup> {
        self.told = counts(census);
        let mut groups = self.groups.clone().unwrap_or_default();
        let came = |place: &Place| newcomers.counts.get(place).copied().unwrap_or(0);
        for (place, before) in &self.counts {
            let left = self.told.get(place).copied().unwrap_or(0).saturating_sub(came(place));
            let of_place = groups.iter_mut().filter(|group| group.place == *place);
            keep(of_place, *before, left);
        }
        let mut rest = newcomers.counts.clone();
        for group in new {
            if let Some(rest) = rest.get_mut(&group.place) {
                *rest = rest.saturating_sub(group.count);
            }
        }
        groups.extend_from_slice(new);
        groups.extend(
            rest.into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(place, count)| KeptGroup {
                    place,
                    stack: of_start(place.0),
                    count,
                }),
        );
        groups
    }
}

/// Lessens the groups of a place, of which `before` are counted, to the `left` that are not gone, each by its part.
fn keep<'g>(groups: impl Iterator<Item = &'g mut KeptGroup>, before: u64, left: u64) {
    let (mut seen, mut kept) = (0_u64, 0_u64);
    for group in groups {
        seen = seen.saturating_add(group.count);
        // As many of the first so many as are their part, so that rounding adds up.
        let part = u128::from(seen) * u128::from(left.min(before)) / u128::from(before.max(1));
        let so_far = u64::try_from(part).unwrap_or(u64::MAX);
        group.count = so_far.saturating_sub(kept);
        kept = so_far;
    }
}

/// Goroutines that have come to or gone from each place, summed.
fn changed(before: &HashMap<Place, u64>, now: &HashMap<Place, u64>) -> u64 {
    let come = now
        .iter()
        .map(|(place, count)| count.abs_diff(*before.get(place).unwrap_or(&0)));
    let gone = before.iter().filter(|(place, _)| !now.contains_key(place));
    come.sum::<u64>() + gone.map(|(_, count)| count).sum::<u64>()
}

/// Where only every second, third, ... goroutine was counted, each stands for so many.
fn counts(census: &Census) -> HashMap<Place, u64> {
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

    fn group(start: u64, number: u32, count: u64) -> KeptGroup {
        let stack = Kept { number, is_whole: true };
        KeptGroup {
            place: (start, 7),
            stack,
            count,
        }
    }

    fn last(at: Timestamp, counted: &Census, before: Option<&LastStacks>) -> LastStacks {
        LastStacks::new(at, counted, &[group(1, 1, 100), group(2, 2, 100)], before)
    }

    #[test]
    fn stacks_are_read_again_when_goroutines_have_changed() {
        let at = |seconds: u64| Timestamp::from_unix_nanos(seconds * 1_000_000_000);
        let none = Newcomers::default();
        let counted = census(&[(1, 100), (2, 100)], 1);
        let first = last(at(0), &counted, None);
        assert_eq!(first.change(at(24), &counted, &none), Change::Nothing);
        assert_eq!(first.change(at(25), &counted, &none), Change::Much);
        let last = (0..4).fold(first, |before, _| last(at(1000), &counted, Some(&before)));
        let cases = [
            ("nothing", vec![(1, 100), (2, 100)], 1030, Change::Nothing),
            ("one connection more", vec![(1, 104), (2, 100)], 1030, Change::Nothing),
            ("some come", vec![(1, 105), (2, 100)], 1030, Change::Little),
            (
                "a twentieth and more come",
                vec![(1, 120), (2, 100)],
                1030,
                Change::Much,
            ),
            ("a twentieth and more go", vec![(1, 100), (2, 80)], 1030, Change::Much),
            (
                "as many as have gone come elsewhere",
                vec![(1, 110), (2, 90)],
                1030,
                Change::Much,
            ),
            ("a new kind", vec![(1, 100), (2, 100), (3, 20)], 1030, Change::Much),
            ("a kind is gone", vec![(1, 100)], 1030, Change::Much),
            ("almost too old", vec![(1, 100), (2, 100)], 1299, Change::Nothing),
            ("too old", vec![(1, 100), (2, 100)], 1300, Change::Much),
        ];
        for (what, groups, now, change) in cases {
            assert_eq!(last.change(at(now), &census(&groups, 1), &none), change, "{what}");
        }
    }

    /// Two a second that stay, beside 3,000 that come and go.
    #[test]
    fn few_that_stay_are_read_beside_many() {
        let at = |seconds: u64| Timestamp::from_unix_nanos(seconds * 1_000_000_000);
        let counted = census(&[(1, 3000), (2, 2)], 1);
        let known = [group(1, 1, 2000), group(1, 3, 1000), group(2, 2, 2)];
        let mut last = LastStacks::new(at(0), &counted, &known, None);
        for (second, leaked) in [(10_u64, 20_u64), (20, 40)] {
            let now = census(&[(1, 2997), (2, 2 + leaked)], 1);
            // Of those that serve ten are new, one of which runs.
            let newcomers = Newcomers {
                counts: [((1, 7), 10), ((2, 7), leaked)].into(),
                ..Newcomers::default()
            };
            assert_eq!(last.change(at(second), &now, &newcomers), Change::Little);
            let read = [group(1, 1, 9), group(2, 5, leaked)];
            let all = last.with(&read, &now, &newcomers, |start| group(start, 9, 0).stack);
            let of = |number: u32| -> u64 {
                let of_stack = all.iter().filter(|group| group.stack.number == number);
                of_stack.map(|group| group.count).sum()
            };
            assert_eq!(all.iter().map(|group| group.count).sum::<u64>(), 2999 + leaked);
            assert_eq!((of(5), of(2), of(9)), (leaked, 2, 1));
            assert_eq!(of(1) + of(3), 2996);
            assert!(of(3).abs_diff(996) <= 1, "{}", of(3));
        }
    }

    #[test]
    fn a_sample_counts_for_all() {
        let at = Timestamp::from_unix_nanos(1);
        let none = Newcomers::default();
        let last = last(at, &census(&[(1, 300_000)], 1), None);
        assert_eq!(last.change(at, &census(&[(1, 150_000)], 2), &none), Change::Nothing);
        assert_eq!(last.change(at, &census(&[(1, 200_000)], 2), &none), Change::Much);
    }
}
