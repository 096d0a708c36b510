//! Reads the heap of a running Go process and says what it cost: `cargo run --release --example read_heap -- PID [TIMES]`.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::heap::Snapshot;
use leakwatch_goproc::heap::View;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use std::error::Error;
use std::time::Duration;

/// Processor time of this process.
fn cpu() -> Result<Duration, Box<dyn Error>> {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let pid = arguments.next().ok_or("usage: read_heap PID [TIMES]")?.parse()?;
    let times = arguments.next().map_or(Ok(20), |times| times.parse())?;
    let start = cpu()?;
    let mut process = GoProcess::attach(pid)?;
    let attached = cpu()?;
    let mut snapshot: Snapshot = process.heap()?;
    let walked = cpu()?;
    let mut costs = Vec::new();
    for _ in 0..times {
        let before = cpu()?;
        snapshot = process.heap()?;
        costs.push(cpu()?.saturating_sub(before));
    }
    costs.sort_unstable();
    let index = process.heap_reader().ok_or("no heap")?.index();
    let amount = snapshot.in_use(View::LastGc, index);
    println!(
        "{} {} buckets, {} bytes live at collection {}",
        process.binary().version(),
        index.len(),
        amount.bytes,
        snapshot.cycle
    );
    println!(
        "attach {:.2?}, first reading {:.2?}",
        attached.saturating_sub(start),
        walked.saturating_sub(attached)
    );
    if let Some(median) = costs.get(costs.len() / 2) {
        println!("later readings, median of {times}: {median:.2?}");
    }
    let mut sites: Vec<_> = snapshot.all(View::LastGc).collect();
    sites.sort_by_key(|(id, counts)| std::cmp::Reverse(counts.in_use().unwrap_or(0) * index.size(*id).unwrap_or(0)));
    let mut frames = process.heap_frames();
    for (id, counts) in sites.into_iter().take(5) {
        let stack = frames.of_stack(index.stack(id));
        let first = stack
            .first()
            .map(|frame| format!("{} {}:{}", frame.function, frame.file, frame.line));
        let size = index.size(id).unwrap_or(0);
        println!(
            "{:>8} of {size:>8} bytes  {}",
            counts.in_use().unwrap_or(0),
            first.unwrap_or_default()
        );
    }
    Ok(())
}
