//! Kinds of frames. A number on disk keeps its meaning for ever: append only.

/// Number and name of a target or a service.
pub(crate) const NAME: u8 = 1;
/// Where everything is; the last frame of a complete partition.
pub(crate) const INDEX: u8 = 2;
/// A block of rows.
pub(crate) const ROWS: u8 = 3;
/// A block of rollups.
pub(crate) const ROLLUPS: u8 = 4;
/// Stacks of the programs of a service, more of them than before.
pub(crate) const STACKS: u8 = 5;
/// A profile, by what differs from the one before.
pub(crate) const PROFILE: u8 = 6;
/// A run that has ended.
pub(crate) const RUN: u8 = 7;
/// A post-mortem.
pub(crate) const POST_MORTEM: u8 = 8;
/// The rows of one tick, in a journal.
pub(crate) const TICK: u8 = 9;
/// What the catalog keeps.
pub(crate) const CATALOG: u8 = 10;
