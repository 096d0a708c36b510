//! The stacks of buckets in words: function, file and line of each call, as `go tool pprof` shows them.

use crate::pclntab::Frame;
use crate::pclntab::Pclntab;
use crate::pclntab::TableBytes;
use hashbrown::HashMap;
use std::borrow::Cow;
use std::sync::Arc;

/// Calls remembered. A program has some thousand places that allocate; only a hostile one has more.
const MAX_REMEMBERED: usize = 1 << 18;

/// Names the calls of one process; each address is looked up once.
#[derive(Debug)]
pub struct Frames<'t, B> {
    table: &'t Pclntab<B>,
    bias: u64,
    known: HashMap<u64, Option<LogicalCall>>,
    /// Whether an address is one of the runtime's.
    runtime: HashMap<u64, bool>,
}

/// One logical call of a stack, named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogicalCall {
    /// Its return address, as the stack has it.
    pub address: u64,
    /// It has no frame of its own: the next call of the stack is the one that it is inlined into.
    pub inlined: bool,
    /// Its name and place.
    pub frame: Arc<Frame>,
}

impl<'t, B: TableBytes> Frames<'t, B> {
    /// `bias` is what an address of the process has more than the same address in the file of `table`.
    pub fn new(table: &'t Pclntab<B>, bias: u64) -> Self {
        Self {
            table,
            bias,
            known: HashMap::new(),
            runtime: HashMap::new(),
        }
    }

    /// The calls of a bucket's stack, innermost first. Calls of the runtime that lead to the allocation are left out, unless
    /// there are no others; so are `runtime.goexit`, to which every goroutine returns, and addresses without a function.
    pub fn of_stack(&mut self, stack: &[u64]) -> Vec<Arc<Frame>> {
        let calls = self.allocating_calls(stack);
        calls.into_iter().map(|call| call.frame).collect()
    }

    /// The same with addresses.
    pub fn allocating_calls(&mut self, stack: &[u64]) -> Vec<LogicalCall> {
        let stack = &self.expanded(stack)[..];
        let first = stack.iter().position(|pc| !self.is_runtime(*pc)).unwrap_or(0);
        let shown = self.calls(stack.get(first..).unwrap_or_default());
        if shown.is_empty() {
            return self.calls(stack);
        }
        shown
    }

    /// A stack with the calls that its last one is inlined into, should it have been cut there for its depth: runtime/pprof shows them
    /// (`runtime_expandFinalInlineFrame`, runtime/symtab.go).
    pub fn expanded<'s>(&mut self, stack: &'s [u64]) -> Cow<'s, [u64]> {
        let last = stack.last().copied();
        let Some(last) = last.filter(|pc| self.call(*pc).is_some_and(|call| call.inlined)) else {
            return Cow::Borrowed(stack);
        };
        let Some(inside) = last.wrapping_sub(self.bias).checked_sub(1) else {
            return Cow::Borrowed(stack);
        };
        let function = self.table.function_at(inside);
        let calls = function.map_or_else(Vec::new, |function| self.table.calls(&function, inside));
        let outer = calls
            .iter()
            .skip(1)
            .map(|call| call.pc.wrapping_add(1).wrapping_add(self.bias));
        Cow::Owned(stack.iter().copied().chain(outer).collect())
    }

    /// All calls of a stack but `runtime.goexit`.
    pub fn calls(&mut self, stack: &[u64]) -> Vec<LogicalCall> {
        stack.iter().filter_map(|pc| self.call(*pc)).collect()
    }

    /// The call that returns to `pc`; none for `runtime.goexit`, to which every goroutine returns, and for an address without a function.
    pub fn call(&mut self, pc: u64) -> Option<LogicalCall> {
        if let Some(known) = self.known.get(&pc) {
            return known.clone();
        }
        let call = self.look_up(pc).filter(|call| call.frame.function != "runtime.goexit");
        if self.known.len() < MAX_REMEMBERED {
            self.known.insert(pc, call.clone());
        }
        call
    }

    fn look_up(&self, pc: u64) -> Option<LogicalCall> {
        let inside = pc.wrapping_sub(self.bias).checked_sub(1)?;
        let function = self.table.function_at(inside)?;
        let call = self.table.innermost(&function, inside);
        Some(LogicalCall {
            address: pc,
            inlined: call.inlined,
            frame: Arc::new(self.table.frame(&function, &call)),
        })
    }

    /// Whether runtime/pprof takes an address for one of the runtime's: by the function at the address itself.
    pub fn is_runtime(&mut self, pc: u64) -> bool {
        if let Some(known) = self.runtime.get(&pc) {
            return *known;
        }
        let is_runtime = self.look_up_runtime(pc);
        if self.runtime.len() < MAX_REMEMBERED {
            self.runtime.insert(pc, is_runtime);
        }
        is_runtime
    }

    fn look_up_runtime(&self, pc: u64) -> bool {
        let linked = pc.wrapping_sub(self.bias);
        self.table.function_at(linked).is_some_and(|function| {
            let call = self.table.innermost(&function, linked);
            let name = self.table.frame(&function, &call).function;
            name.starts_with("runtime.") || name.starts_with("internal/runtime/")
        })
    }
}
