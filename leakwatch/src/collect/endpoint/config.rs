//! What the collector of endpoints may do and how much.

use crate::config::EndpointRule;
use leakwatch_analysis::pprof::Bounds;
use std::time::Duration;

/// What the collector may do and how much.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// Configured endpoints; the first that fits a process is used.
    pub rules: Vec<EndpointRule>,
    /// Ask the listening ports of a Go process that no rule fits.
    pub discover: bool,
    /// Time to connect; the peer is on this host.
    pub connect_timeout: Duration,
    /// Time for one profile, from connecting to the last byte.
    pub total_timeout: Duration,
    /// Size of one profile.
    pub bounds: Bounds,
    /// Processes asked at the same time; one process is only asked for one profile at a time.
    pub concurrency: usize,
}

impl EndpointConfig {
    /// Defaults for these rules: 1 s to connect, 10 s in total, 16 MiB received and 64 MiB decompressed, 4 at a time.
    pub fn new(rules: Vec<EndpointRule>, discover: bool) -> Self {
        Self {
            rules,
            discover,
            connect_timeout: Duration::from_secs(1),
            total_timeout: Duration::from_secs(10),
            bounds: Bounds::default(),
            concurrency: 4,
        }
    }
}
