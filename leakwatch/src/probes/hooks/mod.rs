//! The kernel hooks, one row each. Adding one touches its file here, its program in `leakwatch-ebpf`, this table and `docs/operating.md`.

mod requirement;
pub mod oom_mark_victim;
pub mod process_exit;
pub mod process_exec;
pub mod memcg_reclaim;
pub mod signal_deliver;

use super::hook::Hook;

/// All of them.
pub static HOOKS: [&Hook; 5] = [
    &oom_mark_victim::HOOK,
    &process_exit::HOOK,
    &process_exec::HOOK,
    &memcg_reclaim::HOOK,
    &signal_deliver::HOOK,
];

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
