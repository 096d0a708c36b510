//! The lane `growth`: what became resident in one process, by the stacks that touched it and by those that mapped it.

use crate::capture::budget::cost::ProbeCost;
use crate::capture::budget::measure::HostCost;
use crate::capture::lane::Attachment;
use crate::capture::lane::Counted;
use crate::capture::lane::Lane;
use crate::capture::lane::Observer;
use crate::capture::rows;
use crate::capture::rows::Rows;
use crate::capture::stacks;
use crate::capture::stacks::Stacks;
use crate::capture::symbolize::profile::StackRow;
use crate::probes::allocator::HitCounts;
use crate::probes::faults::CallsAt;
use crate::probes::faults::FaultCounts;
use crate::probes::faults::FaultProbes;
use crate::probes::faults::FaultSettings;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_nativeproc::address_space::AddressSpace;
use leakwatch_nativeproc::address_space::Made;
use leakwatch_nativeproc::address_space::residency::Residency;
use leakwatch_nativeproc::code::ProgramCode;
use std::collections::BTreeMap;
use std::collections::HashMap;

/// Its row.
pub static LANE: Lane = Lane {
    name: "growth",
    profile_type: ProfileType::Growth,
    hits: ["page faults looked at", "system calls seen"],
    cost_is_measured: false,
    attach,
};

/// Sampled pages, fewer of which are not shown before the end of an automatic capture: their number is wrong by a third.
const LEAST_PAGES: u64 = 8;
/// Page faults taken in a second, about.
const SAMPLES_PER_SECOND: f64 = 50.0;
/// One of so many faults is taken. Prime: programs touch pages in rounds of other numbers.
const PERIODS: [u64; 8] = [7, 13, 31, 61, 127, 251, 509, 1021];
/// Nanoseconds on a virtual machine (`cargo xtask bench growth`): a page fault that is sampled, one that is not, a system call.
const SAMPLE: f64 = 2_700.0;
const FAULT: f64 = 190.0;
const CALL: f64 = 1_600.0;

/// While any system call is traced at its tracepoint each one of every process takes some 50 ns longer; the cheapest takes 140 ns. So a process that
/// spends less than this part of a processor in the kernel loses less than a fiftieth. Experiment: docs/native.md.
const MOST_IN_KERNEL: f64 = 0.05;

/// The period for a process that has so many page faults in a second.
pub fn period(faults_per_second: f64) -> u64 {
    let mut fitting = PERIODS.into_iter().rev();
    let wanted = faults_per_second / SAMPLES_PER_SECOND;
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    let found = fitting.find(|period| *period as f64 <= wanted);
    found.unwrap_or(PERIODS[0])
}

/// Where system calls are seen when they cannot be at their functions, of a process that spends such a part of a processor in the kernel:
/// nowhere if it would lose time that nobody has offered. Then it is known what becomes resident and stays, but not who has mapped it.
pub fn fallback(in_kernel: f64, automatic: bool) -> CallsAt {
    if automatic && in_kernel > MOST_IN_KERNEL {
        CallsAt::Nowhere
    } else {
        CallsAt::Tracepoints
    }
}

/// Probes on a process, and what changed since.
#[derive(Debug)]
pub struct GrowthSession {
    probes: FaultProbes,
    space: AddressSpace,
    residency: Residency,
    stacks: Stacks,
    period: u64,
    /// Bytes that a sampled page stands for.
    weight: u64,
    /// Whether who touches memory first is who keeps it. In a program that allocates all the time that need not be so.
    touches_tell: bool,
    /// Stacks that a profile shows by their place alone, the most so far.
    folded: u64,
}

impl GrowthSession {
    /// Attaches to a process; one of `period` page faults is taken. System calls are seen at their functions, or else as `fallback` says.
    pub fn start(pid: u32, period: u64, fallback: CallsAt) -> Reading<Self> {
        Self::start_at(pid, period, &[CallsAt::Functions, fallback])
    }

    /// The same with system calls seen in the first of these ways that this kernel allows.
    pub fn start_at(pid: u32, period: u64, calls_at: &[CallsAt]) -> Reading<Self> {
        let page_bytes = rustix::param::page_size() as u64;
        let code = ProgramCode::of_process(pid).map_err(|error| stacks::failed(&error))?;
        let stacks = Stacks::of_process(pid)?;
        let residency = Residency::of_process(pid, page_bytes)
            .map_err(|error| Missing::new(MissingReason::Failed, format!("/proc/{pid}/pagemap: {error}")))?;
        let heap_end = leakwatch_nativeproc::process::heap_end(pid);
        let settings = FaultSettings { period, code };
        let probes = FaultProbes::attach(pid, &settings, calls_at)?;
        Ok(Self {
            probes,
            space: AddressSpace::new(page_bytes, heap_end),
            residency,
            stacks,
            period,
            weight: period.saturating_mul(page_bytes),
            touches_tell: true,
            folded: 0,
        })
    }

    /// Bytes that a sampled page stands for.
    pub fn weight(&self) -> u64 {
        self.weight
    }

    /// Where system calls are seen.
    pub fn calls_at(&self) -> CallsAt {
        self.probes.calls_at()
    }

    /// Hits so far.
    pub fn counts(&self) -> FaultCounts {
        self.probes.counts()
    }

    /// Takes in what happened since the last call.
    pub fn poll(&mut self) {
        let (stacks, space) = (&mut self.stacks, &mut self.space);
        self.probes.drain_stacks(|stack| stacks.take(&stack));
        self.probes.drain_changes(|change| space.apply(change));
    }

    /// What became resident and is so still, by the stack that touched it, largest first.
    pub fn touched(&mut self) -> Vec<StackRow> {
        self.look();
        let rows = self.rows(self.space.by_touch());
        self.counting(rows)
    }

    /// Mappings and what of them became resident, by the stack that made them, largest first.
    pub fn mapped(&mut self) -> Vec<StackRow> {
        self.look();
        let rows = self.rows(self.space.by_mapping());
        self.counting(rows)
    }

    fn look(&mut self) {
        self.poll();
        self.residency.check(&mut self.space);
    }

    fn rows(&self, made: HashMap<u64, Made>) -> Rows {
        let mut values: BTreeMap<&[u64], StackValue> = BTreeMap::new();
        let bytes = |pages: u64| signed(pages.saturating_mul(self.weight));
        for (fingerprint, made) in made {
            let value = StackValue {
                alloc_objects: signed(made.mappings),
                alloc_space: bytes(made.pages),
                inuse_objects: signed(made.live_mappings),
                inuse_space: bytes(made.live_pages),
                inuse_variance: variance(made.live_pages, self.weight),
            };
            values
                .entry(self.stacks.addresses(fingerprint))
                .or_default()
                .add(&value);
        }
        Rows::of(values.into_iter().map(|(addresses, value)| (addresses, value, 0)))
    }

    /// The rows, after what is in none of its own was counted.
    fn counting(&mut self, rows: Rows) -> Vec<StackRow> {
        self.folded = self.folded.max(rows.folded);
        rows.rows
    }
}

impl Observer for GrowthSession {
    fn cost(&self, _host: &HostCost) -> ProbeCost {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let faults = self.period as f64;
        ProbeCost {
            allocation: SAMPLE + faults * FAULT,
            taken: 0.0,
            release: CALL,
            single_step: 0.0,
        }
    }

    fn poll(&mut self) {
        Self::poll(self);
    }

    fn counts(&self) -> HitCounts {
        let counts = self.probes.counts();
        HitCounts {
            entries: counts.pages,
            returns: 0,
            frees: counts.calls,
            samples: counts.pages,
            taken: 0,
            bytes: 0,
        }
    }

    fn losses(&self) -> Vec<(&'static str, u64)> {
        let mut losses = self.probes.losses();
        losses.extend(self.stacks.losses());
        losses.extend(rows::loss(self.folded));
        losses.extend(Some(("growth_space_full", self.space.lost())).filter(|(_, count)| *count > 0));
        losses
    }

    fn detach(&mut self) {
        self.probes.detach();
    }

    fn counted(&mut self) -> Vec<Counted> {
        let mapped = (ProfileType::Mapping, self.mapped());
        let touched = self.touches_tell.then(|| (ProfileType::Growth, self.touched()));
        let counted = [Some(mapped), touched].into_iter().flatten();
        counted
            .map(|(profile_type, rows)| Counted {
                profile_type,
                period: self.weight,
                worth_naming: sampled_pages(&rows, self.weight) >= LEAST_PAGES,
                rows,
            })
            .collect()
    }
}

fn attach(attachment: &Attachment<'_>) -> Reading<Box<dyn Observer>> {
    let (request, activity) = (attachment.request, attachment.activity);
    let fallback = fallback(activity.in_kernel, request.automatic);
    let period = period(activity.faults_per_second);
    let mut session = GrowthSession::start(request.process.pid, period, fallback)?;
    session.touches_tell = !request.low_duty;
    Ok(Box::new(session))
}

fn sampled_pages(rows: &[StackRow], weight: u64) -> u64 {
    let bytes: i64 = rows.iter().map(|row| row.value.inuse_space).sum();
    bytes.unsigned_abs() / weight.max(1)
}

/// Of the bytes: the number of samples scatters as Poisson's distribution does.
#[expect(clippy::cast_precision_loss, reason = "a variance is an estimate")]
fn variance(pages: u64, weight: u64) -> f64 {
    pages as f64 * (weight as f64).powi(2)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_automatic_capture_does_not_slow_a_busy_process() {
        for (in_kernel, automatic, expected) in [
            (0.02, true, CallsAt::Tracepoints),
            (0.7, true, CallsAt::Nowhere),
            (0.7, false, CallsAt::Tracepoints),
        ] {
            assert_eq!(fallback(in_kernel, automatic), expected);
        }
    }

    #[test]
    fn a_busy_process_is_sampled_less_often() {
        for (faults_per_second, expected) in [(0.0, 7), (256.0, 7), (2_000.0, 31), (10_000.0, 127), (1e6, 1021)] {
            assert_eq!(period(faults_per_second), expected, "{faults_per_second}");
        }
    }
}
