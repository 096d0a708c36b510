//! Lists and what all answers share.

use leakwatch_analysis::model::profile::ProfileLoss;
use serde::Deserialize;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// One page of a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// In the order asked for.
    pub items: Vec<T>,
    /// Give it as `cursor` to get the next page; `null` on the last.
    pub next_cursor: Option<String>,
    /// What was dropped since the daemon started and may be missing here.
    pub losses: Vec<LossBody>,
}

/// Something that was dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Loss)]
pub struct LossBody {
    /// Why, in `snake_case`.
    pub reason: String,
    /// How often.
    pub count: u64,
}

impl LossBody {
    /// All losses counted so far.
    pub fn list(losses: &BTreeMap<Cow<'static, str>, u64>) -> Vec<Self> {
        losses
            .iter()
            .map(|(reason, count)| Self {
                reason: reason.to_string(),
                count: *count,
            })
            .collect()
    }

    /// What is missing in a profile.
    pub fn of_profile(losses: &[ProfileLoss]) -> Vec<Self> {
        losses
            .iter()
            .map(|loss| Self {
                reason: loss.reason.to_string(),
                count: loss.samples,
            })
            .collect()
    }

    /// Losses in one line for people: `3 x samples lost, 1 x ...`; none where there are none.
    pub fn line(losses: &[Self]) -> Option<String> {
        let each = losses
            .iter()
            .map(|loss| format!("{} x {}", loss.count, loss.reason.replace('_', " ")));
        (!losses.is_empty()).then(|| each.collect::<Vec<_>>().join(", "))
    }
}
