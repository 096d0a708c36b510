//! The `native` lane: who allocates through the allocator, and who never frees.
//!
//! Finds the allocator functions of a process ([`allocator`]) in its mapped ELF files ([`image`]) and the cheapest instruction to
//! probe in each ([`placement`]). It reads ELF files and `/proc/PID/maps`, and writes to neither; the probes themselves are in
//! `crate::probes`.

pub mod placement;
pub mod function;
pub mod image;
pub mod allocator;
