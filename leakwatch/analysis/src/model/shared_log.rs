//! A list that only grows at its end and is cheap to copy: copies share what they have in common.

use std::collections::VecDeque;
use std::sync::Arc;

/// Items that are copied at most when one is appended after a copy of the list was made.
const CHUNK: usize = 512;

/// The list, in full chunks that never change and one that is being filled.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedLog<T> {
    full: VecDeque<Arc<Vec<T>>>,
    tail: Arc<Vec<T>>,
}

impl<T> Default for SharedLog<T> {
    fn default() -> Self {
        Self {
            full: VecDeque::new(),
            tail: Arc::default(),
        }
    }
}

impl<T> SharedLog<T> {
    /// Number of items.
    pub fn len(&self) -> usize {
        self.full.len() * CHUNK + self.tail.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One item.
    pub fn get(&self, index: usize) -> Option<&T> {
        match self.full.get(index / CHUNK) {
            Some(chunk) => chunk.get(index % CHUNK),
            None => self.tail.get(index - self.full.len() * CHUNK),
        }
    }

    /// The newest items, `count` of them at most, oldest first.
    pub fn newest(&self, count: usize) -> impl DoubleEndedIterator<Item = &T> {
        (self.len().saturating_sub(count)..self.len()).filter_map(|index| self.get(index))
    }

    /// All items, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.newest(self.len())
    }

    /// Drops the oldest items, whole chunks of them, as long as `keep` others are left.
    pub fn forget_all_but(&mut self, keep: usize) {
        while !self.full.is_empty() && self.len() - CHUNK >= keep {
            self.full.pop_front();
        }
    }
}

impl<T: Clone> SharedLog<T> {
    /// Appends an item.
    pub fn push(&mut self, item: T) {
        let tail = Arc::make_mut(&mut self.tail);
        tail.push(item);
        if tail.len() == CHUNK {
            tail.shrink_to_fit();
            self.full.push_back(std::mem::take(&mut self.tail));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_stays_as_it_was_and_shares_what_is_full() {
        let mut log = SharedLog::default();
        let mut copies = Vec::new();
        for number in 0..3 * CHUNK {
            if number % 100 == 0 {
                copies.push(log.clone());
            }
            log.push(number);
        }
        for (nth, copy) in copies.iter().enumerate() {
            assert_eq!((copy.len(), copy.is_empty()), (100 * nth, nth == 0));
            assert!(copy.iter().copied().eq(0..100 * nth));
            assert!(copy.iter().rev().copied().eq((0..100 * nth).rev()));
            assert_eq!(copy.get(100 * nth), None);
            assert!((0..100 * nth).all(|index| copy.get(index) == Some(&index)));
            assert!(copy.full.iter().zip(&log.full).all(|(a, b)| Arc::ptr_eq(a, b)));
        }
    }

    #[test]
    fn the_oldest_are_forgotten_in_chunks() {
        let mut log = SharedLog::default();
        for number in 0..=5 * CHUNK {
            log.push(number);
            log.forget_all_but(2 * CHUNK);
        }
        assert_eq!(log.len(), 2 * CHUNK + 1);
        assert_eq!(log.iter().next(), Some(&(3 * CHUNK)));
        assert_eq!(log.get(0), Some(&(3 * CHUNK)));
    }
}
