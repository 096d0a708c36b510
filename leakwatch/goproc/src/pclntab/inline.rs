//! Calls that the compiler has inlined: one physical frame stands for several logical ones (`runtime.inlineUnwinder`).

use super::Pclntab;
use super::bytes::TableBytes;
use super::bytes::i32_at;
use super::bytes::u8_at;
use super::bytes::u32_at;
use super::bytes::u32_entry;
use super::function::Function;
use super::header::Format;
use super::name::printed_name;

/// `PCDATA_InlTreeIndex`.
const TREE_INDEX: u32 = 2;
/// `FUNCDATA_InlTree`.
const TREE: u8 = 3;
/// No entry in a `funcdata` array.
const ABSENT: u32 = u32::MAX;
/// Inlining is nested some ten deep; a damaged tree may have a loop.
const MAX_NESTING: usize = 256;

/// One logical call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// An address inside the call instruction, or the instruction that is inlined in its place. Profiles print one more.
    pub pc: u64,
    /// Special function number, see [`Function::id`].
    pub id: u8,
    /// It has no frame of its own.
    pub inlined: bool,
    name: u32,
}

/// A call with its place in the source, as `go tool pprof` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Name of the function, without type arguments.
    pub function: String,
    /// Source file, as the compiler has recorded it; empty when it has not.
    pub file: String,
    /// Line of the call; zero when not recorded.
    pub line: u32,
}

impl<B: TableBytes> Pclntab<B> {
    /// The logical calls at `pc`, innermost first; the last is the physical function. `pc` is inside the call instruction:
    /// one less than a return address.
    pub fn calls(&self, function: &Function, pc: u64) -> Vec<Call> {
        let mut calls = Vec::with_capacity(1);
        let mut at = pc;
        while calls.len() < MAX_NESTING
            && let Some((call, parent)) = self.inlined(function, at)
        {
            calls.push(call);
            at = parent;
        }
        calls.push(Call {
            pc: at,
            id: function.id,
            inlined: false,
            name: function.name,
        });
        calls
    }

    /// The innermost logical call at `pc`, which is inside the call instruction: for profiles, whose addresses already
    /// name one call each.
    pub fn innermost(&self, function: &Function, pc: u64) -> Call {
        self.inlined(function, pc).map_or(
            Call {
                pc,
                id: function.id,
                inlined: false,
                name: function.name,
            },
            |(call, _)| call,
        )
    }

    /// Name and place of a call in `function`.
    pub fn frame(&self, function: &Function, call: &Call) -> Frame {
        let (file, line) = self.position(function, call.pc).unwrap_or_default();
        let name = self.name_at(call.name).unwrap_or_default();
        Frame {
            function: printed_name(&name).into_owned(),
            file,
            line,
        }
    }

    /// The frames at `pc`, innermost first, all inlined calls expanded; `pc` is inside the call instruction. Empty for an
    /// address that is not in the text.
    pub fn frames(&self, pc: u64) -> Vec<Frame> {
        self.function_at(pc).map_or_else(Vec::new, |function| {
            let calls = self.calls(&function, pc);
            calls.iter().map(|call| self.frame(&function, call)).collect()
        })
    }

    /// The inlined call at `pc` and an address of its call site; `None` in the code of the function itself.
    fn inlined(&self, function: &Function, pc: u64) -> Option<(Call, u64)> {
        let index = usize::try_from(self.pcdata(function, TREE_INDEX, pc)?).ok()?;
        let tree = self.funcdata(function, TREE)?;
        // (record size, offset of the number, of the name, of the call site) of `runtime.inlinedCall`.
        let (size, id, name, parent) = match self.header.format {
            Format::Go118 => (20, 2, 12, 16),
            Format::Go120 => (16, 0, 4, 8),
        };
        let record = tree.checked_add(index.checked_mul(size)?)?;
        let trees = self.inline_trees.as_ref()?;
        let call = Call {
            pc,
            id: u8_at(trees, record.checked_add(id)?)?,
            inlined: true,
            name: u32_at(trees, record.checked_add(name)?)?,
        };
        let parent = i32_at(trees, record.checked_add(parent)?)?;
        let parent = function.entry.checked_add_signed(parent.into())?;
        Some((call, parent))
    }

    /// Offset into the data behind `moduledata.gofunc` of one kind of data of a function.
    fn funcdata(&self, function: &Function, kind: u8) -> Option<usize> {
        if kind >= function.funcdata_count {
            return None;
        }
        let index = usize::try_from(function.pcdata_count).ok()?.checked_add(kind.into())?;
        let offset = u32_entry(self.bytes(), function.pcdata, index)?;
        (offset != ABSENT).then_some(usize::try_from(offset).ok()?)
    }
}
