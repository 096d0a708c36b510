//! Numbers that the detectors rest on, computed from one history. Must not judge.

pub mod pacing;
pub mod site_trend;
pub mod forecast;
pub mod runs;
