//! The daemon over a long time, among programs that come and go, are captured and are killed: what it holds must not grow, and no kill may be lost.

mod guests;
mod held;
mod kills;

use crate::soak::guests::Guests;
use crate::soak::guests::Programs;
use crate::soak::held::Course;
use crate::soak::held::Held;
use crate::soak::held::QUANTITIES;
use crate::soak::kills::Kills;
use anyhow::Context as _;
use anyhow::ensure;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::wait::interrupt;
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;
use xtask::build;
use xtask::tools;

/// Between two looks at the daemon, and between what happens to the programs.
const STEP: Duration = Duration::from_secs(5);
/// Programs that are replaced at a step: all within five minutes.
const CHURN: usize = 5;
/// Steps between two kills, and between two captures.
const KILL_EVERY: u32 = 3;
const CAPTURE_EVERY: u32 = 4;
/// Killed at a time while the others come and go.
const KILLED: usize = 2;
const CAPTURE_SECONDS: u32 = 5;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// How long programs come and go
    #[arg(long, default_value_t = 30)]
    minutes: u32,
    /// Programs at a time
    #[arg(long, default_value_t = 300)]
    targets: usize,
    /// Kills in a row afterwards
    #[arg(long, default_value_t = 1000)]
    kills: usize,
    /// Kills of those at a time
    #[arg(long, default_value_t = 8)]
    at_a_time: usize,
    /// The daemon to measure, instead of building one
    #[arg(long)]
    executable: Option<PathBuf>,
}

pub(crate) fn main(arguments: &Arguments) -> anyhow::Result<()> {
    ctrlc::set_handler(interrupt).context("handle Ctrl-C")?;
    ensure!(arguments.at_a_time > 0, "nothing to kill");
    let executable = match &arguments.executable {
        Some(executable) => executable.clone(),
        None => build::main()?,
    };
    let directory = tempfile::tempdir()?;
    let programs = tools::step("building the programs", || Programs::build(directory.path()))?;
    let root = Cgroup::create("soak")?;
    let mut guests = tools::step(&format!("starting {} programs", arguments.targets), || {
        Guests::start(&programs, &root, directory.path(), arguments.targets)
    })?;
    let mut daemon = Daemon::start(&Options {
        executable: &executable,
        only: root.path(),
        interval_seconds: 1,
        config: "",
        arguments: &[],
    })?;
    let pid = daemon.process().pid();
    let mut kills = Kills::default();
    let all = soak(arguments, &mut guests, &daemon, pid, &mut kills)?;
    for (name, value) in QUANTITIES {
        let course = Course::of(&all, value)?;
        figure(&format!(
            "{name}: at most {:.1}, over the second half {:+.2} by the slope, {:.2} of noise{}",
            course.most,
            course.rise,
            course.noise,
            if course.stays() { "" } else { ": GROWS" }
        ));
    }
    figure(&format!("{} programs, {}", guests.started(), summary(&kills)));
    let mut in_a_row = Kills::default();
    while usize::try_from(in_a_row.counted)? < arguments.kills {
        in_a_row.batch(&mut guests, &daemon, arguments.at_a_time)?;
        if in_a_row.counted % 200 < arguments.at_a_time as u64 {
            tools::say(format!("{} at a time: {}", arguments.at_a_time, summary(&in_a_row)));
        }
    }
    figure(&format!("{} at a time: {}", arguments.at_a_time, summary(&in_a_row)));
    let status = daemon.client().json("/api/v1/status")?;
    for loss in status.get("losses").and_then(Value::as_array).into_iter().flatten() {
        tools::say(format!("dropped and counted: {loss}"));
    }
    ensure!(daemon.process().ended()?.is_none(), "the daemon has ended");
    for (name, value) in QUANTITIES {
        ensure!(Course::of(&all, value)?.stays(), "{name} grows");
    }
    for kills in [kills, in_a_row] {
        ensure!(kills.lost() == 0 && kills.wrong == 0, "{}", summary(&kills));
    }
    Ok(())
}

/// A line that `cargo xtask test --slow` keeps.
#[expect(clippy::print_stdout, reason = "the front door reads it there")]
fn figure(text: &str) {
    println!("FIGURE {text}");
}

fn summary(kills: &Kills) -> String {
    format!(
        "{} OOM kills by the counters of their cgroups, {} told of the right process and cgroup, {} lost, {} wrong",
        kills.counted,
        kills.told,
        kills.lost(),
        kills.wrong
    )
}

fn soak(
    arguments: &Arguments,
    guests: &mut Guests<'_>,
    daemon: &Daemon,
    pid: u32,
    kills: &mut Kills,
) -> anyhow::Result<Vec<Held>> {
    let (start, length) = (Instant::now(), Duration::from_secs(u64::from(arguments.minutes) * 60));
    let mut all = Vec::new();
    let mut captures = 0_u32;
    tools::say(format!("{} programs kills captures", held::HEAD));
    for step in 1_u32.. {
        if start.elapsed() > length {
            break;
        }
        guests.churn(CHURN)?;
        if step % KILL_EVERY == 0 {
            kills.batch(guests, daemon, KILLED)?;
        }
        if step % CAPTURE_EVERY == 0 {
            captures += u32::from(capture(guests, daemon, captures)?);
        }
        let held = Held::of(daemon, pid, u32::try_from(start.elapsed().as_secs())?)?;
        if step % 12 == 1 {
            let told = format!("{:>8} {:>5} {captures:>8}", guests.started(), kills.told);
            tools::say(format!("{held} {told}"));
        }
        all.push(held);
        let due = STEP * step;
        wait_until("the next step", STEP * 2, || Ok((start.elapsed() >= due).then_some(())))?;
    }
    Ok(all)
}

/// Begins to capture one of the programs, and does not wait. Whether it could.
fn capture(guests: &Guests<'_>, daemon: &Daemon, number: u32) -> anyhow::Result<bool> {
    // Old enough to be known, and it lives for another while.
    let middle = guests.living.get(guests.living.len() / 2..).unwrap_or_default();
    let Some(guest) = middle.iter().find(|guest| !guest.is_go) else {
        return Ok(false);
    };
    let Some(target) = daemon.target(guest.cgroup.path())? else {
        return Ok(false);
    };
    let lane = if number.is_multiple_of(2) { "native" } else { "growth" };
    let body = json!({ "lane": lane, "seconds": CAPTURE_SECONDS, "sample_bytes": 4096 });
    let path = format!("/api/v1/targets/{}/captures", text(&target, "id"));
    Ok(daemon.client().post(&path, &body)?.status == 202)
}
