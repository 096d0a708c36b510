//! The post-mortem of an OOM kill.

use crate::dto::final_state::FinalStateBody;
use crate::dto::instant::Instant;
use crate::dto::ledger::LedgerBody;
use crate::dto::link;
use crate::dto::missing::MissingMap;
use crate::dto::page::LossBody;
use crate::dto::profile::source_name;
use crate::dto::verdict::VerdictBody;
use crate::store::post_mortem::PostMortem;
use leakwatch_analysis::model::event::OomScope;
use leakwatch_analysis::model::event::OomVictim;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::units::Bytes;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Why a process was killed, and what was known of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = OomKill)]
pub struct OomKillBody {
    /// Opaque.
    pub id: String,
    /// When the victim was marked.
    pub at: Instant,
    /// `memcg` or `global`.
    pub scope: Option<String>,
    /// Id of the target.
    pub target: Option<String>,
    /// The victim's cgroup.
    pub cgroup_path: Option<String>,
    /// The cgroup whose limit was hit: the victim's or an ancestor of it.
    pub memcg_path: Option<String>,
    /// Its limit.
    pub limit_bytes: Option<u64>,
    /// Its charge.
    pub charge_bytes: Option<u64>,
    /// Who was killed.
    pub victim: VictimBody,
    /// Whose allocation found no memory.
    pub trigger: TriggerBody,
    /// Who else was in the cgroup.
    pub other_processes: Vec<OtherProcessBody>,
    /// Time between the last sample and the kill.
    pub last_sample_age_seconds: Option<f64>,
    /// The last profiles of the victim.
    pub profiles: Vec<LastProfileBody>,
    /// What was read of the victim while it died, and how complete it is.
    pub at_death: FinalStateBody,
    /// The cgroup's memory in the last sample.
    pub ledger: LedgerBody,
    /// The verdict on what was known then.
    pub verdict: Option<VerdictBody>,
    /// Somebody wants it kept, whatever its age.
    pub pinned: bool,
    /// Why fields are `null`.
    pub missing: MissingMap,
    /// What was dropped since the daemon started and may affect this.
    pub losses: Vec<LossBody>,
}

/// The victim, as the kernel recorded it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Victim)]
pub struct VictimBody {
    /// Process id.
    pub pid: u32,
    /// Command name.
    pub comm: String,
    /// Anonymous resident memory.
    pub rss_anon_bytes: Option<u64>,
    /// File-backed resident memory.
    pub rss_file_bytes: Option<u64>,
    /// Resident shared memory.
    pub rss_shmem_bytes: Option<u64>,
    /// Page tables.
    pub page_table_bytes: Option<u64>,
    /// In force when it was chosen.
    pub oom_score_adj: Option<i16>,
    /// Why fields are `null`.
    pub missing: MissingMap,
}

/// The task that asked for memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Trigger)]
pub struct TriggerBody {
    /// Process id.
    pub pid: u32,
    /// Command name of the thread.
    pub comm: String,
}

/// A process that shared the cgroup with the victim.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = OtherProcess)]
pub struct OtherProcessBody {
    /// Id of the process.
    pub id: String,
    /// Process id.
    pub pid: u32,
    /// Command name.
    pub comm: String,
    /// Resident memory in the last sample.
    pub rss_bytes: Option<u64>,
    /// Whether it is older than the victim. It lives on, and who supervises it may not notice that the victim is gone.
    pub older: Option<bool>,
    /// Why fields are `null`.
    pub missing: MissingMap,
}

/// The last profile of a type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = LastProfile)]
pub struct LastProfileBody {
    /// Profile type.
    pub r#type: String,
    /// `kernel_at_death`, `snapshot` or `endpoint`.
    pub source: String,
    /// Its age when the victim was killed.
    pub age_seconds: f64,
    /// False when stacks were cut off or lost.
    pub complete: bool,
    /// What was cut off or lost in it, by reason.
    pub losses: Vec<LossBody>,
    /// Where it is; stays valid when the target is forgotten.
    pub link: String,
}

impl OomKillBody {
    /// A stored post-mortem.
    pub fn new(post_mortem: &PostMortem, losses: Vec<LossBody>) -> Self {
        let kill = &post_mortem.kill;
        let mut missing = MissingMap::default();
        let memcg = kill.memcg.as_ref();
        let target = post_mortem.target.as_ref();
        let verdict = match (target, &post_mortem.verdict) {
            (Some(id), Some(verdict)) => Some(VerdictBody::new(id, verdict)),
            _ => None,
        };
        let sampled_at = post_mortem.last_sample_age.map(|age| kill.at.minus(age));
        Self {
            id: post_mortem.id.clone(),
            at: kill.at.into(),
            scope: missing.take("scope", kill.scope.as_ref(), |scope| scope_name(*scope).to_owned()),
            target: missing.applicable("target", target.map(ToString::to_string), "its cgroup was not known"),
            cgroup_path: missing.take("cgroup_path", kill.cgroup.as_ref(), |cgroup| cgroup.path.clone()),
            memcg_path: missing.take("memcg_path", memcg, |memcg| memcg.cgroup.path.clone()),
            limit_bytes: missing.take("limit_bytes", memcg, |memcg| memcg.limit.0),
            charge_bytes: missing.take("charge_bytes", memcg, |memcg| memcg.charge.0),
            victim: VictimBody::from(&kill.victim),
            trigger: TriggerBody {
                pid: kill.trigger.pid,
                comm: kill.trigger.comm.clone(),
            },
            other_processes: post_mortem
                .other_processes
                .iter()
                .map(|process| {
                    let mut missing = MissingMap::default();
                    OtherProcessBody {
                        id: process.key.to_string(),
                        pid: process.key.pid,
                        comm: process.comm.clone(),
                        rss_bytes: missing.take("rss_bytes", process.memory.as_ref(), |memory| memory.rss.0),
                        older: missing.applicable(
                            "older",
                            kill.victim.start_ticks.map(|victim| process.key.start_ticks < victim),
                            "when the victim started is not known",
                        ),
                        missing,
                    }
                })
                .collect(),
            last_sample_age_seconds: missing.applicable(
                "last_sample_age_seconds",
                post_mortem.last_sample_age.map(|age| age.as_secs_f64()),
                "the cgroup was never sampled",
            ),
            profiles: post_mortem
                .profiles
                .iter()
                .map(|snapshot| LastProfileBody {
                    r#type: snapshot.profile_type.name().to_owned(),
                    source: source_name(snapshot.source).to_owned(),
                    age_seconds: kill.at.since(snapshot.at).as_secs_f64(),
                    complete: snapshot.is_complete(),
                    losses: LossBody::of_profile(&snapshot.losses),
                    link: format!(
                        "{}/profiles/{}",
                        link::oom_kill(&post_mortem.id),
                        snapshot.profile_type.name()
                    ),
                })
                .collect(),
            at_death: FinalStateBody::new(post_mortem),
            ledger: LedgerBody::of_memory(&post_mortem.last_memory, sampled_at),
            verdict: missing.applicable("verdict", verdict, "it was killed before it could be judged"),
            pinned: post_mortem.pinned,
            missing,
            losses,
        }
    }
}

impl From<&OomVictim> for VictimBody {
    fn from(victim: &OomVictim) -> Self {
        let mut missing = MissingMap::default();
        let mut bytes =
            |field, reading: &Reading<Bytes>| missing.take(field, reading.as_ref(), |bytes: &Bytes| bytes.0);
        Self {
            pid: victim.pid,
            comm: victim.comm.clone(),
            rss_anon_bytes: bytes("rss_anon_bytes", &victim.rss_anon),
            rss_file_bytes: bytes("rss_file_bytes", &victim.rss_file),
            rss_shmem_bytes: bytes("rss_shmem_bytes", &victim.rss_shmem),
            page_table_bytes: bytes("page_table_bytes", &victim.page_tables),
            oom_score_adj: missing.take("oom_score_adj", victim.oom_score_adj.as_ref(), |score| *score),
            missing,
        }
    }
}

const fn scope_name(scope: OomScope) -> &'static str {
    match scope {
        OomScope::Memcg => "memcg",
        OomScope::Global => "global",
    }
}
