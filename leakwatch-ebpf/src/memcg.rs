//! The memory cgroup of a task, found through the task itself: no race with its removal, the same on cgroup v1 and v2.

use crate::kernel::Object;
use crate::kernel::offset;
use leakwatch_common::event::MEMCG_LEVELS;
use leakwatch_common::event::MemcgLevel;

/// `task->cgroups->subsys[memory_cgrp_id]`: the `cgroup_subsys_state` that is the first member of `mem_cgroup`.
#[inline(always)]
pub(crate) fn of_task(task: Object) -> Option<Object> {
    task.follow(offset!(task_cgroups))?.follow(offset!(css_set_memory))
}

/// `memcg->css.cgroup->kn->id`: the inode of the cgroup's directory.
#[inline(always)]
pub(crate) fn cgroup_id(memcg: Object) -> Option<u64> {
    memcg
        .follow(offset!(css_cgroup))?
        .follow(offset!(cgroup_kn))?
        .read(offset!(kernfs_node_id))
}

/// Writes the levels from `memcg` towards the root; returns how many, and whether there are more.
#[inline(always)]
pub(crate) fn walk(memcg: Object, levels: &mut [MemcgLevel; MEMCG_LEVELS]) -> (u32, bool) {
    let mut next = Some(memcg);
    let mut count = 0;
    for level in levels.iter_mut() {
        let Some(memcg) = next else { break };
        if fill(level, memcg).is_none() {
            return (count, false);
        }
        count += 1;
        next = memcg.follow(offset!(css_parent));
    }
    (count, next.is_some())
}

#[inline(always)]
fn fill(level: &mut MemcgLevel, memcg: Object) -> Option<()> {
    let node = memcg.follow(offset!(css_cgroup))?.follow(offset!(cgroup_kn))?;
    level.cgroup_id = node.read(offset!(kernfs_node_id))?;
    level.usage_pages = memcg.read(offset!(memcg_usage))?;
    level.limit_pages = memcg.read(offset!(memcg_max))?;
    node.follow(offset!(kernfs_node_name))?.read_text(&mut level.name)
}
