//! Takes the maps of an eBPF object, and loads and attaches its programs.

use super::error::ProbeError;
use aya::Ebpf;
use aya::maps::Map;
use aya::maps::MapData;
use aya::maps::MapError;
use aya::maps::ProgramArray;
use aya::programs::ProgramError;
use aya::programs::RawTracePoint;
use aya::programs::TracePoint;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use std::io;
use std::time::Duration;
use std::time::Instant;

/// Lines of the verifier's log that people get to see: the complaint and the statistics.
const VERIFIER_LINES: usize = 8;

/// Takes a map out of the object.
pub(super) fn take_map<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, ProbeError>
where
    M: TryFrom<Map, Error = MapError>,
{
    let map = ebpf.take_map(name).ok_or(ProbeError::NoSuchMap { name })?;
    M::try_from(map).map_err(|source| ProbeError::Map { name, source })
}

/// Loads a program on a tracepoint and attaches it.
pub(super) fn attach_tracepoint(ebpf: &mut Ebpf, name: &str, category: &str, tracepoint: &str) -> Reading<()> {
    let program: &mut TracePoint = program(ebpf, name)?;
    retrying(|| program.load())?;
    program
        .attach(category, tracepoint)
        .map(drop)
        .map_err(|error| refused(&error))
}

/// Loads a program on a raw tracepoint and attaches it.
pub(super) fn attach_raw_tracepoint(ebpf: &mut Ebpf, name: &str, tracepoint: &str) -> Reading<()> {
    let program: &mut RawTracePoint = program(ebpf, name)?;
    retrying(|| program.load())?;
    program.attach(tracepoint).map(drop).map_err(|error| refused(&error))
}

/// Loads a program that others go on in, and puts it into the map where they find it.
pub(super) fn load_part(ebpf: &mut Ebpf, map: &str, index: u32, name: &str) -> Reading<()> {
    let program: &mut RawTracePoint = program(ebpf, name)?;
    retrying(|| program.load())?;
    let fd = program
        .fd()
        .and_then(|fd| Ok(fd.try_clone()?))
        .map_err(|error| refused(&error))?;
    let failed = |what: &dyn std::fmt::Display| {
        Missing::new(
            MissingReason::Failed,
            format!("cannot put {name} together with the others: {what}"),
        )
    };
    // Stays in the object, which lives as long as the programs: they go with the map.
    let parts = ebpf.map_mut(map).ok_or_else(|| failed(&"no such map"))?;
    ProgramArray::try_from(parts)
        .and_then(|mut parts| parts.set(index, &fd, 0))
        .map_err(|error| failed(&error))
}

pub(super) fn program<'a, P>(ebpf: &'a mut Ebpf, name: &str) -> Reading<&'a mut P>
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

/// How long a program is loaded again when signals come in between. Each attempt takes some milliseconds, and so does, with many children
/// that end, the next signal: a number of attempts would be used up now and then.
const INTERRUPTED: Duration = Duration::from_secs(5);

/// The kernel gives up verifying a program when a signal arrives, whatever it is for, and expects to be asked again.
pub(super) fn retrying(mut load: impl FnMut() -> Result<(), ProgramError>) -> Reading<()> {
    let began = Instant::now();
    loop {
        match load() {
            Err(ProgramError::LoadError { io_error, .. })
                if io_error.kind() == io::ErrorKind::WouldBlock && began.elapsed() < INTERRUPTED => {}
            result => return result.map_err(|error| refused(&error)),
        }
    }
}

/// The kernel's own words, the causes included; of the verifier's log, which may be megabytes, the end.
pub(super) fn refused(error: &ProgramError) -> Missing {
    if let ProgramError::LoadError { io_error, verifier_log } = error {
        let log = verifier_log.to_string();
        if let Some(helper) = unknown_helper(&log) {
            return Missing::new(
                MissingReason::Unsupported,
                format!(
                    "this kernel is too old for the program: it has no eBPF helper function {helper} (`include/uapi/linux/bpf.h`)"
                ),
            );
        }
        let end: Vec<&str> = log.lines().rev().take(VERIFIER_LINES).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        let detail = format!("the kernel refuses the program: {io_error}: {}", end.join("; "));
        return if io_error.kind() == io::ErrorKind::PermissionDenied {
            not_permitted(detail)
        } else {
            Missing::new(MissingReason::Failed, detail)
        };
    }
    let causes = std::iter::successors(std::error::Error::source(error), |&cause| cause.source());
    let detail = causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"));
    not_permitted(detail)
}

/// The number of a helper function that a program calls and the kernel does not have, as its verifier says it (`kernel/bpf/verifier.c`).
fn unknown_helper(log: &str) -> Option<&str> {
    let (_, after) = log.split_once("invalid func unknown#")?;
    let end = after
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(after.len());
    after.get(..end).filter(|number| !number.is_empty())
}

fn not_permitted(detail: String) -> Missing {
    Missing::new(MissingReason::NotPermitted, detail)
        .with_fix("needs root or the capabilities BPF and PERFMON (SYS_ADMIN before Linux 5.8), and lockdown must not be confidentiality")
}

/// A map that is read by key.
pub(super) type OwnedPerCpuArray = aya::maps::PerCpuArray<MapData, u64>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_helper_that_the_kernel_lacks_is_named() {
        // As Linux 5.10 says it.
        let log = "16: (85) call unknown#158\ninvalid func unknown#158\nverification time 397 usec\nstack depth 56+0";
        assert_eq!(unknown_helper(log), Some("158"));
        assert_eq!(unknown_helper("R0 invalid mem access 'inv'"), None);
    }
}
