//! Events.

use crate::dto::instant::Instant;
use crate::dto::link;
use crate::dto::missing::MissingMap;
use crate::store::event::Event;
use crate::store::event::EventKind;
use leakwatch_analysis::history::WindowEnd;
use leakwatch_analysis::model::sample::Limit;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Names of all kinds of events; `capture` is for captures on request.
pub const KINDS: [&str; 9] = [
    "oom_kill",
    "process_exit",
    "restart",
    "limit_change",
    "verdict_change",
    "deploy",
    "capture",
    "loss",
    "config_reload",
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
        EventKind::ProcessExit(exit) => {
            let status = missing.take("exit_code", exit.exit_code.as_ref(), |code| *code);
            // The low 7 bits are the signal, bits 8 to 15 the exit code.
            let signal = status.map(|status| status & 0x7f).filter(|signal| *signal != 0);
            let exit_code = status.filter(|_| signal.is_none()).map(|status| (status >> 8) & 0xff);
            let how = match (signal, exit_code) {
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
                    missing,
                },
            )
        }
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leakwatch_analysis::detect::stable;
    use leakwatch_analysis::model::event::ConfigChanges;
    use leakwatch_analysis::model::event::ConfigReload;
    use leakwatch_analysis::model::event::ProcessExit;
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
        ] {
            let body = EventBody::from(&Event {
                id: 1,
                at,
                target: None,
                kind,
            });
            let text = serde_json::to_string(&body).unwrap();
            let read: EventBody = serde_json::from_str(&text).unwrap();
            assert_eq!(read, body);
        }
    }
}
