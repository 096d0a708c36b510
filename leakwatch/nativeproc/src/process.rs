//! The process itself: whether it is still the one that was meant, and the processor time it has used.

use leakwatch_analysis::model::target::ProcessKey;
use procfs::process::MMapPath;
use procfs::process::Process;
use std::time::Duration;

/// What a process has used so far, all threads together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Processor time in user and kernel mode.
    pub processor_time: Duration,
    /// In kernel mode.
    pub kernel_time: Duration,
    /// Page faults that needed no disk.
    pub minor_faults: u64,
}

/// Where the heap of a process ends (`[heap]` in `/proc/PID/maps`); none where it has none, or is gone.
pub fn heap_end(pid: u32) -> Option<u64> {
    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    let maps = process.maps().ok()?;
    let heap = maps.0.into_iter().find(|map| map.pathname == MMapPath::Heap)?;
    Some(heap.address.1)
}

/// From `/proc/PID/stat`. An error, in words, when the process has ended or its id is another's.
pub fn used(key: ProcessKey) -> Result<Use, String> {
    let ended = || format!("process {key} has ended");
    let pid = i32::try_from(key.pid).map_err(|_too_large| ended())?;
    let stat = Process::new(pid)
        .and_then(|process| process.stat())
        .map_err(|_gone| ended())?;
    if stat.starttime != key.start_ticks || stat.state == 'Z' || stat.state == 'X' {
        return Err(ended());
    }
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    let time = |ticks: u64| Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / per_second));
    Ok(Use {
        processor_time: time(stat.utime.saturating_add(stat.stime)),
        kernel_time: time(stat.stime),
        minor_faults: stat.minflt,
    })
}

/// System calls of a process that read or write, so far (`/proc/PID/io`); zero where the kernel does not tell.
pub fn calls(key: ProcessKey) -> u64 {
    let process = i32::try_from(key.pid).ok().and_then(|pid| Process::new(pid).ok());
    let io = process.and_then(|process| process.io().ok());
    io.map_or(0, |io| io.syscr.saturating_add(io.syscw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_id_is_another_process() {
        let pid = std::process::id();
        let stat = Process::myself().and_then(|process| process.stat()).unwrap();
        let start_ticks = stat.starttime;
        used(ProcessKey { pid, start_ticks }).unwrap();
        let other = ProcessKey {
            pid,
            start_ticks: start_ticks + 1,
        };
        assert!(used(other).unwrap_err().contains("has ended"));
    }
}
