//! Values that change with the program counter (`runtime.pcvalue`): stack depth, file, line, place in the inline tree.
//! Each table is a run of (value change, distance) pairs as variable-length integers.

use super::Pclntab;
use super::bytes::TableBytes;
use super::bytes::u32_entry;
use super::function::Function;

/// The longest table of a real function has some ten thousand pairs; a hostile one must end too.
const MAX_PAIRS: usize = 1 << 20;

impl<B: TableBytes> Pclntab<B> {
    /// Bytes between the stack pointer at `pc` and the return address of the function (`runtime.funcspdelta`).
    pub fn stack_depth(&self, function: &Function, pc: u64) -> Option<u64> {
        if !function.has_frame_table() {
            return None;
        }
        u64::try_from(self.value(function, function.pcsp, pc)?).ok()
    }

    /// The value that `pcdata` table number `table` has at `pc`.
    pub(super) fn pcdata(&self, function: &Function, table: u32, pc: u64) -> Option<i32> {
        if table >= function.pcdata_count {
            return None;
        }
        let start = u32_entry(self.bytes(), function.pcdata, usize::try_from(table).ok()?)?;
        self.value(function, start, pc)
    }

    /// The value at `pc` of the table at offset `table`.
    pub(super) fn value(&self, function: &Function, table: u32, pc: u64) -> Option<i32> {
        if table == 0 || !function.contains(pc) {
            return None;
        }
        let start = self.header.values.checked_add(usize::try_from(table).ok()?)?;
        let mut pairs = Pairs::new(self.bytes(), start, self.header.records);
        let mut value = -1_i32;
        let mut covered = function.entry;
        for pair in 0..MAX_PAIRS {
            let change = pairs.varint()?;
            if change == 0 && pair > 0 {
                return None;
            }
            // Zigzag: the lowest bit is the sign.
            value = value.wrapping_add((change >> 1).cast_signed() ^ -(change & 1).cast_signed());
            let distance = u64::from(pairs.varint()?) * u64::from(self.header.quantum);
            covered = covered.checked_add(distance)?;
            if pc < covered {
                return Some(value);
            }
        }
        None
    }
}

/// The bytes of one table of values, some at a time.
struct Pairs<'b, B> {
    bytes: &'b B,
    /// Where the piece that comes next begins.
    next: usize,
    /// Where all tables end.
    end: usize,
    piece: [u8; 64],
    /// The part of the piece that is still to be read.
    left: std::ops::Range<usize>,
}

impl<'b, B: TableBytes> Pairs<'b, B> {
    fn new(bytes: &'b B, start: usize, end: usize) -> Self {
        Self {
            bytes,
            next: start,
            end,
            piece: [0; 64],
            left: 0..0,
        }
    }

    fn byte(&mut self) -> Option<u8> {
        if self.left.is_empty() {
            let length = self.end.checked_sub(self.next)?.min(self.piece.len());
            self.bytes.copy(self.next, self.piece.get_mut(..length)?)?;
            self.next += length;
            self.left = 0..length;
        }
        self.piece.get(self.left.next()?).copied()
    }

    fn varint(&mut self) -> Option<u32> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f).wrapping_shl(shift);
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}
