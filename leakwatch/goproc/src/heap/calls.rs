//! The stacks of all buckets as one tree from the outermost calls inwards: what stacks have in common is kept once.

use hashbrown::DefaultHashBuilder;
use hashbrown::HashTable;
use std::hash::BuildHasher as _;

/// A stack in its tree: the number of its innermost call, from one; zero for the stack without calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct StackNumber(u32);

/// The calls of all stacks.
#[derive(Debug, Default)]
pub(super) struct CallTree {
    /// Of each call: its return address, and the stack that made it.
    addresses: Vec<u64>,
    callers: Vec<StackNumber>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The calls of the stack that was added last, outermost first: the next one often has most of them.
    path: Vec<(u64, StackNumber)>,
}

impl CallTree {
    /// Adds a stack, innermost call first.
    pub(super) fn insert(&mut self, stack: impl DoubleEndedIterator<Item = u64>) -> StackNumber {
        let mut caller = StackNumber::default();
        for (depth, address) in stack.rev().enumerate() {
            match self.path.get(depth) {
                Some((known, number)) if *known == address => caller = *number,
                _ => {
                    self.path.truncate(depth);
                    caller = self.call(caller, address);
                    self.path.push((address, caller));
                }
            }
        }
        caller
    }

    fn call(&mut self, caller: StackNumber, address: u64) -> StackNumber {
        let (addresses, callers, hasher) = (&self.addresses, &self.callers, &self.hasher);
        let at = |place: &u32| {
            let place = *place as usize;
            addresses
                .get(place)
                .copied()
                .zip(callers.get(place).map(|caller| caller.0))
        };
        let hash = hasher.hash_one((address, caller.0));
        let known = self.index.find(hash, |place| at(place) == Some((address, caller.0)));
        if let Some(place) = known {
            return StackNumber(place + 1);
        }
        let Ok(place) = u32::try_from(addresses.len()) else {
            return caller;
        };
        self.index
            .insert_unique(hash, place, |place| hasher.hash_one(at(place).unwrap_or_default()));
        self.addresses.push(address);
        self.callers.push(caller);
        StackNumber(place + 1)
    }

    /// The calls of a stack, innermost first.
    pub(super) fn stack(&self, number: StackNumber) -> impl Iterator<Item = u64> + '_ {
        let place = |number: StackNumber| (number.0 as usize).checked_sub(1);
        std::iter::successors(place(number), move |inner| place(*self.callers.get(*inner)?))
            .filter_map(|place| self.addresses.get(place).copied())
    }

    /// How many calls are kept.
    pub(super) fn len(&self) -> usize {
        self.addresses.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stacks_share_their_callers() {
        let mut tree = CallTree::default();
        let first = tree.insert([3, 2, 1].into_iter());
        let second = tree.insert([4, 2, 1].into_iter());
        assert_eq!(tree.len(), 4);
        assert_eq!(tree.insert([3, 2, 1].into_iter()), first);
        assert!(tree.stack(second).eq([4, 2, 1]));
        let empty = tree.insert(std::iter::empty());
        assert_eq!(tree.stack(empty).count(), 0);
    }

    proptest! {
        #[test]
        fn every_stack_comes_back(stacks in prop::collection::vec(prop::collection::vec(0..4_u64, 0..9), 0..60)) {
            let mut tree = CallTree::default();
            let numbers: Vec<StackNumber> = stacks.iter().map(|stack| tree.insert(stack.iter().copied())).collect();
            for (number, stack) in numbers.into_iter().zip(stacks) {
                prop_assert!(tree.stack(number).eq(stack));
            }
        }
    }
}
