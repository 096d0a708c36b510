//! Sampling of real cgroups and processes, against the kernel's own files read by other means, before and after.

mod watcher;

use crate::collect::watcher::Watcher;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch::identity::cgroup::Hierarchy;
use leakwatch_analysis::model::counter::Counter;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::runtime::Runtime;
use leakwatch_analysis::model::sample::CgroupMemory;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::cgroup::Version;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::Go;
use leakwatch_test_support::wait::wait_until;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_mins(3);
/// Charges a CPU may hold in stock for a cgroup (`MEMCG_CHARGE_BATCH` pages); it gives them back at any time.
const STOCK: u64 = 64 * 4096;

/// A shell in the cgroup.
fn shell(cgroup: &Cgroup, script: &str, scratch: &Path) -> Result<Running> {
    Running::start_in(cgroup, Path::new("/bin/sh"), ["-c", script], &scratch.join("log"))
}

fn file(cgroup: &Cgroup, v1: &str, v2: &str) -> Result<String> {
    let name = match cgroup.version() {
        Version::V1 => v1,
        Version::V2 => v2,
    };
    fs::read_to_string(cgroup.directory().join(name)).with_context(|| format!("{name} of {}", cgroup.path()))
}

fn stat(cgroup: &Cgroup, v1: &str, v2: &str) -> Result<u64> {
    let text = file(cgroup, "memory.stat", "memory.stat")?;
    let key = match cgroup.version() {
        Version::V1 => v1,
        Version::V2 => v2,
    };
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    value
        .and_then(|value| value.parse().ok())
        .with_context(|| format!("no {key}"))
}

/// A value of `/proc/PID/status` in bytes.
fn status(pid: u32, key: &str) -> Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(':')?.strip_suffix("kB"));
    let kib: u64 = value.with_context(|| format!("no {key}"))?.trim().parse()?;
    Ok(kib * 1024)
}

/// The process in the cgroup that runs this program.
fn running(cgroup: &Cgroup, comm: &str) -> Result<u32> {
    wait_until(&format!("{comm} in {}", cgroup.path()), DEADLINE, || {
        let mut pids = cgroup.pids().into_iter();
        Ok(
            pids.find(|pid| {
                fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|found| found.trim_end() == comm)
            }),
        )
    })
}

fn memory(sample: &Sample) -> Result<&CgroupMemory> {
    sample.cgroup.as_ref().map_err(|missing| anyhow::anyhow!("{missing:?}"))
}

fn between(what: &str, before: u64, value: Bytes, after: u64, slack: u64) -> Result<()> {
    let (low, high) = (before.min(after).saturating_sub(slack), before.max(after) + slack);
    ensure!(
        (low..=high).contains(&value.0),
        "{what}: {value:?} is not between {before} and {after}"
    );
    Ok(())
}

#[test]
fn numbers_of_a_growing_process_lie_between_two_independent_readings() -> Result<()> {
    let cgroup = Cgroup::create("grow")?;
    let scratch = tempfile::tempdir()?;
    // tail keeps a line that never ends
    let script = "while :; do head -c 1M /dev/zero; sleep 0.1; done | tail -n 1";
    let _growing = shell(&cgroup, script, scratch.path())?;
    let tail = running(&cgroup, "tail")?;
    let mut watcher = Watcher::of(&cgroup)?;
    let mut seen = 0;
    for _ in 0..8 {
        wait_until("growth by 1 MiB", DEADLINE, || {
            Ok((cgroup.charge()? > seen + (1 << 20)).then_some(()))
        })?;
        let read = || -> Result<[u64; 4]> {
            Ok([
                cgroup.charge()?,
                stat(&cgroup, "total_rss", "anon")?,
                stat(&cgroup, "total_inactive_file", "inactive_file")?,
                status(tail, "RssAnon")?,
            ])
        };
        let before = read()?;
        let sample = watcher.sample(cgroup.path())?;
        let after = read()?;
        let found = memory(&sample)?;
        let counted = |counter| found.counters.get(counter).map(Bytes).context("a counter");
        seen = found.charge.0;
        // head comes and goes between the readings, with some hundred KiB of its own
        between("charge", before[0], found.charge, after[0], 2 * STOCK)?;
        between("anon", before[1], counted(Counter::Anon)?, after[1], 2 * STOCK)?;
        between(
            "inactive file",
            before[2],
            counted(Counter::InactiveFile)?,
            after[2],
            2 * STOCK,
        )?;
        let process = sample
            .processes
            .iter()
            .find(|process| process.key.pid == tail)
            .context("tail")?;
        let resident = process
            .memory
            .as_ref()
            .map_err(|missing| anyhow::anyhow!("{missing:?}"))?;
        between("RssAnon", before[3], resident.anon, after[3], 0)?;
        ensure!(resident.rss == Bytes(resident.anon.0 + resident.file.0 + resident.shmem.0));
    }
    ensure!(seen > 8 << 20, "it grew");
    Ok(())
}

#[test]
fn a_still_process_is_read_exactly() -> Result<()> {
    let cgroup = Cgroup::create("still")?;
    let child = cgroup.child("inner", Some(128 << 20))?;
    cgroup.set_limit(96 << 20)?;
    let scratch = tempfile::tempdir()?;
    let _still = shell(
        &child,
        "{ head -c 24M /dev/zero; exec sleep 1000; } | tail -n 1",
        scratch.path(),
    )?;
    let tail = running(&child, "tail")?;
    wait_until("24 MiB held", DEADLINE, || {
        Ok((status(tail, "RssAnon")? > 24 << 20).then_some(()))
    })?;
    running(&child, "sleep")?;
    let mut watcher = Watcher::of(&cgroup)?;
    let sample = watcher.sample(child.path())?;
    ensure!(
        watcher.targets.len() == 1,
        "the outer cgroup has no process of its own: {:?}",
        watcher.targets
    );
    ensure!(watcher.target(child.path())?.service == "sleep" || watcher.target(child.path())?.service == "tail");
    let found = memory(&sample)?;
    ensure!(
        found.limit == Limit::Bytes(Bytes(96 << 20)),
        "the ancestor's limit is tighter: {:?}",
        found.limit
    );
    for (key, bytes) in ["VmRSS", "RssAnon", "RssFile", "RssShmem"].into_iter().zip({
        let process = sample
            .processes
            .iter()
            .find(|process| process.key.pid == tail)
            .context("tail")?;
        let found = process
            .memory
            .as_ref()
            .map_err(|missing| anyhow::anyhow!("{missing:?}"))?;
        [found.rss, found.anon, found.file, found.shmem]
    }) {
        ensure!(bytes.0 == status(tail, key)?, "{key}: {bytes:?}");
    }

    // another limit shows at once, although nothing else moved
    cgroup.set_limit(64 << 20)?;
    let sample = watcher.sample(child.path())?;
    ensure!(memory(&sample)?.limit == Limit::Bytes(Bytes(64 << 20)));
    Ok(())
}

#[test]
fn processes_and_cgroups_come_and_go() -> Result<()> {
    let cgroup = Cgroup::create("come-and-go")?;
    let scratch = tempfile::tempdir()?;
    let mut watcher = Watcher::of(&cgroup)?;
    ensure!(watcher.round()?.is_empty(), "an empty cgroup is no target");
    let first = {
        let child = cgroup.child("job", None)?;
        let mut job = shell(&child, "exec sleep 1000", scratch.path())?;
        running(&child, "sleep")?;
        let sample = watcher.sample(child.path())?;
        let [process] = sample.processes.as_slice() else {
            anyhow::bail!("one process: {sample:?}");
        };
        let facts = watcher.process(process.key)?;
        ensure!(facts.key.pid == job.pid() && facts.comm == "sleep" && facts.runtime == Ok(Runtime::Native));
        ensure!(
            facts
                .exe
                .as_ref()
                .is_ok_and(|exe| exe.ends_with("sleep") || exe.ends_with("coreutils"))
        );
        let age = watcher.clock.now().since(facts.started_at);
        ensure!(age < DEADLINE, "started {age:?} ago");
        job.signal(rustix::process::Signal::KILL)?;
        job.wait(DEADLINE)?;
        ensure!(watcher.sample(child.path())?.processes.is_empty(), "it is gone");
        watcher.target(child.path())?.clone()
    };
    ensure!(watcher.round()?.is_empty());
    ensure!(watcher.gone == [first.id()], "{:?}", watcher.gone);

    let again = cgroup.child("job", None)?;
    let _job = shell(&again, "exec sleep 1000", scratch.path())?;
    running(&again, "sleep")?;
    watcher.sample(again.path())?;
    let second = watcher.target(again.path())?;
    ensure!(
        second.cgroup.path == first.cgroup.path && second.id() != first.id(),
        "a new cgroup is a new target"
    );
    ensure!(second.started_at >= first.started_at);
    let index = watcher.collector.index();
    ensure!(index.resolve(second.cgroup.inode, watcher.clock.now()).as_ref() == Some(&second.cgroup));
    Ok(())
}

#[test]
fn an_exec_is_followed() -> Result<()> {
    let cgroup = Cgroup::create("exec")?;
    let scratch = tempfile::tempdir()?;
    let job = shell(
        &cgroup,
        "trap 'exec tail -f /dev/null' USR1; while :; do sleep 0.1; done",
        scratch.path(),
    )?;
    running(&cgroup, "sleep")?;
    let mut watcher = Watcher::of(&cgroup)?;
    let key = |sample: &Sample| {
        sample
            .processes
            .iter()
            .map(|process| process.key)
            .find(|key| key.pid == job.pid())
    };
    let before = key(&watcher.sample(cgroup.path())?).context("the shell")?;
    ensure!(watcher.process(before)?.comm == "sh");
    job.signal(rustix::process::Signal::USR1)?;
    let what = "the new program to be announced";
    wait_until(what, DEADLINE, || {
        let after = key(&watcher.sample(cgroup.path())?);
        ensure!(after == Some(before), "the same process");
        Ok((watcher.process(before)?.comm == "tail").then_some(()))
    })?;
    ensure!(watcher.target(cgroup.path())?.service == "tail");
    Ok(())
}

#[test]
fn a_go_program_is_recognised_with_its_version() -> Result<()> {
    let cgroup = Cgroup::create("go")?;
    let scratch = tempfile::tempdir()?;
    let program = Go::on_path().build("poller", scratch.path())?;
    let none: [&str; 0] = [];
    let job = Running::start_in(&cgroup, &program, none, &scratch.path().join("log"))?;
    running(&cgroup, "poller")?;
    let mut watcher = Watcher::of(&cgroup)?;
    let sample = watcher.sample(cgroup.path())?;
    let process = sample
        .processes
        .iter()
        .find(|process| process.key.pid == job.pid())
        .context("the program")?;
    let facts = watcher.process(process.key)?;
    let judge = std::process::Command::new("go").arg("version").arg(&program).output()?;
    let wanted = String::from_utf8(judge.stdout)?;
    let Ok(Runtime::Go { version, .. }) = &facts.runtime else {
        anyhow::bail!("{facts:?}");
    };
    ensure!(
        wanted.trim_end().ends_with(&format!(": {version}")),
        "{version} is not {wanted}"
    );
    ensure!(watcher.target(cgroup.path())?.service == "poller");
    Ok(())
}

#[test]
fn oom_kills_are_counted_as_the_kernel_counts_them() -> Result<()> {
    let cgroup = Cgroup::create("killed")?;
    let child = cgroup.child("greedy", Some(16 << 20))?;
    let scratch = tempfile::tempdir()?;
    let _witness = shell(&child, "exec sleep 1000", scratch.path())?;
    running(&child, "sleep")?;
    let mut watcher = Watcher::of(&cgroup)?;
    let events = |watcher: &mut Watcher| -> Result<_> {
        let sample = watcher.sample(child.path())?;
        let memory = memory(&sample)?;
        let counted = |reading: Reading<u64>| reading.map_err(|missing| anyhow::anyhow!("{missing:?}"));
        Ok((counted(memory.oom_kills())?, counted(memory.limit_hits())?))
    };
    ensure!(events(&mut watcher)?.0 == 0);
    let mut greedy = Running::start_in(
        &child,
        Path::new("/usr/bin/tail"),
        ["/dev/zero"],
        &scratch.path().join("greedy"),
    )?;
    greedy.wait(DEADLINE)?;
    let kills = child.oom_kills()?;
    ensure!(kills > 0, "the kernel has killed");
    // Where what is left has the charge of before to the byte, the counters are read at the next refresh only.
    let counted = wait_until("the kills to be counted", DEADLINE * 2, || {
        let (oom_kills, limit_hits) = events(&mut watcher)?;
        ensure!(oom_kills <= kills, "{oom_kills}, not {kills} kills");
        Ok((oom_kills == kills).then_some(limit_hits))
    })?;
    let hits: u64 = match child.version() {
        Version::V1 => ["memory.failcnt", "memory.memsw.failcnt"]
            .iter()
            .filter_map(|name| fs::read_to_string(child.directory().join(name)).ok())
            .filter_map(|text| text.trim().parse::<u64>().ok())
            .sum(),
        Version::V2 => file(&child, "", "memory.events.local")?
            .lines()
            .find_map(|line| line.strip_prefix("max ")?.parse().ok())
            .context("max")?,
    };
    ensure!(counted == hits, "{counted}, not {hits} hits");
    Ok(())
}

#[test]
fn cgroups_that_vanish_under_the_reader_do_no_harm() -> Result<()> {
    let cgroup = Cgroup::create("churn")?;
    let scratch = tempfile::tempdir()?;
    let steady = cgroup.child("steady", None)?;
    let _job = shell(&steady, "exec sleep 1000", scratch.path())?;
    running(&steady, "sleep")?;
    let mut watcher = Watcher::of(&cgroup)?;
    let stop = AtomicBool::new(false);
    let (made, rounds) = std::thread::scope(|scope| {
        let churn = scope.spawn(|| -> Result<u32> {
            let mut made = 0;
            while !stop.load(Ordering::Relaxed) {
                let child = cgroup.child(&format!("c{}", made % 7), None)?;
                let mut job = shell(&child, "exec sleep 0.02", scratch.path())?;
                job.wait(DEADLINE)?;
                made += 1;
            }
            Ok(made)
        });
        let mut rounds = 0;
        // Until the reader has met some that were gone a moment later, and has gone on.
        let result = wait_until("ten cgroups that come and go", DEADLINE, || {
            let sample = watcher.sample(steady.path())?;
            ensure!(memory(&sample)?.charge.0 > 0 && sample.processes.len() == 1);
            rounds += 1;
            Ok((watcher.gone.len() >= 10).then_some(()))
        });
        stop.store(true, Ordering::Relaxed);
        match churn.join() {
            Ok(made) => result.and(made.map(|made| (made, rounds))),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })?;
    let samples = watcher.round()?;
    ensure!(samples.len() == 1, "only the steady one is left: {samples:?}");
    let short_lived = watcher
        .targets
        .iter()
        .filter(|target| target.cgroup.path != steady.path())
        .count();
    ensure!(
        short_lived > 0,
        "the reader met none of {made} cgroups in {rounds} rounds"
    );
    ensure!(watcher.gone.len() <= short_lived, "each goes once");
    let mut gone = watcher.gone.clone();
    gone.sort();
    gone.dedup();
    ensure!(gone.len() == watcher.gone.len(), "each goes once");
    Ok(())
}

#[test]
fn a_hierarchy_is_found_where_the_kernel_mounts_it() -> Result<()> {
    let found = Hierarchy::detect()?;
    let (root, version) = leakwatch_test_support::cgroup::memory_hierarchy()?;
    ensure!(found.root == root);
    let v1 = found.version == leakwatch::identity::cgroup::Version::V1;
    ensure!(v1 == (version == Version::V1));
    ensure!(Hierarchy::at(&root)?.version == found.version);
    let Some(above) = root.parent().filter(|_| v1) else {
        return Ok(());
    };
    ensure!(Hierarchy::at(above)?.root == root);
    Ok(())
}

#[test]
fn a_missing_value_says_what_to_do() -> Result<()> {
    let cgroup = Cgroup::create("no-files")?;
    let mut watcher = Watcher::of(&cgroup)?;
    let scratch = tempfile::tempdir()?;
    let _job = shell(&cgroup, "exec sleep 1000", scratch.path())?;
    running(&cgroup, "sleep")?;
    let sample = watcher.sample(cgroup.path())?;
    // no swap accounting is the only thing a real cgroup may lack
    if let Err(missing) = memory(&sample)?.swap() {
        ensure!(
            missing.reason == MissingReason::Unsupported && missing.fix.is_some(),
            "{missing:?}"
        );
    }
    ensure!(memory(&sample)?.anon().is_ok() && memory(&sample)?.oom_kills().is_ok());
    Ok(())
}
