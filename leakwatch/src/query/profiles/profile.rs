//! A profile that is complete in itself.

use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::stack::StackTable;
use std::sync::Arc;

/// A profile with the table of its stacks.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its values.
    pub snapshot: Snapshot,
    /// Their stacks.
    pub stacks: Arc<StackTable>,
}
