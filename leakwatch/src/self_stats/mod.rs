//! The daemon's own use of processor and memory: it watches itself so that it never becomes the leak.

pub mod looks;
pub mod own_memory;

use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::units::Bytes;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use std::time::Duration;

const STATM: &str = "/proc/self/statm";
const FDINFO: &str = "/proc/self/fdinfo";
/// Two processors' worth of arenas, however many the host has: most of the daemon's threads wait most of the time.
const ALLOCATOR: leakwatch_malloc::Settings = leakwatch_malloc::Settings {
    arenas: 2,
    own_mapping_bytes: 256 << 10,
    // What one round needs and the next will need again: without it the C library keeps 128 KiB, and every round faults its pages in anew.
    kept_bytes: 4 << 20,
};

/// Processor time of all threads since the process started (`CLOCK_PROCESS_CPUTIME_ID`).
pub fn cpu_time() -> Duration {
    duration(ClockId::ProcessCPUTime)
}

/// Processor time of the calling thread (`CLOCK_THREAD_CPUTIME_ID`).
pub fn thread_time() -> Duration {
    duration(ClockId::ThreadCPUTime)
}

fn duration(clock: ClockId) -> Duration {
    let spent = clock_gettime(clock);
    Duration::new(
        u64::try_from(spent.tv_sec).unwrap_or(0),
        u32::try_from(spent.tv_nsec).unwrap_or(0),
    )
}

/// Resident memory (`/proc/self/statm`, second field).
pub fn resident() -> Reading<Bytes> {
    let text = std::fs::read_to_string(STATM)
        .map_err(|error| Missing::new(MissingReason::Failed, format!("cannot read {STATM}: {error}")))?;
    let pages = text
        .split_ascii_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse().ok());
    let malformed = || Missing::new(MissingReason::Malformed, format!("{STATM} has no second number"));
    Ok(Bytes::from_pages(
        pages.ok_or_else(malformed)?,
        rustix::param::page_size() as u64,
    ))
}

/// Sets the allocator up for a daemon: to be called before there is another thread. Memory that was released in one arena is not there for another,
/// and what is released in the middle of one stays; large blocks have mappings of their own and go back at once.
pub fn configure_allocator() {
    if !leakwatch_malloc::configure(ALLOCATOR) {
        tracing::debug!("the allocator cannot be configured");
    }
}

/// What is allocated, by the allocator's own count. Takes the longer the more it keeps for later.
pub fn allocated() -> Reading<Bytes> {
    let held = leakwatch_malloc::heap_use().ok_or_else(|| {
        Missing::new(
            MissingReason::Unsupported,
            "this C library does not tell what is allocated",
        )
    })?;
    Ok(Bytes(held.allocated))
}

/// Gives back to the system what is released and was kept for later. Takes a millisecond for some MiB.
pub fn give_back() {
    leakwatch_malloc::give_back();
}

/// Kernel memory of the eBPF maps that the process holds, those of captures included: `memlock` of each map's
/// `/proc/self/fdinfo` (`bpf_map_show_fdinfo`, kernel/bpf/syscall.c, Linux 4.10).
pub fn bpf_maps() -> Reading<Bytes> {
    let failed = |error: std::io::Error| Missing::new(MissingReason::Failed, format!("cannot read {FDINFO}: {error}"));
    let mut total = Bytes(0);
    for entry in std::fs::read_dir(FDINFO).map_err(failed)? {
        // A descriptor may be closed meanwhile.
        let Ok(text) = entry.and_then(|entry| std::fs::read_to_string(entry.path())) else {
            continue;
        };
        let number = |name| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().parse().ok()
        };
        if number("map_type:").is_some() {
            total = total.saturating_add(Bytes(number("memlock:").unwrap_or(0)));
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_without_maps_has_none() {
        assert_eq!(bpf_maps(), Ok(Bytes(0)));
    }

    #[test]
    fn what_we_allocate_shows() {
        let before = resident().unwrap();
        let touched = vec![1_u8; 64 << 20];
        let after = resident().unwrap();
        assert!(touched.iter().all(|byte| *byte == 1));
        assert!(
            after.saturating_sub(before) >= Bytes::from_mib(48),
            "{before} then {after}"
        );
        assert!(allocated().unwrap() >= Bytes::from_mib(64));
        assert!(cpu_time() > Duration::ZERO);
    }
}
