//! The stacks of a capture: unwound when they arrive, then known by their fingerprint.

use crate::probes::allocator::CopiedStack;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_nativeproc::image::ImageError;
use leakwatch_nativeproc::unwind::Frames;
use leakwatch_nativeproc::unwind::Place;
use leakwatch_nativeproc::unwind::StackUnwinder;
use std::collections::BTreeMap;
use std::collections::HashMap;

/// Every stack seen so far.
#[derive(Debug)]
pub struct Stacks {
    unwinder: StackUnwinder,
    known: HashMap<u64, Frames>,
}

impl Stacks {
    /// None yet; reads the unwind information of what the process has mapped.
    pub fn of_process(pid: u32) -> Reading<Self> {
        Ok(Self {
            unwinder: StackUnwinder::of_process(pid).map_err(|error| failed(&error))?,
            known: HashMap::new(),
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
        self.known.insert(stack.fingerprint, self.unwinder.unwind(&place));
    }

    /// Its return addresses, innermost first; none where it could not be copied.
    pub fn addresses(&self, fingerprint: u64) -> &[u64] {
        self.known
            .get(&fingerprint)
            .map_or(&[], |frames| frames.addresses.as_slice())
    }

    /// Stacks that end before their outermost frame, by reason.
    pub fn losses(&self) -> BTreeMap<&'static str, u64> {
        let mut losses = BTreeMap::new();
        for truncation in self.known.values().filter_map(|frames| frames.truncation) {
            *losses.entry(truncation.reason()).or_default() += 1;
        }
        losses
    }
}

/// The files of a process could not be read.
pub fn failed(error: &ImageError) -> Missing {
    Missing::new(MissingReason::Failed, error.to_string())
}
