//! ELF files without their debug information: no binutils needed.

use object::build::elf::Builder;
use object::build::elf::SectionData;

/// The file without its DWARF sections; everything that is loaded, .BTF and .BTF.ext included, stays.
pub fn without_dwarf(elf: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut builder = Builder::read(elf)?;
    for section in &mut builder.sections {
        let name = section.name.as_slice();
        section.delete = [b".debug_".as_slice(), b".rel.debug_"]
            .iter()
            .any(|prefix| name.starts_with(prefix));
    }
    let has_names = |section: &object::build::elf::Section<'_>| matches!(section.data, SectionData::SectionString);
    if !builder.sections.iter().any(has_names) {
        // LLVM keeps the names of sections and of symbols in one table; the writer wants two.
        let names = builder.sections.add();
        names.name = b".shstrtab".as_slice().into();
        names.sh_type = object::elf::SHT_STRTAB;
        names.sh_addralign = 1;
        names.data = SectionData::SectionString;
    }
    builder.delete_orphans();
    builder.delete_unused_versions();
    let mut stripped = Vec::new();
    builder.write(&mut stripped)?;
    Ok(stripped)
}
