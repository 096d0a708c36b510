//! Profiles: the list of snapshots, and one profile as a flame graph, a table or a speedscope file.

use crate::dto::instant::Instant;
use crate::dto::link;
use crate::dto::missing::MissingMap;
use crate::dto::page::LossBody;
use crate::dto::source;
use crate::dto::tree::NodeBody;
use crate::query::profiles::Listed;
use leakwatch_analysis::diff::FunctionDelta;
use leakwatch_analysis::export::Speedscope;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::SampleType;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Snapshots of a target.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SnapshotList)]
pub struct SnapshotListBody {
    /// Newest first.
    pub items: Vec<SnapshotBody>,
    /// Give it as `cursor` to get the next page.
    pub next_cursor: Option<String>,
    /// Profile types that have no newer snapshot, and why.
    pub missing: MissingMap,
    /// What was dropped since the daemon started and may affect this.
    pub losses: Vec<LossBody>,
}

/// One snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Snapshot)]
pub struct SnapshotBody {
    /// Opaque.
    pub id: String,
    /// Profile type.
    pub r#type: String,
    /// When it was taken.
    pub at: Instant,
    /// Distinct stacks in it.
    pub samples: usize,
    /// Sum of the default sample type.
    pub total: i64,
    /// `bytes` or `count`.
    pub unit: String,
    /// `kernel_at_death`, `snapshot` or `endpoint`.
    pub source: String,
    /// False when stacks were cut off or lost.
    pub complete: bool,
    /// What was cut off or lost in it, by reason.
    pub losses: Vec<LossBody>,
    /// Id of the process.
    pub process: String,
    /// Where the profile is.
    pub link: String,
}

impl From<&Listed> for SnapshotBody {
    fn from(listed: &Listed) -> Self {
        let sample_type = SampleType::default_of(listed.profile_type);
        Self {
            id: format!("{}-{}", listed.profile_type.name(), listed.at.unix_nanos()),
            r#type: listed.profile_type.name().to_owned(),
            at: listed.at.into(),
            samples: listed.stacks,
            total: sample_type.value(&listed.total),
            unit: sample_type.unit().to_owned(),
            source: source_name(listed.source).to_owned(),
            complete: listed.losses.is_empty(),
            losses: LossBody::of_profile(&listed.losses),
            process: listed.process.to_string(),
            link: link::profile(&listed.target, listed.profile_type, listed.at),
        }
    }
}

/// Name on the wire.
pub const fn source_name(source: ProfileSource) -> &'static str {
    match source {
        ProfileSource::KernelAtDeath => "kernel_at_death",
        ProfileSource::Snapshot => "snapshot",
        ProfileSource::Endpoint => "endpoint",
        ProfileSource::Capture => "capture",
    }
}

/// One profile as a tree.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Flamegraph)]
pub struct FlamegraphBody {
    /// Profile type.
    pub r#type: String,
    /// Sample type.
    pub value: String,
    /// `bytes` or `count`.
    pub unit: String,
    /// When the profile was taken.
    pub at: Instant,
    /// Sum over all stacks.
    pub total: i64,
    /// What is missing in it, by reason; none when it is complete.
    pub losses: Vec<LossBody>,
    /// Root first; the profile's values are in `compare` and `self_compare`, as in a diff with nothing.
    pub tree: NodeBody,
}

/// One profile as a table of functions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Top)]
pub struct TopBody {
    /// Profile type.
    pub r#type: String,
    /// Sample type.
    pub value: String,
    /// `bytes` or `count`.
    pub unit: String,
    /// When the profile was taken.
    pub at: Instant,
    /// Sum over all stacks.
    pub total: i64,
    /// What is missing in it, by reason; none when it is complete.
    pub losses: Vec<LossBody>,
    /// By `flat`, then by `cum`.
    pub top: Vec<TopRowBody>,
}

/// One function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = TopRow)]
pub struct TopRowBody {
    /// Its name.
    pub function: String,
    /// Its source file.
    pub file: Option<String>,
    /// The line that contributes most.
    pub line: Option<u32>,
    /// Value of the stacks that end in it.
    pub flat: i64,
    /// Value of the stacks that contain it.
    pub cum: i64,
    /// Why fields are `null`.
    #[serde(skip_serializing_if = "MissingMap::is_empty", default)]
    pub missing: MissingMap,
}

impl From<&FunctionDelta> for TopRowBody {
    /// Of a diff with nothing: the differences are the values.
    fn from(delta: &FunctionDelta) -> Self {
        let mut missing = MissingMap::default();
        let (file, line) = source::known_file_and_line(&delta.frame, &mut missing);
        Self {
            function: delta.frame.function.to_string(),
            file,
            line,
            flat: delta.flat.delta,
            cum: delta.cum.delta,
            missing,
        }
    }
}

/// A speedscope file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Speedscope)]
pub struct SpeedscopeBody {
    /// Identifies the format.
    #[serde(rename = "$schema")]
    pub schema: String,
    /// Who wrote it.
    pub exporter: String,
    /// What the profiles share.
    pub shared: SpeedscopeShared,
    /// One.
    pub profiles: Vec<SpeedscopeProfile>,
}

/// What the profiles of a speedscope file share.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SpeedscopeShared {
    /// Frames by index.
    pub frames: Vec<SpeedscopeFrame>,
}

/// A frame of a speedscope file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SpeedscopeFrame {
    /// Function.
    pub name: String,
    /// Source file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// The profile of a speedscope file.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpeedscopeProfile {
    /// Always `sampled`.
    pub r#type: String,
    /// Shown by the viewer.
    pub name: String,
    /// `bytes` or `none`.
    pub unit: String,
    /// Always 0.
    pub start_value: i64,
    /// Sum of the weights.
    pub end_value: i64,
    /// Stacks as indices of frames, root first.
    pub samples: Vec<Vec<usize>>,
    /// Value of each stack.
    pub weights: Vec<i64>,
}

impl SpeedscopeBody {
    /// The file for a profile of this name.
    pub fn new(name: String, file: Speedscope<'_>) -> Self {
        let frames = file
            .frames
            .into_iter()
            .map(|frame| SpeedscopeFrame {
                name: frame.function.to_string(),
                file: Some(frame.file.to_string()).filter(|file| !file.is_empty()),
                line: Some(frame.line).filter(|line| *line != 0),
            })
            .collect();
        Self {
            schema: "https://www.speedscope.app/file-format-schema.json".to_owned(),
            exporter: concat!("leakwatch ", env!("CARGO_PKG_VERSION")).to_owned(),
            shared: SpeedscopeShared { frames },
            profiles: vec![SpeedscopeProfile {
                r#type: "sampled".to_owned(),
                name,
                unit: file.unit.to_owned(),
                start_value: 0,
                end_value: file.end_value,
                samples: file.samples,
                weights: file.weights,
            }],
        }
    }
}
