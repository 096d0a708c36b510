//! Any bytes as a file that a process has mapped: its code, notes, functions and extent are found or not, within bounds.
#![no_main]
#![allow(dead_code, unused_imports, reason = "the modules are those of the crate, of which this needs a part")]

#[path = "../../leakwatch/nativeproc/src/blocks.rs"]
mod blocks;
#[path = "../../leakwatch/nativeproc/src/bounds.rs"]
mod bounds;
#[path = "../../leakwatch/nativeproc/src/extent.rs"]
mod extent;
#[path = "../../leakwatch/nativeproc/src/image.rs"]
mod image;
#[path = "../../leakwatch/nativeproc/src/regular.rs"]
mod regular;

use image::Image;
use image::MappedFile;
use libfuzzer_sys::fuzz_target;
use object::Object as _;
use std::fs;
use std::path::PathBuf;

fuzz_target!(|bytes: &[u8]| {
    // A file in memory: libFuzzer runs one input at a time, and each process has its own.
    let link = PathBuf::from(format!("/dev/shm/leakwatch-fuzz-{}.elf", std::process::id()));
    fs::write(&link, bytes).unwrap();
    let mapped = MappedFile { path: "/lib/x".to_owned(), link, mappings: vec![(0x1000..0x9000, 0)] };
    look(&mapped);
    fs::remove_file(&mapped.link).unwrap();
});

fn look(mapped: &MappedFile) {
    let id = image::build_id(mapped);
    let length = fs::metadata(&mapped.link).unwrap().len();
    assert!(id.is_none_or(|id| id.len() as u64 <= length));
    if let Ok(bounds) = bounds::FunctionBounds::of_file(mapped) {
        for address in [0, 0x1000, 0x1234, u64::MAX] {
            bounds.start(address);
        }
    }
    let Ok(image) = Image::open(mapped) else { return };
    let Ok(elf) = image.elf() else { return };
    image::bias(mapped, &image::code_segments(&elf));
    let _extent = extent::of(&fs::File::open(&mapped.link).unwrap(), &elf);
    for name in [".eh_frame", ".note.stapsdt", ".gnu_debuglink"] {
        let section = image::section(&elf, name, 1 << 20);
        assert!(section.is_none_or(|(_, data)| data.len() <= 1 << 20));
    }
    let _link = elf.gnu_debuglink();
}
