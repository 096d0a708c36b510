//! What reading one Go process costs, from outside and through its own endpoint: `cargo xtask bench goproc` builds it with
//! optimisation and starts it beside programs whose size is known.
//!
//! Prints one line for each figure: its name, a tab, and its value (milliseconds of processor time unless the name says
//! otherwise), the median of all repeats.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use anyhow::Context as _;
use anyhow::Result;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::goroutines::GoroutineBounds;
use leakwatch_test_support::http::Client;
use leakwatch_test_support::wait::wait_until;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use std::fs;
use std::time::Duration;
use std::time::Instant;

/// Reads everything, whatever the program has.
const ALL: GoroutineBounds = GoroutineBounds {
    goroutines: 1 << 20,
    frames: 1 << 20,
};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["attach", pid, repeats] => attach(pid.parse()?, repeats.parse()?),
        ["heap", pid, repeats, endpoint] => heap(pid.parse()?, repeats.parse()?, endpoint),
        ["goroutines", pid, repeats, endpoint] => goroutines(pid.parse()?, repeats.parse()?, endpoint),
        ["throughput", pid, pairs, seconds, endpoint] => {
            throughput(pid.parse()?, pairs.parse()?, seconds.parse()?, endpoint)
        }
        _ => anyhow::bail!("usage: cost attach|heap|goroutines|throughput PID ..."),
    }
}

fn attach(pid: u32, repeats: usize) -> Result<()> {
    let fresh = median(repeats, || own(|| Ok(GoProcess::attach(pid)?)))?;
    say("attach", fresh);
    let known = GoProcess::attach(pid)?;
    let binary = known.binary();
    let again = median(repeats, || own(|| Ok(GoProcess::attach_known(pid, binary)?)))?;
    say("attach_known", again);
    Ok(())
}

fn heap(pid: u32, repeats: usize, endpoint: &str) -> Result<()> {
    let mut buckets = 0;
    let first = median(repeats, || {
        let mut process = GoProcess::attach(pid)?;
        let cost = own(|| Ok(process.heap(&mut Vec::<Vec<u64>>::new())?))?;
        buckets = process.heap_reader().context("heap")?.index().len();
        Ok(cost)
    })?;
    let mut process = GoProcess::attach(pid)?;
    process.heap(&mut Vec::<Vec<u64>>::new())?;
    let later = median(repeats, || own(|| Ok(process.heap(&mut Vec::<Vec<u64>>::new())?)))?;
    println!("buckets_count\t{buckets}");
    say("first", first);
    say("later", later);
    through_endpoint(pid, repeats, endpoint, "/debug/pprof/heap")
}

fn goroutines(pid: u32, repeats: usize, endpoint: &str) -> Result<()> {
    let mut process = GoProcess::attach(pid)?;
    process.goroutines(ALL)?;
    let census = median(repeats, || own(|| Ok(process.goroutines(ALL)?.census()?)))?;
    let mut count = 0;
    let stacks = median(repeats, || {
        own(|| {
            count = process.goroutines(ALL)?.snapshot()?.count;
            Ok(())
        })
    })?;
    println!("goroutines_count\t{count}");
    say("census", census);
    say("stacks", stacks);
    through_endpoint(pid, repeats, endpoint, "/debug/pprof/goroutine")
}

/// The same through the program's own endpoint: what the program and we spend on one answer.
fn through_endpoint(pid: u32, repeats: usize, endpoint: &str, path: &str) -> Result<()> {
    let client = Client::new(endpoint);
    let mut readers = Vec::new();
    let target = median(repeats, || {
        let before = of_process(pid)?;
        readers.push(own(|| client.bytes(path))?);
        Ok(of_process(pid)?.saturating_sub(before))
    })?;
    readers.sort_unstable();
    say("endpoint_target", target);
    say("endpoint_reader", readers.get(repeats / 2).copied().unwrap_or_default());
    Ok(())
}

/// Work of the program with one snapshot a second and without, in turns, each pair in another order.
fn throughput(pid: u32, pairs: usize, seconds: u64, endpoint: &str) -> Result<()> {
    let client = Client::new(endpoint);
    let operations = || -> Result<f64> { Ok(String::from_utf8(client.bytes("/operations")?)?.trim().parse()?) };
    let mut process = GoProcess::attach(pid)?;
    let mut window = |reading: bool| -> Result<(f64, f64)> {
        let (start, worked, spent) = (Instant::now(), operations()?, of_process(pid)?);
        for second in 1..=seconds {
            if reading {
                process.heap(&mut Vec::<Vec<u64>>::new())?;
                process.goroutines(ALL)?.snapshot()?;
            }
            pass(start, Duration::from_secs(second))?;
        }
        let done = operations()? - worked;
        let spent = of_process(pid)?.saturating_sub(spent);
        Ok((done / start.elapsed().as_secs_f64(), done / spent.as_secs_f64()))
    };
    window(false)?;
    let (mut wall, mut processor) = (Vec::new(), Vec::new());
    for pair in 0..pairs {
        let reads_first = pair % 2 == 1;
        let (one, other) = (window(reads_first)?, window(!reads_first)?);
        let (with, without) = if reads_first { (one, other) } else { (other, one) };
        wall.push((with.0 / without.0).ln());
        processor.push((with.1 / without.1).ln());
    }
    for (name, ratios) in [("per_second", wall), ("per_processor_second", processor)] {
        let (ratio, low, high) = interval(&ratios);
        println!("{name}_ratio\t{ratio:.4}\n{name}_low\t{low:.4}\n{name}_high\t{high:.4}");
    }
    Ok(())
}

/// Geometric mean of ratios given as logarithms, and its 95 % interval (normal approximation).
#[expect(clippy::cast_precision_loss, reason = "some ten values")]
fn interval(logarithms: &[f64]) -> (f64, f64, f64) {
    let count = logarithms.len() as f64;
    let mean = logarithms.iter().sum::<f64>() / count;
    let squares: f64 = logarithms.iter().map(|value| (value - mean).powi(2)).sum();
    let error = 1.96 * (squares / (count - 1.0) / count).sqrt();
    (mean.exp(), (mean - error).exp(), (mean + error).exp())
}

fn pass(start: Instant, until: Duration) -> Result<()> {
    wait_until("time to pass", until + Duration::from_mins(1), || {
        Ok((start.elapsed() >= until).then_some(()))
    })
}

fn median(repeats: usize, mut measure: impl FnMut() -> Result<Duration>) -> Result<Duration> {
    let mut costs = (0..repeats).map(|_| measure()).collect::<Result<Vec<_>>>()?;
    costs.sort_unstable();
    costs.get(repeats / 2).copied().context("at least one repeat")
}

/// Processor time that this process spends on something.
fn own<T>(action: impl FnOnce() -> Result<T>) -> Result<Duration> {
    let now = || {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        Ok::<_, anyhow::Error>(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
    };
    let before = now()?;
    let kept = action()?;
    let spent = now()?.saturating_sub(before);
    drop(kept);
    Ok(spent)
}

/// Processor time of all threads of a process so far (`/proc/PID/task/TID/schedstat`, first field, nanoseconds).
fn of_process(pid: u32) -> Result<Duration> {
    let mut nanoseconds = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let statistics = fs::read_to_string(task?.path().join("schedstat"))?;
        let first = statistics.split_whitespace().next().context("schedstat")?;
        nanoseconds += first.parse::<u64>()?;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn say(name: &str, cost: Duration) {
    println!("{name}\t{:.3}", cost.as_secs_f64() * 1e3);
}
