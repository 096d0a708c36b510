//! What the table says of a function (`runtime._func`).

/// Never unwind past this function: it is the first of its stack.
const TOP_FRAME: u8 = 1;
/// It moves the stack pointer in ways its table does not tell.
const WRITES_SP: u8 = 2;

/// One physical function (`runtime._func`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    /// First address.
    pub entry: u64,
    /// Address behind the last one (the entry of the next function).
    pub end: u64,
    /// Number of a function that the runtime treats specially (`abi.FuncID`); the numbers differ between versions, see
    /// [`super::FunctionIds`].
    pub id: u8,
    /// Line of the `func` keyword; zero before Go 1.20.
    pub start_line: i32,
    pub(super) name: u32,
    pub(super) pcsp: u32,
    pub(super) pcfile: u32,
    pub(super) pcln: u32,
    pub(super) unit: u32,
    /// Offset of its `pcdata` array in the table.
    pub(super) pcdata: usize,
    pub(super) pcdata_count: u32,
    pub(super) funcdata_count: u8,
    pub(super) flags: u8,
}

impl Function {
    /// It is the first function of its stack (`abi.FuncFlagTopFrame`).
    pub const fn is_top_frame(&self) -> bool {
        self.flags & TOP_FRAME != 0
    }

    /// It writes the stack pointer itself, so its callers cannot be found (`abi.FuncFlagSPWrite`).
    pub const fn writes_sp(&self) -> bool {
        self.flags & WRITES_SP != 0
    }

    /// It has a table of stack depths; code that has none is not Go's (the race detector).
    pub const fn has_frame_table(&self) -> bool {
        self.pcsp != 0
    }

    /// `pc` is one of its instructions.
    pub const fn contains(&self, pc: u64) -> bool {
        self.entry <= pc && pc < self.end
    }
}
