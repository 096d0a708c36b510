//! The cost of a hit on this host, measured once on the daemon's own allocator: probes that never sample are put on its `malloc` and
//! `free` while one thread allocates and releases a few thousand times; then probes that always do.

use crate::capture::budget::cost::ProbeCost;
use crate::probes::allocator::AllocatorProbes;
use crate::probes::allocator::AllocatorSettings;
use crate::probes::allocator::Programs;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_nativeproc::allocator;
use leakwatch_nativeproc::allocator::ProbePoint;
use leakwatch_nativeproc::code::ProgramCode;
use leakwatch_nativeproc::placement::AT_ENTRY;
use leakwatch_nativeproc::placement::Execution;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use std::hint::black_box;
use std::sync::OnceLock;

const PAIRS: u32 = 5_000;
/// Where each takes as long as ten of the others.
const PAIRS_STEPPED: u32 = 500;
/// The least of so many measurements: what else the machine does only adds.
const ROUNDS: usize = 5;
/// Never sampled: more than any program allocates.
const NEVER: u64 = 1 << 38;
const ALWAYS: u64 = 1;

/// What a hit costs on this host: measured when it is asked for first, the typical cost where it cannot be measured.
#[derive(Debug, Default)]
pub struct HostCost(OnceLock<ProbeCost>);

impl HostCost {
    /// The cost. Takes a while the first time.
    pub fn get(&self) -> ProbeCost {
        *self.0.get_or_init(|| {
            measure().unwrap_or_else(|missing| {
                tracing::info!(reason = missing.detail, "the cost of a probe was not measured");
                ProbeCost::TYPICAL
            })
        })
    }
}

fn measure() -> Reading<ProbeCost> {
    let pid = std::process::id();
    let points = allocator::find(pid)?.points;
    let emulated = |name: &str| {
        let mut found = points.iter().filter(|point| point.symbol == name);
        let point = found.find(|point| point.placement.execution == Execution::Emulated);
        point.cloned().ok_or_else(|| {
            Missing::new(
                MissingReason::Unsupported,
                format!("our own {name} has no cheap place for a probe"),
            )
        })
    };
    let (malloc, free) = (emulated("malloc")?, emulated("free")?);
    let bare = pair(PAIRS);
    let allocation = with_probes(pid, std::slice::from_ref(&malloc), NEVER, PAIRS)? - bare;
    let release = with_probes(pid, std::slice::from_ref(&free), NEVER, PAIRS)? - bare;
    let taken = with_probes(pid, &[malloc, free.clone()], ALWAYS, PAIRS)? - bare - allocation - release;
    let stepped = if free.placement.offset == 0 {
        None
    } else {
        let at_entry = ProbePoint {
            file_offset: free.file_offset - free.placement.offset,
            placement: AT_ENTRY,
            ..free
        };
        Some(with_probes(pid, &[at_entry], NEVER, PAIRS_STEPPED)? - bare - release)
    };
    Ok(ProbeCost {
        allocation: allocation.max(1.0),
        taken: taken.max(1.0),
        release: release.max(1.0),
        single_step: stepped.map_or(ProbeCost::TYPICAL.single_step, |stepped| stepped.max(1.0)),
    })
}

fn with_probes(pid: u32, points: &[ProbePoint], mean_bytes: u64, pairs: u32) -> Reading<f64> {
    let settings = AllocatorSettings {
        mean_bytes,
        live_objects: 4_096,
        code: ProgramCode::default(),
        programs: Programs::Best,
    };
    let probes = AllocatorProbes::attach(pid, points, &settings)?;
    let nanos = pair(pairs);
    drop(probes);
    Ok(nanos)
}

/// Nanoseconds of one allocation and its release.
fn pair(pairs: u32) -> f64 {
    let round = |_| {
        let start = processor_time();
        for number in 0..pairs {
            drop(black_box(Box::new(number)));
        }
        (processor_time() - start) / f64::from(pairs)
    };
    (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min)
}

/// Nanoseconds that this thread has run: others that want the processor make nothing more expensive.
#[expect(clippy::cast_precision_loss, reason = "seconds and nanoseconds of one thread")]
fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_takes_time() {
        assert!(pair(PAIRS) > 0.0);
    }
}
