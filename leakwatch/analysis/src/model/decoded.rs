//! A profile together with what it says, on its way from where it was taken to the history it becomes a part of.

use crate::model::profile::StackValue;
use crate::model::reading::Reading;
use crate::model::stack::StackId;
use crate::model::stack::StackTable;
use std::sync::Arc;

/// A profile as analysis works on it: values by stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Values by stack, sorted by stack.
    pub values: Vec<(StackId, StackValue)>,
    /// Sum over all samples of the profile, dropped ones included.
    pub total: StackValue,
    /// Samples whose stack did not fit the bounds of the stack table and which are in no stack.
    pub dropped: u64,
}

/// The original bytes and what they say. Decoded once, where the profile is taken or read back, so that whoever keeps it has only to
/// look its stacks up among those it knows.
#[derive(Clone, Debug, PartialEq)]
pub struct DecodedProfile {
    /// The gzipped `profile.proto`, for recordings and for clients.
    pub pprof: Arc<[u8]>,
    /// What it says, or why it does not decode.
    pub content: Reading<Arc<ProfileContent>>,
}

/// Values by stack, in a table of stacks of the profile's own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProfileContent {
    /// The stacks.
    pub stacks: StackTable,
    /// Their values.
    pub summary: Summary,
}

impl Default for DecodedProfile {
    /// No bytes that say nothing.
    fn default() -> Self {
        Self {
            pprof: Arc::from([]),
            content: Ok(Arc::default()),
        }
    }
}

impl ProfileContent {
    /// The same with the stacks of another table, which gets those that it does not have yet. What does not fit there is counted as
    /// dropped.
    pub fn intern(&self, stacks: &mut StackTable) -> Summary {
        let ids = stacks.absorb(&self.stacks);
        let mut summary = Summary {
            values: Vec::with_capacity(self.summary.values.len()),
            ..self.summary
        };
        for (stack, value) in &self.summary.values {
            match ids.get(stack.index()).copied().flatten() {
                Some(id) => summary.values.push((id, *value)),
                None => summary.dropped += 1,
            }
        }
        summary.values.sort_unstable_by_key(|(stack, _)| *stack);
        summary
    }
}
