//! The page-fault and mapping probes of one process: programs of the same object as the allocator probes, attached while a capture runs.
//!
//! Page faults are a software event of every processor; system calls are seen at their functions in the kernel, or at their tracepoints, or not.
//! Both see all processes, and the programs look at one. What the records mean for the address space is decided by
//! `leakwatch-nativeproc`.

use crate::probes::allocator;
use crate::probes::allocator::AllocatorProbes;
use crate::probes::allocator::AllocatorSettings;
use crate::probes::allocator::CopiedStack;
use crate::probes::load;
use aya::Btf;
use aya::EbpfLoader;
use aya::maps::MapData;
use aya::maps::RingBuf;
use aya::programs::FEntry;
use aya::programs::FExit;
use aya::programs::PerfEvent;
use aya::programs::Program;
use aya::programs::ProgramError;
use aya::programs::TracePoint;
use aya::programs::perf_event::PerfEventConfig;
use aya::programs::perf_event::PerfEventLinkId;
use aya::programs::perf_event::PerfEventScope;
use aya::programs::perf_event::SamplePolicy;
use aya::programs::perf_event::SoftwareEvent;
use aya::util::online_cpus;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_common::growth::GROWTH_CONFIG;
use leakwatch_common::growth::GrowthConfig;
use leakwatch_common::growth::GrowthRecord;
use leakwatch_common::growth::growth_kind;
use leakwatch_common::native::NativeCount;
use leakwatch_nativeproc::address_space::change::Change;
use leakwatch_nativeproc::code::ProgramCode;
use std::sync::OnceLock;
use zerocopy::FromBytes as _;
use zerocopy::IntoBytes as _;

/// 87,000 records: a tenth of a second of a process that does nothing but map and unmap.
const RING_BYTES: u32 = 4 << 20;
const PAGE_FAULT: &str = "page_fault";
/// System calls, whether they are seen when they return, and the name of the program at the tracepoint. What gives memory back comes before what
/// takes it.
const SYSTEM_CALLS: [(&str, bool, &str); 5] = [
    ("munmap", false, "unmapping"),
    ("madvise", false, "advised"),
    ("mremap", true, "moved"),
    ("brk", true, "heap_ends"),
    ("mmap", true, "mapped"),
];
/// Behind the name of a program in that of the one at the function.
const AT_FUNCTION: &str = "_function";
/// Before the name of a system call in that of its function.
const FUNCTION_PREFIX: &str = if cfg!(target_arch = "aarch64") {
    "__arm64_sys_"
} else {
    "__x64_sys_"
};

/// Where system calls are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallsAt {
    /// At their functions: nobody else notices.
    Functions,
    /// At their tracepoints, with which the kernel takes a longer way through every system call of every process.
    Tracepoints,
    /// They are not seen: who has mapped a page is not known.
    Nowhere,
}

/// What to capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSettings {
    /// One of so many page faults is taken.
    pub period: u64,
    /// Where the process has code.
    pub code: ProgramCode,
}

/// Counts since the attach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounts {
    /// Page faults sampled.
    pub pages: u64,
    /// System calls seen.
    pub calls: u64,
}

/// Attached probes.
pub struct FaultProbes {
    object: AllocatorProbes,
    events: RingBuf<MapData>,
    faults: Vec<PerfEventLinkId>,
    /// What is attached by name of its program, in order.
    calls: Vec<String>,
    calls_at: CallsAt,
    malformed: u64,
}

impl std::fmt::Debug for FaultProbes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FaultProbes")
            .field("object", &self.object)
            .field("faults", &self.faults.len())
            .finish_non_exhaustive()
    }
}

impl FaultProbes {
    /// Loads the object and attaches what looks at the process; system calls are seen in the first of `ways` that the kernel allows.
    pub fn attach(pid: u32, settings: &FaultSettings, ways: &[CallsAt]) -> Reading<Self> {
        let config = GrowthConfig {
            process: pid.into(),
            ..GrowthConfig::UNSET
        };
        let mut loader = EbpfLoader::new();
        loader
            .override_global(GROWTH_CONFIG, config.as_bytes(), true)
            .map_max_entries("GROWTH_EVENTS", RING_BYTES)
            .map_max_entries("NATIVE_TOTALS", 1);
        let native = AllocatorSettings {
            mean_bytes: u64::MAX,
            live_objects: 1,
            code: settings.code.clone(),
            programs: allocator::Programs::Best,
        };
        let mut object = AllocatorProbes::over(AllocatorProbes::load(loader, &native)?)?;
        let events = allocator::take(object.ebpf(), "GROWTH_EVENTS")?;
        let mut probes = Self {
            object,
            events,
            faults: Vec::new(),
            calls: Vec::new(),
            calls_at: CallsAt::Nowhere,
            malformed: 0,
        };
        let mut refused = Ok(());
        for way in ways {
            probes.calls_at = *way;
            refused = match way {
                CallsAt::Functions => probes.attach_functions(),
                CallsAt::Tracepoints => probes.attach_tracepoints(),
                CallsAt::Nowhere => Ok(()),
            };
            let Err(missing) = &refused else { break };
            tracing::debug!(reason = missing.detail, ?way, "system calls cannot be seen like that");
            probes.detach();
        }
        refused?;
        probes.attach_faults(settings.period)?;
        Ok(probes)
    }

    fn attach_functions(&mut self) -> Reading<()> {
        // What a kernel does not allow it does not allow later either: its type information takes 20 ms to read.
        static REFUSED: OnceLock<Missing> = OnceLock::new();
        if let Some(missing) = REFUSED.get() {
            return Err(missing.clone());
        }
        let refused = self.attach_functions_now();
        if let Err(missing) = &refused
            && matches!(missing.reason, MissingReason::NotPermitted | MissingReason::Unsupported)
        {
            REFUSED.get_or_init(|| missing.clone());
        }
        refused
    }

    fn attach_functions_now(&mut self) -> Reading<()> {
        let types = Btf::from_sys_fs().map_err(|error| {
            Missing::new(
                MissingReason::Unsupported,
                format!("the kernel's type information: {error}"),
            )
        })?;
        for (call, at_exit, name) in SYSTEM_CALLS {
            let function = format!("{FUNCTION_PREFIX}{call}");
            let name = format!("{name}{AT_FUNCTION}");
            let attached = if at_exit {
                let program: &mut FExit = load::program(self.object.ebpf(), &name)?;
                load::retrying(|| program.load(&function, &types))?;
                program.attach().map(drop)
            } else {
                let program: &mut FEntry = load::program(self.object.ebpf(), &name)?;
                load::retrying(|| program.load(&function, &types))?;
                program.attach().map(drop)
            };
            attached.map_err(|error| at(&function, &error))?;
            self.calls.push(name);
        }
        Ok(())
    }

    fn attach_tracepoints(&mut self) -> Reading<()> {
        for (call, at_exit, name) in SYSTEM_CALLS {
            let tracepoint = format!("sys_{}_{call}", if at_exit { "exit" } else { "enter" });
            let program: &mut TracePoint = load::program(self.object.ebpf(), name)?;
            load::retrying(|| program.load())?;
            program
                .attach("syscalls", &tracepoint)
                .map_err(|error| at(&tracepoint, &error))?;
            self.calls.push(name.to_owned());
        }
        Ok(())
    }

    fn attach_faults(&mut self, period: u64) -> Reading<()> {
        let program: &mut PerfEvent = load::program(self.object.ebpf(), PAGE_FAULT)?;
        load::retrying(|| program.load())?;
        let cpus = online_cpus().map_err(|(path, error)| {
            Missing::new(
                MissingReason::Failed,
                format!("the processors of this host: {path}: {error}"),
            )
        })?;
        for cpu in cpus {
            let link = program
                .attach(
                    PerfEventConfig::Software(SoftwareEvent::PageFaultsMin),
                    PerfEventScope::AllProcessesOneCpu { cpu },
                    SamplePolicy::Period(period),
                    false,
                )
                .map_err(|error| at("page faults", &error))?;
            self.faults.push(link);
        }
        Ok(())
    }

    /// Detaches, what takes memory first.
    pub fn detach(&mut self) {
        let faults: Reading<&mut PerfEvent> = load::program(self.object.ebpf(), PAGE_FAULT);
        if let Ok(program) = faults {
            for link in self.faults.drain(..) {
                // It is there: nobody else knows it.
                drop(program.detach(link));
            }
        }
        for name in self.calls.drain(..).rev() {
            // Their links go with them.
            let unloaded = match self.object.ebpf().program_mut(&name) {
                Some(Program::FEntry(program)) => program.unload(),
                Some(Program::FExit(program)) => program.unload(),
                Some(Program::TracePoint(program)) => program.unload(),
                _ => Ok(()),
            };
            if let Err(error) = unloaded {
                tracing::debug!(%error, program = name, "was not loaded");
            }
        }
    }

    /// Where system calls are seen.
    pub fn calls_at(&self) -> CallsAt {
        self.calls_at
    }

    /// Hands over the stacks that arrived since the last call.
    pub fn drain_stacks(&mut self, take: impl FnMut(CopiedStack<'_>)) {
        self.object.drain_stacks(take);
    }

    /// Hands over what happened since the last call, in order.
    pub fn drain_changes(&mut self, mut take: impl FnMut(Change)) {
        while let Some(record) = self.events.next() {
            match decode(&record) {
                Some(change) => take(change),
                None => self.malformed += 1,
            }
        }
    }

    /// Hits since the attach.
    pub fn counts(&self) -> FaultCounts {
        FaultCounts {
            pages: self.object.count(NativeCount::PageSamples),
            calls: self.object.count(NativeCount::MappingCalls),
        }
    }

    /// Everything lost since the attach, by reason.
    pub fn losses(&self) -> Vec<(&'static str, u64)> {
        let mut losses = self.object.losses();
        losses.extend(Some(("growth_record_malformed", self.malformed)).filter(|(_, count)| *count > 0));
        losses
    }
}

impl Drop for FaultProbes {
    fn drop(&mut self) {
        self.detach();
    }
}

/// A record as a change, if it is one.
fn decode(bytes: &[u8]) -> Option<Change> {
    let record = GrowthRecord::ref_from_bytes(bytes).ok()?;
    let range = (record.address, record.length);
    let (address, fingerprint) = (record.address, record.fingerprint);
    Some(match record.kind {
        growth_kind::PAGE => Change::Page { address, fingerprint },
        growth_kind::MAP => Change::Map { range, fingerprint },
        growth_kind::REPLACE | growth_kind::UNMAP => Change::Unmap { range },
        growth_kind::MOVE => Change::Move {
            from: (record.old_address, record.old_length),
            to: range,
        },
        growth_kind::BREAK => Change::Break { end: address },
        growth_kind::DROP => Change::Drop { range },
        _ => return None,
    })
}

fn at(what: &str, error: &ProgramError) -> Missing {
    let mut missing = load::refused(error);
    missing.detail = format!("{what}: {}", missing.detail);
    missing
}
