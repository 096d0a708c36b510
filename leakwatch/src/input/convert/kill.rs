//! OOM kills.

use crate::input::convert::error::Converted;
use crate::input::convert::error::required;
use crate::input::convert::field::bytes_from;
use crate::input::convert::field::bytes_to;
use crate::input::convert::field::cgroup_from;
use crate::input::convert::field::cgroup_to;
use crate::input::convert::field::missing_from;
use crate::input::convert::field::missing_to;
use crate::input::convert::field::number_from;
use crate::input::convert::field::number_to;
use crate::input::convert::field::position;
use crate::input::messages;
use leakwatch_analysis::model::event;
use leakwatch_analysis::model::event::OomScope;
use leakwatch_analysis::model::killer::Killer;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;

// Numbers on the wire are positions in this table: append only.
const SCOPES: [OomScope; 2] = [OomScope::Memcg, OomScope::Global];

pub(super) fn kill_to(kill: &event::OomKill) -> messages::OomKill {
    let victim = &kill.victim;
    messages::OomKill {
        scope: Some(number_to(&kill.scope, |scope| i64::from(position(&SCOPES, scope)))),
        cgroup: kill.cgroup.as_ref().ok().map(cgroup_to),
        cgroup_missing: kill.cgroup.as_ref().err().map(missing_to),
        memcg: kill.memcg.as_ref().ok().map(|memcg| messages::OomMemcg {
            cgroup: Some(cgroup_to(&memcg.cgroup)),
            limit: memcg.limit.0,
            charge: memcg.charge.0,
        }),
        memcg_missing: kill.memcg.as_ref().err().map(missing_to),
        victim_pid: victim.pid,
        victim_start_ticks: victim.start_ticks,
        victim_comm: victim.comm.clone(),
        rss_anon: Some(bytes_to(&victim.rss_anon)),
        rss_file: Some(bytes_to(&victim.rss_file)),
        rss_shmem: Some(bytes_to(&victim.rss_shmem)),
        page_tables: Some(bytes_to(&victim.page_tables)),
        oom_score_adj: Some(number_to(&victim.oom_score_adj, |score| i64::from(*score))),
        trigger_pid: kill.trigger.pid,
        trigger_comm: kill.trigger.comm.clone(),
        read_at_death: victim.read_at_death,
    }
}

pub(super) fn kill_from(at: Timestamp, kill: messages::OomKill) -> Converted<event::OomKill> {
    let scope = number_from(kill.scope, "scope", |index| {
        SCOPES.get(usize::try_from(index).ok()?).copied()
    })?;
    let cgroup = match (kill.cgroup, kill.cgroup_missing) {
        (_, Some(missing)) => Err(missing_from(missing)),
        (cgroup, None) => Ok(cgroup_from(required(cgroup, "cgroup")?)),
    };
    let memcg = match (kill.memcg, kill.memcg_missing) {
        (_, Some(missing)) => Err(missing_from(missing)),
        (memcg, None) => {
            let memcg = required(memcg, "memcg")?;
            Ok(event::OomMemcg {
                cgroup: cgroup_from(required(memcg.cgroup, "memcg cgroup")?),
                limit: Bytes(memcg.limit),
                charge: Bytes(memcg.charge),
            })
        }
    };
    Ok(event::OomKill {
        at,
        scope,
        cgroup,
        memcg,
        victim: event::OomVictim {
            pid: kill.victim_pid,
            start_ticks: kill.victim_start_ticks,
            comm: kill.victim_comm,
            rss_anon: bytes_from(kill.rss_anon, "rss_anon")?,
            rss_file: bytes_from(kill.rss_file, "rss_file")?,
            rss_shmem: bytes_from(kill.rss_shmem, "rss_shmem")?,
            page_tables: bytes_from(kill.page_tables, "page_tables")?,
            oom_score_adj: number_from(kill.oom_score_adj, "oom_score_adj", |score| i16::try_from(score).ok())?,
            read_at_death: kill.read_at_death,
        },
        trigger: event::OomTrigger {
            pid: kill.trigger_pid,
            comm: kill.trigger_comm,
        },
    })
}

/// Who killed a process; not known if it is of a kind that only a later version knows.
pub(super) fn killer_from(message: messages::Killer) -> Option<Killer> {
    let messages::Killer { kind, pid, comm } = message;
    match kind {
        0 => Some(Killer::OomKiller),
        1 => Some(Killer::Kernel { pid, comm }),
        2 => Some(Killer::Process { pid, comm }),
        _ => None,
    }
}

pub(super) fn killer_to(killer: &Killer) -> messages::Killer {
    let kind = match killer {
        Killer::OomKiller => 0,
        Killer::Kernel { .. } => 1,
        Killer::Process { .. } => 2,
    };
    let (pid, comm) = killer.sender().unwrap_or_default();
    messages::Killer {
        kind,
        pid,
        comm: comm.to_owned(),
    }
}
