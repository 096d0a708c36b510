//! Finds the runtime's variables in a running process: by the symbol table, else by the code that uses them and a test of
//! what they hold, else by what they hold alone. Every find says how it was made; two candidates are no find.

mod code;
mod gc;
mod goroutines;
mod heap;
mod spans;

pub use crate::located::LocateError;
pub use crate::located::Located;
pub use crate::located::Method;
pub use crate::moduledata::Moduledata;
pub use crate::moduledata::find as find_moduledata;
pub use gc::GcVariables;
pub use goroutines::GoroutineVariables;
pub use heap::HeapVariables;
pub(crate) use spans::find as find_spans;

use crate::binary::BinaryTable;
use crate::image::Image;
use crate::memory::ReadMemory;
use crate::pclntab::Pclntab;
use code::Reference;
use std::collections::BTreeMap;

/// A running program with what is known of it so far.
#[derive(Debug)]
pub(crate) struct Program<'p, M: ?Sized, F: ?Sized> {
    pub(crate) memory: &'p M,
    pub(crate) file: &'p F,
    pub(crate) image: &'p Image,
    /// What is added to an address of the file to get one of the process.
    pub(crate) bias: u64,
    pub(crate) module: &'p Moduledata,
    pub(crate) pclntab: &'p Pclntab<BinaryTable>,
    /// Addresses in the process of those of [`crate::located::SYMBOLS`] that the symbol table has.
    pub(crate) symbols: &'p BTreeMap<&'static str, u64>,
}

impl<M: ReadMemory + ?Sized, F: ReadMemory + ?Sized> Program<'_, M, F> {
    fn symbol(&self, name: &str) -> Option<Located> {
        self.symbols.get(name).map(|address| Located {
            address: *address,
            method: Method::Symbol,
        })
    }

    /// All variables that the code of each function refers to, function by function; a function that does not exist
    /// refers to none. Addresses of the process; offsets in the code as the file has it, which are the same.
    fn references<const N: usize>(&self, functions: [&str; N]) -> [Vec<Reference>; N] {
        /// The longest function that is searched has some ten kilobytes.
        const MAX_CODE: u64 = 256 << 10;
        functions.map(|name| {
            let Some(function) = self.pclntab.runtime_function(name) else {
                return Vec::new();
            };
            let length = usize::try_from((function.end - function.entry).min(MAX_CODE)).unwrap_or(0);
            let code = self
                .image
                .initial(self.file, function.entry, length)
                .unwrap_or_default();
            code::references(&code, function.entry.wrapping_add(self.bias))
                .filter(|reference| self.module.is_variable(reference.target))
                .collect()
        })
    }
}

/// The one address that is left.
fn single(what: &'static str, method: Method, candidates: &[u64]) -> Result<Located, LocateError> {
    match candidates {
        [address] => Ok(Located {
            address: *address,
            method,
        }),
        [] => Err(LocateError::NoCandidate { what }),
        _ => Err(LocateError::Ambiguous {
            what,
            candidates: candidates.len(),
        }),
    }
}

/// Addresses in the order of how many of the functions refer to them, most first.
fn votes<'r>(
    functions: impl IntoIterator<Item = &'r Vec<Reference>>,
    counts: impl Fn(&Reference) -> bool,
) -> Vec<(u64, usize)> {
    let mut votes: BTreeMap<u64, usize> = BTreeMap::new();
    for references in functions {
        let mut targets: Vec<_> = references
            .iter()
            .filter(|reference| counts(reference))
            .map(|reference| reference.target)
            .collect();
        targets.sort_unstable();
        targets.dedup();
        for target in targets {
            *votes.entry(target).or_default() += 1;
        }
    }
    let mut votes: Vec<_> = votes.into_iter().collect();
    votes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    votes
}
