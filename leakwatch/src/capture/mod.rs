//! Captures: the allocator probes on one process for a while, from looking for its allocator to the profile.
//!
//! Puts together what `native` finds out about the process and what `probes` attaches. Everything here blocks: it belongs on a
//! thread of its own.

pub mod session;
