//! The lane `native`: the calls of the allocator of one process, sampled by bytes or all of them, by stack.

use crate::capture::budget;
use crate::capture::budget::cost::ProbeCost;
use crate::capture::budget::measure::HostCost;
use crate::capture::estimator::Estimator;
use crate::capture::estimator::Phase;
use crate::capture::estimator::scale;
use crate::capture::lane::Attachment;
use crate::capture::lane::Counted;
use crate::capture::lane::DutyCycle;
use crate::capture::lane::Lane;
use crate::capture::lane::Observer;
use crate::capture::rows;
use crate::capture::rows::Rows;
use crate::capture::stacks;
use crate::capture::stacks::Stacks;
use crate::capture::symbolize::profile::StackRow;
use crate::probes::allocator::AllocatorProbes;
use crate::probes::allocator::AllocatorSettings;
use crate::probes::allocator::AttachMode;
use crate::probes::allocator::HitCounts;
use crate::probes::allocator::Programs;
use leakwatch_nativeproc::allocator;
use leakwatch_nativeproc::allocator::Allocators;
use leakwatch_nativeproc::allocator::ProbePoint;
use leakwatch_nativeproc::code::ProgramCode;
use leakwatch_nativeproc::function::Signature;
use leakwatch_nativeproc::placement::Execution;

use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::reading::Reading;
use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

/// Its row.
pub static LANE: Lane = Lane {
    name: "native",
    profile_type: ProfileType::Native,
    hits: ["allocations seen", "releases seen"],
    cost_is_measured: true,
    attach,
};

/// How long the calls of a process are counted before an automatic capture: as long as it takes to know whether the program notices.
const COUNTED_FIRST: Duration = Duration::from_millis(10);
/// Objects followed when sampling: 100 GiB live at the default mean.
const SAMPLED_OBJECTS: u32 = 262_144;
/// Objects followed when every call is taken.
const EXACT_OBJECTS: u32 = 4 << 20;

/// Probes on a process and the stacks seen so far.
#[derive(Debug)]
pub struct Session {
    allocators: Allocators,
    mean_bytes: u64,
    probes: AllocatorProbes,
    stacks: Stacks,
    estimator: Estimator,
    attached: bool,
    phase: Phase,
    ended: bool,
    passed: Instant,
    bytes: Bytes,
    /// Stacks that the newest profile shows by their place alone.
    folded: u64,
}

/// What is to be attached to a process.
#[derive(Debug)]
pub struct Prepared {
    pid: u32,
    allocators: Allocators,
    mean_bytes: u64,
    probes: AllocatorProbes,
}

/// Whether all that was allocated is known exactly.
#[derive(Clone, Copy, Debug)]
enum Bytes {
    /// From these on, while new objects are taken all the time.
    Since(u64),
    /// So many were allocated while they were.
    Were(u64),
    /// They were not.
    Unknown,
}

impl Prepared {
    /// Looks for the allocators of the process.
    pub fn of_process(pid: u32, mean_bytes: u64, programs: Programs) -> Reading<Self> {
        let allocators = allocator::find(pid)?;
        let settings = AllocatorSettings {
            mean_bytes,
            live_objects: if mean_bytes <= 1 {
                EXACT_OBJECTS
            } else {
                SAMPLED_OBJECTS
            },
            code: ProgramCode::of_process(pid).map_err(|error| stacks::failed(&error))?,
            programs,
        };
        Ok(Self {
            pid,
            probes: AllocatorProbes::prepare(pid, &allocators.points, &settings)?,
            allocators,
            mean_bytes,
        })
    }

    /// How often the functions are called, until `wait` is over; see [`AllocatorProbes::look_first`].
    fn count_first(&mut self, wait: impl FnOnce()) -> Option<HitCounts> {
        self.probes.look_first(wait)
    }

    /// Reads what unwinding needs, and attaches.
    pub fn begin(mut self) -> Reading<Session> {
        let stacks = Stacks::of_process(self.pid)?;
        self.probes.begin()?;
        Ok(Session {
            bytes: Bytes::Since(self.probes.counts().bytes),
            probes: self.probes,
            allocators: self.allocators,
            mean_bytes: self.mean_bytes,
            stacks,
            estimator: Estimator::default(),
            attached: true,
            phase: Phase::Taking,
            ended: false,
            passed: Instant::now(),
            folded: 0,
        })
    }
}

impl Session {
    /// Looks for the allocators of the process and attaches to them. `mean_bytes` between samples; 1 takes every call.
    pub fn start(pid: u32, mean_bytes: u64) -> Reading<Self> {
        Self::start_with(pid, mean_bytes, Programs::Best)
    }

    /// The same with certain programs, for comparison.
    pub fn start_with(pid: u32, mean_bytes: u64, programs: Programs) -> Reading<Self> {
        Prepared::of_process(pid, mean_bytes, programs)?.begin()
    }

    /// Takes in the stacks that are new. To be called several times a second, so that they find room.
    pub fn poll(&mut self) {
        if !self.ended {
            self.estimator.pass(self.passed.elapsed(), self.phase);
            self.passed = Instant::now();
        }
        let stacks = &mut self.stacks;
        self.probes.drain_stacks(|stack| stacks.take(&stack));
    }

    /// Detaches for good; what was sampled can still be read.
    pub fn detach(&mut self) {
        // What the capture stands for ends here, not when the last probe is gone.
        self.poll();
        self.ended = true;
        if let Some(bytes) = self.bytes() {
            self.bytes = Bytes::Were(bytes);
        }
        self.pause();
    }

    /// Bytes allocated while the probes were attached, if that is all the time.
    fn bytes(&self) -> Option<u64> {
        match self.bytes {
            Bytes::Since(before) => self.counts().bytes.checked_sub(before),
            Bytes::Were(bytes) => Some(bytes),
            Bytes::Unknown => None,
        }
    }

    /// What is probed.
    pub fn allocators(&self) -> &Allocators {
        &self.allocators
    }

    /// Mean bytes between samples.
    pub fn mean_bytes(&self) -> u64 {
        self.mean_bytes
    }

    /// Hits and samples so far.
    pub fn counts(&self) -> HitCounts {
        self.probes.counts()
    }

    /// Losses so far, by reason; stacks that end before their outermost frame among them.
    pub fn losses(&self) -> Vec<(&'static str, u64)> {
        let mut losses = self.probes.losses();
        losses.extend(self.stacks.losses());
        losses.extend(rows::loss(self.folded));
        losses
    }

    /// Values of every stack, largest live bytes first. Objects allocated before the attach are not known and not in it.
    pub fn rows(&mut self) -> Vec<StackRow> {
        let Rows { rows, folded } = self.all_rows();
        self.folded = folded;
        rows
    }

    fn all_rows(&mut self) -> Rows {
        self.poll();
        let mut values: BTreeMap<&[u64], StackValue> = BTreeMap::new();
        let bytes = self.bytes();
        let totals = self.probes.totals();
        let mut estimates: Vec<(StackValue, f64)> = totals
            .iter()
            .map(|totals| {
                let sampled = self.estimator.sampled(totals);
                let variance = scale::alloc_variance(&sampled, self.mean_bytes);
                (scale::scale(&sampled, self.mean_bytes), variance)
            })
            .collect();
        if let Some(bytes) = bytes {
            scale::fit(&mut estimates, bytes);
        }
        for (totals, (value, _)) in totals.iter().zip(&estimates) {
            let addresses = self.stacks.addresses(totals.fingerprint);
            values.entry(addresses).or_default().add(value);
        }
        Rows::of(
            values
                .into_iter()
                .map(|(addresses, value)| (addresses, value, mean_size(&value))),
        )
    }
}

impl Observer for Session {
    fn functions(&self) -> &[ProbePoint] {
        &self.allocators.points
    }

    fn cost(&self, host: &HostCost) -> ProbeCost {
        cost(self.functions(), host)
    }

    fn duty_cycle(&mut self) -> Option<&mut dyn DutyCycle> {
        Some(self)
    }

    fn poll(&mut self) {
        Self::poll(self);
    }

    fn counts(&self) -> HitCounts {
        Self::counts(self)
    }

    fn losses(&self) -> Vec<(&'static str, u64)> {
        Self::losses(self)
    }

    fn detach(&mut self) {
        Self::detach(self);
    }

    fn counted(&mut self) -> Vec<Counted> {
        vec![Counted {
            profile_type: ProfileType::Native,
            period: self.mean_bytes,
            rows: self.rows(),
            worth_naming: true,
        }]
    }
}

impl DutyCycle for Session {
    fn attach_mode(&self) -> AttachMode {
        self.probes.attach_mode()
    }

    fn is_attached(&self) -> bool {
        self.attached
    }

    fn duty(&self) -> f64 {
        self.estimator.duty()
    }

    fn set_slowdown_factor(&mut self, factor: f64) {
        self.estimator.set_slowdown_factor(factor);
    }

    fn pause(&mut self) {
        if self.attached {
            self.poll();
            if !self.ended {
                self.bytes = Bytes::Unknown;
            }
            (self.attached, self.phase) = (false, Phase::Off);
            self.probes.detach();
            self.poll();
        }
    }

    fn resume(&mut self) -> Reading<()> {
        self.attached = true;
        self.probes.attach_again()
    }

    fn open_window(&mut self, chance: f64) -> Reading<()> {
        self.poll();
        self.estimator.open_window(&self.probes.totals(), chance);
        // Reading the totals took some of the time, in which nothing was taken yet.
        self.poll();
        self.phase = Phase::Taking;
        self.probes.next_window()
    }

    fn follow(&mut self) -> Reading<()> {
        self.poll();
        self.phase = Phase::Following;
        self.bytes = Bytes::Unknown;
        self.probes.follow()
    }
}

fn attach(attachment: &Attachment<'_>) -> Reading<Box<dyn Observer>> {
    let request = attachment.request;
    let mut prepared = Prepared::of_process(request.process.pid, request.sample_bytes, Programs::Best)?;
    if request.automatic && !request.low_duty {
        count_first(attachment, &mut prepared)?;
    }
    Ok(Box::new(prepared.begin()?))
}

/// An error where it is clear at once that the process would notice: the programs that count are verified in no time, those that sample in
/// a tenth of a second, in which somebody else may want the processor.
fn count_first(attachment: &Attachment<'_>, prepared: &mut Prepared) -> Reading<()> {
    let (mut took, mut told_to_end) = (Duration::ZERO, false);
    let counts = prepared.count_first(|| {
        let start = Instant::now();
        told_to_end = (attachment.wait)(COUNTED_FIRST);
        took = start.elapsed();
    });
    let overhead = counts.map(|counts| cost(&prepared.allocators.points, attachment.host).overhead(&counts));
    match overhead.and_then(|overhead| budget::noticeable(overhead, took, attachment.activity.share)) {
        Some(slowdown) if !told_to_end => Err(attachment.request.too_slow(slowdown)),
        _ => Ok(()),
    }
}

/// What a hit costs: more where functions of `malloc`'s kind, or of `free`'s, are probed at an instruction that is single-stepped.
fn cost(points: &[ProbePoint], host: &HostCost) -> ProbeCost {
    let any = |signature| {
        let mut of_kind = points.iter().filter(|point| point.signature == signature);
        of_kind.any(|point| {
            let main = point.symbol.ends_with("malloc") || point.symbol.ends_with("free");
            main && point.placement.execution == Execution::SingleStepped
        })
    };
    host.get().single_stepped(any(Signature::Size), any(Signature::Release))
}

fn mean_size(value: &StackValue) -> u64 {
    let size = value.alloc_space.checked_div(value.alloc_objects).unwrap_or(0);
    u64::try_from(size).unwrap_or(0)
}
