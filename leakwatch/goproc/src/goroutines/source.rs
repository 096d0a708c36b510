//! What has to be known of a process before its goroutines can be read: where they are, how they are laid out, and how the
//! memory confirms it.

use super::GoroutineBounds;
use super::Goroutines;
use super::calibrate::Calibration;
use super::calibrate::CalibrationError;
use super::layout::GoroutineLayout;
use super::list::ListAddress;
use super::wait_reason::WaitReasons;
use crate::BinaryTable;
use crate::attach::GoProcess;
use crate::layout::Layout;
use crate::locate::LocateError;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use std::collections::BTreeSet;

/// Why the goroutines of a process cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoGoroutines {
    /// The list was not found.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// The memory does not confirm the layout, or does not tell one that no table has.
    #[error("the layout of goroutines of {version} is not certain")]
    Layout {
        /// The version, as the linker recorded it.
        version: String,
        /// Why.
        #[source]
        source: CalibrationError,
    },
    /// The memory could not be read.
    #[error("search the texts of wait reasons")]
    Memory(#[from] MemoryError),
}

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

impl<M: ReadMemory> GoProcess<M> {
    /// Its goroutines; the first call finds and confirms where they are.
    pub fn goroutines(&mut self, bounds: GoroutineBounds) -> Result<Goroutines<'_, M, BinaryTable>, NoGoroutines> {
        self.memory().begin();
        let source = match self.take_goroutine_source() {
            Some(source) => source,
            None => self.find_goroutines()?,
        };
        Ok(self.with_goroutine_source(source, bounds))
    }

    fn find_goroutines(&self) -> Result<GoroutineSource, NoGoroutines> {
        let expected = self.binary().layout().map(|layout| layout.goroutine);
        let list = self.find_list(expected.as_ref())?;
        let settled = Calibration::read(self.memory(), self.binary().pclntab(), self.bias(), list)
            .and_then(|calibration| calibration.settle(expected.as_ref()));
        let layout = settled.map_err(|source| NoGoroutines::Layout {
            version: self.binary().version().to_owned(),
            source,
        })?;
        let origin = if expected.is_some() {
            LayoutOrigin::Confirmed
        } else {
            LayoutOrigin::Learned
        };
        let data = self.module().data().clone();
        Ok(GoroutineSource {
            layout,
            origin,
            list,
            reasons: WaitReasons::find(self.memory(), data)?.unwrap_or_default(),
        })
    }

    /// The list is recognised by the number of its first goroutine: where that lies is tried out in an unknown release.
    fn find_list(&self, expected: Option<&GoroutineLayout>) -> Result<ListAddress, LocateError> {
        if let Some(layout) = expected {
            return self.goroutine_list(layout.id);
        }
        let ids: BTreeSet<usize> = Layout::all().iter().map(|layout| layout.goroutine.id).collect();
        let mut found = ids.into_iter().map(|id| self.goroutine_list(id));
        let first = found
            .next()
            .unwrap_or(Err(LocateError::NoCandidate { what: "runtime.allgs" }));
        found.fold(first, Result::or)
    }
}
