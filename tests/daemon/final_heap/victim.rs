//! A service that is killed, and what it said before.

use anyhow::Context as _;
use anyhow::Result;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::process::Running;
use std::path::Path;
use std::time::Duration;

/// Bytes of one piece of filled memory, as the program has it.
const PIECE: i64 = 1 << 20;

/// How a service is started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Stacks with one object each.
    pub(crate) stacks: u32,
    /// Threads that never stop computing.
    pub(crate) busy: u32,
    /// From its start until it fills the memory.
    pub(crate) life: Duration,
}

/// Goroutines that wait for ever.
pub(crate) const PARKED: u64 = 100;

/// A service on its way.
#[derive(Debug)]
pub(crate) struct Victim {
    process: Running,
    plan: Plan,
}

/// What it had said when it was killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Truth {
    pub(crate) pid: u32,
    pub(crate) plan: Plan,
    /// Objects on stacks of their own.
    pub(crate) held: i64,
    /// Buckets that its runtime counted before it filled the memory.
    pub(crate) buckets: u64,
    /// Pieces that it had filled for sure.
    pub(crate) filled: i64,
}

impl Victim {
    /// Starts one in a cgroup.
    pub(crate) fn start(executable: &Path, cgroup: &Cgroup, plan: Plan, log: &Path) -> Result<Self> {
        let arguments = [
            format!("-stacks={}", plan.stacks),
            format!("-busy={}", plan.busy),
            format!("-parked={PARKED}"),
            format!("-life={}ms", plan.life.as_millis()),
        ];
        let process = Running::start_in(cgroup, executable, arguments, log)?;
        Ok(Self { process, plan })
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Result<Truth> {
        let pid = self.process.pid();
        let status = self.process.wait(Duration::from_mins(5))?;
        let output = self.process.output();
        anyhow::ensure!(
            !status.success() && status.code().is_none(),
            "it ended with {status}:\n{output}"
        );
        let said = |word: &str| {
            let mut lines = output.lines().rev();
            let number = lines.find_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
            number
                .and_then(|number| number.parse::<i64>().ok())
                .with_context(|| format!("it did not say {word}:\n{output}"))
        };
        Ok(Truth {
            pid,
            plan: self.plan,
            held: said("held")?,
            buckets: u64::try_from(said("buckets")?)?,
            filled: said("filled")?,
        })
    }
}

impl Truth {
    /// Bytes that may be in use for filling: the piece under way is allocated, and its number may not have been printed.
    pub(crate) fn filled_bytes(&self) -> std::ops::RangeInclusive<i64> {
        self.filled * PIECE..=(self.filled + 2) * PIECE
    }
}
