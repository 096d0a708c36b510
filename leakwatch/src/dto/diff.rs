//! Two profiles compared: one tree, and the functions with the largest differences.

use crate::dto::instant::Instant;
use crate::dto::missing::MissingMap;
use crate::dto::page::LossBody;
use crate::dto::source;
use crate::dto::tree::NodeBody;
use leakwatch_analysis::diff::FunctionDelta;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// Compare minus base.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Diff)]
pub struct DiffBody {
    /// Profile type.
    pub r#type: String,
    /// Sample type.
    pub value: String,
    /// `bytes` or `count`.
    pub unit: String,
    /// The earlier profile.
    pub base: DiffSideBody,
    /// The later profile.
    pub compare: DiffSideBody,
    /// What makes two frames the same: `line`, or `function` where the profiles are of different builds, in which lines move.
    pub matched_by: String,
    /// Root first; pruned nodes are summed into `other`.
    pub tree: NodeBody,
    /// The functions with the largest differences.
    pub top: Vec<FunctionDeltaBody>,
}

/// One of the two profiles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = DiffSide)]
pub struct DiffSideBody {
    /// Id of the target.
    pub target: String,
    /// Id of the process.
    pub process: String,
    /// When it was taken.
    pub at: Instant,
    /// Sum over all stacks.
    pub total: i64,
    /// What is missing in it, by reason; none when it is complete.
    pub losses: Vec<LossBody>,
}

/// One function in both profiles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = FunctionDelta)]
pub struct FunctionDeltaBody {
    /// Its name.
    pub function: String,
    /// Its source file.
    pub file: Option<String>,
    /// The line that contributes most to the difference.
    pub line: Option<u32>,
    /// Difference of the stacks that end in it.
    pub flat_delta: i64,
    /// Difference of the stacks that contain it.
    pub cum_delta: i64,
    /// Lower end of the 95 % interval of `flat_delta` (of `cum_delta` where nothing ends in the function).
    pub low: Option<i64>,
    /// Upper end of that interval.
    pub high: Option<i64>,
    /// Why fields are `null`.
    #[serde(skip_serializing_if = "MissingMap::is_empty", default)]
    pub missing: MissingMap,
}

impl From<&FunctionDelta> for FunctionDeltaBody {
    fn from(delta: &FunctionDelta) -> Self {
        let mut missing = MissingMap::default();
        let (file, line) = source::known_file_and_line(&delta.frame, &mut missing);
        let shown = if delta.flat.delta == 0 { delta.cum } else { delta.flat };
        let unknown = "the profile does not tell how it was sampled";
        Self {
            function: delta.frame.function.to_string(),
            file,
            line,
            flat_delta: delta.flat.delta,
            cum_delta: delta.cum.delta,
            low: missing.applicable("low", shown.interval.map(|(low, _)| low), unknown),
            high: missing.applicable("high", shown.interval.map(|(_, high)| high), unknown),
            missing,
        }
    }
}
