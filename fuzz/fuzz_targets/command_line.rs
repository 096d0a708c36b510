//! Any bytes as a command line of any interpreter: the name of what it runs is short and can be shown, and nothing else is kept.
#![no_main]

#[path = "../../leakwatch/src/identity/program/mod.rs"]
mod program;

use libfuzzer_sys::fuzz_target;

const INTERPRETERS: [&str; 8] = [
    "/usr/bin/python3.12",
    "/usr/bin/node",
    "/opt/java/bin/java",
    "/usr/bin/ruby",
    "/usr/bin/perl",
    "/usr/bin/php8.2",
    "/usr/bin/dotnet",
    "/bin/sh",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((&selector, line)) = bytes.split_first() else { return };
    let exe = INTERPRETERS[usize::from(selector) % INTERPRETERS.len()];
    let Some(found) = program::interpreted(exe, line) else { return };
    if let Some(name) = found.program {
        assert!(!name.is_empty() && name.chars().count() <= 64);
        assert!(!name.chars().any(char::is_control));
    }
});
