//! The `growth` lane: what code makes memory resident, whatever allocator it uses, and which mappings are never given back.
//!
//! Works out, from sampled page faults and the system calls that change the address space ([`change`]), what of it is still there
//! ([`space`], checked against `/proc/PID/pagemap` by [`residency`]). The probes themselves are in `crate::probes`; what puts both
//! together and names the stacks is `crate::capture`.

pub mod change;
pub mod space;
pub mod residency;
