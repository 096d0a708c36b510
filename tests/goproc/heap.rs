//! The heap of programs whose allocations are known, for each release of Go and each kind of executable.

use crate::oracle::compare;
use crate::oracle::stack_of;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::heap::View;
use leakwatch_goproc::heap::estimate;
use leakwatch_test_support::http::Client;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::toolchains;
use leakwatch_test_support::toolchains::Form;
use leakwatch_test_support::wait::wait_until;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_mins(3);

/// A program that is ready.
pub(crate) struct Target {
    pub(crate) process: Running,
    pub(crate) client: Client,
}

impl Target {
    /// `collect` is GOGC: a program that compares itself with us had better not collect in the middle of it.
    pub(crate) fn start(executable: &Path, arguments: &[&str], collect: &str, log: &Path) -> Result<Self> {
        let mut command = Command::new(executable);
        command.args(arguments).env("GOGC", collect).env_remove("GOMEMLIMIT");
        let process = Running::start(command, log)?;
        let address = wait_until("the program to be ready", DEADLINE, || {
            let output = process.output();
            let ready = output.lines().find_map(|line| line.strip_prefix("ready "));
            Ok(ready.map(ToOwned::to_owned))
        })?;
        Ok(Self {
            process,
            client: Client::new(format!("http://{address}")),
        })
    }
}

/// Every release with every form of executable.
#[test]
fn outside_heap_equals_the_endpoint() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for release in toolchains::releases() {
        for form in [Form::Plain, Form::Stripped, Form::StrippedPie] {
            let executable = toolchains::build("goproc-target", release, form, directory.path())?;
            let log = directory.path().join("log");
            for (arguments, least) in [
                (&["-rate", "1", "-stacks", "20000"][..], 20_000),
                (&["-objects", "200000"][..], 1),
            ] {
                let target = Target::start(&executable, arguments, "off", &log)?;
                let mut process = GoProcess::attach(target.process.pid())?;
                let compared = compare(&target.client, &mut process)
                    .with_context(|| format!("{release} {form:?} {arguments:?}: {:?}", process.heap_variables()))?;
                ensure!(compared >= least, "{release} {form:?}: only {compared} buckets");
                eprintln!("{release} {form:?} {arguments:?}: {compared} buckets equal");
            }
        }
    }
    Ok(())
}

/// Functions by the bytes in use that they have allocated, most first.
fn ranking(
    process: &mut GoProcess,
    stacks: &mut Vec<Vec<u64>>,
    bytes: impl Fn(u64, u64, u64) -> f64,
) -> Result<Vec<(String, f64)>> {
    let snapshot = process.heap(stacks)?;
    let index = process.heap_reader().context("read")?.index();
    let mut frames = process.heap_frames();
    let mut functions: BTreeMap<String, f64> = BTreeMap::new();
    for (id, counts) in snapshot.all(View::LastGc) {
        let stack = frames.of_stack(stack_of(index, stacks, id)?);
        let innermost = stack.first().map(|frame| frame.function.clone());
        let size = index.size(id).context("size")?;
        let in_use = counts.in_use().unwrap_or(0);
        *functions.entry(innermost.unwrap_or_default()).or_default() += bytes(in_use, size, snapshot.rate);
    }
    let mut ranked: Vec<_> = functions.into_iter().collect();
    ranked.sort_by(|one, other| other.1.total_cmp(&one.1));
    Ok(ranked)
}

/// Small objects are hardly ever sampled, large ones always: who adds up what was sampled names the wrong function.
#[test]
#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^52")]
fn a_leak_of_small_objects_ranks_before_a_large_buffer() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for release in toolchains::releases() {
        let executable = toolchains::build("goproc-target", release, Form::Stripped, directory.path())?;
        // 32 MiB in objects of 64 bytes: about 64 of them are sampled.
        let arguments = ["-small", "524288", "-static", "4194304", "-objects", "0"];
        let target = Target::start(&executable, &arguments, "100", &directory.path().join("log"))?;
        let mut process = GoProcess::attach(target.process.pid())?;
        let mut stacks = Vec::new();
        let sampled = ranking(&mut process, &mut stacks, |count, size, _| (count * size) as f64)?;
        let ours = ranking(&mut process, &mut stacks, |count, size, rate| {
            estimate(count, size, rate).bytes
        })?;
        eprintln!("{release}: as sampled {sampled:?}\n{release}: scaled {ours:?}");
        let first = |ranked: &[(String, f64)]| ranked.first().map(|(function, _)| function.clone());
        ensure!(
            first(&sampled).as_deref() == Some("main.buffer"),
            "{release}: {sampled:?}"
        );
        ensure!(first(&ours).as_deref() == Some("main.leakSmall"), "{release}: {ours:?}");
        let bytes = ours.first().map_or(0.0, |(_, bytes)| *bytes);
        ensure!((16e6..64e6).contains(&bytes), "{release}: {bytes} of {}", 32 << 20);
    }
    Ok(())
}

/// The numbers that the runtime tells the program itself.
fn memstats(target: &Target) -> Result<Vec<u64>> {
    let text = String::from_utf8(target.client.bytes("/memstats")?)?;
    Ok(text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
}

#[test]
fn numbers_of_the_collector_equal_memstats() -> Result<()> {
    let directory = tempfile::tempdir()?;
    for release in toolchains::releases() {
        for form in [Form::Plain, Form::StrippedPie] {
            let executable = toolchains::build("goproc-target", release, form, directory.path())?;
            let arguments = ["-rate", "1", "-limit", "1073741824", "-goroutines", "3000"];
            let target = Target::start(&executable, &arguments, "70", &directory.path().join("log"))?;
            let mut process = GoProcess::attach(target.process.pid())?;
            let what = format!("{release} {form:?}: {:?}", process.gc_variables());
            let compared = wait_until("equal numbers", DEADLINE, || {
                let inside = memstats(&target)?;
                let numbers = process.gc()?;
                let outside = [
                    numbers.collections.into(),
                    numbers.forced_collections.into(),
                    numbers.heap_goal.context("goal")?,
                    numbers.heap_in_use,
                    numbers.heap_released,
                    numbers.stacks_in_use,
                ];
                let equal = inside.get(..6) == Some(&outside) && inside.get(7) == Some(&numbers.pauses);
                Ok(equal.then_some((numbers, inside)))
            });
            let (numbers, inside) =
                compared.with_context(|| format!("{what}: {:?} {:?}", memstats(&target), process.gc()))?;
            ensure!(
                numbers.gc_percent == Some(70) && numbers.memory_limit == Some(1 << 30),
                "{what}: {numbers:?}"
            );
            ensure!(
                numbers.heap_alloc.abs_diff(*inside.get(6).context("HeapAlloc")?) < 1 << 20,
                "{what}: {numbers:?}"
            );
            ensure!(
                numbers.heap_marked >= 4 << 20 && numbers.heap_marked <= numbers.heap_live,
                "{what}: {numbers:?}"
            );
            ensure!(numbers.mapped_ready > numbers.heap_in_use, "{what}: {numbers:?}");
            ensure!(numbers.runtime_metadata > 1 << 20, "{what}: {numbers:?}");
            let heap = process.heap(&mut Vec::<Vec<u64>>::new())?;
            let index = process.heap_reader().context("read")?.index();
            let retained = u64::try_from(heap.in_use(View::LastGc, index).bytes)?;
            ensure!(
                retained.abs_diff(numbers.heap_marked) < 1 << 20,
                "{what}: {retained} retained, {numbers:?}"
            );
        }
    }
    Ok(())
}

/// The checked-in table of layouts against the debug information of each release. Slow: builds nine programs.
#[test]
fn the_table_of_layouts_is_what_the_releases_say() -> Result<()> {
    if std::env::var_os("LEAKWATCH_SLOW_TESTS").is_none_or(|value| value != "1") {
        return Ok(());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "-q", "-p", "xtask", "--", "goproc-layouts", "--check"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .status()?;
    ensure!(status.success(), "the table has drifted");
    Ok(())
}
