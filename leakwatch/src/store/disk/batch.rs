//! What the engine hands to the writer at the end of each round.

use super::catalog::Change;
use super::codec::row::Row;
use super::partition::name::Tier;
use super::profiles::ProfileRecord;
use std::sync::Arc;

/// Everything new since the batch before.
#[derive(Debug, Default)]
pub struct Batch {
    /// Milliseconds since the Unix epoch.
    pub at: u64,
    /// At most one for each target.
    pub rows: Vec<(Arc<str>, Row)>,
    /// Profiles to keep.
    pub profiles: Vec<ProfileRecord>,
    /// For the catalog.
    pub changes: Vec<Change>,
    /// Runs and post-mortems.
    pub records: Vec<Record>,
}

/// A frame of its own: a run that has ended, a post-mortem.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where it goes.
    pub tier: Tier,
    /// Kind of its frame.
    pub kind: u8,
    /// What it is found by.
    pub name: Arc<str>,
    /// First and last instant, in milliseconds since the Unix epoch.
    pub span: (u64, u64),
    /// Not compressed yet.
    pub payload: Vec<u8>,
}
