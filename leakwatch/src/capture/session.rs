//! One capture of one process while it runs: what was sampled so far, by stack.

use crate::capture::estimate;
use crate::capture::governor::Price;
use crate::capture::lane::Counted;
use crate::capture::lane::Observer;
use crate::capture::price;
use crate::capture::profile::StackRow;
use crate::capture::stacks;
use crate::capture::stacks::Stacks;
use crate::capture::tally::Phase;
use crate::capture::tally::Tally;
use crate::probes::native::NativeCounts;
use crate::probes::native::NativeProbes;
use crate::probes::native::NativeSettings;
use crate::probes::native::Programs;
use crate::probes::native::Way;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_nativeproc::allocator;
use leakwatch_nativeproc::allocator::Allocators;
use leakwatch_nativeproc::allocator::ProbePoint;
use leakwatch_nativeproc::code::ProgramCode;
use leakwatch_nativeproc::function::Signature;
use leakwatch_nativeproc::placement::Execution;
use std::collections::BTreeMap;
use std::time::Duration;
use std::time::Instant;

/// Objects followed when sampling: 100 GiB live at the default mean.
const SAMPLED_OBJECTS: u32 = 262_144;
/// Objects followed when every call is taken.
const EXACT_OBJECTS: u32 = 4 << 20;

/// Probes on a process and the stacks seen so far.
#[derive(Debug)]
pub struct Session {
    allocators: Allocators,
    mean_bytes: u64,
    probes: NativeProbes,
    stacks: Stacks,
    tally: Tally,
    attached: bool,
    phase: Phase,
    ended: bool,
    passed: Instant,
    bytes: Bytes,
}

/// What is to be attached to a process.
#[derive(Debug)]
pub struct Prepared {
    pid: u32,
    allocators: Allocators,
    mean_bytes: u64,
    probes: NativeProbes,
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
        let settings = NativeSettings {
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
            probes: NativeProbes::prepare(pid, &allocators.points, &settings)?,
            allocators,
            mean_bytes,
        })
    }

    /// How often the functions are called, until `wait` is over, and what that would have cost; see [`NativeProbes::look_first`].
    pub fn look_first(&mut self, wait: impl FnOnce()) -> Option<Duration> {
        let counts = self.probes.look_first(wait)?;
        Some(price::of_this_host().of(&counts, single_stepped(&self.allocators.points)))
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
            tally: Tally::default(),
            attached: true,
            phase: Phase::Taking,
            ended: false,
            passed: Instant::now(),
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
            self.tally.pass(self.passed.elapsed(), self.phase);
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

    /// Detaches; what was sampled stands also for the time that now passes.
    pub fn pause(&mut self) {
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

    /// Attaches again; nothing is counted yet.
    pub fn attach_again(&mut self) -> Reading<()> {
        self.attached = true;
        self.probes.attach_again()
    }

    /// A slot of time begins in which what is attached counts, and which had this chance to be one.
    pub fn next_slot(&mut self, chance: f64) -> Reading<()> {
        self.poll();
        self.tally.next_slot(&self.probes.totals(), chance);
        // Reading the totals took some of the time, in which nothing was taken yet.
        self.poll();
        self.phase = Phase::Taking;
        self.probes.next_window()
    }

    /// No new objects for the rest of the slot: what becomes of those that there are is seen.
    pub fn follow(&mut self) -> Reading<()> {
        self.poll();
        self.phase = Phase::Following;
        self.bytes = Bytes::Unknown;
        self.probes.follow()
    }

    /// Bytes allocated while the probes were attached, if that is all the time.
    fn bytes(&self) -> Option<u64> {
        match self.bytes {
            Bytes::Since(before) => self.counts().bytes.checked_sub(before),
            Bytes::Were(bytes) => Some(bytes),
            Bytes::Unknown => None,
        }
    }

    /// How fast the program works while the probes are attached.
    pub fn set_speed(&mut self, speed: f64) {
        self.tally.set_speed(speed);
    }

    /// Whether the probes are attached.
    pub fn is_attached(&self) -> bool {
        self.attached
    }

    /// Part of the time that they were.
    pub fn duty(&self) -> f64 {
        self.tally.duty()
    }

    /// What is probed.
    pub fn allocators(&self) -> &Allocators {
        &self.allocators
    }

    /// How the probes are attached.
    pub fn way(&self) -> Way {
        self.probes.way()
    }

    /// Mean bytes between samples.
    pub fn mean_bytes(&self) -> u64 {
        self.mean_bytes
    }

    /// Hits and samples so far.
    pub fn counts(&self) -> NativeCounts {
        self.probes.counts()
    }

    /// Losses so far, by reason; stacks that end before their outermost frame among them.
    pub fn losses(&self) -> Vec<(&'static str, u64)> {
        let mut losses = self.probes.losses();
        losses.extend(self.stacks.loss());
        losses
    }

    /// Values of every stack, largest live bytes first. Objects allocated before the attach are not known and not in it.
    pub fn rows(&mut self) -> Vec<StackRow> {
        self.poll();
        let mut values: BTreeMap<&[u64], StackValue> = BTreeMap::new();
        let bytes = self.bytes();
        let totals = self.probes.totals();
        let mut estimates: Vec<(StackValue, f64)> = totals
            .iter()
            .map(|totals| {
                let sampled = self.tally.sampled(totals);
                let variance = estimate::alloc_variance(&sampled, self.mean_bytes);
                (estimate::scale(&sampled, self.mean_bytes), variance)
            })
            .collect();
        if let Some(bytes) = bytes {
            estimate::fit(&mut estimates, bytes);
        }
        for (totals, (value, _)) in totals.iter().zip(&estimates) {
            let addresses = self.stacks.addresses(totals.fingerprint);
            values.entry(addresses).or_default().add(value);
        }
        let mut rows: Vec<StackRow> = values
            .into_iter()
            .map(|(addresses, value)| StackRow {
                addresses: addresses.to_vec(),
                object_size: mean_size(&value),
                value,
            })
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.value.inuse_space, row.value.alloc_space)));
        rows
    }
}

impl Observer for Session {
    fn points(&self) -> &[ProbePoint] {
        &self.allocators.points
    }

    fn price(&self) -> Price {
        price::of_this_host()
    }

    fn single_stepped(&self) -> (bool, bool) {
        single_stepped(self.points())
    }

    fn in_windows(&mut self) -> Option<&mut Session> {
        Some(self)
    }

    fn poll(&mut self) {
        Self::poll(self);
    }

    fn counts(&self) -> NativeCounts {
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
        }]
    }
}

/// Whether functions of `malloc`'s kind are, and those of `free`'s.
fn single_stepped(points: &[ProbePoint]) -> (bool, bool) {
    let any = |signature| {
        let mut of_kind = points.iter().filter(|point| point.signature == signature);
        of_kind.any(|point| {
            let main = point.symbol.ends_with("malloc") || point.symbol.ends_with("free");
            main && point.placement.execution == Execution::SingleStepped
        })
    };
    (any(Signature::Size), any(Signature::Release))
}

fn mean_size(value: &StackValue) -> u64 {
    let size = value.alloc_space.checked_div(value.alloc_objects).unwrap_or(0);
    u64::try_from(size).unwrap_or(0)
}
