//! Any bytes as the writable memory of a program: the tables of its runtime are found, consistent, or not at all.
#![no_main]

use leakwatch_goproc::image::Image;
use leakwatch_goproc::locate::find_moduledata;
use leakwatch_goproc::memory::FakeMemory;
use leakwatch_goproc::memory::ReadMemory as _;
use libfuzzer_sys::fuzz_target;

/// Where the input lies, as linked; it is loaded higher by [`BIAS`].
const DATA: u64 = 0x40_0000;
const BIAS: u64 = 0x1000_0000;

/// An executable of one writable segment.
fn executable(length: u64) -> Vec<u8> {
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    // e_type, e_machine, e_version, e_entry, e_phoff, e_shoff, e_flags, e_ehsize, e_phentsize, e_phnum and the sections.
    bytes.extend([3, 0, 62, 0, 1, 0, 0, 0]);
    bytes.extend([DATA, 64, 0].iter().flat_map(|word: &u64| word.to_le_bytes()));
    bytes.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 64, 0, 0, 0, 0, 0]);
    // p_type, p_flags, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align.
    bytes.extend([1, 0, 0, 0, 6, 0, 0, 0]);
    bytes.extend([0, DATA, DATA, length, length, 0x1000].iter().flat_map(|word: &u64| word.to_le_bytes()));
    bytes
}

fuzz_target!(|bytes: &[u8]| {
    let mut file = FakeMemory::new();
    file.map(0, executable(bytes.len() as u64));
    let image = Image::parse(&file).unwrap();
    let mut memory = FakeMemory::new();
    memory.map(DATA + BIAS, bytes);
    for symbol in [None, Some(DATA), Some(u64::MAX)] {
        let Ok(module) = find_moduledata(&memory, &image, symbol, BIAS) else { continue };
        assert!(module.pclntab.start < module.pclntab.end);
        assert!(module.text.start < module.text.end);
        assert!(matches!(memory.read_u32(module.pclntab.start), Ok(0xffff_fff0 | 0xffff_fff1)));
        for range in &module.variables {
            assert!(range.start <= range.end);
        }
    }
});
