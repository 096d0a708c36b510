//! How late a round shows and how long requests take while many readers render large profiles. The measured work is done by the example
//! of the same name, over the engine and the routes of the daemon, without a kernel.

use std::process::Command;
use xtask::tools;

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
    let build = [
        "build",
        "--release",
        "--locked",
        "-p",
        "leakwatch-bench",
        "--example",
        "contention",
    ];
    tools::run(tools::cargo().args(build))?;
    let mut measured = Command::new(tools::target_dir().join("release/examples/contention"));
    let Arguments {
        readers,
        targets,
        buckets,
        seconds,
    } = arguments;
    tools::run(measured.args([readers, targets, buckets, seconds].map(u64::to_string)))
}
