//! An OOM kill: the kernel's record is joined with the last that was known of the target.

use crate::engine::final_heap;
use crate::engine::judge;
use crate::store::event::EventKind;
use crate::store::memory::Memory;
use crate::store::post_mortem::OtherProcess;
use crate::store::post_mortem::PostMortem;
use crate::store::target::News;
use leakwatch_analysis::history::ProcessRecord;
use leakwatch_analysis::history::SnapshotSeries;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::event::OomKill;
use leakwatch_analysis::model::event::OomTrigger;
use leakwatch_analysis::model::event::OomVictim;
use leakwatch_analysis::model::event::ProcessExit;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::target::CgroupKey;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// A cgroup is sampled for the first time within this time after a kill in it, or it is another one at the same place.
const FIRST_SAMPLE: Duration = Duration::from_mins(1);
/// A victim with much memory takes seconds to die.
const DIES_WITHIN: Duration = Duration::from_mins(10);
/// Kills among which that of a process that ended is looked for.
const RECENT_KILLS: usize = 64;

/// Takes in a kill and writes its post-mortem at once, before anything newer overwrites what was known.
pub(super) fn oom_kill(memory: &mut Memory, kill: OomKill) {
    let target = target_of(memory, &kill);
    let event = EventKind::OomKill {
        post_mortem: id_of(&kill),
        victim_pid: kill.victim.pid,
        victim_comm: kill.victim.comm.clone(),
    };
    let at = kill.at;
    let post_mortem = match &target {
        Some(id) => {
            if let Some(stored) = memory.target_mut(id) {
                stored.history.apply_oom_kill(kill.clone());
                stored.hear(News::Event);
            }
            judge::judge(memory, id, at);
            let post_mortem = known(memory, id, kill);
            judge::bury(memory, id, at);
            post_mortem
        }
        None => unknown(kill),
    };
    let id = post_mortem.id.clone();
    memory.count_oom_kill(target.as_ref());
    memory.push_post_mortem(post_mortem);
    memory.push_event(at, target, event);
    final_heap::find(memory, &id);
}

/// Takes in that a post-mortem is to be kept, or not any more.
pub(super) fn pin(memory: &mut Memory, id: &str, pinned: bool) {
    let is_full = memory.post_mortems().filter(|post_mortem| post_mortem.pinned).count() >= PostMortem::MOST_PINNED;
    if pinned && is_full {
        memory.count_loss("pin_bound_reached", 1);
    } else if let Some(post_mortem) = memory.post_mortem_mut(id) {
        post_mortem.pinned = pinned;
    }
}

/// Whether the OOM killer chose the process that ended.
pub(super) fn is_of(memory: &Memory, exit: &ProcessExit) -> bool {
    let is_victim = |post_mortem: &PostMortem| {
        let (kill, victim) = (&post_mortem.kill, &post_mortem.kill.victim);
        // Where the record does not tell when the victim started, another process with its pid would have to have been killed at once.
        let same_start = victim.start_ticks.is_none_or(|start| start == exit.key.start_ticks);
        victim.pid == exit.key.pid && same_start && exit.at.since(kill.at) <= DIES_WITHIN
    };
    let mut recent = memory.post_mortems().rev().take(RECENT_KILLS);
    recent.any(is_victim)
}

/// News of a kill can be quicker than the first sample of its cgroup. Once that is a target the kill is its own: its counter must not tell of it
/// again.
pub(super) fn killed_before_seen(memory: &mut Memory, at: Timestamp, cgroup: &CgroupKey) {
    let target = TargetId::from(cgroup);
    let is_meant = |post_mortem: &PostMortem| {
        post_mortem.target.is_none()
            && post_mortem.kill.cgroup.as_ref() == Ok(cgroup)
            && at.since(post_mortem.kill.at) <= FIRST_SAMPLE
    };
    let mut kills = Vec::new();
    for post_mortem in memory.post_mortems_mut(is_meant) {
        post_mortem.target = Some(target.clone());
        kills.push(post_mortem.kill.clone());
    }
    if let Some(stored) = memory.target_mut(&target) {
        for kill in kills {
            stored.history.apply_oom_kill(kill);
        }
    }
}

/// Without the kernel probe a kill still shows in the cgroup's own counter. Kills that were counted there but never
/// reported by the probe get a post-mortem that says what is not known.
pub(super) fn kills_only_counted(memory: &mut Memory, sample: &Sample) {
    let Some(stored) = memory.target_mut(&sample.target) else {
        return;
    };
    let Some(unreported) = stored.history.unreported_oom_kills() else {
        return;
    };
    let unprobed = |field: &str| {
        Missing::new(
            MissingReason::NotConfigured,
            format!("the kernel probe did not report this kill: {field} unknown"),
        )
        .with_fix("run `leakwatch doctor` to see why the OOM probe is not attached")
    };
    let victim = stored.history.largest_gone_process();
    let kill = OomKill {
        at: sample.at,
        scope: Err(unprobed("scope")),
        cgroup: Ok(stored.history.target.cgroup.clone()),
        memcg: Err(unprobed("memory cgroup")),
        victim: OomVictim {
            pid: victim.map_or(0, |record| record.process.key.pid),
            start_ticks: victim.map(|record| record.process.key.start_ticks),
            comm: victim.map_or_else(|| "unknown".to_owned(), |record| record.process.comm.clone()),
            rss_anon: last_memory(victim, &unprobed).map(|memory| memory.anon),
            rss_file: last_memory(victim, &unprobed).map(|memory| memory.file),
            rss_shmem: last_memory(victim, &unprobed).map(|memory| memory.shmem),
            page_tables: Err(unprobed("page tables")),
            oom_score_adj: Err(unprobed("oom_score_adj")),
            read_at_death: false,
        },
        trigger: OomTrigger {
            pid: 0,
            comm: "unknown".to_owned(),
        },
    };
    for index in 0..unreported {
        // One nanosecond apart: each post-mortem has an id of its own.
        oom_kill(
            memory,
            OomKill {
                at: kill.at.plus(Duration::from_nanos(index)),
                ..kill.clone()
            },
        );
    }
}

fn last_memory(
    victim: Option<&ProcessRecord>,
    unprobed: &dyn Fn(&str) -> Missing,
) -> Result<leakwatch_analysis::model::sample::ProcessMemory, Missing> {
    victim.map_or_else(|| Err(unprobed("victim")), |record| record.memory.clone())
}

fn id_of(kill: &OomKill) -> String {
    format!("oom-{:x}-{}", kill.at.unix_nanos(), kill.victim.pid)
}

fn target_of(memory: &Memory, kill: &OomKill) -> Option<TargetId> {
    if let Ok(cgroup) = &kill.cgroup {
        return memory.target_by_inode(cgroup.inode).cloned();
    }
    let is_victim = |history: &TargetHistory| history.living().any(|record| record.process.key.pid == kill.victim.pid);
    memory
        .targets()
        .find(|(_, stored)| is_victim(&stored.history))
        .map(|(id, _)| id.clone())
}

fn known(memory: &Memory, id: &TargetId, kill: OomKill) -> PostMortem {
    let Some(stored) = memory.target(id) else {
        return unknown(kill);
    };
    let history = &stored.history;
    let sampled = history.newest.is_ok().then(|| kill.at.since(history.newest_at));
    let other_processes = history
        .living()
        .filter(|record| record.process.key.pid != kill.victim.pid)
        .map(|record| OtherProcess {
            key: record.process.key,
            comm: record.process.comm.clone(),
            memory: record.memory.clone(),
        })
        .collect();
    let of_victim = |snapshot: &&Snapshot| snapshot.process.pid == kill.victim.pid;
    let profiles = history
        .snapshots
        .values()
        .filter_map(SnapshotSeries::newest)
        .filter(of_victim)
        .cloned()
        .collect();
    PostMortem {
        id: id_of(&kill),
        target: Some(id.clone()),
        last_sample_age: sampled,
        last_memory: history.newest.clone(),
        other_processes,
        profiles,
        stacks: Arc::clone(&history.stacks),
        verdict: stored
            .investigation
            .as_ref()
            .map(|investigation| investigation.verdict.clone()),
        final_state: None,
        awaits_final_state: kill.victim.read_at_death,
        pinned: false,
        kill,
    }
}

fn unknown(kill: OomKill) -> PostMortem {
    let missing = Missing::new(
        MissingReason::NotYet,
        "the victim's cgroup was never sampled: it lived shorter than one interval",
    );
    PostMortem {
        id: id_of(&kill),
        target: None,
        last_sample_age: None,
        last_memory: Err(missing),
        other_processes: Vec::new(),
        profiles: Vec::new(),
        stacks: Arc::default(),
        verdict: None,
        final_state: None,
        awaits_final_state: kill.victim.read_at_death,
        pinned: false,
        kill,
    }
}
