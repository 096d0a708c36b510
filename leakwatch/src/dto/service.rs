//! A service: its replicas, and which of them is the odd one out.

use crate::dto::link;
use crate::dto::missing::MissingMap;
use crate::dto::number::finite;
use crate::dto::page::LossBody;
use crate::query::services::Service;
use crate::store::view::TargetView;
use leakwatch_analysis::model::target::TargetId;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Replicas of one program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Service)]
pub struct ServiceBody {
    /// Its name.
    pub name: String,
    /// Living replicas, by name.
    pub replicas: Vec<ReplicaBody>,
    /// The odd one out.
    pub outlier: Option<OutlierBody>,
    /// Why fields are `null`.
    pub missing: MissingMap,
    /// What was dropped since the daemon started and may affect this.
    pub losses: Vec<LossBody>,
}

/// One replica.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Replica)]
pub struct ReplicaBody {
    /// Id of the target.
    pub target: String,
    /// Name of the target.
    pub name: String,
    /// Where the target is.
    pub link: String,
    /// Whether it is the odd one out.
    pub outlier: bool,
    /// Charge of its cgroup.
    pub charge_bytes: Option<u64>,
    /// Growth of the memory that cannot be reclaimed.
    pub growth_bytes_per_second: Option<f64>,
    /// Class of its verdict.
    pub verdict: Option<String>,
    /// OOM kills seen in it.
    pub oom_kills: u64,
    /// Why fields are `null`.
    pub missing: MissingMap,
}

/// The odd one out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Outlier)]
pub struct OutlierBody {
    /// Id of the target.
    pub target: String,
    /// Why, with the numbers.
    pub because: String,
    /// Robust deviations from the other replicas; `null` when they are all alike but for this one.
    pub score: Option<f64>,
    /// Why fields are `null`.
    #[serde(skip_serializing_if = "MissingMap::is_empty", default)]
    pub missing: MissingMap,
}

impl ServiceBody {
    /// A service with its living replicas.
    pub fn new(service: &Service<'_>, losses: Vec<LossBody>) -> Self {
        let (replicas, outlier) = (&service.replicas, service.outlier.as_ref());
        let mut missing = MissingMap::default();
        let running = replicas.iter().filter(|(_, stored)| stored.has_process()).count();
        let why_not = if running < 2 {
            "there is nothing to compare it with"
        } else {
            "the replicas are alike, or too young to be compared"
        };
        let outlier_body = outlier.map(|outlier| {
            let mut missing = MissingMap::default();
            OutlierBody {
                target: outlier.target.to_string(),
                because: outlier.because.clone(),
                score: missing.applicable("score", finite(outlier.score), "the others do not differ at all"),
                missing,
            }
        });
        let is_outlier = |id: &TargetId| outlier.is_some_and(|outlier| outlier.target == *id);
        Self {
            name: service.name.to_owned(),
            replicas: replicas
                .iter()
                .map(|(id, stored)| ReplicaBody::new(id, stored, is_outlier(id)))
                .collect(),
            outlier: missing.applicable("outlier", outlier_body, why_not),
            missing,
            losses,
        }
    }
}

impl ReplicaBody {
    fn new(id: &TargetId, stored: &TargetView, outlier: bool) -> Self {
        let mut missing = MissingMap::default();
        let verdict = stored.investigation.as_ref().map(|made| &made.verdict);
        let growth = verdict
            .and_then(|verdict| verdict.growth_bytes_per_second)
            .and_then(finite);
        let class = verdict.map(|verdict| verdict.class.name().to_owned());
        Self {
            target: id.to_string(),
            name: stored.history.target.name.clone(),
            link: link::target(id),
            outlier,
            charge_bytes: missing.take("charge_bytes", stored.history.newest.as_ref(), |memory| memory.charge.0),
            growth_bytes_per_second: missing.applicable("growth_bytes_per_second", growth, "no rate was established"),
            verdict: missing.applicable("verdict", class, "it was not judged yet"),
            oom_kills: stored.history.oom_kill_count,
            missing,
        }
    }
}
