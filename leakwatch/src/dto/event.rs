//! Events.

use crate::dto::instant::Instant;
use crate::dto::investigation::AnswerBody;
use crate::dto::link;
use crate::dto::missing::MissingBody;
use crate::dto::missing::MissingMap;
use crate::dto::missing::Reason;
use crate::dto::ruling::ALL_VERSIONS;
use crate::store::event::Event;
use crate::store::event::EventKind;
use crate::store::event::RulingChange;
use leakwatch_analysis::history::WindowEnd;
use leakwatch_analysis::model::event::ProcessExit;
use leakwatch_analysis::model::killer::Killer;
use leakwatch_analysis::model::ruling::Ruled;
use leakwatch_analysis::model::ruling::Ruling;
use leakwatch_analysis::model::sample::Limit;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Names of all kinds of events; `capture` is for captures on request.
pub const KINDS: [&str; 10] = [
    "oom_kill",
    "process_exit",
    "restart",
    "limit_change",
    "verdict_change",
    "deploy",
    "capture",
    "loss",
    "config_reload",
    "ruling",
];

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Event)]
pub struct EventBody {
    /// Opaque; later events have other ids.
    pub id: String,
    /// When.
    pub at: Instant,
    /// What kind.
    pub kind: String,
    /// Id of the target.
    pub target: Option<String>,
    /// Whether a person had muted the target: it alerted nobody.
    #[serde(default)]
    pub muted: bool,
    /// A sentence.
    pub summary: String,
    /// What belongs to the kind.
    pub detail: EventDetail,
    /// Why fields are `null`.
    pub missing: MissingMap,
}

/// What belongs to a kind of event. Fields that may be `null` are demanded all the same: they tell the kinds apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum EventDetail {
    /// `oom_kill`
    OomKill {
        /// Id of the post-mortem.
        oom_kill: String,
        /// Where it is.
        link: String,
        /// Process id of the victim.
        pid: u32,
        /// Command name of the victim.
        comm: String,
    },
    /// `process_exit`
    ProcessExit {
        /// Id of the process.
        process: String,
        /// Process id.
        pid: u32,
        /// Command name.
        comm: String,
        /// Exit code; `null` when a signal ended it.
        #[schema(required)]
        #[serde(deserialize_with = "Option::deserialize")]
        exit_code: Option<u32>,
        /// Signal that ended it; `null` when it exited.
        #[schema(required)]
        #[serde(deserialize_with = "Option::deserialize")]
        signal: Option<u32>,
        /// Who sent the SIGKILL that ended it; `null` when none did or that is not known.
        #[serde(default)]
        killer: Option<KillerBody>,
        /// Why fields are `null`.
        missing: MissingMap,
    },
    /// `restart`
    Restart {
        /// `oom_kill`, `restart` or `limit_change`.
        ended_by: String,
    },
    /// `limit_change`
    LimitChange {
        /// Before; `null` for none.
        #[schema(required)]
        #[serde(deserialize_with = "Option::deserialize")]
        from_bytes: Option<u64>,
        /// Now; `null` for none.
        #[schema(required)]
        #[serde(deserialize_with = "Option::deserialize")]
        to_bytes: Option<u64>,
        /// Why fields are `null`.
        missing: MissingMap,
    },
    /// `verdict_change`
    VerdictChange {
        /// Class before; `null` for the first verdict.
        #[schema(required)]
        #[serde(deserialize_with = "Option::deserialize")]
        from: Option<String>,
        /// Class now.
        to: String,
        /// Why fields are `null`.
        missing: MissingMap,
    },
    /// `deploy`
    Deploy {
        /// Name of the service.
        service: String,
        /// Build id of the version before.
        from_version: String,
        /// Build id of the version now.
        to_version: String,
    },
    /// `loss`
    Loss {
        /// Why.
        reason: String,
        /// How many.
        count: u64,
    },
    /// `config_reload`
    ConfigReload {
        /// Why the configuration before is still in force; `null` when the new one is.
        #[schema(required)]
        #[serde(deserialize_with = "Option::deserialize")]
        refused: Option<String>,
        /// Settings with a new value that is in force.
        applied: Vec<String>,
        /// Settings with a new value that a restart of the daemon puts in force.
        need_restart: Vec<String>,
        /// Why fields are `null`.
        missing: MissingMap,
    },
    /// `ruling`
    Ruling {
        /// Id of the mute or the overrule.
        ruling: String,
        /// `mute` or `overrule`.
        ruled: String,
        /// `made`, `taken_back` or `expired`.
        change: String,
        /// Name of the service.
        service: String,
        /// Version that it is for; `null` for all.
        #[schema(required)]
        #[serde(deserialize_with = "Option::deserialize")]
        version: Option<String>,
        /// Why it was made.
        reason: String,
        /// When it ends by itself.
        until: Instant,
        /// Why fields are `null`.
        missing: MissingMap,
    },
}

/// Who ended a process by SIGKILL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Killer)]
pub struct KillerBody {
    /// `oom_killer`, `kernel`, `memory_daemon` (systemd-oomd and the like), `container_runtime` (a stop, or an eviction by the kubelet: the kernel does
    /// not tell which), `service_manager` or `process`.
    pub kind: String,
    /// Process that sent it; with `kernel` the one that ran then.
    pub pid: Option<u32>,
    /// Name of the thread that sent it.
    pub comm: Option<String>,
    /// Why fields are `null`.
    pub missing: MissingMap,
}

impl From<&Killer> for KillerBody {
    fn from(killer: &Killer) -> Self {
        let mut missing = MissingMap::default();
        let why = "the post-mortem of the OOM kill has more";
        Self {
            kind: killer.kind().name().to_owned(),
            pid: missing.applicable("pid", killer.sender().map(|(pid, _)| pid), why),
            comm: missing.applicable("comm", killer.sender().map(|(_, comm)| comm.to_owned()), why),
            missing,
        }
    }
}

impl From<&Event> for EventBody {
    fn from(event: &Event) -> Self {
        let mut missing = MissingMap::default();
        let target = event.target.as_ref().map(ToString::to_string);
        let (summary, detail) = describe(&event.kind);
        Self {
            id: event.id.to_string(),
            at: event.at.into(),
            kind: event.kind.name().to_owned(),
            muted: event.muted,
            target: missing.applicable("target", target, "it belongs to no known target"),
            summary,
            detail,
            missing,
        }
    }
}

fn describe(kind: &EventKind) -> (String, EventDetail) {
    let mut missing = MissingMap::default();
    match kind {
        EventKind::OomKill {
            post_mortem,
            victim_pid,
            victim_comm,
        } => (
            format!("the OOM killer killed {victim_comm} (pid {victim_pid})"),
            EventDetail::OomKill {
                oom_kill: post_mortem.clone(),
                link: link::oom_kill(post_mortem),
                pid: *victim_pid,
                comm: victim_comm.clone(),
            },
        ),
        EventKind::ProcessExit(exit) => ended(exit),
        EventKind::Restart { end } => {
            let (name, how) = match end {
                WindowEnd::OomKill => ("oom_kill", "after an OOM kill"),
                WindowEnd::Restart => ("restart", "in the place of one that ended"),
                WindowEnd::LimitChange => ("limit_change", "with a new limit"),
            };
            (
                format!("another main process runs {how}"),
                EventDetail::Restart {
                    ended_by: name.to_owned(),
                },
            )
        }
        EventKind::LimitChange { from, to } => {
            let text = |limit: Limit| {
                limit
                    .bytes()
                    .map_or_else(|| "no limit".to_owned(), |bytes| bytes.to_string())
            };
            let mut bytes =
                |field, limit: Limit| missing.applicable(field, limit.bytes().map(|bytes| bytes.0), "no limit is set");
            (
                format!("the limit changed from {} to {}", text(*from), text(*to)),
                EventDetail::LimitChange {
                    from_bytes: bytes("from_bytes", *from),
                    to_bytes: bytes("to_bytes", *to),
                    missing,
                },
            )
        }
        EventKind::VerdictChange { from, to } => {
            let before = from.map(|class| class.name().to_owned());
            let summary = match &before {
                Some(before) => format!("the verdict changed from {before} to {}", to.name()),
                None => format!("the first verdict is {}", to.name()),
            };
            let from = missing.applicable("from", before, "it is the first verdict");
            (
                summary,
                EventDetail::VerdictChange {
                    from,
                    to: to.name().to_owned(),
                    missing,
                },
            )
        }
        EventKind::Deploy { service, from, to } => {
            let short = |version: &str| version.chars().take(12).collect::<String>();
            (
                format!("{service} was deployed: version {} after {}", short(to), short(from)),
                EventDetail::Deploy {
                    service: service.clone(),
                    from_version: from.clone(),
                    to_version: to.clone(),
                },
            )
        }
        EventKind::Loss { reason, count } => (
            format!("{count} lost: {reason}"),
            EventDetail::Loss {
                reason: reason.to_string(),
                count: *count,
            },
        ),
        EventKind::ConfigReload(reload) => {
            let changes = reload.outcome.clone().unwrap_or_default();
            let refused = reload.outcome.as_ref().err().cloned();
            (
                reload.to_string(),
                EventDetail::ConfigReload {
                    refused: missing.applicable("refused", refused, "the configuration was loaded"),
                    applied: changes.applied.iter().map(ToString::to_string).collect(),
                    need_restart: changes.need_restart.iter().map(ToString::to_string).collect(),
                    missing,
                },
            )
        }
        EventKind::Ruling { ruling, change } => ruled(ruling, *change),
    }
}

/// How a process ended, and who ended it.
fn ended(exit: &ProcessExit) -> (String, EventDetail) {
    let mut missing = MissingMap::default();
    let status = missing.take("exit_code", exit.exit_code.as_ref(), |code| *code);
    // The low 7 bits are the signal, bits 8 to 15 the exit code.
    let signal = status.map(|status| status & 0x7f).filter(|signal| *signal != 0);
    let exit_code = status.filter(|_| signal.is_none()).map(|status| (status >> 8) & 0xff);
    let killer = exit.killer.as_ref().map(KillerBody::from);
    if exit.was_killed() && killer.is_none() {
        missing.note("killer", unknown_killer());
    }
    let how = match (signal, exit_code) {
        _ if exit.was_killed() => match &exit.killer {
            Some(killer) => format!("was killed by {killer}"),
            None => {
                "was killed by SIGKILL, not by the kernel's OOM killer as far as is known; who sent it is not known"
                    .to_owned()
            }
        },
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended".to_owned(),
    };
    (
        format!("{} (pid {}) {how}", exit.comm, exit.key.pid),
        EventDetail::ProcessExit {
            process: exit.key.to_string(),
            pid: exit.key.pid,
            comm: exit.comm.clone(),
            exit_code: missing.applicable("exit_code", exit_code, "a signal ended it"),
            signal: missing.applicable("signal", signal, "no signal is known to have ended it"),
            killer: missing.applicable("killer", killer, "no SIGKILL is known to have ended it"),
            missing,
        },
    )
}

/// What became of what a person ruled.
fn ruled(ruling: &Ruling, change: RulingChange) -> (String, EventDetail) {
    let mut missing = MissingMap::default();
    let of = match &ruling.version {
        Some(version) => format!("{} {version}", ruling.service),
        None => ruling.service.clone(),
    };
    let (ruled, what) = match ruling.ruled {
        Ruled::Mute => ("mute", format!("leaks and kills of {of} alert nobody")),
        Ruled::Overrule(step, answer) => {
            let answer = AnswerBody::from(answer).name();
            (
                "overrule",
                format!("the answer to {} is {answer} for {of}", step.name()),
            )
        }
    };
    let until = Instant::from(ruling.until);
    let summary = match change {
        RulingChange::Made => format!("{what} until {until}: {}", ruling.reason),
        RulingChange::TakenBack => format!("taken back: {what}"),
        RulingChange::Expired => format!("over: {what}"),
    };
    let detail = EventDetail::Ruling {
        ruling: ruling.id.clone(),
        ruled: ruled.to_owned(),
        change: change.name().to_owned(),
        service: ruling.service.clone(),
        version: missing.applicable("version", ruling.version.clone(), ALL_VERSIONS),
        reason: ruling.reason.clone(),
        until,
        missing,
    };
    (summary, detail)
}

fn unknown_killer() -> MissingBody {
    MissingBody {
        reason: Reason::Failed,
        detail: "nobody was seen sending it: before the daemon began to look, or beyond 1,024 processes that were killed at once".to_owned(),
        fix: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakwatch_analysis::detect::stable;
    use leakwatch_analysis::model::event::ConfigChanges;
    use leakwatch_analysis::model::event::ConfigReload;
    use leakwatch_analysis::model::target::ProcessKey;
    use leakwatch_analysis::model::units::Bytes;
    use leakwatch_analysis::model::units::Timestamp;

    #[test]
    fn every_kind_reads_back_as_itself() {
        let key = ProcessKey { pid: 7, start_ticks: 9 };
        let at = Timestamp::from_unix_seconds(1);
        for kind in [
            EventKind::OomKill {
                post_mortem: "k1".to_owned(),
                victim_pid: 7,
                victim_comm: "a".to_owned(),
            },
            EventKind::ProcessExit(ProcessExit {
                at,
                key,
                comm: "a".to_owned(),
                exit_code: Ok(9),
                cgroup_inode: None,
                killer: Some(Killer::Process {
                    pid: 1,
                    comm: "systemd".to_owned(),
                }),
            }),
            EventKind::Restart {
                end: WindowEnd::Restart,
            },
            EventKind::LimitChange {
                from: Limit::Max,
                to: Limit::Bytes(Bytes(1)),
            },
            EventKind::VerdictChange {
                from: None,
                to: stable::CLASS,
            },
            EventKind::Deploy {
                service: "checkout".to_owned(),
                from: "1".to_owned(),
                to: "2".to_owned(),
            },
            EventKind::Loss {
                reason: "x".into(),
                count: 1,
            },
            EventKind::ConfigReload(ConfigReload {
                at,
                outcome: Err("unknown key".to_owned()),
            }),
            EventKind::ConfigReload(ConfigReload {
                at,
                outcome: Ok(ConfigChanges {
                    applied: vec!["interval".into()],
                    need_restart: Vec::new(),
                }),
            }),
            EventKind::Ruling {
                ruling: Ruling {
                    id: "1".to_owned(),
                    service: "checkout".to_owned(),
                    version: None,
                    ruled: Ruled::Mute,
                    reason: "known".to_owned(),
                    made_at: at,
                    until: at,
                },
                change: RulingChange::Made,
            },
        ] {
            let body = EventBody::from(&Event {
                id: 1,
                at,
                target: None,
                kind,
                muted: true,
            });
            let text = serde_json::to_string(&body).unwrap();
            let read: EventBody = serde_json::from_str(&text).unwrap();
            assert_eq!(read, body);
        }
    }
}
