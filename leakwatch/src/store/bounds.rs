//! How much is remembered.

use std::time::Duration;

/// Every collection of the store has a bound; what falls out of one is counted as a loss where it may be missed.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Targets with a living cgroup.
    pub targets: usize,
    /// Targets whose cgroup is gone.
    pub gone_targets: usize,
    /// How long a gone target is remembered.
    pub gone_for: Duration,
    /// Events.
    pub events: usize,
    /// Post-mortems of OOM kills.
    pub post_mortems: usize,
    /// Bytes of all profiles, those of post-mortems included: their values, their stacks and the names in them.
    pub profile_bytes: usize,
    /// Runs that have ended, of one service.
    pub runs_per_service: usize,
    /// Runs that have ended, of all services.
    pub runs: usize,
    /// Final states that wait for the OOM kill that brought them about.
    pub final_states: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            targets: 2_000,
            gone_targets: 200,
            gone_for: Duration::from_hours(6),
            events: 10_000,
            post_mortems: 500,
            profile_bytes: 20 << 20,
            runs_per_service: 8,
            runs: 1_024,
            final_states: 16,
        }
    }
}
