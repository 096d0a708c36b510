//! What a profile shows of the stacks of a capture: the largest whole, and the rest by the place that asked for the memory.

use crate::capture::symbolize::profile::StackRow;
use leakwatch_analysis::model::profile::StackValue;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Stacks shown whole.
const MAX_WHOLE: usize = 6_144;
/// Places that the others are added up by; what is beyond these, too, has no place.
const MAX_PLACES: usize = 2_048;

/// The reason under which stacks are counted that have no row of their own.
const BY_PLACE: &str = "native_stacks_by_place";

/// The rows of a capture, and how many stacks are in none of their own.
#[derive(Debug, Default)]
pub struct Rows {
    /// The largest first.
    pub rows: Vec<StackRow>,
    /// Stacks that were added up by their place.
    pub folded: u64,
}

impl Rows {
    /// Those of some stacks, all different, with the mean size of their objects.
    pub(super) fn of<'s>(stacks: impl IntoIterator<Item = (&'s [u64], StackValue, u64)>) -> Self {
        let mut stacks: Vec<_> = stacks.into_iter().collect();
        if stacks.len() > MAX_WHOLE {
            // Where what is kept begins to be the larger: the rest needs no order.
            stacks.select_nth_unstable_by_key(MAX_WHOLE, |(_, value, _)| Reverse(rank(value)));
        }
        let (whole, others) = stacks.split_at(stacks.len().min(MAX_WHOLE));
        let rows = whole.iter().map(|(addresses, value, object_size)| StackRow {
            addresses: addresses.to_vec(),
            value: *value,
            object_size: *object_size,
        });
        let mut rows: Vec<StackRow> = rows.collect();
        rows.extend(by_place(others));
        rows.sort_by(|one, other| {
            let ranks = rank(&other.value).cmp(&rank(&one.value));
            ranks.then_with(|| one.addresses.cmp(&other.addresses))
        });
        Self {
            rows,
            folded: others.len() as u64,
        }
    }
}

/// What was added up by its place, as a loss.
pub(super) fn loss(folded: u64) -> Option<(&'static str, u64)> {
    (folded > 0).then_some((BY_PLACE, folded))
}

fn rank(value: &StackValue) -> (i64, i64) {
    (value.inuse_space, value.alloc_space)
}

/// Added up by their innermost frame.
fn by_place(stacks: &[(&[u64], StackValue, u64)]) -> Vec<StackRow> {
    let mut places: HashMap<Option<u64>, StackRow> = HashMap::new();
    for (addresses, value, object_size) in stacks {
        let mut place = addresses.first().copied();
        if places.len() >= MAX_PLACES && !places.contains_key(&place) {
            place = None;
        }
        let row = places.entry(place).or_insert_with(|| StackRow {
            addresses: place.into_iter().collect(),
            value: StackValue::default(),
            object_size: *object_size,
        });
        row.value.add(value);
        row.object_size = mean_size(row.object_size, &row.value);
    }
    places.into_values().collect()
}

/// The mean size of the objects where there are sizes at all.
fn mean_size(before: u64, value: &StackValue) -> u64 {
    if before == 0 {
        return 0;
    }
    let size = value.alloc_space.checked_div(value.alloc_objects).unwrap_or(0);
    u64::try_from(size).map_or(before, |size| size.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bytes: i64) -> StackValue {
        StackValue {
            alloc_objects: 1,
            alloc_space: bytes,
            inuse_objects: 1,
            inuse_space: bytes,
            inuse_variance: 0.0,
        }
    }

    #[test]
    fn few_stacks_are_all_there_largest_first() {
        let (small, large): ([u64; 2], [u64; 1]) = ([1, 2], [3]);
        let rows = Rows::of([
            (&small[..], value(10), 10),
            (&large[..], value(20), 20),
            (&[], value(15), 15),
        ]);
        let sizes: Vec<i64> = rows.rows.iter().map(|row| row.value.inuse_space).collect();
        assert_eq!((sizes, rows.folded), (vec![20, 15, 10], 0));
    }

    #[test]
    fn of_many_the_rest_is_added_up_by_place_and_nothing_is_missing() {
        let all = 376_000;
        let stacks: Vec<[u64; 3]> = (0..all).map(|number| [number % 5_000, number, 7]).collect();
        let bytes = |stack: &[u64; 3]| i64::try_from(stack[1] + 1).unwrap();
        let rows = Rows::of(stacks.iter().map(|stack| (&stack[..], value(bytes(stack)), 16)));
        assert_eq!(rows.folded, all - MAX_WHOLE as u64);
        assert!(rows.rows.len() <= MAX_WHOLE + MAX_PLACES + 1, "{}", rows.rows.len());
        let total: i64 = rows.rows.iter().map(|row| row.value.inuse_space).sum();
        assert_eq!(total, stacks.iter().map(bytes).sum::<i64>());
        let largest = rows.rows.iter().find(|row| row.addresses.len() == 3);
        assert_eq!(largest.map(|row| row.addresses[1]), Some(all - 1));
        assert!(include_str!("../../../docs/operating.md").contains(BY_PLACE));
        assert!(rows.rows.iter().any(|row| row.addresses.is_empty()));
        assert!(
            rows.rows
                .iter()
                .any(|row| row.addresses.len() == 1 && row.object_size > 16)
        );
    }
}
