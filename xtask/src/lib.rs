//! What the front door shares with the benchmarks and the demo: running commands, building the daemon, and the programs that are
//! installed where they are missing.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stderr,
    reason = "a command-line front door reports its progress there"
)]

pub mod tools;
pub mod debian;
pub mod elf;
pub mod inputs;
pub mod build_ebpf;
pub mod build;
pub mod go;
pub mod node;
pub mod ui;
