//! The allocator probes of one process: an eBPF object of its own, loaded, attached and read while a capture runs.
//!
//! What the counts mean, and who the process is, is decided by `crate::capture`. Dropping [`AllocatorProbes`] detaches everything.

pub(super) mod session;
pub(super) mod loss;
mod single;

use crate::probes::load;
use crate::probes::log;
use crate::probes::log::Logger;
use aya::Ebpf;
use aya::EbpfLoader;
use aya::maps::Array;
use aya::maps::HashMap;
use aya::maps::MapData;
use aya::maps::PerCpuArray;
use aya::maps::RingBuf;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_common::native::CodeRange;
use leakwatch_common::native::FINGERPRINT_STEPS;
use leakwatch_common::native::FOLLOWING;
use leakwatch_common::native::NATIVE_CONFIG;
use leakwatch_common::native::NativeConfig;
use leakwatch_common::native::NativeCount;
use leakwatch_common::native::NativeStack;
use leakwatch_common::native::OBJECT_BITS;
use leakwatch_nativeproc::allocator::ProbePoint;
use leakwatch_nativeproc::code::ProgramCode;
use loss::LOSSES;
use session::Sessions;
use session::Work;
use single::SingleLink;
use std::num::NonZeroU32;
use std::ops::Range;
use zerocopy::FromBytes as _;
use zerocopy::IntoBytes as _;

pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/leakwatch-ebpf-native.o"));

/// Steps of a fingerprint when every call is taken: 1 KiB of the stack, to keep the price of a call low.
const EXACT_FINGERPRINT_STEPS: u64 = 1;

/// What to capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllocatorSettings {
    /// Mean bytes between samples; 1 takes every call.
    pub mean_bytes: u64,
    /// Sampled objects followed at a time.
    pub live_objects: u32,
    /// Where the process has code.
    pub code: ProgramCode,
    /// The programs.
    pub programs: Programs,
}

/// Which programs are attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Programs {
    /// The best that the kernel takes.
    Best,
    /// Those for kernels before 6.13, for comparison.
    Single,
    /// Empty ones, for what a hit costs at least.
    Empty,
}

/// A stack as it was copied.
#[derive(Clone, Copy, Debug)]
pub struct CopiedStack<'a> {
    /// What the kernel side counts it under.
    pub fingerprint: u64,
    /// Return address in the caller of the allocator.
    pub instruction: u64,
    /// Address of the first byte of `memory`.
    pub stack_pointer: u64,
    /// The frame pointer register.
    pub frame_pointer: u64,
    /// The stack, innermost first, as much as was copied.
    pub memory: &'a [u8],
    /// Address of the first byte of `goroutine_memory`.
    pub goroutine_stack_pointer: u64,
    /// Where the stack goes on when a goroutine has called C; empty for others.
    pub goroutine_memory: &'a [u8],
}

/// Sampled allocations of one stack, and of about one size when sampling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StackTotals {
    /// The stack.
    pub fingerprint: u64,
    /// Least size of their class; zero when every call is taken.
    pub size_class: u64,
    /// Allocations.
    pub allocs: u64,
    /// Their bytes.
    pub alloc_bytes: u64,
    /// Those that were freed in the window of time in which they were allocated.
    pub frees: u64,
    /// Their bytes.
    pub free_bytes: u64,
    /// Those that were freed in a later one.
    pub late_frees: u64,
    /// Their bytes.
    pub late_free_bytes: u64,
}

/// Counts since the attach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HitCounts {
    /// Entries into allocating functions.
    pub entries: u64,
    /// Returns from them.
    pub returns: u64,
    /// Entries into freeing functions.
    pub frees: u64,
    /// Allocations sampled.
    pub samples: u64,
    /// Calls that cost more than an entry: samples, and what returns although it is none.
    pub taken: u64,
    /// Bytes that allocating functions were asked for; zero where every call is taken.
    pub bytes: u64,
}

/// How probes are attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// Entry and return in one, the return only where it is wanted (Linux 6.13).
    Session,
    /// Entry and return each by itself, and why not the other way.
    Single(Missing),
}

/// The programs of a capture, attached or not.
pub struct AllocatorProbes {
    ebpf: Ebpf,
    functions: Option<(NonZeroU32, Vec<ProbePoint>)>,
    windows: u64,
    work: Work,
    /// The programs with which entry and return are one, or why they are each by itself.
    sessions: Reading<Box<Sessions>>,
    single: Vec<SingleLink>,
    stacks: RingBuf<MapData>,
    totals: HashMap<MapData, [u64; 2], [u64; 7]>,
    window: Array<MapData, u64>,
    per_cpu: PerCpuArray<MapData, [u64; 6]>,
    counts: PerCpuArray<MapData, u64>,
    malformed: u64,
    logger: Option<Logger>,
}

impl std::fmt::Debug for AllocatorProbes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AllocatorProbes")
            .field("attach_mode", &self.attach_mode())
            .finish_non_exhaustive()
    }
}

impl AllocatorProbes {
    /// Loads the object and attaches it to the functions of one process. A function that cannot be probed makes the totals wrong,
    /// so it makes this fail.
    pub fn attach(pid: u32, points: &[ProbePoint], settings: &AllocatorSettings) -> Reading<Self> {
        let mut probes = Self::prepare(pid, points, settings)?;
        probes.begin()?;
        Ok(probes)
    }

    /// Loads the object, and no program yet.
    pub fn prepare(pid: u32, points: &[ProbePoint], settings: &AllocatorSettings) -> Reading<Self> {
        let pid = NonZeroU32::new(pid).ok_or_else(|| Missing::new(MissingReason::Malformed, "pid 0"))?;
        let ebpf = Self::load(EbpfLoader::new(), settings)?;
        let sessions = match settings.programs {
            Programs::Single => Err(Missing::new(MissingReason::Unsupported, "not wanted")),
            Programs::Best | Programs::Empty => Sessions::of(OBJECT, &ebpf).map(Box::new),
        };
        let mut probes = Self::over(ebpf)?;
        if settings.programs == Programs::Empty {
            probes.work = Work::Nothing;
        }
        probes.sessions = sessions;
        probes.functions = Some((pid, points.to_vec()));
        Ok(probes)
    }

    /// How often the functions are called, until `wait` is over, at less of a price than that of the real programs. `None` where the kernel cannot do
    /// it like that.
    pub fn look_first(&mut self, wait: impl FnOnce()) -> Option<HitCounts> {
        let (Ok(sessions), Some((pid, points))) = (&mut self.sessions, &self.functions) else {
            return None;
        };
        let attached = sessions.attach(pid.get(), points, Work::Count);
        if attached.is_ok() {
            wait();
        }
        let counts = self.counts();
        self.detach();
        attached.is_ok().then_some(counts)
    }

    /// Loads the programs and attaches.
    pub fn begin(&mut self) -> Reading<()> {
        if let Ok(sessions) = &mut self.sessions
            && let Err(missing) = sessions.try_first()
        {
            self.sessions = Err(missing);
        }
        if let (Err(missing), Work::Nothing) = (&self.sessions, self.work) {
            return Err(missing.clone());
        }
        self.attach_again()?;
        self.next_window()
    }

    /// Loads the object. What the other lanes set in it is in `loader`.
    pub(super) fn load(loader: EbpfLoader<'_>, settings: &AllocatorSettings) -> Reading<Ebpf> {
        if OBJECT.is_empty() {
            return Err(Missing::new(MissingReason::Unsupported, "the eBPF object is missing")
                .with_fix("build with cargo xtask build"));
        }
        let config = config(settings);
        // Shortens the life of what it borrows to that of `config`.
        let mut loader = loader;
        log::set_level(&mut loader);
        loader
            .btf(None)
            .override_global(NATIVE_CONFIG, config.as_bytes(), true)
            .map_max_entries("NATIVE_LIVE", settings.live_objects)
            .map_max_entries(
                "NATIVE_OBJECTS",
                if config.mean_bytes == 1 { 1 << OBJECT_BITS } else { 1 },
            )
            .load(OBJECT)
            .map_err(|error| Missing::new(MissingReason::Failed, format!("the eBPF object: {error}")))
    }

    /// Takes the maps of a loaded object, with no function probed.
    pub(super) fn over(mut ebpf: Ebpf) -> Reading<Self> {
        Ok(Self {
            logger: log::of(&mut ebpf),
            stacks: take(&mut ebpf, "NATIVE_STACKS")?,
            totals: take(&mut ebpf, "NATIVE_TOTALS")?,
            window: take(&mut ebpf, "NATIVE_WINDOW")?,
            per_cpu: take(&mut ebpf, "NATIVE_CPU")?,
            counts: take(&mut ebpf, "NATIVE_COUNTS")?,
            functions: None,
            windows: 0,
            work: Work::All,
            sessions: Err(Missing::new(MissingReason::NotYet, "no function is probed")),
            single: Vec::new(),
            malformed: 0,
            ebpf,
        })
    }

    /// Attaches, the first time or after [`Self::detach`]. Nothing is counted before [`Self::next_window`].
    pub fn attach_again(&mut self) -> Reading<()> {
        self.set_window(0)?;
        if let Some((pid, points)) = &self.functions {
            match &mut self.sessions {
                Ok(sessions) => sessions.attach(pid.get(), points, self.work)?,
                Err(_) => self.single = single::attach(&mut self.ebpf, *pid, points)?,
            }
        }
        Ok(())
    }

    /// A window begins for what is attached: what was allocated in an earlier one and is freed from now on is counted as freed late.
    pub fn next_window(&mut self) -> Reading<()> {
        self.windows += 1;
        self.set_window(self.windows)
    }

    /// No new objects from now on: those of the window are followed.
    pub fn follow(&mut self) -> Reading<()> {
        self.set_window(self.windows | FOLLOWING)
    }

    fn set_window(&mut self, number: u64) -> Reading<()> {
        self.window
            .set(0, number, 0)
            .map_err(|error| Missing::new(MissingReason::Failed, format!("NATIVE_WINDOW: {error}")))
    }

    /// The object, for programs of other lanes. What they attach goes with it.
    pub(super) fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.ebpf
    }

    /// How they are attached.
    pub fn attach_mode(&self) -> AttachMode {
        match &self.sessions {
            Ok(_) => AttachMode::Session,
            Err(missing) => AttachMode::Single(missing.clone()),
        }
    }

    /// Detaches. The maps can be read afterwards. What is allocated and freed while the probes go is not counted.
    pub fn detach(&mut self) {
        if let Err(missing) = self.set_window(0) {
            tracing::warn!(
                reason = missing.detail,
                "calls are counted until the last probe is gone"
            );
        }
        if let Ok(sessions) = &mut self.sessions {
            sessions.detach();
        }
        single::detach(&mut self.ebpf, std::mem::take(&mut self.single));
    }

    /// Hands over the stacks that arrived since the last call.
    pub fn drain_stacks(&mut self, mut take: impl FnMut(CopiedStack<'_>)) {
        if let Some(logger) = &mut self.logger {
            logger.flush();
        }
        while let Some(record) = self.stacks.next() {
            let stack = NativeStack::ref_from_bytes(&record).ok().and_then(|stack| {
                let memory = stack.stack.get(..usize::try_from(stack.length).ok()?)?;
                let goroutine = usize::try_from(stack.goroutine_length).ok()?;
                Some((stack, memory, stack.goroutine_stack.get(..goroutine)?))
            });
            match stack {
                Some((stack, memory, goroutine_memory)) => take(CopiedStack {
                    fingerprint: stack.fingerprint,
                    instruction: stack.instruction,
                    stack_pointer: stack.stack_pointer,
                    frame_pointer: stack.frame_pointer,
                    memory,
                    goroutine_stack_pointer: stack.goroutine_stack_pointer,
                    goroutine_memory,
                }),
                None => self.malformed += 1,
            }
        }
    }

    /// What was sampled, by stack. An entry that is changed while this reads may be missed; it is there the next time.
    pub fn totals(&self) -> Vec<StackTotals> {
        let entries = self.totals.iter().filter_map(Result::ok);
        entries
            .map(
                |(
                    [fingerprint, size_class],
                    [allocs, alloc_bytes, frees, free_bytes, late_frees, late_free_bytes, _],
                )| {
                    StackTotals {
                        fingerprint,
                        size_class,
                        allocs,
                        alloc_bytes,
                        frees,
                        free_bytes,
                        late_frees,
                        late_free_bytes,
                    }
                },
            )
            .collect()
    }

    /// Hits and samples since the attach.
    pub fn counts(&self) -> HitCounts {
        let per_cpu = self.per_cpu.get(&0, 0);
        let sum = |of: fn(&[u64; 6]) -> u64| per_cpu.as_ref().map_or(0, |per_cpu| per_cpu.iter().map(of).sum());
        let samples = sum(|[_, _, _, samples, ..]| *samples);
        let returns = sum(|[_, returns, ..]| *returns);
        HitCounts {
            // A return by itself is part of the price of an entry.
            taken: if self.sessions.is_ok() { returns } else { samples },
            entries: sum(|[entries, ..]| *entries),
            returns,
            frees: sum(|[_, _, frees, ..]| *frees),
            samples,
            bytes: sum(|[.., until_sample, bytes_ahead]| bytes_ahead.saturating_sub(*until_sample)),
        }
    }

    /// Everything lost since the attach, by reason.
    pub fn losses(&self) -> Vec<(&'static str, u64)> {
        let kernel = LOSSES.map(|(reason, count)| (reason, self.count(count)));
        let all = kernel.into_iter().chain([("native_record_malformed", self.malformed)]);
        all.filter(|(_, count)| *count > 0).collect()
    }

    pub(super) fn count(&self, what: NativeCount) -> u64 {
        let per_cpu = self.counts.get(&what.index(), 0);
        per_cpu.map_or(0, |per_cpu| per_cpu.iter().sum())
    }
}

impl Drop for AllocatorProbes {
    fn drop(&mut self) {
        self.detach();
    }
}

fn config(settings: &AllocatorSettings) -> NativeConfig {
    let exact = settings.mean_bytes <= 1;
    let code = [settings.code.executable.clone(), settings.code.libraries.clone()];
    let used = || code.iter().filter(|range| !range.is_empty());
    let start = used().map(|range| range.start).min().unwrap_or(0);
    let all = start..used().map(|range| range.end).max().unwrap_or(start);
    NativeConfig {
        mean_bytes: settings.mean_bytes.max(1),
        fingerprint_steps: if exact {
            EXACT_FINGERPRINT_STEPS
        } else {
            u64::from(FINGERPRINT_STEPS)
        },
        code: code.clone().map(|code| range(&code)),
        all_code: range(&all),
        stack_switch: range(&settings.code.go.stack_switch),
        goroutine_offset: settings.code.go.goroutine_offset,
        depth_offset: settings.code.go.depth_offset,
        ..NativeConfig::UNSET
    }
}

fn range(addresses: &Range<u64>) -> CodeRange {
    CodeRange {
        start: addresses.start,
        length: addresses.end.saturating_sub(addresses.start),
    }
}

pub(super) fn take<M>(ebpf: &mut Ebpf, name: &'static str) -> Reading<M>
where
    M: TryFrom<aya::maps::Map, Error = aya::maps::MapError>,
{
    load::take_map(ebpf, name).map_err(|error| Missing::new(MissingReason::Malformed, error.to_string()))
}
