//! Numbers that the detectors rest on, computed from one history. Must not judge.

mod recurrence;
pub mod motion;
pub mod pacing;
pub mod go_memory;
pub mod live_heap;
pub mod charge;
pub mod filling;
pub mod thrashing;
pub mod site_trend;
pub mod maker;
pub mod forecast;
pub mod loading;
pub mod runs;
pub mod course;
pub mod against_load;
pub mod need;
pub mod proven;
pub mod workers;
