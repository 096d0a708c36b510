//! Any bytes as an executable: it has build information, none, or is refused.
#![no_main]

use leakwatch_goproc::buildinfo;
use leakwatch_goproc::image::Image;
use leakwatch_goproc::memory::FakeMemory;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(Some(info)) = buildinfo::read(bytes) {
        // Nothing is made up: what is said is no longer than what was read.
        assert!(info.version.len() <= bytes.len());
    }
    let mut file = FakeMemory::new();
    file.map(0, bytes);
    let Ok(image) = Image::parse(&file) else { return };
    for segment in image.segments() {
        assert!(segment.file_size <= segment.memory_size);
    }
    for section in [".go.buildinfo", ".gopclntab", ".go.module"] {
        if let Some(section) = image.section(section) {
            assert!(section.addresses.start <= section.addresses.end);
        }
    }
    drop(image.symbols(&file, ["runtime.mbuckets", "runtime.allgs"]));
    for address in [0, image.entry(), u64::MAX] {
        if let Some(initial) = image.initial(&file, address, 64) {
            assert_eq!(initial.len(), 64);
        }
    }
});
