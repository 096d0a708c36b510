//! Goroutines that nobody can ever wake, found from outside in programs that say by the names of their functions which those are.

use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::goroutines::GoroutineBounds;
use leakwatch_goproc::goroutines::Snapshot;
use leakwatch_goproc::memory::MemoryError;
use leakwatch_goproc::wakers::Look;
use leakwatch_goproc::wakers::LookBounds;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs;
use leakwatch_test_support::toolchains;
use leakwatch_test_support::toolchains::Form;
use leakwatch_test_support::wait::wait_until;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_mins(3);

/// Releases whose heap is known.
fn releases() -> impl Iterator<Item = (&'static str, u32)> {
    let minor = |release: &str| release.split('.').nth(1)?.parse().ok();
    let all = toolchains::releases().iter();
    all.filter_map(move |release| Some((*release, minor(release)?)))
        .filter(|(_, minor)| *minor >= 22)
}

fn monotonic() -> Result<u64> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Ok(u64::try_from(now.tv_sec)? * 1_000_000_000 + u64::try_from(now.tv_nsec)?)
}

/// Builds the program; cleanups and weak pointers came with Go 1.24.
fn build(release: &str, form: Form, directory: &Path) -> Result<PathBuf> {
    let minor = release.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
    if minor.is_none_or(|minor| minor >= 24) {
        return toolchains::build("stuck", release, form, directory);
    }
    let copy = directory.join("stuck-before-cleanups");
    fs::create_dir_all(&copy)?;
    for entry in fs::read_dir(programs::folder().join("stuck"))? {
        let entry = entry?;
        if entry.file_name() != "cleanup.go" {
            fs::copy(entry.path(), copy.join(entry.file_name()))?;
        }
    }
    toolchains::build_folder(&copy, release, form, directory)
}

struct Stuck {
    running: Running,
    process: GoProcess,
    /// Goroutines that leak, by the function that waits.
    truth: BTreeMap<String, u64>,
}

impl Stuck {
    fn start(release: &str, form: Form, arguments: &[&str], directory: &Path) -> Result<Self> {
        let executable = build(release, form, directory)?;
        let mut command = Command::new(&executable);
        command.args(arguments);
        let running = Running::start(command, &executable.with_extension("log"))?;
        let output = wait_until("the program to be ready", DEADLINE, || {
            let output = running.output();
            Ok(output.contains("ready\n").then_some(output))
        })
        .with_context(|| running.output())?;
        let truth = output
            .lines()
            .filter_map(|line| {
                let mut words = line.strip_prefix("leak ")?.split(' ');
                Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
            })
            .collect();
        let process = GoProcess::attach(running.pid())?;
        Ok(Self {
            running,
            process,
            truth,
        })
    }

    fn look(&mut self) -> Result<Look> {
        let process = &mut self.process;
        let look = wait_until("a look that comes to its end", DEADLINE, || {
            let look = process.look_for_wakers(LookBounds::default(), monotonic()?);
            // On a machine with much else to do a reading may take longer than it may.
            let look = look.map(Some).map_err(anyhow::Error::from);
            look.or_else(|error| {
                let timed_out = |cause: &(dyn Error + 'static)| cause.downcast_ref() == Some(&MemoryError::TimedOut);
                if error.chain().any(timed_out) {
                    Ok(None)
                } else {
                    Err(error)
                }
            })
        });
        look.with_context(|| self.running.output())
    }

    /// What waits, by the innermost function of the program on its stack.
    fn names(&self, snapshot: &Snapshot) -> BTreeMap<String, u64> {
        let table = self.process.binary().pclntab();
        let mut names = BTreeMap::new();
        for group in &snapshot.groups {
            let mut functions = group.stack.iter().filter_map(|address| {
                let function = table.function_at(address.checked_sub(1)?)?;
                table.full_name(&function)
            });
            let name = functions
                .find_map(|name| Some(name.strip_prefix("main.")?.trim_start_matches("(*service).").to_owned()));
            *names.entry(name.unwrap_or_default()).or_default() += group.count;
        }
        names
    }

    /// What two looks agree on.
    fn proven(&mut self) -> Result<(BTreeMap<String, u64>, Look)> {
        let first = self.look()?;
        let second = self.look()?;
        Ok((self.who(&second.agreed(&first))?, second))
    }

    /// These goroutines by what waits.
    fn who(&mut self, records: &BTreeMap<u64, u64>) -> Result<BTreeMap<String, u64>> {
        let goroutines = self.process.goroutines(GoroutineBounds::default())?;
        let snapshot = goroutines.snapshot_of(records)?;
        Ok(self.names(&snapshot))
    }
}

/// What was found of the leaks, and what was accused although it is none. `main` of the program waits for nothing by itself.
fn score(found: &BTreeMap<String, u64>) -> (u64, Vec<String>) {
    let leaks = found.iter().filter(|(name, _)| name.starts_with("leak"));
    let wrong = found
        .iter()
        .filter(|(name, _)| !name.starts_with("leak") && *name != "main");
    (
        leaks.map(|(_, count)| count).sum(),
        wrong.map(|(name, count)| format!("{count} {name}")).collect(),
    )
}

#[test]
fn every_kind_of_leak_is_proven_and_no_twin_is() -> Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for (release, minor) in releases() {
        for form in [Form::Stripped, Form::StrippedPie] {
            let mut stuck = Stuck::start(release, form, &[], directory.path())?;
            let mut truth = stuck.truth.clone();
            if minor < 26 {
                // Who waits for a condition does not say for which there.
                truth.remove("leakCond");
            }
            let all: u64 = truth.values().sum();
            // What the program has left in registers and dead frames may refer to something for a while.
            let mut last = String::new();
            let found = wait_until("the leaks", DEADLINE, || {
                let (found, look) = stuck.proven()?;
                let (count, wrong) = score(&found);
                ensure!(wrong.is_empty(), "{release} {form:?}: accused {wrong:?}");
                last = format!(
                    "{release} {form:?}: {count} of {all}: {found:?}, {} readings, {} bytes",
                    look.readings, look.bytes
                );
                Ok((count * 100 >= all * 95).then_some(count))
            });
            let found = found.with_context(|| last.clone())?;
            println!("{release} {form:?}: {found} of {all} leaks, no twin\n{last}");
        }
    }
    Ok(())
}

/// Looks at each program: a hundred in the slow tier.
fn looks() -> u64 {
    if toolchains::releases().len() > 3 { 100 } else { 12 }
}

/// Programs that make, pass around and drop channels as fast as they can, and sessions in waves: no look of theirs agrees with the next on
/// anybody that somebody can wake.
#[test]
fn no_look_accuses_who_can_be_woken() -> Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for (release, _) in releases() {
        for kind in ["requests", "mover", "waves"] {
            let arguments = ["-busy", kind, "-each", "0", "-twins", "10"];
            let mut stuck = Stuck::start(release, Form::Stripped, &arguments, directory.path())?;
            // Nobody is judged before a collection saw it blocked for a while.
            let mut last = wait_until("goroutines that can be judged", DEADLINE, || {
                let look = stuck.look()?;
                Ok((look.judged > 100).then_some(look))
            })?;
            let (mut judged, mut alone) = (0, 0);
            for _ in 0..looks() {
                let look = stuck.look()?;
                judged += look.judged;
                alone += score(&stuck.who(&look.agreed(&look))?).1.len();
                let (_, wrong) = score(&stuck.who(&look.agreed(&last))?);
                ensure!(wrong.is_empty(), "{release} {kind}: accused {wrong:?}");
                last = look;
            }
            println!(
                "{release} {kind}: {} looks, {judged} times a goroutine was judged, 0 accused ({alone} by one look alone)",
                looks()
            );
        }
    }
    Ok(())
}

/// What a look costs: a figure for the documents, with `--nocapture`. It must not read more than the heap a few times.
#[test]
fn a_look_reads_the_memory_a_few_times() -> Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    if let Some((release, _)) = releases().last() {
        let arguments = ["-each", "200", "-twins", "20", "-heap", "64"];
        let mut stuck = Stuck::start(release, Form::Stripped, &arguments, directory.path())?;
        let before = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let look = wait_until("goroutines that can be judged", DEADLINE, || {
            let look = stuck.look()?;
            Ok((look.judged > 0).then_some(look))
        })?;
        let after = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let milliseconds = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1_000_000;
        println!(
            "{release}: {} judged, {} found, {} objects followed, {} readings of {} MiB, {milliseconds} ms",
            look.judged,
            look.count(),
            look.objects,
            look.readings,
            (look.bytes / u64::from(look.readings.max(1))) >> 20
        );
        ensure!(look.readings <= 12, "{look:?}");
    }
    Ok(())
}

/// A program that goes on leaking, with collections all the time: what it has leaked a while ago is proven.
#[test]
fn leaks_are_proven_while_the_program_goes_on() -> Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for (release, _) in releases() {
        let arguments = ["-each", "0", "-twins", "3", "-every", "20ms"];
        let mut stuck = Stuck::start(release, Form::Stripped, &arguments, directory.path())?;
        let mut last = String::new();
        let found = wait_until("proven leaks", DEADLINE, || {
            let (found, look) = stuck.proven()?;
            let (count, wrong) = score(&found);
            ensure!(wrong.is_empty(), "{release}: accused {wrong:?}");
            last = format!(
                "{release}: {count} of {} judged, {} readings",
                look.judged, look.readings
            );
            Ok((count >= 100).then_some(count))
        });
        found.with_context(|| last.clone())?;
    }
    Ok(())
}
