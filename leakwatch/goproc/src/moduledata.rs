//! `runtime.firstmoduledata` (runtime/symtab.go): where text, data and tables of the program are.
//!
//! Found in memory, not in the file: in a position-independent file its pointers are not filled in yet.

use crate::image::Image;
use crate::located::LocateError;
use crate::located::Located;
use crate::located::Method;
use crate::memory::MemoryError;
use crate::memory::ReadMemory;
use crate::memory::u32_at;
use crate::memory::u64_at;
use std::ops::Range;

/// Bytes from the start to behind the last field that is read.
const SIZE: usize = 352;

/// Bytes searched at most per segment. Writable data that comes from the file is some megabytes in the largest programs.
const MAX_SCAN: u64 = 64 << 20;

/// Bytes per read of the search.
const PIECE: u64 = 1 << 20;

/// The fields that have been at the same offsets from Go 1.19 to 1.27. All addresses are those of the running process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moduledata {
    /// Where it is and how it was found.
    pub located: Located,
    /// From `pcHeader` to the end of `pclntable`.
    pub pclntab: Range<u64>,
    /// `text .. etext`.
    pub text: Range<u64>,
    /// `noptrdata`, `data`, `bss`, `noptrbss`: all variables.
    pub variables: [Range<u64>; 4],
    words: Vec<u8>,
}

impl Moduledata {
    /// `data .. edata`: variables with pointers and an initial value.
    pub fn data(&self) -> &Range<u64> {
        &self.variables[1]
    }

    /// `bss .. ebss`: variables with pointers and without an initial value.
    pub fn bss(&self) -> &Range<u64> {
        &self.variables[2]
    }

    /// Where the descriptions of types begin: at the same offset since Go 1.22.
    pub(crate) fn types(&self) -> Option<u64> {
        u64_at(&self.words, 296)
    }

    /// `noptrbss .. enoptrbss`: variables without pointers and without an initial value.
    pub fn noptrbss(&self) -> &Range<u64> {
        &self.variables[3]
    }

    /// Whether an address is that of a variable.
    pub fn is_variable(&self, address: u64) -> bool {
        self.variables.iter().any(|range| range.contains(&address))
    }

    /// The inline trees and other data of functions, for the offset that `gofunc` has in this release. The linker puts the
    /// table `findfunctab` behind them.
    pub fn function_data(&self, gofunc: usize) -> Option<Range<u64>> {
        let range = u64_at(&self.words, gofunc)?..u64_at(&self.words, 152)?;
        (range.start < range.end).then_some(range)
    }

    /// Reads and checks the structure at an address.
    fn read<M: ReadMemory + ?Sized>(memory: &M, address: u64, method: Method) -> Option<Self> {
        let words = memory.read_vec(address, SIZE).ok()?;
        let word = |offset| u64_at(&words, offset);
        let pc_header = word(0)?;
        let header = memory.read_vec(pc_header, 72).ok()?;
        if !is_header(&header) {
            return None;
        }
        let functions = u64_at(&header, 8)?;
        let names = pc_header.checked_add(u64_at(&header, 32)?)?;
        let range = |start, end| {
            let range = word(start)?..word(end)?;
            (range.start <= range.end).then_some(range)
        };
        let text = range(176, 184)?;
        let pc_range = range(160, 168)?;
        let pclntab = pc_header..word(104)?.checked_add(word(112)?)?;
        let consistent = word(8)? == names
            && word(136)?.checked_sub(1)? == functions
            && !pc_range.is_empty()
            && !text.is_empty()
            && text.start <= pc_range.start
            && pc_range.end <= text.end
            && pclntab.start < pclntab.end;
        consistent.then_some(Self {
            located: Located { address, method },
            pclntab,
            text,
            variables: [range(192, 200)?, range(208, 216)?, range(224, 232)?, range(240, 248)?],
            words,
        })
    }
}

/// The first bytes of `runtime.pcHeader` on amd64: magic of Go 1.18 or 1.20, two zeros, quantum 1, pointers of 8 bytes.
fn is_header(bytes: &[u8]) -> bool {
    matches!(u32_at(bytes, 0), Some(0xffff_fff0 | 0xffff_fff1)) && bytes.get(4..8) == Some(&[0, 0, 1, 8])
}

/// Finds the structure: by its symbol, by its section (Go 1.26 on), else by what it must contain, in all writable memory
/// that came from the file.
pub fn find<M: ReadMemory + ?Sized>(
    memory: &M,
    image: &Image,
    symbol: Option<u64>,
    bias: u64,
) -> Result<Moduledata, LocateError> {
    let section = image.section(".go.module").map(|section| section.addresses.start);
    let known = [(symbol, Method::Symbol), (section, Method::Section)];
    for (address, method) in known {
        let module = address.and_then(|address| Moduledata::read(memory, address.wrapping_add(bias), method));
        if let Some(module) = module {
            return Ok(module);
        }
    }
    let mut found = Vec::new();
    for segment in image.segments().iter().filter(|segment| segment.writable) {
        let range = segment.file_backed();
        let start = range.start.wrapping_add(bias);
        let end = start.saturating_add((range.end - range.start).min(MAX_SCAN));
        scan(memory, start..end, &mut found)?;
    }
    match <[Moduledata; 1]>::try_from(found) {
        Ok([module]) => Ok(module),
        Err(found) if found.is_empty() => Err(LocateError::NoCandidate {
            what: "runtime.firstmoduledata",
        }),
        Err(found) => Err(LocateError::Ambiguous {
            what: "runtime.firstmoduledata",
            candidates: found.len(),
        }),
    }
}

fn scan<M: ReadMemory + ?Sized>(memory: &M, range: Range<u64>, found: &mut Vec<Moduledata>) -> Result<(), MemoryError> {
    let mut at = range.start.next_multiple_of(8);
    let mut piece = Vec::new();
    while at < range.end {
        let length = (range.end - at).min(PIECE);
        piece.resize(usize::try_from(length).unwrap_or(0), 0);
        let read = match memory.read_some(at, &mut piece) {
            Ok(read) => read,
            Err(error) if error.is_final() => return Err(error),
            // A hole: the next page may be readable again.
            Err(_) => 0,
        };
        let words = piece.get(..read).unwrap_or_default();
        for (offset, pair) in words.windows(16).enumerate().step_by(8) {
            // The names follow the header of the table closely.
            let (Some(header), Some(names)) = (u64_at(pair, 0), u64_at(pair, 8)) else {
                continue;
            };
            if header != 0 && names > header && names - header < 256 {
                found.extend(Moduledata::read(memory, at + offset as u64, Method::Memory));
            }
        }
        // The last pair may be cut by the end of the piece.
        at += if read < 4096 { 4096 } else { read as u64 - 8 };
        at = at.next_multiple_of(8);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::FakeMemory;
    use proptest::prelude::*;

    const DATA: u64 = 0x40_0000;
    const BIAS: u64 = 0x1000_0000;
    /// Where in the data the structure is, and where the header of the function table.
    const MODULE: u64 = 0x240;
    const HEADER: u64 = 0x80;

    /// An executable with one writable segment.
    fn image(length: u64) -> Image {
        let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend([3, 0, 62, 0, 1, 0, 0, 0]);
        bytes.extend(words(&[DATA, 64, 0]));
        bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
        bytes.extend([1, 0, 0, 0, 6, 0, 0, 0]);
        bytes.extend(words(&[0, DATA, DATA, length, length, 0x1000]));
        let mut file = FakeMemory::new();
        file.map(0, bytes);
        Image::parse(&file).unwrap()
    }

    /// The data of a program whose first module lies at [`MODULE`].
    fn data() -> Vec<u8> {
        let start = DATA + BIAS;
        let mut words = vec![0_u64; 0x100];
        let mut put = |at: u64, values: &[u64]| {
            for (index, value) in values.iter().enumerate() {
                words[usize::try_from(at / 8).unwrap() + index] = *value;
            }
        };
        put(HEADER, &[0x0801_0000_ffff_fff1, 2, 1, 0, 72, 0x80, 0x90, 0xa0, 0xb0]);
        put(MODULE, &[start + HEADER, start + HEADER + 72]);
        put(MODULE + 104, &[start + HEADER + 0xb0, 0x40]);
        put(MODULE + 136, &[3]);
        put(MODULE + 160, &[0x1040_1000, 0x1040_2000, 0, 0x0, 0, 0]);
        put(MODULE + 176, &[0x1040_1000, 0x1040_3000]);
        for (index, at) in [192, 208, 224, 240].into_iter().enumerate() {
            let variables = start + index as u64 * 0x100;
            put(MODULE + at, &[variables, variables + 0x80]);
        }
        words.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    fn found(data: Vec<u8>, symbol: Option<u64>) -> Result<Moduledata, LocateError> {
        let image = image(data.len() as u64);
        let mut memory = FakeMemory::new();
        memory.map(DATA + BIAS, data);
        find(&memory, &image, symbol, BIAS)
    }

    #[test]
    fn it_is_found_by_what_it_holds_and_a_wrong_symbol_does_no_harm() {
        for symbol in [None, Some(DATA + MODULE), Some(DATA), Some(u64::MAX)] {
            let module = found(data(), symbol).unwrap();
            assert_eq!(module.located.address, DATA + BIAS + MODULE);
            assert_eq!(module.text, 0x1040_1000..0x1040_3000);
            let by_symbol = symbol == Some(DATA + MODULE);
            let method = if by_symbol { Method::Symbol } else { Method::Memory };
            assert_eq!(module.located.method, method);
        }
        assert!(found(vec![0; 0x800], None).is_err());
    }

    proptest! {
        /// Damage anywhere leads to a consistent module or to none.
        #[test]
        fn damage_does_no_harm(damage in proptest::collection::vec((0_usize..0x800, any::<u8>()), 1..12), symbol: bool) {
            let mut data = data();
            for (at, byte) in damage {
                data[at] = byte;
            }
            if let Ok(module) = found(data, symbol.then_some(DATA + MODULE)) {
                prop_assert!(!module.pclntab.is_empty() && !module.text.is_empty());
                prop_assert!(module.variables.iter().all(|range| range.start <= range.end));
            }
        }
    }
}
