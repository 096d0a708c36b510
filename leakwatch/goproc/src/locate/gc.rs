//! The variables of the garbage collector: `gcController` (runtime/mgcpacer.go) and `memstats` (runtime/mstats.go).
//!
//! No function need be known for them: what they hold is unmistakable. Both lie near the start of the variables without
//! pointers, which the linker sorts by size.

use super::LocateError;
use super::Located;
use super::Method;
use super::Program;
use super::single;
use crate::gc::is_controller;
use crate::gc::is_memstats;
use crate::layout::Layout;
use crate::memory::ReadMemory;
use crate::memory::u64_at;

/// Bytes searched. Not more: Go 1.26 and later keep 32 MB there that are hardly ever touched, and reading untouched memory
/// makes the kernel map it.
const MAX_SCAN: u64 = 256 << 10;

/// Where the garbage collector's variables are.
#[derive(Clone, Debug)]
pub struct GcVariables {
    /// `runtime.gcController`.
    pub controller: Result<Located, LocateError>,
    /// `runtime.memstats`. Not found by what it holds before the first collection.
    pub memstats: Result<Located, LocateError>,
}

impl GcVariables {
    /// Finds them.
    pub(crate) fn find<M: ReadMemory + ?Sized, F: ReadMemory + ?Sized>(
        program: &Program<'_, M, F>,
        layout: &Layout,
    ) -> Self {
        let range = program.module.noptrbss();
        let start = range.start.next_multiple_of(8);
        let length = range.end.saturating_sub(start).min(MAX_SCAN);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        let read = program.memory.read_some(start, &mut bytes).unwrap_or(0);
        bytes.truncate(read);
        let find = |what, test: &dyn Fn(&[u8]) -> bool| {
            if let Some(located) = program.symbol(what) {
                return Ok(located);
            }
            let candidates: Vec<_> = (0..bytes.len())
                .step_by(8)
                .filter(|offset| bytes.get(*offset..).is_some_and(test))
                .map(|offset| start + offset as u64)
                .collect();
            single(what, Method::Memory, &candidates)
        };
        Self {
            // With GOGC=0 the first words are zero, as those of much else: then only a symbol can tell.
            controller: find("runtime.gcController", &|bytes| {
                u64_at(bytes, 0) != Some(0) && is_controller(bytes, &layout.gc_controller)
            }),
            memstats: find("runtime.memstats", &|bytes| is_memstats(bytes, &layout.memstats)),
        }
    }
}
