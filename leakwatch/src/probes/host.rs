//! What this host offers to the probes, found out by using it.

use super::btf::Btf;
use super::format;
use super::format::Field;
use super::scope::OomCallers;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use rustix::mount::MountFlags;
use std::fs;
use std::fs::File;
use std::io;
use std::io::BufReader;
use std::path::Path;

const BTF: &str = "/sys/kernel/btf/vmlinux";
const TRACEFS: &str = "/sys/kernel/tracing";
const KALLSYMS: &str = "/proc/kallsyms";

/// What is there, or why not.
#[derive(Debug)]
pub struct HostFacts {
    /// The kernel's type information.
    pub btf: Reading<Btf>,
    /// Fields of `oom:mark_victim`.
    pub mark_victim_format: Reading<Vec<Field>>,
    /// Who can call the OOM killer.
    pub oom_callers: Reading<OomCallers>,
}

impl HostFacts {
    /// Looks. Mounts tracefs when it is not mounted, as every tracing tool does.
    pub fn look() -> Self {
        Self {
            btf: btf(),
            mark_victim_format: mount_tracefs().and_then(|()| mark_victim_format()),
            oom_callers: oom_callers(),
        }
    }
}

/// The kernel's own type information.
pub(super) fn btf() -> Reading<Btf> {
    let bytes = fs::read(BTF)
        .map_err(|error| unreadable(BTF, &error).with_fix("needs a kernel built with CONFIG_DEBUG_INFO_BTF=y"))?;
    Btf::parse(bytes).map_err(|error| Missing::new(MissingReason::Malformed, format!("{BTF}: {error}")))
}

fn mount_tracefs() -> Reading<()> {
    if Path::new(TRACEFS).join("events").exists() {
        return Ok(());
    }
    rustix::mount::mount("tracefs", TRACEFS, "tracefs", MountFlags::empty(), None).map_err(|error| {
        unreadable(TRACEFS, &error.into()).with_fix(format!("as root: mount -t tracefs tracefs {TRACEFS}"))
    })
}

fn mark_victim_format() -> Reading<Vec<Field>> {
    let path = format!("{TRACEFS}/events/oom/mark_victim/format");
    let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
    let fields = format::parse(&text);
    if fields.is_empty() {
        return Err(Missing::new(
            MissingReason::Malformed,
            format!("{path} describes no field"),
        ));
    }
    Ok(fields)
}

fn oom_callers() -> Reading<OomCallers> {
    let callers = File::open(KALLSYMS)
        .and_then(|file| OomCallers::parse(BufReader::new(file)))
        .map_err(|error| unreadable(KALLSYMS, &error))?;
    if callers.is_empty() {
        return Err(
            Missing::new(MissingReason::NotPermitted, format!("{KALLSYMS} hides its addresses"))
                .with_fix("run as root with CAP_SYSLOG; sysctl kernel.kptr_restrict must not be 2"),
        );
    }
    Ok(callers)
}

fn unreadable(path: &str, error: &io::Error) -> Missing {
    let reason = match error.kind() {
        io::ErrorKind::PermissionDenied => MissingReason::NotPermitted,
        io::ErrorKind::NotFound => MissingReason::Unsupported,
        _ => MissingReason::Failed,
    };
    Missing::new(reason, format!("{path}: {error}"))
}
