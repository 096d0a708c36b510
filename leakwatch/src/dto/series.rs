//! Series of a target, aligned to common instants.

use crate::dto::instant::Instant;
use crate::dto::missing::MissingMap;
use crate::dto::page::LossBody;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Aligned series: every `values` has one entry per instant of `at`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = SeriesSet)]
pub struct SeriesSetBody {
    /// Id of the target.
    pub target: String,
    /// Start of the first step.
    pub from: Instant,
    /// End of the last step.
    pub to: Instant,
    /// Length of a step.
    pub step_seconds: f64,
    /// Ends of the steps.
    pub at: Vec<Instant>,
    /// One per metric asked for, in that order.
    pub series: Vec<SeriesBody>,
    /// What was dropped since the daemon started and may affect this.
    pub losses: Vec<LossBody>,
}

/// One series.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Series)]
pub struct SeriesBody {
    /// Name of the metric.
    pub metric: String,
    /// `bytes`, `goroutines` or `collections`.
    pub unit: String,
    /// The newest value in each step; `null` where none was taken.
    pub values: Vec<Option<u64>>,
}

/// Aligned series of the replicas of a service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ServiceSeries)]
pub struct ServiceSeriesBody {
    /// Name of the service.
    pub service: String,
    /// Start of the first step.
    pub from: Instant,
    /// End of the last step.
    pub to: Instant,
    /// Length of a step.
    pub step_seconds: f64,
    /// Ends of the steps.
    pub at: Vec<Instant>,
    /// Living replicas by name, then those that are gone.
    pub replicas: Vec<ReplicaSeriesBody>,
    /// Replicas for which there was no room.
    pub left_out: usize,
    /// What was dropped since the daemon started and may affect this.
    pub losses: Vec<LossBody>,
}

/// The lines of one replica.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = ReplicaSeries)]
pub struct ReplicaSeriesBody {
    /// Id of the target.
    pub target: String,
    /// Name of the target.
    pub name: Option<String>,
    /// Whether its cgroup still exists.
    pub living: bool,
    /// One per metric asked for, in that order.
    pub series: Vec<SeriesBody>,
    /// Why fields are `null`.
    pub missing: MissingMap,
}
