//! The process itself: whether it is still the one that was meant, and the processor time it has used.

use leakwatch_analysis::target::ProcessKey;
use procfs::process::Process;
use std::time::Duration;

/// Processor time in user and kernel mode of all threads so far. An error, in words, when the process has ended or its id is another's.
pub fn processor_time(key: ProcessKey) -> Result<Duration, String> {
    let ended = || format!("process {key} has ended");
    let pid = i32::try_from(key.pid).map_err(|_too_large| ended())?;
    let stat = Process::new(pid)
        .and_then(|process| process.stat())
        .map_err(|_gone| ended())?;
    if stat.starttime != key.start_ticks || stat.state == 'Z' || stat.state == 'X' {
        return Err(ended());
    }
    let ticks = stat.utime.saturating_add(stat.stime);
    let per_second = rustix::param::clock_ticks_per_second().max(1);
    Ok(Duration::from_nanos(ticks.saturating_mul(1_000_000_000 / per_second)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_id_is_another_process() {
        let pid = std::process::id();
        let stat = Process::myself().and_then(|process| process.stat()).unwrap();
        let start_ticks = stat.starttime;
        processor_time(ProcessKey { pid, start_ticks }).unwrap();
        let other = ProcessKey {
            pid,
            start_ticks: start_ticks + 1,
        };
        assert!(processor_time(other).unwrap_err().contains("has ended"));
    }
}
