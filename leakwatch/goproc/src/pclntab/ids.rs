//! The numbers of the functions that stack traces treat specially (`abi.FuncID`).
//!
//! They move from version to version; the table itself tells them, since each names a function that exists.

use super::Pclntab;
use super::bytes::TableBytes;

/// `abi.FuncID` values of one binary; `None` where the linker has dropped the function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionIds {
    /// Code that the compiler writes around a method or a `go` statement; left out of traces.
    pub wrapper: Option<u8>,
    panic: [Option<u8>; 3],
    injected: [Option<u8>; 3],
    cgo_callback: Option<u8>,
}

impl FunctionIds {
    /// Reads them from the functions that have them.
    pub fn of<B: TableBytes>(table: &Pclntab<B>) -> Self {
        // Zero is the number of all functions that are not special.
        let [
            switch,
            gopanic,
            sigpanic,
            panicwrap,
            async_preempt,
            debug_call,
            cgo_callback,
        ] = [
            "runtime.systemstack_switch",
            "runtime.gopanic",
            "runtime.sigpanic",
            "runtime.panicwrap",
            "runtime.asyncPreempt",
            "runtime.debugCallV2",
            "runtime.cgocallback",
        ]
        .map(|name| table.runtime_function(name).map(|function| function.id))
        .map(|id| id.filter(|id| *id != 0));
        Self {
            // Wrappers have the last number, the one behind `systemstack_switch`, in every release from 1.18 to 1.27.
            wrapper: switch.and_then(|id| id.checked_add(1)),
            panic: [gopanic, sigpanic, panicwrap],
            injected: [sigpanic, async_preempt, debug_call],
            cgo_callback,
        }
    }

    /// Traces leave it out when it has called a function of number `callee` (`runtime.elideWrapperCalling`): one that
    /// panics shows.
    pub fn is_elided(&self, id: u8, callee: u8) -> bool {
        self.wrapper == Some(id) && !self.panic.contains(&Some(callee))
    }

    /// Calls that the runtime has put between two instructions of the caller (`runtime.isInjectedCall`): the caller's
    /// address is not behind a call.
    pub fn is_injected(&self, id: u8) -> bool {
        self.injected.contains(&Some(id))
    }

    /// `runtime.cgocallback`, whose writing of the stack pointer does not hide its callers.
    pub fn is_cgo_callback(&self, id: u8) -> bool {
        self.cgo_callback == Some(id)
    }
}
