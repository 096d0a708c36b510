//! An address in a running process and how it was found, or why not. Shared by what finds the tables of an executable and what
//! finds the variables of its runtime.

use crate::memory::MemoryError;

/// How an address was found, from the surest to the least sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// The symbol table names it.
    Symbol,
    /// A section is named after it.
    Section,
    /// Functions that use it refer to it, and it holds what it must.
    Code,
    /// Only this address holds what it must.
    Memory,
    /// Functions that use it refer to it; what it holds could not be tested.
    Unverified,
}

/// An address in the running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    /// Where it is.
    pub address: u64,
    /// How it was found.
    pub method: Method,
}

/// Why a variable was not found.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// Nothing passes the test.
    #[error("{what} was not found")]
    NoCandidate {
        /// The variable.
        what: &'static str,
    },
    /// Several addresses pass the test.
    #[error("{what} could be at {candidates} addresses")]
    Ambiguous {
        /// The variable.
        what: &'static str,
        /// How many.
        candidates: usize,
    },
    /// The memory could not be read.
    #[error("search the runtime's variables")]
    Memory(#[from] MemoryError),
}

/// The names that the symbol table is asked for, in one pass.
pub(crate) const SYMBOLS: [&str; 11] = [
    "runtime.firstmoduledata",
    "runtime.mbuckets",
    "runtime.mProfCycle",
    "runtime.MemProfileRate",
    "runtime.disableMemoryProfiling",
    "runtime.allgptr",
    "runtime.allglen",
    "runtime.allgs",
    "runtime.gcController",
    "runtime.memstats",
    "runtime.mheap_",
];
