//! What several hooks need of a kernel, and how their records are gathered.

use crate::probes::host::HostFacts;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_common::config::ABSENT;
use leakwatch_common::config::ProbeConfig;
use std::time::Duration;

/// How long exits and new programs gather before they are drained. The ring holds that much of 36,000 exits per second.
pub(super) const BATCH: Duration = Duration::from_millis(100);

/// The fix where a kernel does not describe its structures.
pub(super) const NEEDS_BTF: &str = "needs a kernel built with CONFIG_DEBUG_INFO_BTF=y";

/// What every hook needs that identifies a process.
pub(super) fn identifies_processes(facts: &HostFacts, offsets: &ProbeConfig) -> Reading<()> {
    needs(
        facts,
        &[
            ("task_struct.signal", offsets.task_signal),
            ("task_struct.group_leader", offsets.task_group_leader),
            ("task_struct.start_boottime", offsets.task_start_boottime),
        ],
    )
}

/// An error where one of these members is not in the kernel's type information.
pub(super) fn needs(facts: &HostFacts, members: &[(&str, u32)]) -> Reading<()> {
    if let Err(missing) = &facts.btf {
        return Err(missing.clone());
    }
    match members.iter().find(|(_, offset)| *offset == ABSENT) {
        None => Ok(()),
        Some((member, _)) => Err(Missing::new(
            MissingReason::Unsupported,
            format!("the kernel's type information has no {member}"),
        )),
    }
}
