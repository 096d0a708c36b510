//! Loads the eBPF object and attaches its programs.

use super::ProbeError;
use super::plan::OomHook;
use super::plan::Plan;
use aya::Ebpf;
use aya::EbpfLoader;
use aya::maps::Map;
use aya::maps::MapData;
use aya::maps::MapError;
use aya::programs::ProgramError;
use aya::programs::RawTracePoint;
use aya::programs::TracePoint;
use leakwatch_analysis::sample::Missing;
use leakwatch_analysis::sample::MissingReason;
use leakwatch_analysis::sample::Reading;
use leakwatch_common::config::PROBE_CONFIG;
use zerocopy::IntoBytes as _;

static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/leakwatch-ebpf.o"));

/// True if the object was missing when the daemon was built.
pub const PLACEHOLDER: bool = cfg!(leakwatch_ebpf_placeholder);

/// Creates the maps and tells the programs their offsets. Programs are loaded when they are attached.
pub(super) fn load(plan: &Plan) -> Result<Ebpf, ProbeError> {
    if PLACEHOLDER {
        return Err(ProbeError::Placeholder);
    }
    EbpfLoader::new()
        // The programs have no relocations against the kernel's types: do not read those a second time.
        .btf(None)
        .override_global(PROBE_CONFIG, plan.offsets.as_bytes(), true)
        .map_max_entries("OOM_EVENTS", plan.oom_ring_bytes)
        .map_max_entries("EXIT_EVENTS", plan.exit_ring_bytes)
        .load(OBJECT)
        .map_err(ProbeError::Load)
}

/// Takes a map out of the object.
pub(super) fn take_map<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, ProbeError>
where
    M: TryFrom<Map, Error = MapError>,
{
    let map = ebpf.take_map(name).ok_or(ProbeError::NoSuchMap { name })?;
    M::try_from(map).map_err(|source| ProbeError::Map { name, source })
}

/// Attaches to `oom:mark_victim`.
pub(super) fn attach_oom(ebpf: &mut Ebpf, hook: OomHook) -> Reading<()> {
    match hook {
        OomHook::Task => attach_raw(ebpf, "oom_mark_victim", "mark_victim"),
        OomHook::Format => {
            let program: &mut TracePoint = program(ebpf, "oom_mark_victim_format")?;
            program.load().map_err(|error| refused(&error))?;
            program
                .attach("oom", "mark_victim")
                .map(drop)
                .map_err(|error| refused(&error))
        }
    }
}

/// Attaches to `sched:sched_process_exit`.
pub(super) fn attach_exit(ebpf: &mut Ebpf) -> Reading<()> {
    attach_raw(ebpf, "process_exit", "sched_process_exit")
}

fn attach_raw(ebpf: &mut Ebpf, name: &str, tracepoint: &str) -> Reading<()> {
    let program: &mut RawTracePoint = program(ebpf, name)?;
    program.load().map_err(|error| refused(&error))?;
    program.attach(tracepoint).map(drop).map_err(|error| refused(&error))
}

fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Reading<&'a mut P>
where
    &'a mut P: TryFrom<&'a mut aya::programs::Program, Error = ProgramError>,
{
    let program = ebpf.program_mut(name).ok_or_else(|| {
        Missing::new(
            MissingReason::Malformed,
            format!("the eBPF object has no program {name}"),
        )
    })?;
    program.try_into().map_err(|error: ProgramError| refused(&error))
}

/// The kernel's own words, the causes included.
fn refused(error: &ProgramError) -> Missing {
    let causes = std::iter::successors(std::error::Error::source(error), |&cause| cause.source());
    let detail = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    Missing::new(MissingReason::NotPermitted, detail)
        .with_fix("needs root or the capabilities BPF and PERFMON (SYS_ADMIN before Linux 5.8), and lockdown must not be confidentiality")
}

/// A map that is read by key.
pub(super) type OwnedPerCpuArray = aya::maps::PerCpuArray<MapData, u64>;
