//! What is killed, and what comes of it.

use crate::final_heap::post_mortem::Remains;

/// What is killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) buckets: u32,
    pub(crate) victims: usize,
    pub(crate) deeper: u32,
    pub(crate) spinning: u32,
    pub(crate) parked: u64,
}

impl std::fmt::Display for Scenario {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} buckets, {} at once", self.buckets, self.victims)?;
        if self.deeper > 0 {
            write!(f, ", {} calls deeper", self.deeper)?;
        }
        if self.spinning > 0 {
            write!(f, ", {} spinning threads", self.spinning)?;
        }
        Ok(())
    }
}

impl Scenario {
    pub(crate) fn arguments(&self) -> Vec<String> {
        vec![
            format!("-stacks={}", self.buckets),
            // So many bits tell the stacks apart.
            format!("-depth={}", self.buckets.max(2).next_power_of_two().ilog2().max(16)),
            format!("-deeper={}", self.deeper),
            format!("-busy={}", self.spinning),
            format!("-parked={}", self.parked),
            "-signalled".to_owned(),
        ]
    }
}

/// What came of one death, or several at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kills {
    pub(crate) remains: Vec<Remains>,
    /// Milliseconds from the kernel's choice to the end of the last thread, of each victim; empty without tracefs.
    pub(crate) delays: Vec<f64>,
    /// Processor time of the daemon from the kill until everything was told, in milliseconds.
    pub(crate) processor: f64,
}
