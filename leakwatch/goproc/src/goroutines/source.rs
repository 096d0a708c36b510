//! What has to be known of a process before its goroutines can be read: where they are and how they are laid out.

use super::list::ListAddress;
use super::wait_reason::WaitReasons;
use crate::layout::GoroutineLayout;

/// Where the layout in use comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutOrigin {
    /// From the table of releases, and the memory agrees.
    Confirmed,
    /// From the memory alone: the release is not in the table.
    Learned,
}

/// All that is found once per process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoroutineSource {
    /// Where the fields of a goroutine lie.
    pub layout: GoroutineLayout,
    /// How that is known.
    pub origin: LayoutOrigin,
    /// Where the list of goroutines is.
    pub list: ListAddress,
    /// What the numbers of wait reasons mean; empty where the texts were not found.
    pub reasons: WaitReasons,
}
