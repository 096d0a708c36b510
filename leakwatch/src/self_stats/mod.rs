//! The daemon's own use of processor and memory: it watches itself so that it never becomes the leak.

use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::units::Bytes;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use std::time::Duration;

const STATM: &str = "/proc/self/statm";
const FDINFO: &str = "/proc/self/fdinfo";

/// Processor time of all threads since the process started (`CLOCK_PROCESS_CPUTIME_ID`).
pub fn cpu_time() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
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
        assert!(cpu_time() > Duration::ZERO);
    }
}
