//! What it costs to read Go processes from outside, beside what their own endpoint costs in the same run, and whether the
//! program notices; and what a heap profile costs on the whole way to a verdict. The measuring itself is `bench/examples/cost.rs`
//! and `bench/examples/judged.rs`, built with optimisation.

mod large;

use anyhow::Context as _;
use anyhow::bail;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::toolchains;
use leakwatch_test_support::toolchains::Form;
use leakwatch_test_support::wait::interrupt;
use leakwatch_test_support::wait::wait_until;
use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use xtask::tools;

/// Goals, in milliseconds of processor time.
const MOST_PER_100K_BUCKETS: f64 = 50.0;
/// Of a profile on the whole way from the memory to a verdict: the first of a process whose stacks are known, and later ones.
const MOST_JUDGED: [(&str, f64); 2] = [("judged_first", 50.0), ("judged_later", 15.0)];
const MOST_PER_100K_GOROUTINES: f64 = 250.0;
const MOST_PER_ATTACH: f64 = 20.0;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Repeats, of which the median counts
    #[arg(long, default_value_t = 21)]
    repeats: usize,
    /// Release of Go that builds the programs
    #[arg(long, default_value = "go1.27.3")]
    release: String,
    /// Pairs of windows with one snapshot a second and without; 0 leaves the comparison out
    #[arg(long, default_value_t = 12)]
    pairs: usize,
    /// Seconds per window
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

/// As many heap profile buckets, each allocation counted.
const MANY_STACKS: [&str; 4] = ["-rate", "1", "-stacks", "100000"];

/// Figures by name.
type Figures = BTreeMap<String, f64>;

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    ctrlc::set_handler(interrupt).context("handle Ctrl-C")?;
    let bench = Bench::prepare(arguments)?;
    let mut missed = Vec::new();
    let mut goal = |what: &str, value: f64, most: f64| {
        if value > most {
            missed.push(format!("{what}: {value:.1} ms, at most {most:.0} wanted"));
        }
    };
    let attach = bench.attach()?;
    goal("attach", figure(&attach, "attach")?, MOST_PER_ATTACH);
    let heap = bench.heap()?;
    let scale = 1e5 / figure(&heap, "buckets_count")?;
    for name in ["first", "later"] {
        let what = format!("{name} reading of 100,000 buckets");
        goal(&what, scale * figure(&heap, name)?, MOST_PER_100K_BUCKETS);
    }
    let judged = bench.judged()?;
    for (name, most) in MOST_JUDGED {
        goal(
            &format!("{name} of 100,000 buckets"),
            scale * figure(&judged, name)?,
            most,
        );
    }
    let goroutines = bench.goroutines()?;
    let scale = 1e5 / figure(&goroutines, "goroutines_count")?;
    let stacks = scale * figure(&goroutines, "stacks")?;
    goal("100,000 goroutines with stacks", stacks, MOST_PER_100K_GOROUTINES);
    if arguments.pairs > 1 {
        let throughput = bench.throughput()?;
        if figure(&throughput, "per_processor_second_high")? < 1.0 {
            missed.push("the program does less work per second of processor time while it is read".to_owned());
        }
    }
    if missed.is_empty() {
        tools::say("all goals are met");
        return Ok(());
    }
    bail!("{}", missed.join("\n"));
}

struct Bench<'a> {
    arguments: &'a Arguments,
    cost: PathBuf,
    judged: PathBuf,
    target: PathBuf,
    directory: tempfile::TempDir,
}

impl<'a> Bench<'a> {
    fn prepare(arguments: &'a Arguments) -> anyhow::Result<Self> {
        tools::step("building the reader", || {
            let mut cargo = tools::cargo();
            cargo.args(["build", "--release", "--locked", "-p", "leakwatch-bench"]);
            tools::run(cargo.args(["--example", "cost", "--example", "judged"]))
        })?;
        let directory = tempfile::tempdir()?;
        let target = tools::step("building the program", || {
            toolchains::build("goproc-target", &arguments.release, Form::Stripped, directory.path())
        })?;
        Ok(Self {
            arguments,
            cost: tools::target_dir().join("release/examples/cost"),
            judged: tools::target_dir().join("release/examples/judged"),
            target,
            directory,
        })
    }

    fn attach(&self) -> anyhow::Result<Figures> {
        let executable = large::ensure(&self.arguments.release)?;
        let size = std::fs::metadata(&executable)?.len();
        let (process, _) = self.start(&executable, &[], "log")?;
        let figures = self.measure(&["attach", &process.pid().to_string(), &self.repeats()])?;
        tools::say(format!(
            "attach to a program of {} MB, stripped: {:.1} ms; to another process of it: {:.2} ms",
            size / 1_000_000,
            figure(&figures, "attach")?,
            figure(&figures, "attach_known")?
        ));
        Ok(figures)
    }

    fn heap(&self) -> anyhow::Result<Figures> {
        let (process, endpoint) = self.start(&self.target, &MANY_STACKS, "log")?;
        let figures = self.measure(&["heap", &process.pid().to_string(), &self.repeats(), &endpoint])?;
        let theirs = figure(&figures, "endpoint_target")? + figure(&figures, "endpoint_reader")?;
        let later = figure(&figures, "later")?;
        tools::say(format!(
            "{} buckets: first reading {:.1} ms, later ones {later:.1} ms; /debug/pprof/heap {theirs:.0} ms (of these {:.1} ms \
             the reader): {:.1} times as much",
            figure(&figures, "buckets_count")?,
            figure(&figures, "first")?,
            figure(&figures, "endpoint_reader")?,
            theirs / later
        ));
        Ok(figures)
    }

    fn judged(&self) -> anyhow::Result<Figures> {
        let (first, _) = self.start(&self.target, &MANY_STACKS, "first")?;
        let (second, _) = self.start(&self.target, &MANY_STACKS, "second")?;
        let processes = [&first, &second].map(|process| process.pid().to_string());
        let mut command = Command::new(&self.judged);
        let figures = Self::figures(command.args(processes).arg(self.repeats()))?;
        tools::say(format!(
            "from memory to a verdict, {} stacks: {:.1} ms of a program that is not known, {:.1} ms the first time of another process of it, \
             {:.1} ms later",
            figure(&figures, "judged_stacks")?,
            figure(&figures, "judged_unknown")?,
            figure(&figures, "judged_first")?,
            figure(&figures, "judged_later")?
        ));
        Ok(figures)
    }

    fn goroutines(&self) -> anyhow::Result<Figures> {
        let many = ["-goroutines", "100000", "-frames", "7"];
        let (process, endpoint) = self.start(&self.target, &many, "log")?;
        let figures = self.measure(&["goroutines", &process.pid().to_string(), &self.repeats(), &endpoint])?;
        let theirs = figure(&figures, "endpoint_target")? + figure(&figures, "endpoint_reader")?;
        let stacks = figure(&figures, "stacks")?;
        tools::say(format!(
            "{} goroutines: counted in {:.1} ms, with stacks in {stacks:.1} ms; /debug/pprof/goroutine {theirs:.0} ms: {:.1} \
             times as much",
            figure(&figures, "goroutines_count")?,
            figure(&figures, "census")?,
            theirs / stacks
        ));
        Ok(figures)
    }

    fn throughput(&self) -> anyhow::Result<Figures> {
        let arguments = ["-work", "-goroutines", "10000", "-frames", "7"];
        let (process, endpoint) = self.start(&self.target, &arguments, "log")?;
        let (pairs, seconds) = (self.arguments.pairs.to_string(), self.arguments.seconds.to_string());
        let what = format!("one snapshot a second against none: {pairs} pairs of {seconds} s");
        let figures = tools::step(&what, || {
            self.measure(&["throughput", &process.pid().to_string(), &pairs, &seconds, &endpoint])
        })?;
        for (name, of) in [
            ("per_processor_second", "second of its processor time"),
            ("per_second", "second"),
        ] {
            tools::say(format!(
                "work of the program per {of}, read once a second against not at all: {:.4}, 95 % interval {:.4} to {:.4}",
                figure(&figures, &format!("{name}_ratio"))?,
                figure(&figures, &format!("{name}_low"))?,
                figure(&figures, &format!("{name}_high"))?
            ));
        }
        Ok(figures)
    }

    fn repeats(&self) -> String {
        self.arguments.repeats.to_string()
    }

    /// Starts a program, and answers where its endpoint is.
    fn start(&self, executable: &Path, arguments: &[&str], log: &str) -> anyhow::Result<(Running, String)> {
        let mut command = Command::new(executable);
        command.args(arguments).env_remove("GOGC").env_remove("GOMEMLIMIT");
        let process = Running::start(command, &self.directory.path().join(log))?;
        let address = wait_until("the program to be ready", Duration::from_mins(2), || {
            let output = process.output();
            let ready = output.lines().find_map(|line| line.strip_prefix("ready "));
            Ok(ready.map(|address| format!("http://{address}")))
        })?;
        Ok((process, address))
    }

    fn measure(&self, arguments: &[&str]) -> anyhow::Result<Figures> {
        Self::figures(Command::new(&self.cost).args(arguments))
    }

    fn figures(command: &mut Command) -> anyhow::Result<Figures> {
        let output = tools::output(command)?;
        let figure = |line: &str| -> anyhow::Result<(String, f64)> {
            let (name, value) = line.split_once('\t').with_context(|| line.to_owned())?;
            Ok((name.to_owned(), value.parse()?))
        };
        output.lines().map(figure).collect()
    }
}

fn figure(figures: &Figures, name: &str) -> anyhow::Result<f64> {
    figures.get(name).copied().with_context(|| format!("no {name}"))
}
