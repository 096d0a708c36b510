//! The `native` lane: who allocates through the allocator, and who never frees.
//!
//! Finds the allocator functions of a process ([`allocator`], by [`function`] names in its mapped ELF files, [`image`]) and the cheapest
//! instruction to probe in each ([`placement`]); turns copied stacks into frames ([`unwind`], [`bounds`], [`symbols`]) and samples into values
//! ([`estimate`], [`profile`]). It reads ELF files and `/proc/PID/maps`, and writes to neither; the probes themselves are in
//! `crate::probes`, what puts both together is `crate::capture`.

pub mod process;
pub mod placement;
pub mod function;
pub mod blocks;
pub mod image;
pub mod code;
pub mod allocator;
pub mod unwind;
pub mod bounds;
pub mod symbols;
pub mod estimate;
pub mod profile;
