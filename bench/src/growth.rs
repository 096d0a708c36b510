//! What a page fault, a mapping and any other system call cost while a growth capture runs: nothing attached, the process itself captured at
//! the least and at the largest sampling period, and another process captured.

use crate::native::Tool;
use anyhow::Context as _;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::process::Signal;
use leakwatch_test_support::programs::folder;
use leakwatch_test_support::wait::interrupt;
use leakwatch_test_support::wait::wait_until;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use xtask::build_ebpf;
use xtask::tools;

const DEADLINE: Duration = Duration::from_mins(2);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Turns of all ways of looking
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Page faults, mappings and calls in each
    #[arg(long, default_value_t = 200_000)]
    each: u64,
}

#[derive(Clone, Copy)]
enum Way {
    Nothing,
    Itself(u64),
    Another(u64),
}

const WAYS: [(&str, Way); 4] = [
    ("nothing attached", Way::Nothing),
    ("captured, one page in 7", Way::Itself(7)),
    ("captured, one page in 1021", Way::Itself(1021)),
    ("another process captured, one page in 7", Way::Another(7)),
];

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    ctrlc::set_handler(interrupt).context("handle Ctrl-C")?;
    build_ebpf::ensure()?;
    tools::run(tools::cargo().args(["build", "--locked", "-p", "leakwatch-bench", "--example", "growth"]))?;
    let directory = tempfile::tempdir()?;
    let program = directory.path().join("faults");
    let source = folder().join("native/faults.c");
    tools::run(Command::new("cc").args(["-O2", "-g", "-o"]).arg(&program).arg(source))?;
    let mut prices: Vec<BTreeMap<String, Vec<f64>>> = vec![BTreeMap::new(); WAYS.len()];
    for _ in 0..arguments.turns {
        for ((_, way), prices) in WAYS.iter().zip(&mut prices) {
            for (what, price) in measure(*way, &program, arguments.each, directory.path())? {
                prices.entry(what).or_default().push(price);
            }
        }
    }
    for ((name, _), prices) in WAYS.iter().zip(&mut prices) {
        for (what, prices) in prices {
            prices.sort_by(f64::total_cmp);
            if let (Some(least), Some(median), Some(most)) =
                (prices.first(), prices.get(prices.len() / 2), prices.last())
            {
                tools::say(format!("{name}: {what} {median:.0} ns ({least:.0} to {most:.0})"));
            }
        }
    }
    Ok(())
}

/// Nanoseconds of each kind.
fn measure(way: Way, program: &Path, each: u64, directory: &Path) -> anyhow::Result<Vec<(String, f64)>> {
    let mut command = Command::new(program);
    command.arg(each.to_string());
    let target = Running::start(command, &directory.join("faults.log"))?;
    let said = |word: &str| {
        wait_until(word, DEADLINE, || Ok(target.output().contains(word).then_some(()))).with_context(|| target.output())
    };
    said("ready\n")?;
    let captured = match way {
        Way::Nothing => None,
        Way::Itself(period) => Some((target.pid(), period)),
        Way::Another(period) => Some((std::process::id(), period)),
    };
    let tool = match captured {
        None => None,
        Some((pid, period)) => {
            let mut tool = Command::new(tools::target_dir().join("debug/examples/growth"));
            tool.args([pid.to_string(), period.to_string()]);
            let mut tool = Tool::start(&mut tool, directory)?;
            tool.wait_attached()?;
            Some(tool)
        }
    };
    target.signal(Signal::USR1)?;
    said("done\n")?;
    drop(tool);
    let output = target.output();
    let prices = output.lines().filter_map(|line| {
        let (what, price) = line.split_once(' ')?;
        Some((what.replace('_', " "), price.parse().ok()?))
    });
    Ok(prices.collect())
}
