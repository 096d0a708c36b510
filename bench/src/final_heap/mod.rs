//! What is left of Go programs that are killed for their memory while the daemon watches, how much later they are gone for it, and what it
//! costs the daemon. The programs say themselves what they hold before they are killed; the same is done without a daemon, in turns.
//!
//! A program has as many buckets in its heap profile as it is told, is read once more by the daemon, and then fills its cgroup. Its delay is
//! from the kernel's `oom:mark_victim` until the last of its threads has ended, as whoever waits for it sees it. At the end all is said in one table.

mod victim;
mod kernel_trace;
mod post_mortem;
mod kind;
mod row;
mod scenario;
mod crash_loop;

use crate::final_heap::kind::Scenario;
use crate::final_heap::scenario::Stage;
use anyhow::Context as _;
use leakwatch_test_support::programs::Go;
use leakwatch_test_support::wait::interrupt;
use std::path::PathBuf;
use xtask::build;
use xtask::tools;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Buckets of a program, separated by commas
    #[arg(long, value_delimiter = ',', default_values_t = [5_000, 30_000, 60_000, 120_000, 300_000])]
    buckets: Vec<u32>,
    /// Programs killed at once, separated by commas
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 8])]
    victims: Vec<usize>,
    /// Pairs of deaths with the daemon and without, of each kind; 0 leaves those without out
    #[arg(long, default_value_t = 6)]
    pairs: usize,
    /// Calls below which a program allocates, beside the twenty or so that tell its stacks apart: each number of buckets once, one program at a time; 0 leaves
    /// these out
    #[arg(long, default_value_t = 100)]
    deeper: u32,
    /// Threads of each program that never stop computing; likewise
    #[arg(long, default_value_t = 4)]
    spinning: u32,
    /// Other goroutines of each program, which wait
    #[arg(long, default_value_t = 100)]
    parked: u64,
    /// Only this: so many deaths one after the other, each in a cgroup of its own, with the first number of buckets and of victims
    #[arg(long)]
    crash_loop: Option<u32>,
    /// The daemon's executable, instead of building it
    #[arg(long)]
    executable: Option<PathBuf>,
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    ctrlc::set_handler(interrupt).context("handle Ctrl-C")?;
    let daemon = match &arguments.executable {
        Some(executable) => executable.clone(),
        None => build::main()?,
    };
    let directory = tempfile::tempdir()?;
    let program = Go::on_path().build_stripped("deathbed", directory.path())?;
    let mut stage = Stage::new(daemon, program, directory.path())?;
    let scenario = |buckets, victims| Scenario {
        buckets,
        victims,
        deeper: 0,
        spinning: 0,
        parked: arguments.parked,
    };
    if let Some(deaths) = arguments.crash_loop {
        let buckets = arguments.buckets.first().copied().context("no buckets")?;
        let victims = arguments.victims.first().copied().context("no victims")?;
        // The defaults begin with others than a crash loop is meant to have.
        let buckets = if arguments.buckets.len() > 1 { 30_000 } else { buckets };
        return crash_loop::run(&mut stage, scenario(buckets, victims.max(1)), deaths);
    }
    let mut scenarios = Vec::new();
    for buckets in &arguments.buckets {
        scenarios.extend(
            arguments
                .victims
                .iter()
                .map(|victims| scenario(*buckets, (*victims).max(1))),
        );
        let one = scenario(*buckets, 1);
        let (deeper, spinning) = (arguments.deeper, arguments.spinning);
        scenarios.extend((deeper > 0).then_some(Scenario { deeper, ..one }));
        scenarios.extend((spinning > 0).then_some(Scenario { spinning, ..one }));
    }
    let mut rows = Vec::new();
    for scenario in scenarios {
        rows.push(tools::step(&scenario.to_string(), || {
            stage.compare(scenario, arguments.pairs)
        })?);
    }
    row::say(&rows);
    Ok(())
}
