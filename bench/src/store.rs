//! What history on disk costs and holds: bytes, writes, processor time, and how long readers wait. The measured work is done by the example of the same
//! name, over the store alone, on a simulated clock.

use crate::example;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Days that are simulated
    #[arg(long, default_value_t = 14)]
    days: u64,
    /// Targets that are sampled every five seconds; one in ten grows
    #[arg(long, default_value_t = 500)]
    targets: u64,
    /// Stacks of each profile
    #[arg(long, default_value_t = 400)]
    stacks: u64,
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { days, targets, stacks } = arguments;
    example::run("store", &[days, targets, stacks].map(u64::to_string))
}
