//! The list of all goroutines: `allgptr`, `allglen` and `allgs` (runtime/proc.go).

use super::LocateError;
use super::Located;
use super::Method;
use super::Program;
use super::votes;
use crate::memory::ReadMemory;

/// A process with more goroutines has no memory left for anything else.
const MAX_LENGTH: u64 = 10_000_000;

/// Where the list of goroutines is: addresses of the variables that hold the array and its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoroutineVariables {
    /// Holds the address of an array of addresses of goroutines.
    pub array: Located,
    /// Holds its length.
    pub length: Located,
}

impl GoroutineVariables {
    /// Finds them. `id` is the offset of a goroutine's number: the first of the list has number one.
    pub(crate) fn find<M: ReadMemory + ?Sized, F: ReadMemory + ?Sized>(
        program: &Program<'_, M, F>,
        id: usize,
    ) -> Result<Self, LocateError> {
        const WHAT: &str = "runtime.allgs";
        if let (Some(array), Some(length)) = (program.symbol("runtime.allgptr"), program.symbol("runtime.allglen")) {
            return Ok(Self { array, length });
        }
        let word = |address: u64| program.memory.read_u64(address).ok();
        let is_array = |address: u64| -> Option<bool> {
            let first = word(word(address)?)?;
            Some(word(first.checked_add(id as u64)?)? == 1)
        };
        let [references] = program.references(["runtime.allgadd"]);
        let candidates: Vec<_> = votes([&references], |_| true)
            .into_iter()
            .map(|(address, _)| address)
            .collect();
        let mut arrays = candidates
            .iter()
            .copied()
            .filter(|address| is_array(*address) == Some(true));
        // allgptr and the slice allgs hold the same array; the length stands behind the latter as well.
        let found = arrays.find_map(|array| {
            let length = word(array.checked_add(8)?)?;
            let capacity = word(array.checked_add(16)?)?;
            let plausible = length > 0 && length <= capacity && capacity <= MAX_LENGTH;
            // The variable allglen holds the same number, unless a goroutine has been added just now.
            let twin = candidates
                .iter()
                .any(|address| *address != array && word(*address).is_some_and(|other| other.abs_diff(length) <= 64));
            (plausible && twin).then_some((array, array + 8))
        });
        let (array, length) = found.ok_or(LocateError::NoCandidate { what: WHAT })?;
        let located = |address| Located {
            address,
            method: Method::Code,
        };
        Ok(Self {
            array: located(array),
            length: located(length),
        })
    }
}
