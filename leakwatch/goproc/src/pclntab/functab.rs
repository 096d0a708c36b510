//! The function table (`runtime.functab`), and what is looked up in it.

use super::Pclntab;
use super::bytes::Forward;
use super::bytes::TableBytes;
use super::bytes::find_texts;
use super::bytes::i32_at;
use super::bytes::u32_at;
use super::bytes::u32_entry;
use super::function::Function;
use super::header::FTAB_ENTRY;
use super::header::Format;
use super::runtime::NAMES;

impl<B: TableBytes> Pclntab<B> {
    /// The function whose code contains `pc`.
    pub fn function_at(&self, pc: u64) -> Option<Function> {
        let offset = u32::try_from(pc.checked_sub(self.text_start)?).ok()?;
        // Entries before the wanted one start at or below `offset`.
        let mut low = 0;
        let mut high = self.header.functions;
        while low < high {
            let middle = low + (high - low) / 2;
            if self.code_offset(middle)? <= offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let function = self.function(low.checked_sub(1)?)?;
        function.contains(pc).then_some(function)
    }

    /// The functions in order of their addresses; a damaged record is left out.
    pub fn functions(&self) -> impl Iterator<Item = Function> + '_ {
        (0..self.header.functions).filter_map(|index| self.function(index))
    }

    /// The function with this full name (`runtime.allgadd`).
    pub fn function_named(&self, name: &str) -> Option<Function> {
        self.functions_named([name]).into_iter().next().flatten()
    }

    /// The functions with these full names, in their order: one pass over the table for all of them.
    pub fn functions_named<const N: usize>(&self, names: [&str; N]) -> [Option<Function>; N] {
        let offsets = find_texts(self.bytes(), self.header.function_names..self.header.units, names);
        let mut found = [None; N];
        let mut missing = offsets.iter().flatten().count();
        let (mut index_words, mut records) = (Forward::new(self.bytes()), Forward::new(self.bytes()));
        for index in 0..self.header.functions {
            if missing == 0 {
                break;
            }
            let record = self.record_entry(index).and_then(|entry| index_words.u32_at(entry));
            let name = record
                .and_then(|offset| {
                    self.header
                        .records
                        .checked_add(usize::try_from(offset).ok()?)?
                        .checked_add(4)
                })
                .and_then(|place| records.u32_at(place));
            for (slot, offset) in found.iter_mut().zip(&offsets) {
                if slot.is_none() && name.is_some() && name == *offset {
                    *slot = self.function(index);
                    missing -= usize::from(slot.is_some());
                }
            }
        }
        found
    }

    /// A function of the runtime. Only those in `NAMES` are ever asked for.
    pub fn runtime_function(&self, name: &str) -> Option<Function> {
        let functions = self.runtime.get_or_init(|| self.functions_named(NAMES));
        let index = NAMES.iter().position(|known| *known == name)?;
        functions.get(index).copied().flatten()
    }

    /// Function `index` of the table.
    pub fn function(&self, index: usize) -> Option<Function> {
        let start = self.code_offset(index)?;
        let end = self.code_offset(index.checked_add(1)?)?;
        let bytes = self.bytes();
        let record = self.record_offset(index)?;
        let field = |number: usize| u32_at(bytes, record.checked_add(number * 4)?);
        let (start_line, last) = match self.header.format {
            Format::Go118 => (0, 9),
            Format::Go120 => (i32_at(bytes, record.checked_add(36)?)?, 10),
        };
        let [id, flags, _, funcdata_count] = field(last)?.to_le_bytes();
        if start >= end || field(0)? != start {
            return None;
        }
        Some(Function {
            entry: self.text_start.checked_add(start.into())?,
            end: self.text_start.checked_add(end.into())?,
            id,
            start_line,
            name: field(1)?,
            pcsp: field(4)?,
            pcfile: field(5)?,
            pcln: field(6)?,
            unit: field(8)?,
            pcdata: record.checked_add(last * 4 + 4)?,
            pcdata_count: field(7)?,
            funcdata_count,
            flags,
        })
    }

    /// Offset in the text of function `index`; of the end of the text for the index behind the last.
    fn code_offset(&self, index: usize) -> Option<u32> {
        u32_entry(self.bytes(), self.header.records, index.checked_mul(2)?)
    }

    /// Offset in the table of the record of function `index`.
    fn record_offset(&self, index: usize) -> Option<usize> {
        let offset = u32_at(self.bytes(), self.record_entry(index)?)?;
        self.header.records.checked_add(usize::try_from(offset).ok()?)
    }

    /// Where the index of functions says where that record is.
    fn record_entry(&self, index: usize) -> Option<usize> {
        let entry = self.header.records.checked_add(index.checked_mul(FTAB_ENTRY)?)?;
        entry.checked_add(4)
    }
}
