//! An ELF file as far as a Go process needs it: where it is loaded, what its segments held at the start, a few sections
//! and symbols when it has any.
//!
//! The file is as hostile as the memory: tables are bounded before they are read, names and addresses looked up, never
//! trusted. Works without section headers. Sources: the ELF-64 specification; the file behind `/proc/PID/exe`.

mod error;
mod headers;
mod symbols;

pub use error::ImageError;

use crate::memory::ReadMemory;
use std::ops::Range;

/// One `PT_LOAD` segment, with addresses as the file has them (without the load bias).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// `p_vaddr`.
    pub address: u64,
    /// `p_memsz`.
    pub memory_size: u64,
    /// `p_offset`.
    pub file_offset: u64,
    /// `p_filesz`, never more than `memory_size`.
    pub file_size: u64,
    /// `PF_W`.
    pub writable: bool,
    /// `PF_X`.
    pub executable: bool,
}

impl Segment {
    /// The addresses whose first bytes come from the file.
    pub fn file_backed(&self) -> Range<u64> {
        self.address..self.address.saturating_add(self.file_size)
    }
}

/// One section with an address, as the file has it (without the load bias).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// `sh_addr .. sh_addr + sh_size`.
    pub addresses: Range<u64>,
}

/// The parts of an ELF file that matter here. Owns no file: what it reads it is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    entry: u64,
    position_independent: bool,
    segments: Vec<Segment>,
    sections: Vec<Section>,
    symbol_table: Option<symbols::SymbolTable>,
}

impl Image {
    /// `e_entry`.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// Whether it may be loaded anywhere: pointers in the file are then not what they are in memory.
    pub fn position_independent(&self) -> bool {
        self.position_independent
    }

    /// What is loaded.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The section of that name. `None` also where all section headers are stripped.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// Whether there is a symbol table to ask.
    pub fn has_symbols(&self) -> bool {
        self.symbol_table.is_some()
    }

    /// The values of the named symbols, in their order; `None` for those that the file does not have. One pass.
    pub fn symbols<const N: usize, F: ReadMemory + ?Sized>(
        &self,
        file: &F,
        names: [&str; N],
    ) -> Result<[Option<u64>; N], ImageError> {
        match &self.symbol_table {
            Some(table) => table.find(file, names),
            None => Ok([None; N]),
        }
    }

    /// The bytes which the file gives an address (without the load bias): the memory as it was before the program ran.
    /// `None` where the file has none there.
    pub fn initial<F: ReadMemory + ?Sized>(&self, file: &F, address: u64, length: usize) -> Option<Vec<u8>> {
        file.read_vec(self.file_offset(address, length)?, length).ok()
    }

    /// Where in the file those bytes are.
    pub fn file_offset(&self, address: u64, length: usize) -> Option<u64> {
        let segment = self.segments.iter().find(|segment| {
            let end = address.checked_add(length as u64);
            address >= segment.address && end.is_some_and(|end| end <= segment.file_backed().end)
        })?;
        segment.file_offset.checked_add(address - segment.address)
    }
}

#[cfg(test)]
mod tests;
