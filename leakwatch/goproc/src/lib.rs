//! A Go process read from outside: its executable file, later its memory.
//!
//! Everything here comes from files and memory that the watched program controls: each read is bounded, each number is
//! checked before it is used, and malformed input is an error, never a panic.
#![forbid(unsafe_code)]

mod read_at;
mod elf;
pub mod buildinfo;

pub use elf::ElfError;
pub use read_at::ReadAt;
