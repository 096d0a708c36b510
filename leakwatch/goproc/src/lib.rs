//! A Go process read from outside: its heap profile, its goroutines and the numbers of its garbage collector, without
//! a line of code, a signal or a pause in it.
//!
//! Everything is read through the trait [`memory::ReadMemory`] (files also through [`ReadAt`]), so that every reader runs
//! as well over bytes in a test or a fuzzer. The only module that opens anything is `os`. Nothing is ever written to the
//! process.
//!
//! What is read is hostile: a process may hold any bytes anywhere. Every count and length is bounded, every list may be
//! a loop, and what contradicts itself is refused with a reason instead of guessed.
#![forbid(unsafe_code)]

mod read_at;
mod elf;
pub mod buildinfo;
pub mod memory;
pub mod os;
pub mod pclntab;
pub mod image;
pub mod layout;
pub mod locate;
pub mod heap;
pub mod gc;
pub mod goroutines;
mod paged;
mod binary;
pub mod attach;
pub mod death;

pub use binary::Binary;
pub use binary::BinaryError;
pub use binary::BinaryTable;
pub use elf::ElfError;
pub use read_at::ReadAt;
