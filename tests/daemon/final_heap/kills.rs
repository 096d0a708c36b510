//! Kills by a memory cgroup, of several kinds: the heap that is called complete is complete, and it is there again and again.

use crate::final_heap::options;
use crate::final_heap::victim::PARKED;
use crate::final_heap::victim::Plan;
use crate::final_heap::victim::Truth;
use crate::final_heap::victim::Victim;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_analysis::pprof;
use leakwatch_analysis::pprof::proto;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::programs::Go;
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// The delay of a victim is told for as many buckets: the goal is 10 ms.
const BUCKETS_PER_GOAL: f64 = 33_000.0;

/// How often services of a kind are killed.
struct Kills {
    /// Until as many left a complete heap.
    complete: usize,
    /// At most, or in the slow tier, whose figures are compared from run to run, always.
    most: usize,
}

/// Whether a victim is known in time is a race with the rest of the machine: the quick tier repeats it until it is won.
fn kills() -> Kills {
    if is_slow() {
        Kills {
            complete: 95,
            most: 100,
        }
    } else {
        Kills { complete: 3, most: 40 }
    }
}

fn is_slow() -> bool {
    std::env::var("LEAKWATCH_SLOW_TESTS").is_ok_and(|value| value == "1")
}

/// One kind at a time: victims of another would take its processor time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The program, built once, as services are shipped.
fn executable() -> Result<PathBuf> {
    static BUILT: LazyLock<Result<(TempDir, PathBuf)>> = LazyLock::new(|| {
        let directory = TempDir::new()?;
        let executable = Go::on_path().build_stripped("deathbed", directory.path())?;
        Ok((directory, executable))
    });
    match &*BUILT {
        Ok((_, executable)) => Ok(executable.clone()),
        Err(error) => anyhow::bail!("{error:#}"),
    }
}

/// What came of one kind.
#[derive(Debug, Default)]
struct Outcome {
    complete: usize,
    /// Why the others are not.
    incomplete: Vec<String>,
    /// Of the complete ones those whose goroutines were not counted as they were, and why.
    uncounted: Vec<String>,
    /// Delay of each victim, in milliseconds per 33,000 buckets.
    delays: Vec<f64>,
}

/// What makes a kill a success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    /// A complete heap: victims that leave the daemon no processor have their heap found first.
    Heap,
    /// And its goroutines counted as they were.
    HeapAndGoroutines,
}

impl Outcome {
    fn kills(&self) -> usize {
        self.complete + self.incomplete.len()
    }

    fn successes(&self, counts: Counts) -> usize {
        match counts {
            Counts::Heap => self.complete,
            Counts::HeapAndGoroutines => self.complete - self.uncounted.len(),
        }
    }
}

/// What was read of a victim whose heap is complete.
struct Read {
    delay: f64,
    goroutines: Result<()>,
}

/// Kills `at_once` services of a kind at a time, until there are enough kills.
fn run(name: &str, plan: Plan, at_once: usize, counts: Counts) -> Result<()> {
    let _alone = alone();
    let executable = executable()?;
    let directory = TempDir::new()?;
    let parent = Cgroup::create(name)?;
    // The same cgroups again and again, as a service that is restarted has it.
    let cgroups: Vec<Cgroup> = (0..at_once)
        .map(|index| parent.child(&format!("service{index}"), Some(160 * MIB)))
        .collect::<Result<_>>()?;
    let daemon = Daemon::start(&options(parent.path()))?;
    let kills = kills();
    let mut outcome = Outcome::default();
    while outcome.kills() < kills.most && (is_slow() || outcome.successes(counts) < kills.complete) {
        let mut running = Vec::new();
        for (index, cgroup) in cgroups.iter().enumerate() {
            let log = directory.path().join(format!("victim{index}"));
            running.push(Victim::start(&executable, cgroup, plan, &log)?);
        }
        for victim in running {
            let truth = victim.wait()?;
            match judge(&daemon, &truth) {
                Ok(read) => {
                    outcome.complete += 1;
                    outcome.delays.push(read.delay);
                    let uncounted = read.goroutines.err();
                    outcome.uncounted.extend(uncounted.map(|error| format!("{error:#}")));
                }
                Err(error) => outcome.incomplete.push(format!("{error:#}")),
            }
        }
    }
    outcome.delays.sort_by(f64::total_cmp);
    report(name, &outcome);
    ensure!(
        outcome.successes(counts) >= kills.complete,
        "{name}: {outcome:#?}\n{}",
        daemon.log()
    );
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the numbers are what the test is run for")]
fn report(name: &str, outcome: &Outcome) {
    let delay = |percent: usize| {
        let last = outcome.delays.len().saturating_sub(1);
        outcome.delays.get(last * percent / 100).copied().unwrap_or(f64::NAN)
    };
    println!(
        "FIGURE {name}: {} complete, {} not; goroutines of {} not counted; delay per 33,000 buckets: median {:.1} ms, 95 % {:.1} ms, most {:.1} ms",
        outcome.complete,
        outcome.incomplete.len(),
        outcome.uncounted.len(),
        delay(50),
        delay(95),
        delay(100)
    );
    for reason in outcome.incomplete.iter().chain(&outcome.uncounted) {
        println!("  {reason}");
    }
}

/// Compares the post-mortem of a victim with what it said.
fn judge(daemon: &Daemon, truth: &Truth) -> Result<Read> {
    let client = daemon.client();
    let found = wait_until("the heap at death", Duration::from_mins(1), || {
        let page = client.json("/api/v1/oom_kills?limit=10")?;
        let items = page["items"].as_array().context("items")?.clone();
        let of_victim = |kill: &&Value| kill["victim"]["pid"] == truth.pid && !kill["at_death"]["buckets"].is_null();
        Ok(items.iter().find(of_victim).cloned())
    });
    let kill = found.with_context(|| {
        let status = client.json("/api/v1/status").unwrap_or_default();
        format!("{truth:?}, losses {}", status["losses"])
    })?;
    ensure!(!text(&kill, "target").is_empty(), "no target: {truth:?}");
    let at_death = &kill["at_death"];
    ensure!(text(at_death, "heap") == "complete", "{truth:?}: {at_death:#}");
    let buckets = at_death["buckets"].as_u64().context("buckets")?;
    ensure!(buckets >= truth.buckets, "{buckets} buckets, {truth:?}");
    let profile = kill["profiles"]
        .as_array()
        .and_then(|profiles| profiles.iter().find(|profile| text(profile, "type") == "heap"))
        .context("no heap profile")?;
    ensure!(text(profile, "source") == "kernel_at_death", "{profile:#}");
    let answer = client.get(text(profile, "link"))?;
    let heap = pprof::decode(&answer.body, &pprof::Bounds::default())?;
    let kept = in_use(&heap, "main.keep");
    ensure!(
        (kept.objects, kept.stacks) == (truth.held, usize::try_from(truth.held)?),
        "{kept:?}, {truth:?}"
    );
    let filled = in_use(&heap, "main.fill");
    ensure!(truth.filled_bytes().contains(&filled.bytes), "{filled:?}, {truth:?}");
    let seconds = at_death["heap_seconds"].as_f64().context("heap_seconds")?;
    let count = u32::try_from(buckets).map(f64::from)?;
    Ok(Read {
        delay: seconds * 1e3 / count * BUCKETS_PER_GOAL,
        goroutines: compare_goroutines(at_death, truth),
    })
}

fn compare_goroutines(at_death: &Value, truth: &Truth) -> Result<()> {
    let groups = at_death["goroutine_groups"].as_array().context("goroutine_groups")?;
    for (function, expected) in [("main.park", PARKED), ("main.spin", truth.plan.busy.into())] {
        let of_function = groups.iter().filter(|group| text(group, "function") == function);
        let count: u64 = of_function.filter_map(|group| group["count"].as_u64()).sum();
        ensure!(
            count == expected,
            "{count} goroutines in {function}, {truth:?}: {at_death:#}"
        );
    }
    Ok(())
}

#[derive(Debug)]
struct InUse {
    objects: i64,
    bytes: i64,
    stacks: usize,
}

/// What a function allocated itself.
fn in_use(profile: &proto::Profile, function: &str) -> InUse {
    let name_of = |id: u64| {
        let function = profile.function.iter().find(|function| function.id == id)?;
        profile.string_table.get(usize::try_from(function.name).ok()?)
    };
    let locations: BTreeSet<u64> = profile
        .location
        .iter()
        .filter(|location| {
            let innermost = location.line.first().and_then(|line| name_of(line.function_id));
            innermost.is_some_and(|name| name == function)
        })
        .map(|location| location.id)
        .collect();
    let samples = || {
        let innermost_in =
            |sample: &&proto::ProfileSample| sample.location_id.first().is_some_and(|id| locations.contains(id));
        profile.sample.iter().filter(innermost_in)
    };
    let sum = |index: usize| samples().filter_map(|sample| sample.value.get(index)).sum();
    let stacks: BTreeSet<&[u64]> = samples().map(|sample| sample.location_id.as_slice()).collect();
    InUse {
        objects: sum(2),
        bytes: sum(3),
        stacks: stacks.len(),
    }
}

#[test]
fn five_thousand_buckets() -> Result<()> {
    let plan = Plan {
        stacks: 5_000,
        busy: 0,
        life: Duration::from_secs(3),
    };
    run("final-heap-5k", plan, 1, Counts::HeapAndGoroutines)
}

#[test]
fn thirty_thousand_buckets() -> Result<()> {
    let plan = Plan {
        stacks: 30_000,
        busy: 0,
        life: Duration::from_secs(3),
    };
    run("final-heap-30k", plan, 1, Counts::HeapAndGoroutines)
}

#[test]
fn forty_seven_busy_threads() -> Result<()> {
    let plan = Plan {
        stacks: 5_000,
        busy: 47,
        life: Duration::from_secs(3),
    };
    run("final-heap-busy", plan, 1, Counts::Heap)
}

#[test]
fn two_at_once() -> Result<()> {
    let plan = Plan {
        stacks: 30_000,
        busy: 0,
        life: Duration::from_secs(3),
    };
    run("final-heap-two", plan, 2, Counts::HeapAndGoroutines)
}

#[test]
fn lives_of_two_seconds() -> Result<()> {
    let plan = Plan {
        stacks: 30_000,
        busy: 0,
        life: Duration::from_secs(2),
    };
    run("final-heap-young", plan, 1, Counts::Heap)
}
