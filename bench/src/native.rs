//! What a pair of `malloc` and `free` costs while the probes are attached: nothing attached, empty programs at the same places, every call
//! counted, sampled, as the daemon samples within its budget, the same by libbpf-tools' `memleak`, and heaptrack, in turns on the same program.

use crate::peers;
use anyhow::Context as _;
use anyhow::bail;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::folder;
use leakwatch_test_support::wait::interrupt;
use leakwatch_test_support::wait::wait_until;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use xtask::build_ebpf;
use xtask::tools;

const DEADLINE: Duration = Duration::from_mins(2);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Turns of all ways of looking
    #[arg(long, default_value_t = 5)]
    turns: usize,
    /// Pairs in each
    #[arg(long, default_value_t = 200_000)]
    pairs: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum Way {
    Nothing,
    /// Mean bytes between samples, and the programs.
    Leakwatch(u64, &'static str),
    /// As the daemon does it: sampled, within a budget.
    Default,
    Memleak(u64),
    Heaptrack,
}

const EMPTY: Way = Way::Leakwatch(1, "empty");
const EXACT: Way = Way::Leakwatch(1, "best");
const SAMPLED: Way = Way::Leakwatch(524_288, "best");

const WAYS: [(&str, Way); 10] = [
    ("nothing attached", Way::Nothing),
    ("empty programs", EMPTY),
    ("leakwatch, every call", EXACT),
    ("leakwatch, 512 KiB", SAMPLED),
    ("leakwatch by default, 512 KiB within 2 %", Way::Default),
    ("as before Linux 6.13, every call", Way::Leakwatch(1, "single")),
    ("as before Linux 6.13, 512 KiB", Way::Leakwatch(524_288, "single")),
    ("memleak, every call", Way::Memleak(1)),
    ("memleak -s 100", Way::Memleak(100)),
    ("heaptrack", Way::Heaptrack),
];

/// What the price of the first is to be, at most, in prices of the second.
const GOALS: [(Way, Way, f64); 4] = [
    (EXACT, EMPTY, 1.5),
    (EXACT, Way::Memleak(1), 1.0 / 8.0),
    (SAMPLED, Way::Memleak(100), 1.0 / 12.0),
    (Way::Default, Way::Memleak(100), 1.0 / 12.0),
];

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    ctrlc::set_handler(interrupt).context("handle Ctrl-C")?;
    build_ebpf::ensure()?;
    // The price is that of the kernel side; user space may be slow.
    tools::run(tools::cargo().args([
        "build",
        "--locked",
        "-p",
        "leakwatch-bench",
        "--example",
        "capture",
        "--example",
        "governed",
    ]))?;
    let directory = tempfile::tempdir()?;
    let program = directory.path().join("pairs");
    let source = folder().join("native/pairs.c");
    tools::run(Command::new("cc").args(["-O2", "-g", "-o"]).arg(&program).arg(source))?;
    let mut prices: Vec<Vec<f64>> = vec![Vec::new(); WAYS.len()];
    for _ in 0..arguments.turns {
        for ((_, way), prices) in WAYS.iter().zip(&mut prices) {
            prices.push(measure(*way, &program, arguments.pairs, directory.path())?);
        }
    }
    for ((name, _), prices) in WAYS.iter().zip(&mut prices) {
        prices.sort_by(f64::total_cmp);
        if let (Some(least), Some(median), Some(most)) = (prices.first(), prices.get(prices.len() / 2), prices.last()) {
            tools::say(format!("{name}: {median:.0} ns a pair ({least:.0} to {most:.0})"));
        }
    }
    let median = |wanted: Way| {
        let (_, prices) = WAYS.iter().zip(&prices).find(|((_, way), _)| *way == wanted)?;
        prices.get(prices.len() / 2).copied()
    };
    for (way, other, goal) in GOALS {
        let name = |wanted: Way| WAYS.iter().find(|(_, way)| *way == wanted).map_or("", |(name, _)| name);
        if let (Some(price), Some(of)) = (median(way), median(other)) {
            let ratio = price / of;
            let met = if ratio <= goal { "met" } else { "missed" };
            tools::say(format!(
                "{} : {} = {ratio:.3}, goal {goal:.3} {met}",
                name(way),
                name(other)
            ));
        }
    }
    Ok(())
}

/// Nanoseconds of a pair.
fn measure(way: Way, program: &Path, pairs: u64, directory: &Path) -> anyhow::Result<f64> {
    let mut command = Command::new(program);
    command.args([pairs.to_string(), "0".to_owned()]);
    if way == Way::Heaptrack {
        let (library, libraries) = peers::heaptrack()?;
        command
            .env("LD_PRELOAD", library)
            .env("LD_LIBRARY_PATH", libraries)
            .env("DUMP_HEAPTRACK_OUTPUT", directory.join("heaptrack.raw"));
    }
    let target = Running::start(command, &directory.join("pairs.log"))?;
    let said = |running: &Running, word: &str| {
        wait_until(word, DEADLINE, || Ok(running.output().contains(word).then_some(())))
            .with_context(|| running.output())
    };
    said(&target, "ready\n")?;
    let pid = target.pid().to_string();
    let mut tool = match way {
        Way::Nothing | Way::Heaptrack => None,
        Way::Leakwatch(sample_bytes, programs) => {
            let mut tool = Command::new(tools::target_dir().join("debug/examples/capture"));
            tool.args([&pid, &sample_bytes.to_string(), programs]);
            Some(Tool::start(&mut tool, directory)?)
        }
        Way::Default => {
            let mut tool = Command::new(tools::target_dir().join("debug/examples/governed"));
            let mut tool = Tool::start(tool.arg(&pid), directory)?;
            tool.order("start")?;
            Some(tool)
        }
        Way::Memleak(sample) => {
            let mut tool = peers::memleak()?;
            tool.args(["-p", &pid, "-s", &sample.to_string(), "3600"]);
            Some(Tool::start(&mut tool, directory)?)
        }
    };
    if let Some(tool) = &mut tool {
        tool.wait_attached()?;
    }
    target.signal(leakwatch_test_support::process::Signal::USR1)?;
    said(&target, "done\n")?;
    drop(tool);
    let output = target.output();
    let price = output
        .lines()
        .find_map(|line| line.strip_prefix("nanoseconds_per_pair "))
        .context("the program does not say what a pair costs")?;
    Ok(price.parse()?)
}

/// What is attached; dropping it detaches.
pub(crate) struct Tool {
    child: Child,
    log: PathBuf,
}

impl Tool {
    pub(crate) fn start(command: &mut Command, directory: &Path) -> anyhow::Result<Self> {
        let log = directory.join("tool.log");
        let output = fs::File::create(&log)?;
        let child = command
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("start the tool")?;
        Ok(Self { child, log })
    }

    /// A line on its standard input.
    fn order(&mut self, order: &str) -> anyhow::Result<()> {
        writeln!(self.child.stdin.as_mut().context("standard input")?, "{order}").context("order the tool")
    }

    /// Attached when it has held the same number of probes for a second: not every tool says so, or not at once.
    pub(crate) fn wait_attached(&mut self) -> anyhow::Result<()> {
        let directory = PathBuf::from(format!("/proc/{}/fd", self.child.id()));
        let (mut before, mut same) = (0, 0);
        wait_until("the probes", DEADLINE, || {
            if let Some(status) = self.child.try_wait()? {
                bail!("the tool ended, {status}: {}", fs::read_to_string(&self.log)?);
            }
            let files = fs::read_dir(&directory)?.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
            let probes = files
                .filter(|link| {
                    ["perf_event", "bpf_link"]
                        .iter()
                        .any(|kind| link.to_string_lossy().contains(kind))
                })
                .count();
            same = if probes == before { same + 1 } else { 0 };
            before = probes;
            Ok((probes > 0 && same >= 10).then_some(()))
        })
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // Its standard input ends: ours is done. Theirs has to be killed.
        drop(self.child.stdin.take());
        let ended = wait_until("the tool to end", Duration::from_secs(3), || {
            Ok(self.child.try_wait()?)
        });
        if ended.is_err() {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}
