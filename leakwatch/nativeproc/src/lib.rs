//! A native process seen from outside, for captures: what is to be probed, and what probes have copied.
//!
//! Before a capture: the allocator's functions in the files that the process has mapped ([`allocator`], [`function`], [`image`]), the
//! cheapest instruction of each to probe ([`placement`]), the static probes of its heap sampler ([`usdt`]) and where it has code
//! ([`code`]). During one: return addresses of copied stacks ([`unwind`]), their names ([`symbols`], [`bounds`]), and what of the address space
//! came and stayed ([`address_space`]).
//!
//! It reads files and `/proc/PID`, writes to neither and attaches nothing: probes are the daemon's. What files say is hostile, and bounded.
#![forbid(unsafe_code)]

pub mod regular;
pub mod process;
pub mod placement;
pub mod function;
pub mod blocks;
pub mod image;
pub mod code;
pub mod allocator;
pub mod unwind;
pub mod bounds;
mod extent;
mod names;
pub mod perf_map;
pub mod symbols;
pub mod address_space;
pub mod usdt;
