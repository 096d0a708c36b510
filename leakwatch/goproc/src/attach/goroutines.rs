//! The goroutines of a process: where they are, and how its memory confirms their layout.

use super::GoProcess;
use crate::binary::BinaryTable;
use crate::goroutines::Calibration;
use crate::goroutines::CalibrationError;
use crate::goroutines::GoroutineBounds;
use crate::goroutines::GoroutineSource;
use crate::goroutines::Goroutines;
use crate::goroutines::LayoutOrigin;
use crate::goroutines::ListAddress;
use crate::goroutines::WaitReasons;
use crate::layout::GoroutineLayout;
use crate::layout::Layout;
use crate::located::LocateError;
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

impl<M: ReadMemory> GoProcess<M> {
    /// Its goroutines; the first call finds and confirms where they are.
    pub fn goroutines(&mut self, bounds: GoroutineBounds) -> Result<Goroutines<'_, M, BinaryTable>, NoGoroutines> {
        self.memory().begin();
        let source = match self.goroutines.take() {
            Some(source) => source,
            None => self.find_goroutines()?,
        };
        let source = self.goroutines.insert(source);
        Ok(Goroutines::new(
            &self.memory,
            self.binary.pclntab(),
            self.bias,
            source,
            bounds,
        ))
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
