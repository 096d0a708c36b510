//! The headers of an ELF file: each table's size is checked before it is read.

use super::Image;
use super::Section;
use super::Segment;
use super::error::ImageError;
use super::symbols::SymbolTable;
use crate::memory::ReadMemory;
use object::LittleEndian;
use object::elf;
use object::pod;
use object::read::StringTable;

type FileHeader = elf::FileHeader64<LittleEndian>;
type ProgramHeader = elf::ProgramHeader64<LittleEndian>;
type SectionHeader = elf::SectionHeader64<LittleEndian>;

/// Names of sections are short and few: a real table has hundreds of bytes.
const MAX_SECTION_NAMES: u64 = 1 << 20;

impl Image {
    /// Reads the headers. `file` is the file's bytes, offsets being addresses.
    pub fn parse<F: ReadMemory + ?Sized>(file: &F) -> Result<Self, ImageError> {
        let bytes = read(file, "header", 0, size_of::<FileHeader>())?;
        let (header, _) = pod::from_bytes::<FileHeader>(&bytes).map_err(|()| ImageError::NotElf("too short"))?;
        if header.e_ident.magic != elf::ELFMAG {
            return Err(ImageError::NotElf("no magic number"));
        }
        if header.e_ident.class != elf::ELFCLASS64 || header.e_ident.data != elf::ELFDATA2LSB {
            return Err(ImageError::NotElf("not 64 bit, little-endian"));
        }
        let endian = LittleEndian;
        let machine = header.e_machine.get(endian);
        if machine != elf::EM_X86_64 {
            return Err(ImageError::Architecture { machine });
        }
        let kind = header.e_type.get(endian);
        if kind != elf::ET_EXEC && kind != elf::ET_DYN {
            return Err(ImageError::NotElf("neither executable nor position-independent"));
        }
        let segments = segments(file, header)?;
        // A file without sections, or with a damaged table of them, runs all the same.
        let (sections, symbol_table) = sections(file, header).unwrap_or_default();
        Ok(Self {
            entry: header.e_entry.get(endian),
            position_independent: kind == elf::ET_DYN,
            segments,
            sections,
            symbol_table,
        })
    }
}

fn segments<F: ReadMemory + ?Sized>(file: &F, header: &FileHeader) -> Result<Vec<Segment>, ImageError> {
    let endian = LittleEndian;
    let count = usize::from(header.e_phnum.get(endian));
    if usize::from(header.e_phentsize.get(endian)) != size_of::<ProgramHeader>() {
        return Err(ImageError::NotElf("program headers of another size"));
    }
    let bytes = read(
        file,
        "program headers",
        header.e_phoff.get(endian),
        count * size_of::<ProgramHeader>(),
    )?;
    let (table, _) = pod::slice_from_bytes::<ProgramHeader>(&bytes, count)
        .map_err(|()| ImageError::NotElf("program headers cut off"))?;
    let loaded = table
        .iter()
        .filter(|segment| segment.p_type.get(endian) == elf::PT_LOAD);
    Ok(loaded
        .map(|segment| {
            let memory_size = segment.p_memsz.get(endian);
            Segment {
                address: segment.p_vaddr.get(endian),
                memory_size,
                file_offset: segment.p_offset.get(endian),
                file_size: segment.p_filesz.get(endian).min(memory_size),
                writable: segment.p_flags.get(endian) & elf::PF_W != 0,
                executable: segment.p_flags.get(endian) & elf::PF_X != 0,
            }
        })
        .collect())
}

fn sections<F: ReadMemory + ?Sized>(file: &F, header: &FileHeader) -> Option<(Vec<Section>, Option<SymbolTable>)> {
    let endian = LittleEndian;
    let count = usize::from(header.e_shnum.get(endian));
    if count == 0 || usize::from(header.e_shentsize.get(endian)) != size_of::<SectionHeader>() {
        return None;
    }
    let bytes = file
        .read_vec(header.e_shoff.get(endian), count * size_of::<SectionHeader>())
        .ok()?;
    let (table, _) = pod::slice_from_bytes::<SectionHeader>(&bytes, count).ok()?;
    let names = table.get(usize::from(header.e_shstrndx.get(endian)))?;
    let names_size = names.sh_size.get(endian);
    if names_size > MAX_SECTION_NAMES {
        return None;
    }
    let names = file
        .read_vec(names.sh_offset.get(endian), usize::try_from(names_size).ok()?)
        .ok()?;
    let strings = StringTable::new(names.as_slice(), 0, names_size);
    let mut sections = Vec::new();
    let mut symbol_table = None;
    for section in table {
        let address = section.sh_addr.get(endian);
        let size = section.sh_size.get(endian);
        if section.sh_type.get(endian) == elf::SHT_SYMTAB {
            let strings = usize::try_from(section.sh_link.get(endian))
                .ok()
                .and_then(|link| table.get(link));
            symbol_table = strings.map(|strings| SymbolTable {
                offset: section.sh_offset.get(endian),
                size,
                strings_offset: strings.sh_offset.get(endian),
                strings_size: strings.sh_size.get(endian),
            });
        }
        if let Ok(name) = strings.get(section.sh_name.get(endian))
            && address != 0
        {
            sections.push(Section {
                name: String::from_utf8_lossy(name).into_owned(),
                addresses: address..address.saturating_add(size),
            });
        }
    }
    Some((sections, symbol_table))
}

fn read<F: ReadMemory + ?Sized>(
    file: &F,
    what: &'static str,
    offset: u64,
    length: usize,
) -> Result<Vec<u8>, ImageError> {
    file.read_vec(offset, length)
        .map_err(|source| ImageError::Read { what, source })
}
