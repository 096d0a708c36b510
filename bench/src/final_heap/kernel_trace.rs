//! When the kernel chose each victim: `oom:mark_victim`, in an instance of ftrace of our own.

use anyhow::Context as _;
use anyhow::Result;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use xtask::tools;

/// Where tracefs is mounted.
const TRACEFS: &str = "/sys/kernel/tracing";

/// The instance. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct KernelTrace {
    directory: PathBuf,
}

impl KernelTrace {
    /// Begins to record.
    pub(crate) fn start() -> Result<Self> {
        let directory = Path::new(TRACEFS).join(format!("instances/leakwatch-bench-{}", std::process::id()));
        fs::create_dir(&directory).with_context(|| format!("create {}", directory.display()))?;
        let trace = Self { directory };
        trace.write("trace_clock", "mono")?;
        trace.write("events/oom/mark_victim/enable", "1")?;
        Ok(trace)
    }

    /// When a process was marked last, in seconds of the monotonic clock.
    pub(crate) fn marked(&self, pid: u32) -> Result<Option<f64>> {
        let path = self.directory.join("trace");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        Ok(marked(&text, pid))
    }

    /// Forgets what was recorded.
    pub(crate) fn clear(&self) -> Result<()> {
        self.write("trace", "")
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.directory.join(file);
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))
    }
}

impl Drop for KernelTrace {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.directory) {
            tools::say(format!("cleaning up: {}: {error}", self.directory.display()));
        }
    }
}

/// Lines are `TASK-PID [CPU] FLAGS SECONDS: mark_victim: pid=PID ...`.
fn marked(text: &str, pid: u32) -> Option<f64> {
    text.lines().rev().find_map(|line| {
        let (before, fields) = line.split_once(": mark_victim: pid=")?;
        let of = fields.split(|byte: char| !byte.is_ascii_digit()).next()?;
        (of.parse() == Ok(pid)).then(|| before.split_whitespace().next_back()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_mark_of_a_process_counts() {
        let text = "# tracer: nop\n#\n\
            deathbed-4711    [001] ..... 10.250000: mark_victim: pid=4711 comm=deathbed total-vm=1kB\n\
            deathbed-4712    [000] ..... 11.500000: mark_victim: pid=471\n\
            deathbed-4711    [001] ..... 12.750000: mark_victim: pid=4711 comm=deathbed total-vm=1kB\n";
        let close = |found: Option<f64>, expected: f64| found.is_some_and(|found| (found - expected).abs() < 1e-9);
        assert!(close(marked(text, 4711), 12.75));
        assert!(close(marked(text, 471), 11.5));
        assert_eq!(marked(text, 4713), None);
    }
}
