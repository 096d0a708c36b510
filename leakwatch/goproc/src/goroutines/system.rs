//! Which goroutines are the runtime's own (`runtime.isSystemGoroutine`): profiles leave them out.

use crate::pclntab::Pclntab;
use crate::pclntab::TableBytes;
use std::collections::HashMap;

/// Distinct start functions remembered; a large program has some thousands.
const MAX_REMEMBERED: usize = 1 << 16;

/// Whose goroutine one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// The program's.
    Program,
    /// The runtime's.
    Runtime,
    /// The runtime's, which calls finalizers and cleanups of the program: then it counts as the program's.
    Finalizers,
}

/// Owners by start function.
#[derive(Debug)]
pub(super) struct Owners<'t, B> {
    table: &'t Pclntab<B>,
    bias: u64,
    known: HashMap<u64, Owner>,
}

impl<'t, B: TableBytes> Owners<'t, B> {
    pub(super) fn new(table: &'t Pclntab<B>, bias: u64) -> Self {
        Self {
            table,
            bias,
            known: HashMap::new(),
        }
    }

    /// The owner of a goroutine that was started at this address of the process.
    pub(super) fn of(&mut self, start: u64) -> Owner {
        if let Some(owner) = self.known.get(&start) {
            return *owner;
        }
        let name = self
            .table
            .function_at(start.wrapping_sub(self.bias))
            .and_then(|function| self.table.full_name(&function));
        let owner = match name.as_deref() {
            Some("runtime.main" | "runtime.handleAsyncEvent" | "runtime.corostart") | None => Owner::Program,
            // Up to 1.24 one goroutine for both; `runtime.runfinq` before 1.25.
            Some("runtime.runfinq" | "runtime.runFinalizers" | "runtime.runCleanups") => Owner::Finalizers,
            Some(name) if name.starts_with("runtime.") => Owner::Runtime,
            Some(_) => Owner::Program,
        };
        if self.known.len() >= MAX_REMEMBERED {
            self.known.clear();
        }
        self.known.insert(start, owner);
        owner
    }

    /// Some call of a stack is the program's own code.
    pub(super) fn runs_program(&self, frames: &[u64]) -> bool {
        frames.iter().any(|pc| {
            let function = self.table.function_at(pc.saturating_sub(1));
            function
                .and_then(|function| self.table.full_name(&function))
                .is_some_and(|name| !is_of_runtime(&name))
        })
    }
}

/// A function of the runtime or of a package that belongs to it.
fn is_of_runtime(name: &str) -> bool {
    [
        "runtime.",
        "runtime/internal/",
        "internal/runtime/",
        "internal/abi",
        "reflect.",
    ]
    .iter()
    .any(|package| name.starts_with(package))
}
