//! Which goroutines of a process nobody can wake.

use super::GoProcess;
use super::NoGoroutines;
use super::program;
use crate::goroutines::GoroutineBounds;
use crate::goroutines::LayoutOrigin;
use crate::layout::Layout;
use crate::locate::find_spans;
use crate::located::LocateError;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use crate::spans;
use crate::wakers::Look;
use crate::wakers::LookBounds;
use crate::wakers::Places;
use crate::wakers::Wakers;
use crate::wakers::WakersError;

/// Why it cannot be told which goroutines nobody can wake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoLook {
    /// The layout of this release's heap is not known.
    #[error("the heap of {version} is not known: that of Go 1.22 and later is")]
    UnknownVersion {
        /// The version, as the linker recorded it.
        version: String,
    },
    /// What its goroutines wait for is told by numbers without text.
    #[error("the program does not say in words what goroutines wait for")]
    NoReasons,
    /// Variables of the others are not read, and could hold what goroutines wait for.
    #[error("the program consists of several modules")]
    SeveralModules,
    /// The goroutines were not found.
    #[error(transparent)]
    Goroutines(#[from] NoGoroutines),
    /// The heap was not found.
    #[error(transparent)]
    Locate(#[from] LocateError),
    /// The memory could not be read.
    #[error("look for other modules")]
    Memory(#[from] MemoryError),
    /// The look came to no end.
    #[error(transparent)]
    Look(#[from] WakersError),
}

impl<M: ReadMemory> GoProcess<M> {
    /// Looks once which goroutines nobody can wake. `now` is nanoseconds of `CLOCK_MONOTONIC`.
    pub fn look_for_wakers(&mut self, bounds: LookBounds, now: u64) -> Result<Look, NoLook> {
        let version = self.binary().version().to_owned();
        let unknown = || NoLook::UnknownVersion {
            version: version.clone(),
        };
        let layout: &'static Layout = self.binary().layout().ok_or_else(unknown)?;
        if layout.minor < spans::FIRST_RELEASE {
            return Err(unknown());
        }
        let types = self.module().types().ok_or_else(unknown)?;
        self.goroutines(GoroutineBounds::default())?;
        let heap = self.find_heap()?;
        let next = self
            .module()
            .located
            .address
            .saturating_add(layout.waiting.module_next as u64);
        if self.memory().read_u64(next)? != 0 {
            return Err(NoLook::SeveralModules);
        }
        let Some(source) = self
            .goroutines
            .as_ref()
            .filter(|source| source.origin == LayoutOrigin::Confirmed)
        else {
            return Err(unknown());
        };
        if source.reasons.text(2).is_none() {
            return Err(NoLook::NoReasons);
        }
        let module = self.module();
        let wakers = Wakers {
            memory: &self.memory,
            places: Places {
                heap,
                variables: [module.data().clone(), module.bss().clone()],
                types,
                layout: &layout.waiting,
                minor: layout.minor,
                goroutines: source,
            },
            bounds,
        };
        Ok(wakers.look(now)?)
    }

    fn find_heap(&mut self) -> Result<u64, LocateError> {
        if let Some(heap) = self.spans {
            return Ok(heap);
        }
        let program = program(&self.memory, &self.binary, self.bias, &self.module, &self.symbols);
        let heap = find_spans(&program)?.address;
        self.spans = Some(heap);
        Ok(heap)
    }
}
