//! The heap of Go processes, read from outside and through their own endpoint: the two must be equal, for each release of
//! Go and each kind of executable.

use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_analysis::pprof;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::heap::Snapshot;
use leakwatch_goproc::heap::View;
use leakwatch_goproc::heap::estimate;
use leakwatch_goproc::heap::scale;
use leakwatch_goproc::pclntab::printed_name;
use leakwatch_test_support::http::Client;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::toolchains;
use leakwatch_test_support::toolchains::Form;
use leakwatch_test_support::wait::wait_until;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_mins(1);

/// Stack and size to the sum of: objects in use, their bytes, objects allocated, their bytes.
type Buckets = BTreeMap<Vec<u64>, Vec<[i64; 4]>>;

struct Target {
    process: Running,
    client: Client,
}

impl Target {
    /// `collect` is GOGC: a program that compares itself with us had better not collect in the middle of it.
    fn start(executable: &Path, arguments: &[&str], collect: &str, log: &Path) -> Result<Self> {
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

/// The buckets as the program prints them, without those that have counted nothing yet.
fn printed(text: &str) -> Result<Buckets> {
    let mut buckets = Buckets::new();
    for line in text.lines().skip(1) {
        let Some((counts, stack)) = line.split_once(" @ ").or_else(|| line.split_once(" @")) else {
            continue;
        };
        if line.starts_with('#') {
            continue;
        }
        let numbers: Vec<i64> = counts
            .split(|character: char| !character.is_ascii_digit() && character != '-')
            .filter(|number| !number.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let numbers: [i64; 4] = numbers.try_into().ok().with_context(|| line.to_owned())?;
        let stack = stack
            .split_whitespace()
            .map(|pc| u64::from_str_radix(pc.trim_start_matches("0x"), 16))
            .collect::<Result<Vec<_>, _>>()?;
        if numbers != [0; 4] {
            buckets.entry(stack).or_default().push(numbers);
        }
    }
    for sizes in buckets.values_mut() {
        sizes.sort_unstable();
    }
    Ok(buckets)
}

fn read(process: &GoProcess, snapshot: &Snapshot, view: View) -> Result<Buckets> {
    let index = process.heap_reader().context("read")?.index();
    let mut buckets = Buckets::new();
    for (id, counts) in snapshot.all(view) {
        let size = i64::try_from(index.size(id).context("size")?)?;
        let (allocs, frees) = (i64::try_from(counts.allocs)?, i64::try_from(counts.frees)?);
        if counts.allocs != 0 || counts.frees != 0 {
            buckets.entry(index.stack(id).to_vec()).or_default().push([
                allocs - frees,
                (allocs - frees) * size,
                allocs,
                allocs * size,
            ]);
        }
    }
    for sizes in buckets.values_mut() {
        sizes.sort_unstable();
    }
    Ok(buckets)
}

/// Objects and bytes allocated, objects and bytes in use: the sums of all samples of the encoded profile.
fn totals(profile: &[u8]) -> Result<[i64; 4]> {
    let profile = pprof::decode(profile, &pprof::Bounds::default())?;
    let mut sums = [0; 4];
    for sample in &profile.sample {
        for (sum, value) in sums.iter_mut().zip(&sample.value) {
            *sum += value;
        }
    }
    Ok(sums)
}

/// One line of a profile: function, file and line of each call, size of the objects.
type Site = (Vec<(String, String, i64)>, i64);

/// Samples by what `go tool pprof` would show of them.
fn sites(profile: &[u8]) -> Result<BTreeMap<Site, Vec<Vec<i64>>>> {
    let profile = pprof::decode(profile, &pprof::Bounds::default())?;
    let text = |index: i64| -> Result<String> {
        let text = profile.string_table.get(usize::try_from(index)?).context("string")?;
        Ok(text.clone())
    };
    let functions: BTreeMap<_, _> = profile
        .function
        .iter()
        .map(|function| (function.id, function))
        .collect();
    let locations: BTreeMap<_, _> = profile
        .location
        .iter()
        .map(|location| (location.id, location))
        .collect();
    let mut sites: BTreeMap<Site, Vec<Vec<i64>>> = BTreeMap::new();
    for sample in &profile.sample {
        let mut stack = Vec::new();
        for id in &sample.location_id {
            for line in &locations.get(id).context("location")?.line {
                let function = functions.get(&line.function_id).context("function")?;
                // Some releases write type arguments out, which `go tool pprof` then leaves away.
                stack.push((
                    printed_name(&text(function.name)?).into_owned(),
                    text(function.filename)?,
                    line.line,
                ));
            }
        }
        if sample.value.iter().any(|value| *value != 0) {
            let size = sample.label.first().context("label")?.num;
            sites.entry((stack, size)).or_default().push(sample.value.clone());
        }
    }
    for values in sites.values_mut() {
        values.sort_unstable();
    }
    Ok(sites)
}

/// The same from outside.
fn read_sites(process: &GoProcess, snapshot: &Snapshot) -> Result<BTreeMap<Site, Vec<Vec<i64>>>> {
    let index = process.heap_reader().context("read")?.index();
    let mut frames = process.heap_frames();
    let mut sites: BTreeMap<Site, Vec<Vec<i64>>> = BTreeMap::new();
    for (id, counts) in snapshot.all(View::Pprof) {
        let size = index.size(id).context("size")?;
        let allocs = i64::try_from(counts.allocs)?;
        let allocated = scale(allocs, size, snapshot.rate);
        let in_use = scale(allocs - i64::try_from(counts.frees)?, size, snapshot.rate);
        let values = vec![allocated.objects, allocated.bytes, in_use.objects, in_use.bytes];
        if values.iter().any(|value| *value != 0) {
            let stack = frames.of_stack(index.stack(id));
            let stack = stack
                .iter()
                .map(|frame| (frame.function.clone(), frame.file.clone(), frame.line.into()));
            sites
                .entry((stack.collect(), i64::try_from(size)?))
                .or_default()
                .push(values);
        }
    }
    for values in sites.values_mut() {
        values.sort_unstable();
    }
    Ok(sites)
}

/// Compares bucket by bucket and total by total, in a moment without a garbage collection.
fn compare(target: &Target, process: &mut GoProcess) -> Result<usize> {
    wait_until("a reading without a garbage collection", DEADLINE, || {
        let before = process.heap()?;
        let text = String::from_utf8(target.client.bytes("/debug/pprof/heap?debug=1")?)?;
        let encoded = target.client.bytes("/debug/pprof/heap")?;
        let after = process.heap()?;
        if before.cycle != after.cycle {
            return Ok(None);
        }
        let outside = read(process, &before, View::Pprof)?;
        let inside = printed(&text)?;
        ensure!(
            outside == inside,
            "outside {} stacks, inside {}; first difference: {:x?}",
            outside.len(),
            inside.len(),
            outside.iter().find(|(stack, sizes)| inside.get(*stack) != Some(sizes))
        );
        let index = process.heap_reader().context("read")?.index();
        let allocated = before.allocated(View::Pprof, index);
        let in_use = before.in_use(View::Pprof, index);
        let scaled = [allocated.objects, allocated.bytes, in_use.objects, in_use.bytes];
        ensure!(scaled == totals(&encoded)?, "scaled totals: outside {scaled:?}");
        let (named, shown) = (read_sites(process, &before)?, sites(&encoded)?);
        ensure!(
            named == shown,
            "names differ: outside {:#?}, inside {:#?}",
            named.iter().find(|(site, values)| shown.get(*site) != Some(values)),
            shown.iter().find(|(site, values)| named.get(*site) != Some(values))
        );
        Ok(Some(outside.values().map(Vec::len).sum()))
    })
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
                let compared = compare(&target, &mut process)
                    .with_context(|| format!("{release} {form:?} {arguments:?}: {:?}", process.heap_variables()))?;
                ensure!(compared >= least, "{release} {form:?}: only {compared} buckets");
                eprintln!("{release} {form:?} {arguments:?}: {compared} buckets equal");
            }
        }
    }
    Ok(())
}

/// Functions by the bytes in use that they have allocated, most first.
fn ranking(process: &mut GoProcess, bytes: impl Fn(u64, u64, u64) -> f64) -> Result<Vec<(String, f64)>> {
    let snapshot = process.heap()?;
    let index = process.heap_reader().context("read")?.index();
    let mut frames = process.heap_frames();
    let mut functions: BTreeMap<String, f64> = BTreeMap::new();
    for (id, counts) in snapshot.all(View::LastGc) {
        let stack = frames.of_stack(index.stack(id));
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
        let sampled = ranking(&mut process, |count, size, _| (count * size) as f64)?;
        let ours = ranking(&mut process, |count, size, rate| estimate(count, size, rate).bytes)?;
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
            let heap = process.heap()?;
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
