//! How many symbolizers there are.

use std::sync::atomic::AtomicUsize;

/// The symbolizers that are at work, of all captures.
#[derive(Debug, Default)]
pub(in crate::capture) struct Workers(pub(super) AtomicUsize);
