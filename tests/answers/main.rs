//! Programs with a known truth, each in a cgroup of its own under one untouched daemon: what a person is told is right, and helps. The
//! whole texts are in `texts`, as they were read with `LEAKWATCH_BLESS=1`.

mod make;
mod truths;
mod watched;

use crate::make::CommandLine;
use crate::truths::TRUTHS;
use crate::truths::Truth;
use crate::watched::Watched;
use anyhow::Result;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::wait::wait_until;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;
use tempfile::TempDir;

/// The daemon that cargo built for this test.
const LEAKWATCH: &str = env!("CARGO_BIN_EXE_leakwatch");
/// So many programs run at a time: four captures at once are what the daemon allows itself.
const AT_ONCE: usize = 6;
/// For all of them.
const DEADLINE: Duration = Duration::from_hours(1);

#[test]
fn what_a_person_is_told_is_right_and_helps() -> Result<()> {
    if std::env::var_os("LEAKWATCH_SLOW_TESTS").is_none_or(|value| value != "1") {
        return Ok(());
    }
    let directory = TempDir::new()?;
    let in_memory = TempDir::new_in("/dev/shm")?;
    symlink(in_memory.path(), directory.path().join(make::IN_MEMORY))?;
    let mut waiting = made(directory.path())?;
    let all = waiting.len();
    let parent = Cgroup::create("answers")?;
    let daemon = Daemon::start(&Options {
        executable: Path::new(LEAKWATCH),
        only: parent.path(),
        interval_seconds: 1,
        config: "",
        arguments: &[],
    })?;
    let start = Instant::now();
    let (mut running, mut turn): (Vec<Watched>, usize) = (Vec::new(), 0);
    let (mut right, mut missed, mut complaints) = (0, 0, Vec::new());
    wait_until("all answers", DEADLINE, || {
        while running.len() < AT_ONCE
            && let Some((truth, line)) = waiting.pop()
        {
            running.push(Watched::start(truth, &line, &parent, &daemon, directory.path())?);
        }
        // One at a time, so that asking is no load to speak of.
        turn = (turn + 1) % running.len().max(1);
        if let Some(watched) = running.get_mut(turn)
            && let Some(wrong) = watched.look(&daemon)?
        {
            let watched = running.swap_remove(turn);
            let truth = watched.truth();
            let figure = match (wrong.is_empty(), truth.known_miss) {
                (true, None) => {
                    right += 1;
                    "right".to_owned()
                }
                (false, Some(because)) => {
                    missed += 1;
                    format!("known miss: {because}: {}", wrong.join("; "))
                }
                (true, Some(_)) => {
                    complaints.push(format!("{}: right, but listed as a known miss", truth.name));
                    "right, unexpectedly".to_owned()
                }
                (false, None) => {
                    complaints.push(format!("{}: {}", truth.name, wrong.join("; ")));
                    format!("WRONG: {}", wrong.join("; "))
                }
            };
            println!("FIGURE {}: {figure}", truth.name);
        }
        Ok((running.is_empty() && waiting.is_empty()).then_some(()))
    })?;
    println!(
        "FIGURE {right} of {all} programs right, {missed} known misses, in {:.0} minutes",
        start.elapsed().as_secs_f64() / 60.0
    );
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
    Ok(())
}

/// All programs, or those of `LEAKWATCH_ANSWERS` (names with commas between them).
fn made(directory: &Path) -> Result<Vec<(&'static Truth, CommandLine)>> {
    let wanted = std::env::var("LEAKWATCH_ANSWERS").ok();
    let is_wanted = |truth: &&Truth| {
        wanted
            .as_deref()
            .is_none_or(|names| names.split(',').any(|name| name == truth.name))
    };
    TRUTHS
        .iter()
        .rev()
        .filter(is_wanted)
        .map(|truth| {
            let own = directory.join(truth.name);
            fs::create_dir(&own)?;
            Ok((truth, (truth.make)(&own)?))
        })
        .collect()
}
