//! A Go process read from outside: its heap profile, its goroutines and the numbers of its garbage collector, without
//! a line of code, a signal or a pause in it.
//!
//! Everything is read through the trait [`memory::ReadMemory`] (files also through [`ReadAt`]), so that every reader runs
//! as well over bytes in a test or a fuzzer. The only module that opens anything is `os`. Nothing is ever written to the
//! process. A module uses only modules declared before it.
//!
//! What is read is hostile: a process may hold any bytes anywhere. Every count and length is bounded, every list may be
//! a loop, and what contradicts itself is refused with a reason instead of guessed.
#![deny(unsafe_code)]

mod read_at;
mod elf;
pub mod buildinfo;
pub mod build_id;
pub mod memory;
pub mod os;
pub mod pclntab;
mod paged;
pub mod image;
pub mod layout;
mod located;
mod moduledata;
mod binary;
pub mod heap;
pub mod gc;
pub mod goroutines;
pub mod spans;
pub mod wakers;
pub mod locate;
pub mod attach;
pub mod final_heap;

pub use binary::Binary;
pub use binary::BinaryError;
pub use binary::BinaryTable;
pub use elf::ElfError;
pub use read_at::ReadAt;
