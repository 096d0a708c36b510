//! The `usdt` lane: allocations that a program's own sampler tells by static probes, `otel_memory:alloc`/`free` or `ddheap:alloc`/`free`.
//!
//! Finds the probes in the ELF notes of the files a process has mapped ([`note`], [`argument`], [`probe`]). It reads files, and writes to none;
//! the kernel raises the semaphores while the probes are attached.

pub mod argument;
pub mod note;
pub mod probe;
