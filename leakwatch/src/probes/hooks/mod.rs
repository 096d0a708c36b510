//! The kernel hooks, one row each. Adding one touches its file here, its program in `leakwatch-ebpf`, this table and `docs/operating.md`.

pub mod oom_mark_victim;
pub mod process_exit;
pub mod process_exec;
pub mod memcg_reclaim;
pub mod signal_deliver;

use super::hook::Hook;
use super::host::HostFacts;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_common::config::ABSENT;
use leakwatch_common::config::ProbeConfig;
use std::time::Duration;

/// All of them.
pub static HOOKS: [&Hook; 5] = [
    &oom_mark_victim::HOOK,
    &process_exit::HOOK,
    &process_exec::HOOK,
    &memcg_reclaim::HOOK,
    &signal_deliver::HOOK,
];

/// How long exits and new programs gather before they are drained. The ring holds that much of 36,000 exits per second.
const BATCH: Duration = Duration::from_millis(100);

/// The fix where a kernel does not describe its structures.
const NEEDS_BTF: &str = "needs a kernel built with CONFIG_DEBUG_INFO_BTF=y";

/// What every hook needs that identifies a process.
fn identifies_processes(facts: &HostFacts, offsets: &ProbeConfig) -> Reading<()> {
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
fn needs(facts: &HostFacts, members: &[(&str, u32)]) -> Reading<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_is_documented() {
        let documented = include_str!("../../../../docs/operating.md");
        for hook in HOOKS {
            assert!(documented.contains(&format!("`{}`", hook.name)), "{hook:?}");
        }
    }
}
