//! How late a round shows and how long requests take while many readers render large profiles. The measured work is done by the example
//! of the same name, over the engine and the routes of the daemon, without a kernel.

use crate::example;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Clients that ask for flame graphs, diffs and profiles, each one request after the other
    #[arg(long, default_value_t = 20)]
    readers: u64,
    /// Targets that are sampled every second
    #[arg(long, default_value_t = 500)]
    targets: u64,
    /// Stacks of each profile
    #[arg(long, default_value_t = 100_000)]
    buckets: u64,
    /// How long to measure, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments {
        readers,
        targets,
        buckets,
        seconds,
    } = arguments;
    example::run("contention", &[readers, targets, buckets, seconds].map(u64::to_string))
}
