//! What judging costs: processor time of one round of samples and its answers, by the number of targets and by how much is remembered of them. The measured
//! work is done by the example of the same name, over the engine alone, on a simulated clock.

use crate::example;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Targets, sampled every five seconds; the growth of cost with their number is measured up to it
    #[arg(long, default_value_t = 500)]
    targets: u64,
    /// Days that are remembered; the growth of cost with them is measured up to it
    #[arg(long, default_value_t = 14)]
    days: u64,
    /// Rounds that are measured
    #[arg(long, default_value_t = 24)]
    rounds: u64,
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { targets, days, rounds } = arguments;
    example::run("analysis", &[targets, days, rounds].map(u64::to_string))
}
