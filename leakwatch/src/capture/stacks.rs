//! The stacks of a capture: unwound when they arrive, then known by their fingerprint. Bounded by bytes: a program may have as many stacks as it
//! likes, and the daemon's memory is not its to use.

use crate::probes::allocator::CopiedStack;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_nativeproc::image::ImageError;
use leakwatch_nativeproc::unwind::Frames;
use leakwatch_nativeproc::unwind::Place;
use leakwatch_nativeproc::unwind::StackTruncation;
use leakwatch_nativeproc::unwind::StackUnwinder;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

/// Bytes of distinct stacks that are kept whole: fifty thousand of thirty frames.
const MAX_WHOLE_BYTES: usize = 16 << 20;
/// Frames kept of those beyond, the innermost: fewer stacks differ by them.
const FOLDED_FRAMES: usize = 4;
/// Bytes of all; what is new then counts as a stack that could not be copied.
const MAX_BYTES: usize = 24 << 20;
/// What a stack takes beside its addresses, about.
const STACK_BYTES: usize = 96;
/// What a further fingerprint of it takes, about.
const FINGERPRINT_BYTES: usize = 24;

/// The reasons under which stacks are counted that are not kept as they were.
const FOLDED: &str = "native_stacks_folded";
const NOT_KEPT: &str = "native_stacks_not_kept";

/// Every stack seen so far.
#[derive(Debug)]
pub struct Stacks {
    unwinder: StackUnwinder,
    known: Known,
}

impl Stacks {
    /// None yet; reads the unwind information of what the process has mapped.
    pub fn of_process(pid: u32) -> Reading<Self> {
        Ok(Self {
            unwinder: StackUnwinder::of_process(pid).map_err(|error| failed(&error))?,
            known: Known::default(),
        })
    }

    /// Takes in one that is new.
    pub fn take(&mut self, stack: &CopiedStack<'_>) {
        if !self.unwinder.knows(stack.instruction)
            && let Err(error) = self.unwinder.look_again()
        {
            tracing::debug!(%error, "the process is gone");
        }
        let place = Place {
            instruction: stack.instruction,
            stack_pointer: stack.stack_pointer,
            frame_pointer: stack.frame_pointer,
            memory: stack.memory,
            goroutine_stack_pointer: stack.goroutine_stack_pointer,
            goroutine_memory: stack.goroutine_memory,
        };
        self.known.add(stack.fingerprint, self.unwinder.unwind(&place));
    }

    /// Its return addresses, innermost first; none where it could not be copied.
    pub fn addresses(&self, fingerprint: u64) -> &[u64] {
        self.known.addresses(fingerprint)
    }

    /// Stacks that end before their outermost frame, or are not kept whole, by reason.
    pub fn losses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.known.losses.iter().map(|(reason, count)| (*reason, *count))
    }
}

/// Stacks by their fingerprints; those that unwind to the same frames are kept once.
#[derive(Debug, Default)]
struct Known {
    by_fingerprint: HashMap<u64, Arc<[u64]>>,
    distinct: HashSet<Arc<[u64]>>,
    bytes: usize,
    losses: BTreeMap<&'static str, u64>,
}

impl Known {
    fn add(&mut self, fingerprint: u64, frames: Frames) {
        let Frames {
            mut addresses,
            truncation,
        } = frames;
        let bytes = |frames: usize| STACK_BYTES + 8 * frames;
        let is_new = !self.distinct.contains(addresses.as_slice());
        let reason = if is_new && self.bytes + bytes(addresses.len()) > MAX_WHOLE_BYTES {
            addresses.truncate(FOLDED_FRAMES);
            Some(FOLDED)
        } else {
            truncation.map(StackTruncation::reason)
        };
        let known = self.distinct.get(addresses.as_slice()).cloned();
        let needed = FINGERPRINT_BYTES + known.as_ref().map_or_else(|| bytes(addresses.len()), |_| 0);
        if self.bytes + needed > MAX_BYTES {
            self.lose(NOT_KEPT);
            return;
        }
        self.bytes += needed;
        let stack = known.unwrap_or_else(|| {
            let stack: Arc<[u64]> = addresses.into();
            self.distinct.insert(Arc::clone(&stack));
            stack
        });
        self.by_fingerprint.insert(fingerprint, stack);
        if let Some(reason) = reason {
            self.lose(reason);
        }
    }

    fn lose(&mut self, reason: &'static str) {
        *self.losses.entry(reason).or_default() += 1;
    }

    fn addresses(&self, fingerprint: u64) -> &[u64] {
        self.by_fingerprint.get(&fingerprint).map_or(&[], |stack| stack)
    }
}

/// The files of a process could not be read.
pub fn failed(error: &ImageError) -> Missing {
    Missing::new(MissingReason::Failed, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(addresses: Vec<u64>) -> Frames {
        Frames {
            addresses,
            truncation: None,
        }
    }

    #[test]
    fn what_unwinds_to_the_same_frames_is_kept_once() {
        let mut known = Known::default();
        let cut = Frames {
            truncation: Some(StackTruncation::CopyEnded),
            ..frames(vec![1, 2, 3])
        };
        known.add(10, cut.clone());
        let one = known.bytes;
        known.add(11, cut);
        assert_eq!(known.bytes - one, FINGERPRINT_BYTES);
        assert_eq!(
            (known.addresses(10), known.addresses(11)),
            (&[1, 2, 3][..], &[1, 2, 3][..])
        );
        assert_eq!(known.addresses(12), &[] as &[u64]);
        assert_eq!(known.losses, BTreeMap::from([("native_unwind_copy_ended", 2)]));
    }

    #[test]
    fn a_program_of_many_stacks_is_folded_then_counted() {
        let mut known = Known::default();
        // Deep, all different further out, from few places.
        let deep = |number: u64| {
            let mut addresses = vec![number % 7, 1, 2, 3];
            addresses.extend((0..100).map(|frame| frame + number * 1000));
            frames(addresses)
        };
        let many = 2 * MAX_WHOLE_BYTES as u64 / (104 * 8);
        for number in 0..many {
            known.add(number, deep(number));
        }
        assert_eq!(known.addresses(0).len(), 104);
        assert_eq!(known.addresses(many - 1), &[(many - 1) % 7, 1, 2, 3]);
        assert!(known.losses[FOLDED] > many / 3 && !known.losses.contains_key(NOT_KEPT));
        // All different in their innermost frames.
        for number in 0..1_000_000 {
            known.add(many + number, frames(vec![number * 4 + (1 << 40), 1, 2, 3, 4]));
        }
        assert!(known.bytes <= MAX_BYTES && known.losses[NOT_KEPT] > 0);
        assert_eq!(known.addresses(many + 999_999), &[] as &[u64]);
        // One that is known needs room for its fingerprint alone, and the reasons are told.
        let documented = include_str!("../../../docs/operating.md");
        assert!([FOLDED, NOT_KEPT].iter().all(|reason| documented.contains(reason)));
    }
}
