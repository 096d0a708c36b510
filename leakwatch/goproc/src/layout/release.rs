//! The layout of one minor release of Go.

use super::gc::GcControllerLayout;
use super::gc::MemstatsLayout;
use super::goroutine::GoroutineLayout;
use super::record::RecordFormat;
use super::waiting::WaitingLayout;

/// The layout of one minor release on amd64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// `27` for Go 1.27.
    pub minor: u32,
    /// `runtime.g`.
    pub goroutine: GoroutineLayout,
    /// `runtime.memRecord`.
    pub record: RecordFormat,
    /// `runtime.moduledata.gofunc`: start of the inline trees.
    pub gofunc: usize,
    /// `runtime.gcControllerState`.
    pub gc_controller: GcControllerLayout,
    /// What goroutines wait for.
    pub waiting: WaitingLayout,
    /// `runtime.mstats`.
    pub memstats: MemstatsLayout,
}
