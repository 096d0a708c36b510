//! What the integration tests and the demo share: own memory cgroups, processes that never outlive their test, waiting with a
//! deadline, requests to the daemon, and the Go programs with a known truth.
//!
//! Everything made here is removed when its guard is dropped, also after a failure. Nothing here knows what is right or wrong.

pub mod wait;
pub mod cgroup;
pub mod process;
pub mod http;
pub mod daemon;
pub mod programs;
pub mod toolchains;
pub mod debian;
