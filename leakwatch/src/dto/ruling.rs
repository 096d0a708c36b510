//! Mutes and overrules of services: what a person asks for, and what is in force.

use crate::dto::instant::Instant;
use crate::dto::investigation::AnswerBody;
use crate::dto::missing::MissingMap;
use leakwatch_analysis::model::ruling::Ruled;
use leakwatch_analysis::model::ruling::Ruling;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// What is to be muted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = MuteRequest)]
pub struct MuteRequestBody {
    /// Name of the service.
    #[schema(min_length = 1, max_length = 256)]
    pub service: String,
    /// Beginning of the version's build id, or of a Go program its module's version or commit; all versions without it.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    pub version: Option<String>,
    /// Why, for whoever wonders later.
    #[schema(min_length = 1, max_length = 256)]
    pub reason: String,
    /// When it ends by itself, in seconds from now: at most a year.
    #[schema(minimum = 1, maximum = 31_536_000)]
    pub for_seconds: u64,
}

/// What is to be overruled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = OverruleRequest)]
pub struct OverruleRequestBody {
    /// Name of the service.
    #[schema(min_length = 1, max_length = 256)]
    pub service: String,
    /// Beginning of the version's build id, or of a Go program its module's version or commit; all versions without it.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    pub version: Option<String>,
    /// Which question.
    pub step: String,
    /// The answer of all targets of the service that a person has not given another one: `yes` or `no`.
    pub answer: AnswerBody,
    /// Why, for whoever wonders later.
    #[schema(min_length = 1, max_length = 256)]
    pub reason: String,
    /// When it ends by itself, in seconds from now: at most a year.
    #[schema(minimum = 1, maximum = 31_536_000)]
    pub for_seconds: u64,
}

/// A service, or one version of it, of which leaks and kills alert nobody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Mute)]
pub struct MuteBody {
    /// Its id.
    pub id: String,
    /// Name of the service.
    pub service: String,
    /// Beginning of the version's build id, module version or commit.
    pub version: Option<String>,
    /// Why.
    pub reason: String,
    /// When it was made.
    pub made_at: Instant,
    /// When it ends by itself.
    pub until: Instant,
    /// Why fields are `null`.
    pub missing: MissingMap,
}

/// A question that a person has answered for a service, or for one version of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Overrule)]
pub struct OverruleBody {
    /// Its id.
    pub id: String,
    /// Name of the service.
    pub service: String,
    /// Beginning of the version's build id, module version or commit.
    pub version: Option<String>,
    /// Which question.
    pub step: String,
    /// The answer.
    pub answer: AnswerBody,
    /// Why.
    pub reason: String,
    /// When it was made.
    pub made_at: Instant,
    /// When it ends by itself.
    pub until: Instant,
    /// Why fields are `null`.
    pub missing: MissingMap,
}

/// Why a ruling has no version.
pub(super) const ALL_VERSIONS: &str = "it is for all versions";

impl MuteBody {
    /// A ruling, if it is a mute.
    pub fn of(ruling: &Ruling) -> Option<Self> {
        let mut missing = MissingMap::default();
        let version = missing.applicable("version", ruling.version.clone(), ALL_VERSIONS);
        (ruling.ruled == Ruled::Mute).then(|| Self {
            id: ruling.id.clone(),
            service: ruling.service.clone(),
            version,
            reason: ruling.reason.clone(),
            made_at: ruling.made_at.into(),
            until: ruling.until.into(),
            missing,
        })
    }
}

impl OverruleBody {
    /// A ruling, if it is an overrule.
    pub fn of(ruling: &Ruling) -> Option<Self> {
        let Ruled::Overrule(step, answer) = ruling.ruled else {
            return None;
        };
        let mut missing = MissingMap::default();
        Some(Self {
            id: ruling.id.clone(),
            service: ruling.service.clone(),
            version: missing.applicable("version", ruling.version.clone(), ALL_VERSIONS),
            step: step.name().to_owned(),
            answer: answer.into(),
            reason: ruling.reason.clone(),
            made_at: ruling.made_at.into(),
            until: ruling.until.into(),
            missing,
        })
    }
}
