//! Real and damaged ELF files.

use super::*;
use crate::memory::FakeMemory;
use proptest::prelude::*;

/// The running test itself: an ELF file with segments, sections and symbols.
fn this_test() -> Vec<u8> {
    std::fs::read(std::env::current_exe().unwrap()).unwrap()
}

fn file(bytes: Vec<u8>) -> FakeMemory {
    let mut file = FakeMemory::new();
    file.map(0, bytes);
    file
}

#[test]
fn reads_segments_sections_and_symbols() {
    let file = file(this_test());
    let image = Image::parse(&file).unwrap();
    assert!(image.position_independent());
    let text = image.section(".text").unwrap();
    assert!(text.addresses.contains(&image.entry()));
    let code = image.segments().iter().find(|segment| segment.executable).unwrap();
    assert!(code.file_backed().contains(&image.entry()));
    assert_eq!(image.symbols(&file, ["main", "no such symbol"]).unwrap().len(), 2);
    let main = image.symbols(&file, ["no such symbol", "main"]).unwrap();
    assert_eq!(main[0], None);
    assert!(text.addresses.contains(&main[1].unwrap()));
    assert_eq!(image.initial(&file, image.entry(), 4).unwrap().len(), 4);
    assert_eq!(image.initial(&file, u64::MAX - 1, 4), None);
}

#[test]
fn refuses_what_it_cannot_read() {
    assert!(matches!(
        Image::parse(&file(b"#!/bin/sh\n".repeat(20))),
        Err(ImageError::NotElf("no magic number"))
    ));
    let mut arm = this_test();
    arm[18] = 183;
    assert_eq!(Image::parse(&file(arm)), Err(ImageError::Architecture { machine: 183 }));
    assert!(matches!(
        Image::parse(&file(this_test()[..100].to_vec())),
        Err(ImageError::Read {
            what: "program headers",
            ..
        })
    ));
}

proptest! {
    // Each case reads a whole executable.
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any damage to the headers leads to an answer, in bounded time and memory.
    #[test]
    fn damaged_headers_do_no_harm(damage in proptest::collection::vec((0_usize..1024, any::<u8>()), 1..20)) {
        let mut bytes = this_test();
        for (offset, byte) in damage {
            bytes[offset] = byte;
        }
        let file = file(bytes);
        if let Ok(image) = Image::parse(&file) {
            drop(image.symbols(&file, ["main"]));
            drop(image.initial(&file, image.entry(), 8));
        }
    }
}
