//! What the kernel reads of a Go process while it is killed, compared with what the process said before. No daemon takes part.

use crate::probes::DEADLINE;
use crate::probes::next;
use crate::probes::set_ring;
use crate::probes::start_with;
use anyhow::Context as _;
use anyhow::Result;
use leakwatch::probes::ProbeEvent;
use leakwatch::probes::ProcessExec;
use leakwatch::probes::final_heap::FinalHeap;
use leakwatch::probes::final_heap::HeapWatch;
use leakwatch::probes::hooks::signal_deliver;
use leakwatch::probes::loss;
use leakwatch::probes::plan::Plan;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_common::loss::LossReason;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::attach::NoHeap;
use leakwatch_goproc::final_heap::Truncation;
use leakwatch_goproc::heap;
use leakwatch_goproc::heap::Counts;
use leakwatch_goproc::heap::HeapError;
use leakwatch_goproc::heap::Kept;
use leakwatch_goproc::heap::View;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::Go;
use leakwatch_test_support::wait::wait_until;
use rustix::process::Signal;
use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;

/// Objects, each on a stack of its own.
const HELD: u64 = 5_000;
/// As a large service has them.
const MANY: u64 = 70_000;
/// Goroutines that wait for ever.
const PARKED: u64 = 300;

/// The program, built once. A virtual machine has it ready.
fn executable() -> Result<PathBuf> {
    static BUILT: LazyLock<Result<(TempDir, PathBuf)>> = LazyLock::new(|| {
        let directory = TempDir::new()?;
        let executable = Go::on_path().build_stripped("deathbed", directory.path())?;
        Ok((directory, executable))
    });
    if let Some(ready) = std::env::var_os("LEAKWATCH_TEST_DEATHBED") {
        return Ok(ready.into());
    }
    match &*BUILT {
        Ok((_, executable)) => Ok(executable.clone()),
        Err(error) => anyhow::bail!("{error:#}"),
    }
}

/// A process that waits to be killed.
struct Victim {
    running: Running,
    key: ProcessKey,
    /// Buckets by the count of its own runtime.
    buckets: u64,
    _directory: TempDir,
}

fn start_victim() -> Result<Victim> {
    start_victim_of(HELD)
}

fn start_victim_of(held: u64) -> Result<Victim> {
    let directory = TempDir::new()?;
    let mut command = Command::new(executable()?);
    command.args([
        format!("-stacks={held}"),
        "-depth=19".to_owned(),
        format!("-parked={PARKED}"),
        "-life=1h".to_owned(),
    ]);
    let running = Running::start(command, &directory.path().join("log"))?;
    let buckets = wait_until("the victim to be ready", DEADLINE, || {
        let output = running.output();
        let line = output.lines().find_map(|line| line.strip_prefix("buckets "));
        Ok(line.and_then(|count| count.parse().ok()))
    })?;
    Ok(Victim {
        key: key_of(running.pid())?,
        running,
        buckets,
        _directory: directory,
    })
}

fn key_of(pid: u32) -> Result<ProcessKey> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_comm = stat.rsplit(')').next().context("stat")?;
    // Field 22, and field 3 follows the command name.
    let start_ticks = after_comm.split_whitespace().nth(19).context("starttime")?.parse()?;
    Ok(ProcessKey { pid, start_ticks })
}

/// Probes that take the time they need: an emulated machine is slow.
fn patient(plan: &mut Plan) {
    plan.walk_bounds.time = Duration::from_secs(10);
}

fn watch_as_it_is(watch: &mut HeapWatch, key: ProcessKey, process: &mut GoProcess) -> Result<()> {
    if let Err(missing) = watch.watch(key, &process.walk_plan()) {
        anyhow::bail!("{missing:?}");
    }
    Ok(())
}

/// Watches a process as it is, kills it, and waits for what was read.
async fn final_heap_of(
    watch: &mut HeapWatch,
    events: &mut Receiver<ProbeEvent>,
    victim: Victim,
    process: &mut GoProcess,
) -> Result<FinalHeap> {
    watch_as_it_is(watch, victim.key, process)?;
    victim.running.signal(Signal::KILL)?;
    next(events, "a death", |event| match event {
        ProbeEvent::FinalHeap(heap) if heap.process == victim.key => Some(*heap),
        _ => None,
    })
    .await
}

/// Its heap, in as many readings as an emulated machine takes.
fn heap_of(process: &mut GoProcess, stacks: &mut Vec<Vec<u64>>) -> Result<heap::Snapshot> {
    wait_until("the heap to be read", DEADLINE, || match process.heap(stacks) {
        Err(NoHeap::Heap(HeapError::Unfinished { .. })) => Ok(None),
        read => Ok(Some(read?)),
    })
}

/// Which buckets of a process the kernel is told to take for known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    All,
    /// The older half, as of a process that has grown since it was read.
    Half,
    /// As if nothing had been read yet.
    None,
}

/// Kills one process of which that much is known, and compares all there is.
async fn check(change: impl FnOnce(&mut Plan), held: u64, known: Known) -> Result<()> {
    let (mut probes, mut events) = start_with(|plan| {
        patient(plan);
        change(plan);
    })?;
    let mut watch = probes.take_heap_watch().context("no watch")?;
    let victim = start_victim_of(held)?;
    let expected = victim.buckets;
    let mut process = GoProcess::attach(victim.key.pid)?;
    let mut stacks = Vec::new();
    let snapshot = heap_of(&mut process, &mut stacks)?;
    let index = process.heap_reader().context("no heap")?.index();
    let stack_of = |kept: Option<Kept>| stacks.get(kept?.number as usize).cloned();
    let middle = index.ids().nth(index.len() / 2).and_then(|id| index.address(id));
    let buckets = snapshot
        .all(View::Now)
        .map(|(id, counts)| (stack_of(index.stack(id)), counts));
    let before = kept(&process, buckets)?;
    let mut plan = process.walk_plan();
    if let Some(heap) = &mut plan.heap {
        match known {
            Known::All => {}
            Known::Half => heap.newest_known = middle.context("no buckets")?,
            Known::None => heap.newest_known = 0,
        }
    }
    if let Err(missing) = watch.watch(victim.key, &plan) {
        anyhow::bail!("{missing:?}");
    }
    victim.running.signal(Signal::KILL)?;
    let death = next(&mut events, "a death", |event| match event {
        ProbeEvent::FinalHeap(heap) if heap.process == victim.key => Some(*heap),
        _ => None,
    })
    .await?;
    let walk = &death.walk;
    assert_eq!((walk.truncation, walk.lost, walk.unreadable), (None, 0, 0));
    let arrived = walk.buckets.len() + walk.known.len();
    assert!(
        arrived as u64 >= expected,
        "{arrived} buckets, the runtime counted {expected}"
    );
    assert_eq!(walk.stacks.is_empty(), known == Known::All);
    assert_eq!(walk.known.is_empty(), known == Known::None);
    say_figure(held, arrived, walk.heap_time);
    assert!(walk.heap_time > Duration::ZERO && walk.heap_time < Duration::from_secs(10));

    let heap = process.heap_reader().context("no heap")?.final_heap(walk);
    let buckets = heap.buckets.iter().map(|bucket| {
        let brought = heap.brought(bucket).map(<[u64]>::to_vec);
        let stack = brought.or_else(|| stack_of(heap.kept(bucket)));
        (stack, heap.counts(View::Now, bucket))
    });
    let (objects, stacks) = kept(&process, buckets)?;
    // What the runtime itself has: of many allocations it counts a few twice.
    assert!(objects >= held && stacks >= held, "{objects} objects, {stacks} stacks");
    assert_eq!((objects, stacks), before);
    assert_eq!((heap.lost, heap.not_reached, heap.truncation), (0, 0, None));
    let groups = process.final_goroutines(walk)?;
    assert_eq!(groups.first().map(|group| group.count), Some(PARKED), "{groups:?}");
    assert_eq!(walk.goroutines_missing, 0);
    Ok(())
}

/// Objects that `main.keep` has allocated and that are in use, and how many stacks they are on.
fn kept(process: &GoProcess, buckets: impl Iterator<Item = (Option<Vec<u64>>, Counts)>) -> Result<(u64, u64)> {
    let mut frames = process.heap_frames();
    let (mut objects, mut stacks) = (0, 0);
    for (stack, counts) in buckets {
        let stack = stack.context("a bucket without a stack")?;
        let innermost = frames.of_stack(&stack).first().map(|frame| frame.function.clone());
        if innermost.as_deref() == Some("main.keep") {
            let in_use = counts.in_use().context("more freed than allocated")?;
            stacks += u64::from(in_use > 0);
            objects += in_use;
        }
    }
    Ok((objects, stacks))
}

#[expect(clippy::print_stdout, reason = "the figure is for people")]
fn say_figure(held: u64, buckets: usize, took: Duration) {
    println!(
        "FIGURE {held} objects, {buckets} buckets: {:.1} ms",
        took.as_secs_f64() * 1e3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_is_read_as_this_kernel_allows() -> Result<()> {
    check(|_plan| {}, HELD, Known::All).await
}

#[tokio::test(flavor = "multi_thread")]
async fn very_many_buckets_are_all_read() -> Result<()> {
    check(|_plan| {}, MANY, Known::All).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_has_grown_is_read_whole() -> Result<()> {
    check(|_plan| {}, HELD, Known::Half).await
}

#[tokio::test(flavor = "multi_thread")]
async fn stacks_of_new_buckets_come_along() -> Result<()> {
    check(|_plan| {}, HELD, Known::None).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_is_read_in_parts() -> Result<()> {
    let in_parts = |plan: &mut Plan| {
        for planned in plan
            .hooks
            .iter_mut()
            .filter(|planned| planned.hook.name == signal_deliver::HOOK.name)
        {
            planned.programs = Ok(signal_deliver::IN_PARTS);
        }
    };
    check(in_parts, HELD, Known::Half).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_cut_a_walk_and_say_so() -> Result<()> {
    for (change, cut) in [
        (
            (|plan| plan.walk_bounds.buckets = 100) as fn(&mut Plan),
            Truncation::Bound,
        ),
        (|plan| plan.walk_bounds.time = Duration::ZERO, Truncation::Time),
    ] {
        let (mut probes, mut events) = start_with(|plan| {
            patient(plan);
            change(plan);
        })?;
        let mut watch = probes.take_heap_watch().context("no watch")?;
        let victim = start_victim()?;
        let mut process = GoProcess::attach(victim.key.pid)?;
        heap_of(&mut process, &mut Vec::new())?;
        let heap = final_heap_of(&mut watch, &mut events, victim, &mut process).await?;
        assert_eq!(heap.walk.truncation, Some(cut));
        let arrived = heap.walk.buckets.len() + heap.walk.known.len();
        assert!(arrived > 0 && (arrived as u64) < HELD);
        // What is missing is told: everything that is not new was known before.
        let joined = process.heap_reader().context("no heap")?.final_heap(&heap.walk);
        assert_eq!(joined.truncation, Some(cut));
        let known = process.heap_reader().context("no heap")?.index().len() as u64;
        assert_eq!(joined.not_reached + heap.walk.known_passed, known);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_finds_no_room_is_counted() -> Result<()> {
    let (mut probes, mut events) = start_with(|plan| {
        patient(plan);
        // Less than what is kept for ends.
        set_ring(plan, &signal_deliver::HOOK, 64 * 1024);
    })?;
    let mut watch = probes.take_heap_watch().context("no watch")?;
    let victim = start_victim()?;
    let mut process = GoProcess::attach(victim.key.pid)?;
    heap_of(&mut process, &mut Vec::new())?;
    watch_as_it_is(&mut watch, victim.key, &mut process)?;
    victim.running.signal(Signal::KILL)?;
    let name = loss::name(LossReason::FinalHeapRingFull);
    // The counters are read now and then, also in the middle of a walk: what they say comes in parts, before and after the death.
    let (mut death, mut counted) = (None, 0);
    let death = next(&mut events, "a death and what it lost", |event| {
        match event {
            ProbeEvent::FinalHeap(read) if read.process == victim.key => death = Some(*read),
            ProbeEvent::Loss(loss) if loss.reason == name => counted += loss.count,
            _ => {}
        }
        if counted >= HELD { death.take() } else { None }
    })
    .await?;
    assert!(death.walk.buckets.is_empty());
    assert_eq!(death.walk.known.iter().flatten().count(), 0);
    assert!(death.walk.lost >= HELD, "{}", death.walk.lost);
    assert_eq!(death.walk.truncation, Some(Truncation::Room));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_process_that_was_meant_is_read() -> Result<()> {
    let (mut probes, mut events) = start_with(patient)?;
    let mut watch = probes.take_heap_watch().context("no watch")?;
    // Another process had this pid before.
    let mut other = start_victim()?;
    let mut process = GoProcess::attach(other.key.pid)?;
    heap_of(&mut process, &mut Vec::new())?;
    let plan = process.walk_plan();
    let before = ProcessKey {
        start_ticks: other.key.start_ticks - 1,
        ..other.key
    };
    // One that is no longer of interest.
    let mut forgotten = start_victim()?;
    // One that ends by itself: its other threads are sent the same signal by the kernel.
    let mut ending = start_victim()?;
    for (key, forget) in [(before, false), (forgotten.key, true), (ending.key, false)] {
        if let Err(missing) = watch.watch(key, &plan) {
            anyhow::bail!("{missing:?}");
        }
        if forget {
            watch.forget(key);
        }
    }
    other.running.signal(Signal::KILL)?;
    forgotten.running.signal(Signal::KILL)?;
    // Go ends with exit(2) at this one.
    ending.running.signal(Signal::QUIT)?;
    for victim in [&mut other, &mut forgotten, &mut ending] {
        victim.running.wait(DEADLINE)?;
    }
    // What was read of them is told before the end of one that ends later.
    let mut read = Vec::new();
    let mut later = HashSet::new();
    let mut is_told = false;
    while !is_told {
        let last = start_victim_of(1)?;
        later.insert(last.key);
        last.running.signal(Signal::KILL)?;
        is_told = next(&mut events, "an end", |event| match event {
            ProbeEvent::ProcessExit(exit) if later.contains(&exit.key) => Some(true),
            // Where the kernel does not run our program for an end, which it counts, there is another one.
            ProbeEvent::Loss(loss) if loss.reason == loss::PROGRAM_MISSED => Some(false),
            ProbeEvent::FinalHeap(heap) => {
                read.push(heap.process);
                None
            }
            _ => None,
        })
        .await?;
    }
    assert_eq!(read, []);
    Ok(())
}

/// A program that was started, by its execution; none when the kernel has not run our program for one, which it counts.
async fn program(events: &mut Receiver<ProbeEvent>, key: ProcessKey, what: &str) -> Result<Option<ProcessExec>> {
    next(events, what, |event| match event {
        ProbeEvent::ProcessExec(exec) if exec.key == key => Some(Some(exec)),
        ProbeEvent::Loss(loss) if loss.reason == loss::PROGRAM_MISSED => Some(None),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_program_is_told_and_is_not_taken_for_the_old_one() -> Result<()> {
    const ATTEMPTS: usize = 5;
    for _ in 0..ATTEMPTS {
        if new_program().await?.is_some() {
            return Ok(());
        }
    }
    anyhow::bail!("the kernel has not run our program in {ATTEMPTS} attempts")
}

/// None when it could not be seen.
async fn new_program() -> Result<Option<()>> {
    let (mut probes, mut events) = start_with(patient)?;
    let mut watch = probes.take_heap_watch().context("no watch")?;
    let directory = TempDir::new()?;
    let mut command = Command::new("/bin/sh");
    // Waits for the file, then becomes another program.
    let file = directory.path().join("go");
    command.args([
        "-c",
        r#"while ! [ -e "$0" ]; do :; done; exec sh -c 'while :; do :; done'"#,
    ]);
    command.arg(&file);
    let shell = Running::start(command, &directory.path().join("log"))?;
    let key = key_of(shell.pid())?;
    if let Err(missing) = watch.watch(key, &leakwatch_goproc::final_heap::WalkPlan::default()) {
        anyhow::bail!("{missing:?}");
    }
    if program(&mut events, key, "the first program").await?.is_none() {
        return Ok(None);
    }
    fs::write(&file, "")?;
    let Some(exec) = program(&mut events, key, "the second program").await? else {
        return Ok(None);
    };
    assert_ne!(exec.cgroup_inode, 0);
    shell.signal(Signal::KILL)?;
    let read = next(&mut events, "the end", |event| match event {
        ProbeEvent::ProcessExit(exit) if exit.key == key => Some(false),
        ProbeEvent::FinalHeap(heap) if heap.process == key => Some(true),
        _ => None,
    });
    assert!(!read.await?, "it was no longer watched");
    Ok(Some(()))
}
