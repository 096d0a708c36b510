//! Any bytes as the notes of static probes: every probe's arguments are understood or not, without a panic.
#![no_main]

#[path = "../../leakwatch/nativeproc/src/usdt/argument.rs"]
mod argument;
#[path = "../../leakwatch/nativeproc/src/usdt/note.rs"]
mod note;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let notes = note::parse(bytes);
    // Twelve bytes of header and three addresses are the least.
    assert!(notes.len() <= bytes.len() / 36);
    for note in notes {
        assert!(!note.arguments.contains('\0'));
        let Some(arguments) = argument::parse(note.arguments) else { continue };
        assert!(arguments.iter().all(|argument| matches!(argument.size, 1 | 2 | 4 | 8)));
    }
});
