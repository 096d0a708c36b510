//! A program's own heap profile as the judge of what was read from outside.

use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_analysis::pprof;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::heap::BucketId;
use leakwatch_goproc::heap::BucketIndex;
use leakwatch_goproc::heap::Snapshot;
use leakwatch_goproc::heap::View;
use leakwatch_goproc::heap::scale;
use leakwatch_goproc::pclntab::printed_name;
use leakwatch_test_support::http::Client;
use leakwatch_test_support::wait::wait_until;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_mins(3);

/// Stack and size to the sum of: objects in use, their bytes, objects allocated, their bytes.
type Buckets = BTreeMap<Vec<u64>, Vec<[i64; 4]>>;

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

fn read(process: &GoProcess, stacks: &[Vec<u64>], snapshot: &Snapshot, view: View) -> Result<Buckets> {
    let index = process.heap_reader().context("read")?.index();
    let mut buckets = Buckets::new();
    for (id, counts) in snapshot.all(view) {
        let size = i64::try_from(index.size(id).context("size")?)?;
        let (allocs, frees) = (i64::try_from(counts.allocs)?, i64::try_from(counts.frees)?);
        if counts.allocs != 0 || counts.frees != 0 {
            buckets.entry(stack_of(index, stacks, id)?.to_vec()).or_default().push([
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

/// Samples by place and size: objects and bytes allocated, and in use.
type Sites = BTreeMap<Site, Vec<Vec<i64>>>;

/// Files of each function that were read from outside. A package's `init` is made of several.
type Files = BTreeMap<String, BTreeSet<String>>;

/// Samples by what `go tool pprof` would show of them. `runtime/pprof` tells functions apart by name alone (Go, `src/runtime/pprof/proto.go`),
/// and gives all calls of one the file of the first: where that is one of `files`, the first of those is taken for it, as by [`read_sites`].
fn sites(profile: &[u8], files: &Files) -> Result<Sites> {
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
    let mut sites: Sites = BTreeMap::new();
    for sample in &profile.sample {
        let mut stack = Vec::new();
        for id in &sample.location_id {
            for line in &locations.get(id).context("location")?.line {
                let function = functions.get(&line.function_id).context("function")?;
                // Some releases write type arguments out, which `go tool pprof` then leaves away.
                let name = printed_name(&text(function.name)?).into_owned();
                let file = text(function.filename)?;
                let known = files.get(&name).filter(|known| known.contains(&file));
                let file = known.and_then(BTreeSet::first).cloned().unwrap_or(file);
                stack.push((name, file, line.line));
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

/// The same from outside, and the files of each function.
fn read_sites(process: &GoProcess, stacks: &[Vec<u64>], snapshot: &Snapshot) -> Result<(Sites, Files)> {
    let index = process.heap_reader().context("read")?.index();
    let mut frames = process.heap_frames();
    let mut files = Files::new();
    for (id, _) in snapshot.all(View::Pprof) {
        for frame in frames.of_stack(stack_of(index, stacks, id)?) {
            files
                .entry(frame.function.clone())
                .or_default()
                .insert(frame.file.clone());
        }
    }
    let first = |function: &str| files.get(function).and_then(BTreeSet::first).cloned();
    let mut sites: Sites = BTreeMap::new();
    for (id, counts) in snapshot.all(View::Pprof) {
        let size = index.size(id).context("size")?;
        let allocs = i64::try_from(counts.allocs)?;
        let allocated = scale(allocs, size, snapshot.rate);
        let in_use = scale(allocs - i64::try_from(counts.frees)?, size, snapshot.rate);
        let values = vec![allocated.objects, allocated.bytes, in_use.objects, in_use.bytes];
        if values.iter().any(|value| *value != 0) {
            let stack = frames.of_stack(stack_of(index, stacks, id)?);
            let stack = stack.iter().map(|frame| {
                let file = first(&frame.function).unwrap_or_default();
                (frame.function.clone(), file, frame.line.into())
            });
            sites
                .entry((stack.collect(), i64::try_from(size)?))
                .or_default()
                .push(values);
        }
    }
    for values in sites.values_mut() {
        values.sort_unstable();
    }
    Ok((sites, files))
}

/// The stack of a bucket, which was kept when the bucket was found.
pub(crate) fn stack_of<'s>(index: &BucketIndex, stacks: &'s [Vec<u64>], id: BucketId) -> Result<&'s [u64]> {
    let kept = index.stack(id).context("a bucket")?;
    Ok(stacks.get(kept.number as usize).context("a stack")?)
}

/// Compares bucket by bucket and total by total, in a moment without a garbage collection.
pub(crate) fn compare(client: &Client, process: &mut GoProcess) -> Result<usize> {
    let mut stacks = Vec::new();
    let mut last = None;
    let compared = wait_until("a reading with nothing in between", DEADLINE, || {
        let before = process.heap(&mut stacks)?;
        let known = stacks.len();
        let text = String::from_utf8(client.bytes("/debug/pprof/heap?debug=1")?)?;
        let encoded = client.bytes("/debug/pprof/heap")?;
        let after = process.heap(&mut stacks)?;
        if before.cycle != after.cycle {
            return Ok(None);
        }
        match compare_with(process, &stacks, &before, &text, &encoded) {
            Ok(compared) => Ok(Some(compared)),
            // A sample at a new place may have come between the answers: the answers themselves make some, most of which they do not show.
            Err(difference) if stacks.len() != known => {
                last = Some(difference);
                Ok(None)
            }
            Err(difference) => Err(difference),
        }
    });
    compared.with_context(|| format!("the last difference: {last:?}"))
}

/// One reading with the two answers of the program.
fn compare_with(
    process: &GoProcess,
    stacks: &[Vec<u64>],
    snapshot: &Snapshot,
    text: &str,
    encoded: &[u8],
) -> Result<usize> {
    let outside = read(process, stacks, snapshot, View::Pprof)?;
    let inside = printed(text)?;
    ensure!(
        outside == inside,
        "outside {} stacks, inside {}; first difference: {:x?}",
        outside.len(),
        inside.len(),
        outside.iter().find(|(stack, sizes)| inside.get(*stack) != Some(sizes))
    );
    let index = process.heap_reader().context("read")?.index();
    let allocated = snapshot.allocated(View::Pprof, index);
    let in_use = snapshot.in_use(View::Pprof, index);
    let scaled = [allocated.objects, allocated.bytes, in_use.objects, in_use.bytes];
    ensure!(scaled == totals(encoded)?, "scaled totals: outside {scaled:?}");
    let (named, files) = read_sites(process, stacks, snapshot)?;
    let shown = sites(encoded, &files)?;
    ensure!(
        named == shown,
        "names differ: outside {:#?}, inside {:#?}",
        named.iter().find(|(site, values)| shown.get(*site) != Some(values)),
        shown.iter().find(|(site, values)| named.get(*site) != Some(values))
    );
    Ok(outside.values().map(Vec::len).sum())
}
