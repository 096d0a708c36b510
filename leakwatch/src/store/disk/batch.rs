//! What the engine hands to the writer at the end of each round.

use super::catalog::Change;
use super::codec::row::Row;
use super::partition::name::Tier;
use super::profiles::ProfileRecord;
use std::sync::Arc;

/// Everything new since the batch before.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Milliseconds since the Unix epoch.
    pub(crate) at: u64,
    /// At most one for each target.
    pub(crate) rows: Vec<(Arc<str>, Row)>,
    pub(crate) profiles: Vec<ProfileRecord>,
    pub(crate) changes: Vec<Change>,
    pub(crate) records: Vec<Record>,
}

/// A frame of its own: a run that has ended, a post-mortem.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) tier: Tier,
    pub(crate) kind: u8,
    /// What it is found by.
    pub(crate) name: Arc<str>,
    /// First and last instant, in milliseconds since the Unix epoch.
    pub(crate) span: (u64, u64),
    pub(crate) payload: Vec<u8>,
}
