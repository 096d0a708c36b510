//! From a stack to the calls on it, by the method of the runtime itself (`runtime.unwinder`, runtime/traceback.go): the
//! function table tells how deep each frame is. amd64: the return address lies above the frame.
//!
//! Only return addresses leave this module: what else is on a stack may be a secret.

use super::header::Header;
use crate::memory::u64_at;
use crate::pclntab::Function;
use crate::pclntab::FunctionIds;
use crate::pclntab::Pclntab;
use crate::pclntab::TableBytes;
use std::collections::HashMap;

/// As deep as the deepest stack that Go itself records (`debug.profstackdepth`).
pub(super) const MAX_FRAMES: usize = 1024;

/// A program has some hundred distinct return addresses on its stacks; all of a large one fit.
const MAX_STEPS: usize = 1 << 16;

/// How a walk up a stack has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// At the function with which every goroutine begins; `root` is the entry of the function above it.
    Top {
        /// Zero when there is no frame above.
        root: u64,
    },
    /// At code that Go cannot unwind either, or at [`MAX_FRAMES`].
    Partial,
    /// At the end of the bytes: the return address lies before this address.
    Short(u64),
}

/// What an address on a stack says about its frame.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// Bytes of the frame up to the return address; `None` where there is no table.
    depth: Option<u64>,
    /// Entry of the function, as linked.
    entry: u64,
    is_top: bool,
    writes_sp: bool,
    is_cgo_callback: bool,
}

/// Walks stacks of one process, and remembers what each address has said.
#[derive(Debug)]
pub(super) struct Unwinder<'t, B> {
    table: &'t Pclntab<B>,
    ids: FunctionIds,
    /// Process address less this is the linked address.
    bias: u64,
    steps: HashMap<u64, Option<Step>>,
}

impl<'t, B: TableBytes> Unwinder<'t, B> {
    pub(super) fn new(table: &'t Pclntab<B>, bias: u64) -> Self {
        Self {
            table,
            ids: FunctionIds::of(table),
            bias,
            steps: HashMap::new(),
        }
    }

    /// Puts the linked addresses at which each frame goes on into `frames`, innermost first. `bytes` is the stack from
    /// `header.sp` on, as far as it was read.
    pub(super) fn walk(&mut self, header: &Header, bytes: &[u8], frames: &mut Vec<u64>) -> End {
        frames.clear();
        let mut pc = header.pc;
        let mut sp = header.sp;
        let word = |address: u64| {
            let offset = usize::try_from(address.checked_sub(header.sp)?).ok()?;
            u64_at(bytes, offset)
        };
        if pc == 0 {
            // A call of a nil function: go on in its caller.
            match word(sp) {
                Some(caller) => pc = caller,
                None => return End::Short(sp.saturating_add(8)),
            }
            sp = sp.saturating_add(8);
        }
        let mut root = 0;
        while frames.len() < MAX_FRAMES {
            let linked = pc.wrapping_sub(self.bias);
            let Some(step) = self.step(linked) else {
                return End::Partial;
            };
            let innermost = frames.is_empty();
            frames.push(linked);
            if step.is_top {
                return End::Top { root };
            }
            // In a system call, the stack pointer was saved before it was written.
            let hidden = step.writes_sp && !step.is_cgo_callback && !(innermost && header.in_syscall);
            let Some(depth) = step.depth.filter(|_| !hidden) else {
                return End::Partial;
            };
            root = step.entry;
            let Some(next) = sp.checked_add(depth).and_then(|end| end.checked_add(8)) else {
                return End::Partial;
            };
            if next > header.stack.end {
                return End::Partial;
            }
            match word(next - 8) {
                Some(caller) => pc = caller,
                None => return End::Short(next),
            }
            sp = next;
        }
        End::Partial
    }

    fn step(&mut self, linked: u64) -> Option<Step> {
        if let Some(step) = self.steps.get(&linked) {
            return *step;
        }
        let step = self.table.function_at(linked).map(|function| Step {
            depth: self.table.stack_depth(&function, linked),
            entry: function.entry,
            is_top: function.is_top_frame(),
            writes_sp: function.writes_sp(),
            is_cgo_callback: self.ids.is_cgo_callback(function.id),
        });
        // Only a process that makes addresses up gets here.
        if self.steps.len() >= MAX_STEPS {
            self.steps.clear();
        }
        self.steps.insert(linked, step);
        step
    }

    /// The addresses that a profile prints for frames: one for each logical call, without wrappers
    /// (`runtime.tracebackPCs`).
    pub(super) fn logical(&self, frames: &[u64]) -> Vec<u64> {
        let mut logical = Vec::with_capacity(frames.len());
        // Number of the function that was called last; zero is that of a normal one.
        let mut callee = 0;
        let mut injected = false;
        for pc in frames {
            let Some(function) = self.table.function_at(*pc) else {
                break;
            };
            // What was interrupted, or has not begun, has made no call.
            let interrupted = injected || *pc == function.entry;
            self.expand(&function, pc - u64::from(!interrupted), &mut callee, &mut logical);
            injected = self.ids.is_injected(function.id);
        }
        logical
    }

    fn expand(&self, function: &Function, pc: u64, callee: &mut u8, logical: &mut Vec<u64>) {
        for call in self.table.calls(function, pc) {
            if !self.ids.is_elided(call.id, *callee) {
                logical.push(call.pc.saturating_add(1));
            }
            *callee = call.id;
        }
    }
}
