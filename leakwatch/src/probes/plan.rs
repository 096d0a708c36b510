//! What to attach on this host, decided from its facts before anything is loaded.

use super::final_heap::WalkBounds;
use super::hook::Hook;
use super::hook::Programs;
use super::hooks::HOOKS;
use super::host::HostFacts;
use super::offsets;
use super::scope::OomCallers;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_common::config::ProbeConfig;

/// Everything that [`super::Probes::start`] needs to know.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Offsets for the programs.
    pub offsets: ProbeConfig,
    /// Every hook.
    pub hooks: Vec<PlannedHook>,
    /// How much is read of a heap at the end of its process.
    pub walk_bounds: WalkBounds,
    /// For telling the scope of a kill; empty where kernel symbols are hidden.
    pub oom_callers: OomCallers,
}

/// What to attach for one hook.
#[derive(Clone, Debug)]
pub struct PlannedHook {
    /// Which.
    pub hook: &'static Hook,
    /// Its programs, or why it cannot be attached.
    pub programs: Reading<Programs>,
    /// Size of its ring: a power of two of whole pages.
    pub ring_bytes: u32,
}

impl Plan {
    /// The best that this host allows.
    pub fn for_host(facts: &HostFacts) -> Self {
        let format = facts.mark_victim_format.as_deref().unwrap_or_default();
        let offsets = offsets::resolve(facts.btf.as_ref().ok(), format);
        let planned = |hook: &'static Hook| PlannedHook {
            hook,
            programs: (hook.programs)(facts, &offsets),
            ring_bytes: hook.ring.bytes,
        };
        Self {
            hooks: HOOKS.into_iter().map(planned).collect(),
            walk_bounds: WalkBounds::default(),
            offsets,
            oom_callers: facts.oom_callers.clone().unwrap_or_default(),
        }
    }

    /// The programs of a hook, or why it cannot be attached.
    pub fn programs(&self, hook: &Hook) -> Reading<Programs> {
        let planned = self.hooks.iter().find(|planned| planned.hook.name == hook.name);
        planned.map_or_else(
            || Err(Missing::new(MissingReason::NotConfigured, "the hook is not planned")),
            |planned| planned.programs.clone(),
        )
    }
}
