//! What this host offers, each fact found out by using it: for `leakwatch doctor` and `GET /api/v1/capabilities`.
//!
//! Nothing here decides what the daemon does with it; absences show again as [`Missing`] at the values they concern.

use crate::identity::cgroup::CgroupError;
use crate::identity::cgroup::Hierarchy;
use crate::identity::cgroup::Version;
use crate::probes::PLACEHOLDER;
use crate::probes::ProbeError;
use crate::probes::Probes;
use crate::probes::hooks::oom_mark_victim;
use crate::probes::host::HostFacts;
use crate::probes::plan::Plan;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::open;
use std::error::Error;
use std::fs;
use std::fs::File;
use std::io;
use std::path::Path;

/// One thing the host offers or does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Its name, `snake_case`, stable.
    pub name: &'static str,
    /// What exactly there is, or why not and what to do about it.
    pub state: Reading<String>,
}

impl Capability {
    const fn new(name: &'static str, state: Reading<String>) -> Self {
        Self { name, state }
    }
}

/// Everything. `probes` is the outcome of starting them, `None` if they are switched off.
pub fn of_host(
    hierarchy: Result<&Hierarchy, &CgroupError>,
    facts: &HostFacts,
    plan: &Plan,
    probes: Option<Result<&Probes, &ProbeError>>,
) -> Vec<Capability> {
    let victim_programs = plan.programs(&oom_mark_victim::HOOK);
    let mut all = vec![
        Capability::new("kernel", Ok(kernel_release())),
        Capability::new("root", root()),
        Capability::new("cgroup_memory", cgroup_memory(hierarchy)),
        Capability::new("process_executables", process_executables()),
        Capability::new("process_memory", process_memory()),
        Capability::new("process_mapped_files", process_mapped_files()),
        Capability::new("kernel_log", kernel_log()),
        Capability::new("ebpf_object", ebpf_object()),
        Capability::new("perf_events", perf_events()),
        Capability::new("allocator_probes", allocator_probes(facts)),
        Capability::new(
            "btf",
            facts
                .btf
                .as_ref()
                .map(|btf| format!("{} types", btf.len()))
                .map_err(Clone::clone),
        ),
        Capability::new(
            "tracefs",
            plain(facts.mark_victim_format.as_ref(), "/sys/kernel/tracing"),
        ),
        Capability::new("kernel_symbols", plain(facts.oom_callers.as_ref(), "/proc/kallsyms")),
        Capability::new(
            "oom_victim_memory",
            victim_programs
                .clone()
                .and_then(|programs| oom_mark_victim::victim_memory(programs, &plan.offsets))
                .map(str::to_owned),
        ),
        Capability::new(
            "oom_victim_cgroup",
            victim_programs
                .and_then(|programs| oom_mark_victim::victim_cgroup(programs, &plan.offsets))
                .map(str::to_owned),
        ),
    ];
    match probes {
        None => all.push(Capability::new("ebpf", Err(switched_off()))),
        Some(Err(error)) => all.push(Capability::new("ebpf", Err(not_started(error)))),
        Some(Ok(probes)) => {
            all.push(Capability::new("ebpf", Ok("maps and ring buffers".to_owned())));
            let hooks = probes.hooks().iter();
            all.extend(
                hooks.map(|hook| Capability::new(hook.hook.name, hook.explained().map(|()| "attached".to_owned()))),
            );
        }
    }
    all
}

/// What there is in one word, where the value itself is not for people.
fn plain<T>(state: Result<&T, &Missing>, what: &str) -> Reading<String> {
    state.map(|_value| what.to_owned()).map_err(Clone::clone)
}

fn kernel_release() -> String {
    rustix::system::uname().release().to_string_lossy().into_owned()
}

fn root() -> Reading<String> {
    let user = rustix::process::geteuid();
    if user.is_root() {
        return Ok("uid 0".to_owned());
    }
    Err(
        Missing::new(MissingReason::NotPermitted, format!("running as uid {}", user.as_raw()))
            .with_fix("run as root, or grant the capabilities BPF, PERFMON, SYS_PTRACE and SYSLOG"),
    )
}

fn cgroup_memory(hierarchy: Result<&Hierarchy, &CgroupError>) -> Reading<String> {
    let hierarchy = hierarchy.map_err(|error| {
        Missing::new(MissingReason::Unsupported, with_causes(error))
            .with_fix("mount the cgroup hierarchy that has the memory controller")
    })?;
    let version = match hierarchy.version {
        Version::V1 => "v1",
        Version::V2 => "v2",
    };
    Ok(format!("{version} at {}", hierarchy.root.display()))
}

const PERF_PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";
/// `CAP_SYS_ADMIN` of `include/uapi/linux/capability.h`.
const SYS_ADMIN: u32 = 21;

/// What probes on programs are attached by. Above 2, which Debian and Ubuntu have added and set, `CAP_PERFMON` does not do.
fn perf_events() -> Reading<String> {
    let text = fs::read_to_string(PERF_PARANOID).map_err(|error| {
        Missing::new(MissingReason::Unsupported, format!("{PERF_PARANOID}: {error}"))
            .with_fix("needs a kernel built with CONFIG_PERF_EVENTS=y")
    })?;
    perf_events_allowed(text.trim(), is_admin(own_capabilities()))
}

/// Capabilities in force.
fn own_capabilities() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let capabilities = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let capabilities = capabilities.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    capabilities.unwrap_or_default()
}

const fn is_admin(capabilities: u64) -> bool {
    capabilities & (1 << SYS_ADMIN) != 0
}

/// Probes on the functions of a program. Where entry and return are one probe (Linux 6.13) `CAP_BPF` and `CAP_PERFMON` do; what was there before asks for more.
fn allocator_probes(facts: &HostFacts) -> Reading<String> {
    let btf = facts.btf.as_ref();
    let has_sessions = btf.is_ok_and(|btf| btf.enumerator("BPF_TRACE_UPROBE_SESSION").is_some());
    allocator_probes_allowed(has_sessions, is_admin(own_capabilities()))
}

fn allocator_probes_allowed(has_sessions: bool, is_admin: bool) -> Reading<String> {
    match (has_sessions, is_admin) {
        (true, _) => Ok("entry and return in one".to_owned()),
        (false, true) => Ok("entry and return each by itself".to_owned()),
        (false, false) => Err(Missing::new(
            MissingReason::NotPermitted,
            "before Linux 6.13 only CAP_SYS_ADMIN may put probes on functions of programs",
        )
        .with_fix("a drop-in of the unit with CapabilityBoundingSet=CAP_SYS_ADMIN, then restart the daemon")),
    }
}

fn perf_events_allowed(paranoid: &str, is_admin: bool) -> Reading<String> {
    let said = format!("kernel.perf_event_paranoid = {paranoid}");
    match paranoid.parse::<i32>() {
        Ok(level) if level > 2 && !is_admin => Err(Missing::new(
            MissingReason::NotPermitted,
            format!("{said}: this kernel lets only CAP_SYS_ADMIN put probes on programs"),
        )
        .with_fix("sysctl kernel.perf_event_paranoid=2, or a drop-in with CapabilityBoundingSet=CAP_SYS_ADMIN, then restart the daemon")),
        _ => Ok(said),
    }
}

const KERNEL_LOG: &str = "/dev/kmsg";
/// Processes that are tried; a host has some thousand.
const MAX_TRIED: usize = 1_000;

/// Executables of the processes there are: their names, runtimes and versions.
fn process_executables() -> Reading<String> {
    of_processes("exe", |path| fs::read_link(path).map(drop))
}

/// Memory of the processes there are: the Go runtime read from outside. Opening is what the kernel checks.
fn process_memory() -> Reading<String> {
    of_processes("mem", |path| File::open(path).map(drop))
}

/// Files that processes have mapped: names for native stacks. The link of the first of each is followed.
fn process_mapped_files() -> Reading<String> {
    let mapped = of_processes("map_files", |path| match fs::read_dir(path)?.flatten().next() {
        // Followed, not opened: it may be a device.
        Some(first) => {
            let _followed = open(first.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            Ok(())
        }
        None => Ok(()),
    });
    mapped
        .map_err(|missing| missing.with_fix("run as root, or grant the capabilities SYS_PTRACE and CHECKPOINT_RESTORE"))
}

/// The kernel's log: whether a daemon before this one was killed for its memory.
fn kernel_log() -> Reading<String> {
    let path = Path::new(KERNEL_LOG);
    match File::open(path) {
        Ok(_log) => Ok(KERNEL_LOG.to_owned()),
        Err(error) => Err(refused(path, &error).with_fix("run as root, or grant the capability SYSLOG and the device")),
    }
}

/// Tries a file of each process. Some may be denied (a security module guards its own); where most are, it does not work here.
fn of_processes(file: &str, attempt: impl Fn(&Path) -> io::Result<()>) -> Reading<String> {
    let processes = fs::read_dir("/proc").map_err(|error| refused(Path::new("/proc"), &error))?;
    let (mut tried, mut denied) = (0_usize, Vec::new());
    for process in processes
        .flatten()
        .filter(|process| has_memory(&process.path()))
        .take(MAX_TRIED)
    {
        let path = process.path().join(file);
        match attempt(&path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => denied.push((path, error)),
            // Whatever else: it has ended meanwhile.
            _ => {}
        }
        tried += 1;
    }
    let count = format!("of {} of {tried} processes", tried - denied.len());
    match denied.first() {
        None => Ok(count),
        Some((path, error)) if denied.len() * 2 <= tried => Ok(format!("{count}; not {}: {error}", path.display())),
        Some((path, error)) => {
            let refused = refused(path, error);
            Err(Missing {
                detail: format!("{count}; not {}", refused.detail),
                ..refused
            })
        }
    }
}

/// Whether it is a process with memory of its own, no thread of the kernel.
fn has_memory(process: &Path) -> bool {
    let is_process = process
        .file_name()
        .is_some_and(|name| name.as_encoded_bytes().iter().all(u8::is_ascii_digit));
    is_process && fs::read_to_string(process.join("statm")).is_ok_and(|pages| !pages.starts_with("0 "))
}

fn refused(path: &Path, error: &io::Error) -> Missing {
    Missing::new(MissingReason::NotPermitted, format!("{}: {error}", path.display())).with_fix(
        "run as root in the host's pid namespace, or grant the capability SYS_PTRACE; a security module may deny it too",
    )
}

fn ebpf_object() -> Reading<String> {
    if PLACEHOLDER {
        return Err(missing_object());
    }
    Ok("built in".to_owned())
}

fn missing_object() -> Missing {
    Missing::new(
        MissingReason::NotConfigured,
        "the eBPF object is missing from this build",
    )
    .with_fix("build with cargo xtask build")
}

fn switched_off() -> Missing {
    Missing::new(MissingReason::NotConfigured, "eBPF is switched off").with_fix("start without --no-bpf")
}

fn not_started(error: &ProbeError) -> Missing {
    if matches!(error, ProbeError::Placeholder) {
        return missing_object();
    }
    Missing::new(MissingReason::NotPermitted, with_causes(error)).with_fix(
        "needs Linux 5.8 or later and root or the capabilities BPF and PERFMON; kernel.lockdown must not be confidentiality",
    )
}

/// An error with its causes, in one line.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_is_more_paranoid_than_upstreams_wants_an_administrator() {
        // What the hardened unit has.
        let hardened = 0x1c4_0008_0004;
        for (paranoid, capabilities, allowed) in [
            ("2", hardened, true),
            ("-1", hardened, true),
            ("3", hardened, false),
            ("4", hardened, false),
            ("3", hardened | 1 << 21, true),
        ] {
            let found = perf_events_allowed(paranoid, is_admin(capabilities));
            assert_eq!(found.is_ok(), allowed, "{paranoid} {capabilities:x}: {found:?}");
        }
    }

    #[test]
    fn probes_on_functions_ask_for_an_administrator_where_there_are_no_sessions() {
        for (has_sessions, is_admin, allowed) in [(true, false, true), (false, true, true), (false, false, false)] {
            assert_eq!(allocator_probes_allowed(has_sessions, is_admin).is_ok(), allowed);
        }
    }
    use crate::clock::Clock;

    #[test]
    fn what_is_switched_off_is_not_available_and_says_how_to_get_it() {
        let facts = HostFacts::look();
        let plan = Plan::for_host(&facts);
        let all = of_host(
            Err(&CgroupError::NotARoot {
                path: "/nowhere".into(),
            }),
            &facts,
            &plan,
            None,
        );
        for name in ["ebpf", "cgroup_memory"] {
            let state = &all.iter().find(|capability| capability.name == name).unwrap().state;
            assert!(state.as_ref().unwrap_err().fix.is_some(), "{name}: {state:?}");
        }
    }

    #[tokio::test]
    async fn a_missing_object_is_named_as_such() {
        let facts = HostFacts::look();
        let plan = Plan::for_host(&facts);
        let probes = Probes::start(&plan, Clock::start()).map(|(probes, _events)| probes);
        let all = of_host(Hierarchy::detect().as_ref(), &facts, &plan, Some(probes.as_ref()));
        let object = all.iter().find(|capability| capability.name == "ebpf_object").unwrap();
        assert_eq!(object.state.is_err(), PLACEHOLDER);
        if PLACEHOLDER {
            let ebpf = all.iter().find(|capability| capability.name == "ebpf").unwrap();
            assert_eq!(ebpf.state, Err(missing_object()));
        }
    }
}
