//! The buckets in the records of a walk: new ones with all there is of them, known ones as counters alone, packed as
//! [`leakwatch_common::final_heap::packed`] says.

use leakwatch_common::final_heap::DEPTH_BITS;
use leakwatch_common::final_heap::MAX_DEPTH;
use leakwatch_common::final_heap::NEW_WORDS;
use leakwatch_common::final_heap::NO_STACK;
use leakwatch_common::final_heap::packed;
use leakwatch_goproc::final_heap::HeapWalk;
use leakwatch_goproc::final_heap::WalkedBucket;
use leakwatch_goproc::final_heap::WalkedCounts;
use leakwatch_goproc::heap::Counts;

/// Takes in `count` new buckets, as long as there are no more than `most`; `None` where the words are none.
pub(super) fn new(walk: &mut HeapWalk, count: usize, most: usize, words: &[u32]) -> Option<()> {
    let mut rest = words;
    for _ in 0..count {
        if walk.buckets.len() >= most {
            break;
        }
        let (head, behind) = rest.split_first_chunk::<NEW_WORDS>()?;
        let pair = |index: usize| pair(head.get(2 * index..)?);
        let size_and_depth = pair(1)?;
        let depth = size_and_depth & ((1 << DEPTH_BITS) - 1);
        let stack = if depth == NO_STACK {
            rest = behind;
            None
        } else {
            let depth = usize::try_from(depth).ok().filter(|depth| *depth <= MAX_DEPTH)?;
            let (stack, behind) = behind.split_at_checked(2 * depth)?;
            let start = walk.stacks.len();
            walk.stacks.extend(stack.chunks_exact(2).filter_map(self::pair));
            rest = behind;
            Some(start..start + depth)
        };
        walk.buckets.push(WalkedBucket {
            address: pair(0)?,
            size: size_and_depth >> DEPTH_BITS,
            counts: counts([pair(2)?, pair(3)?, pair(4)?, pair(5)?]),
            stack,
        });
    }
    Some(())
}

/// Takes in the counters of `count` known buckets, of which the first has `first` before it.
pub(super) fn known(walk: &mut HeapWalk, first: usize, count: usize, most: usize, words: &[u32]) -> Option<()> {
    // Behind those before; what is between got lost.
    if first < walk.known.len() || first > most {
        return None;
    }
    walk.known.resize(first, None);
    let mut rest = words;
    for _ in 0..count {
        if walk.known.len() >= most {
            break;
        }
        let (counters, behind) = unpack(rest)?;
        walk.known.push(counters);
        rest = behind;
    }
    Some(())
}

/// The counters of one bucket, and the words behind them; no counters where they were not readable.
fn unpack(words: &[u32]) -> Option<(Option<WalkedCounts>, &[u32])> {
    let (first, rest) = words.split_first()?;
    let low = first & !packed::TAG;
    match first & packed::TAG {
        packed::MEDIUM => {
            let ([frees, young_allocs, young_frees], rest) = rest.split_first_chunk()?;
            let words = [low, *frees, *young_allocs, *young_frees];
            Some((Some(counts(words.map(u64::from))), rest))
        }
        packed::LONG => {
            let (words, rest) = rest.split_first_chunk::<8>()?;
            let at = |index: usize| pair(words.get(2 * index..)?);
            Some((Some(counts([at(0)?, at(1)?, at(2)?, at(3)?])), rest))
        }
        _ if *first == packed::UNREADABLE => Some((None, rest)),
        _ => Some((
            Some(counts([u64::from(first >> 16), u64::from(first & 0xffff), 0, 0])),
            rest,
        )),
    }
}

fn counts([allocs, frees, young_allocs, young_frees]: [u64; 4]) -> WalkedCounts {
    WalkedCounts {
        all: Counts { allocs, frees },
        young: Counts {
            allocs: young_allocs,
            frees: young_frees,
        },
    }
}

/// Two words, the low one first.
fn pair(words: &[u32]) -> Option<u64> {
    let [low, high, ..] = words else { return None };
    Some(u64::from(*low) | u64::from(*high) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_counters_are_what_they_were() {
        let words = [
            3 << 16 | 2,
            packed::MEDIUM | 0x9c40,
            70_000,
            5,
            1,
            packed::UNREADABLE,
            packed::LONG,
            1,
            2,
            0,
            1,
            7,
            0,
            6,
            0,
            0,
        ];
        let mut walk = HeapWalk::default();
        assert_eq!(known(&mut walk, 0, 5, 100, &words), Some(()));
        let expected = [
            Some([3, 2, 0, 0]),
            Some([40_000, 70_000, 5, 1]),
            None,
            Some([2 << 32 | 1, 1 << 32, 7, 6]),
            Some([0; 4]),
        ];
        assert_eq!(walk.known, expected.map(|expected| expected.map(counts)));
        // A chunk got lost between.
        assert_eq!(known(&mut walk, 7, 1, 100, &[1 << 16]), Some(()));
        assert_eq!(walk.known.len(), 8);
        assert_eq!(walk.known[5..7], [None, None]);
        assert_eq!(walk.known[7], Some(counts([1, 0, 0, 0])));
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for words in [&[][..], &[packed::MEDIUM, 1, 2], &[packed::LONG, 0, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(known(&mut HeapWalk::default(), 0, 1, 100, words), None, "{words:?}");
        }
        let mut walk = HeapWalk::default();
        assert_eq!(known(&mut walk, 2, 1, 100, &[0]), Some(()));
        assert_eq!(known(&mut walk, 1, 1, 100, &[0]), None, "again");
        assert_eq!(known(&mut walk, 101, 1, 100, &[0]), None, "beyond the bound");
        assert_eq!(new(&mut walk, 1, 100, &[0; NEW_WORDS - 1]), None);
        let mut deep = [0; NEW_WORDS];
        deep[2] = 3;
        assert_eq!(new(&mut walk, 1, 100, &deep), None, "a stack that is not there");
        deep[2] = u32::try_from(MAX_DEPTH).unwrap() + 1;
        assert_eq!(new(&mut walk, 1, 100, &deep), None);
    }

    #[test]
    fn new_buckets_come_with_their_stack_or_without() {
        let mut words = vec![
            0x3000,
            1,
            64 << DEPTH_BITS | 2,
            0,
            9,
            0,
            4,
            0,
            2,
            0,
            1,
            0, // and its stack
            0x40_1000,
            0,
            0x40_2000,
            0,
        ];
        let no_stack = u32::try_from(NO_STACK).unwrap();
        words.extend([0x2000, 1, 32 << DEPTH_BITS | no_stack, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        let mut walk = HeapWalk::default();
        assert_eq!(new(&mut walk, 2, 100, &words), Some(()));
        assert_eq!(walk.stacks, [0x40_1000, 0x40_2000]);
        let found: Vec<_> = walk
            .buckets
            .iter()
            .map(|bucket| (bucket.address, bucket.size, bucket.counts, bucket.stack.clone()))
            .collect();
        assert_eq!(
            found,
            [
                (0x1_0000_3000, 64, counts([9, 4, 2, 1]), Some(0..2)),
                (0x1_0000_2000, 32, counts([1, 0, 0, 0]), None),
            ]
        );
    }
}
