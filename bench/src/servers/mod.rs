//! What it costs real servers to be watched: throughput and the 99th percentile of the latency, watched and not, in turns on the
//! same running process.
//!
//! `redis-server`, an HTTP server in Rust and one in Go that calls C are each watched by a capture as the daemon makes it by itself: of the allocator's
//! calls, 512 KiB between samples, within 2 % of the processor time, a minute long, or of page faults where these calls are too many;
//! ended when it was measured. The one in Go is then watched by the whole
//! daemon with default settings, which reads its heap from outside.
//!
//! A phase begins with a load of some seconds that is told apart: while it lasts the process is looked at for a second, the probes are
//! attached, and where the allocator is called too often they go again and others come; or the daemon starts and reads for the first time.
//! The load of the same kind that follows is what is compared with the goals: the steady state of the capture, its samples and profiles. Phases come as ABBA, so that a machine which gets slower or faster
//! by the same amount all the time changes nothing. Server and load have a processor each, leakwatch none of its own: what it does in user
//! space is done at the cost of both.

mod load;
mod server;
mod watcher;

use crate::idle::TICKS_PER_SECOND;
use crate::idle::processor_ticks;
use crate::servers::load::Served;
use crate::servers::server::Kind;
use crate::servers::server::Server;
use crate::servers::watcher::Capture;
use crate::servers::watcher::Seen;
use crate::servers::watcher::Watcher;
use crate::statistics::Paired;
use crate::statistics::median;
use anyhow::Context as _;
use anyhow::bail;
use anyhow::ensure;
use clap::ValueEnum;
use leakwatch_test_support::wait::interrupt;
use std::path::Path;
use std::path::PathBuf;
use std::thread::available_parallelism;
use xtask::build_ebpf;
use xtask::tools;

/// Goals, as ratios of watched to not watched.
const LEAST_THROUGHPUT: f64 = 0.98;
const MOST_P99: f64 = 1.05;
/// Load before the one that counts: a capture looks at the process for a second and then attaches; within two more it is clear whether the
/// allocator is called too often, and then another does the same.
const LEAD_IN_SECONDS: u64 = 6;
/// And so long under load after it: what is looked at for moments is so at once and then once in each stretch of 10 s, so that too few would be
/// measured in what is left of the first.
const SETTLING_SECONDS: u64 = 6;
/// A phase with the daemon holds one of its readings, which are so far apart.
const DAEMON_SECONDS: u64 = 30;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Rounds of not watched, watched, watched, not watched; half of them for the daemon
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Seconds that are measured in each phase; at least 30 with the daemon
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=50))]
    seconds: u64,
    /// Just these
    #[arg(long, value_enum)]
    only: Vec<Comparison>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Comparison {
    Redis,
    Rust,
    Go,
    GoDaemon,
}

impl Comparison {
    fn name(self) -> &'static str {
        match self {
            Self::Redis => "redis-server",
            Self::Rust => "Rust HTTP server",
            Self::Go => "Go HTTP server",
            Self::GoDaemon => "Go HTTP server, whole daemon",
        }
    }

    fn kind(self) -> Kind {
        match self {
            Self::Redis => Kind::Redis,
            Self::Rust => Kind::Rust,
            Self::Go | Self::GoDaemon => Kind::Go,
        }
    }
}

/// What was measured in one phase.
#[derive(Clone, Copy, Debug)]
struct Phase {
    lead_in: Served,
    served: Served,
    /// Processor time of the server.
    per_request: f64,
    /// What watched it did meanwhile.
    seen: Seen,
}

impl Phase {
    fn throughput(&self) -> f64 {
        self.served.requests_per_second
    }

    fn p99(&self) -> f64 {
        self.served.p99_milliseconds
    }
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    ctrlc::set_handler(interrupt).context("handle Ctrl-C")?;
    ensure!(
        available_parallelism()?.get() > 1,
        "server and load need a processor each"
    );
    build_ebpf::ensure()?;
    tools::step("building the daemon and what captures without it", || {
        let mut cargo = tools::cargo();
        cargo.args([
            "build",
            "--release",
            "--locked",
            "-p",
            "leakwatch",
            "-p",
            "leakwatch-bench",
        ]);
        tools::run(cargo.args(["--bin", "leakwatch", "--example", "governed"]))
    })?;
    let daemon = tools::target_dir().join("release/leakwatch");
    let mut missed = Vec::new();
    for comparison in Comparison::value_variants() {
        if arguments.only.is_empty() || arguments.only.contains(comparison) {
            let bench = Bench::new(*comparison, arguments, daemon.clone())?;
            missed.extend(bench.run().context(comparison.name())?);
        }
    }
    if missed.is_empty() {
        tools::say("no goal is surely missed");
        return Ok(());
    }
    bail!("surely missed: {}", missed.join("; "));
}

struct Bench {
    comparison: Comparison,
    rounds: u32,
    seconds: u64,
    daemon: PathBuf,
    directory: tempfile::TempDir,
}

impl Bench {
    fn new(comparison: Comparison, arguments: &Arguments, daemon: PathBuf) -> anyhow::Result<Self> {
        let with_daemon = comparison == Comparison::GoDaemon;
        Ok(Self {
            comparison,
            rounds: if with_daemon {
                arguments.rounds.div_ceil(2)
            } else {
                arguments.rounds
            },
            seconds: arguments.seconds.max(if with_daemon { DAEMON_SECONDS } else { 1 }),
            daemon,
            directory: tempfile::tempdir()?,
        })
    }

    /// Measures, tells, and answers the goals that are missed.
    fn run(&self) -> anyhow::Result<Vec<String>> {
        let directory = self.directory.path();
        let server = Server::start(self.comparison.kind(), directory)?;
        let mut watcher = if self.comparison == Comparison::GoDaemon {
            Watcher::daemon(&self.daemon, &server)
        } else {
            Watcher::Capture(Capture::prepare(server.pid())?)
        };
        // Caches fill, and files are read for the first time.
        self.phase(&server, None)?;
        let mut rounds = Vec::new();
        for round in 1..=self.rounds {
            let first = self.phase(&server, None)?;
            let second = self.phase(&server, Some(&mut watcher))?;
            let third = self.phase(&server, Some(&mut watcher))?;
            let fourth = self.phase(&server, None)?;
            for (watched, bare) in [(second, first), (third, fourth)] {
                tools::say(format!(
                    "{}, round {round} of {}: watched {:.0} requests a second, p99 {:.3} ms; not watched {:.0}, {:.3}",
                    self.comparison.name(),
                    self.rounds,
                    watched.throughput(),
                    watched.p99(),
                    bare.throughput(),
                    bare.p99()
                ));
            }
            rounds.push([first, second, third, fourth]);
        }
        self.tell(&rounds)
    }

    /// One load, watched or not.
    fn phase(&self, server: &Server, mut watcher: Option<&mut Watcher>) -> anyhow::Result<Phase> {
        let directory: &Path = self.directory.path();
        let loading = server.load.start(LEAD_IN_SECONDS, directory)?;
        if let Some(watcher) = &mut watcher {
            watcher.begin()?;
        }
        let lead_in = loading.finish()?;
        server.load.start(SETTLING_SECONDS, directory)?.finish()?;
        let mut look = || watcher.as_mut().map_or(Ok(Seen::default()), |watcher| watcher.look());
        let before = look()?;
        let ticks = processor_ticks(server.pid())?;
        let served = server.load.start(self.seconds, directory)?.finish()?;
        let ticks = processor_ticks(server.pid())? - ticks;
        let seen = look()?.since(before);
        if let Some(watcher) = watcher {
            watcher.end()?;
        }
        #[expect(clippy::cast_precision_loss, reason = "a few seconds")]
        let requests = served.requests_per_second * self.seconds as f64;
        Ok(Phase {
            lead_in,
            served,
            per_request: ticks / TICKS_PER_SECOND / requests,
            seen,
        })
    }

    fn tell(&self, rounds: &[[Phase; 4]]) -> anyhow::Result<Vec<String>> {
        let name = self.comparison.name();
        let pairs: Vec<(Phase, Phase)> = rounds
            .iter()
            .flat_map(|[first, second, third, fourth]| [(*second, *first), (*third, *fourth)])
            .collect();
        // Last of a round and first of the next: as near to each other as those of a pair.
        let idle: Vec<(Phase, Phase)> = rounds
            .iter()
            .skip(1)
            .zip(rounds)
            .map(|([later, ..], [.., earlier])| (*later, *earlier))
            .collect();
        let ratio = |of: fn(&Phase) -> f64| compare(&pairs, of).context("no pairs");
        let (throughput, p99) = (ratio(Phase::throughput)?, ratio(Phase::p99)?);
        let goals = [
            ("throughput", throughput, LEAST_THROUGHPUT, true),
            ("p99", p99, MOST_P99, false),
        ];
        let judged = goals.map(|(what, ratio, goal, at_least)| (what, ratio, judge(&ratio, goal, at_least)));
        let said = judged
            .each_ref()
            .map(|(what, ratio, (said, _))| format!("{what} {}, {said}", change(ratio)));
        tools::say(format!("{name}: {}", said.join("; ")));
        tools::say(format!(
            "{name}: processor time for a request {}; in the {LEAD_IN_SECONDS} s before, in which watching begins: throughput {}, p99 {}",
            change(&ratio(|phase| phase.per_request)?),
            change(&ratio(|phase| phase.lead_in.requests_per_second)?),
            change(&ratio(|phase| phase.lead_in.p99_milliseconds)?),
        ));
        if let (Some(throughput), Some(p99)) = (compare(&idle, Phase::throughput), compare(&idle, Phase::p99)) {
            tools::say(format!(
                "{name}: not watched against not watched, {} pairs: throughput {}; p99 {}",
                throughput.pairs,
                change(&throughput),
                change(&p99)
            ));
        }
        let bare = |of: fn(&Phase) -> f64| median(pairs.iter().map(|(_, bare)| of(bare))).context("no pairs");
        tools::say(format!(
            "{name}: {} pairs of {} s; not watched {:.0} requests a second, p99 {:.3} ms, {:.1} us of processor time for a request",
            pairs.len(),
            self.seconds,
            bare(Phase::throughput)?,
            bare(Phase::p99)?,
            1e6 * bare(|phase| phase.per_request)?
        ));
        self.tell_of_watching(&pairs);
        let missed = judged.into_iter().filter(|(_, _, (_, surely_missed))| *surely_missed);
        Ok(missed
            .map(|(what, ratio, _)| format!("{what} of {name} {}", change(&ratio)))
            .collect())
    }

    /// What watching did in all phases together.
    #[expect(clippy::cast_precision_loss, reason = "a few minutes")]
    fn tell_of_watching(&self, pairs: &[(Phase, Phase)]) {
        let name = self.comparison.name();
        let seen = pairs
            .iter()
            .fold(Seen::default(), |sum, (watched, _)| sum.and(watched.seen));
        let seconds = (pairs.len() as u64 * self.seconds) as f64;
        let own = 100.0 * seen.own_ticks / TICKS_PER_SECOND / seconds;
        if self.comparison == Comparison::GoDaemon {
            tools::say(format!(
                "{name}: {:.1} profiles read in a phase; leakwatch itself uses {own:.1} % of a processor",
                seen.profiles / pairs.len() as f64
            ));
            return;
        }
        let windows = if seen.windows > 0.0 {
            let length = 1e3 * seen.attached_seconds / seen.windows;
            format!(" in {:.0} windows of {length:.0} ms", seen.windows)
        } else {
            String::new()
        };
        tools::say(format!(
            "{name}: attached {:.2} % of {:.0} s{windows}; {:.0} hits a second, {:.0} while attached; reckoned to cost {:.2} % of its \
             own processor time; {:.0} samples a second, {:.0} losses; leakwatch itself uses {own:.1} % of a processor",
            100.0 * seen.attached_seconds / seen.running_seconds,
            seen.running_seconds,
            seen.hits / seen.running_seconds,
            seen.hits / seen.attached_seconds,
            100.0 * seen.spent_seconds / (seen.used_seconds - seen.spent_seconds),
            seen.samples / seen.running_seconds,
            seen.losses,
        ));
    }
}

fn compare(pairs: &[(Phase, Phase)], of: fn(&Phase) -> f64) -> Option<Paired> {
    let values: Vec<(f64, f64)> = pairs.iter().map(|(one, other)| (of(one), of(other))).collect();
    Paired::ratio(&values)
}

/// `-0.7 % (-1.4 to +0.1)`.
fn change(ratio: &Paired) -> String {
    let percent = |ratio: f64| 100.0 * (ratio - 1.0);
    format!(
        "{:+.1} % ({:+.1} to {:+.1}{})",
        percent(ratio.middle),
        percent(ratio.low),
        percent(ratio.high),
        if ratio.sure { "" } else { ", least and most" }
    )
}

/// In words, and whether all of the interval is beyond the goal.
fn judge(ratio: &Paired, goal: f64, at_least: bool) -> (String, bool) {
    let holds = |value: f64| if at_least { value >= goal } else { value <= goal };
    let ends = [ratio.low, ratio.high].map(holds);
    let verdict = match (holds(ratio.middle), ends) {
        (true, [true, true]) => "met",
        (true, _) => "met, not surely",
        (false, [false, false]) => "missed",
        (false, _) => "missed, not surely",
    };
    let sign = if at_least { ">=" } else { "<=" };
    let said = format!("goal {sign} {:+.0} % {verdict}", 100.0 * (goal - 1.0));
    (said, ratio.sure && ends == [false, false])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_judged_by_the_interval() {
        for (middle, low, high, at_least, expected) in [
            (0.993, 0.986, 1.001, true, ("goal >= -2 % met", false)),
            (0.985, 0.970, 1.001, true, ("goal >= -2 % met, not surely", false)),
            (0.970, 0.960, 0.990, true, ("goal >= -2 % missed, not surely", false)),
            (0.970, 0.960, 0.975, true, ("goal >= -2 % missed", true)),
            (1.012, 0.950, 1.040, false, ("goal <= +5 % met", false)),
            (1.200, 1.100, 1.300, false, ("goal <= +5 % missed", true)),
        ] {
            let ratio = Paired {
                middle,
                low,
                high,
                pairs: 16,
                sure: true,
            };
            let goal = if at_least { LEAST_THROUGHPUT } else { MOST_P99 };
            let (said, missed) = judge(&ratio, goal, at_least);
            assert_eq!((said.as_str(), missed), expected);
        }
        let ratio = Paired::ratio(&[(1.0, 2.0), (1.0, 2.0)]).unwrap();
        assert!(!judge(&ratio, LEAST_THROUGHPUT, true).1, "two pairs say nothing surely");
        assert_eq!(change(&ratio), "-50.0 % (-50.0 to -50.0, least and most)");
    }
}
