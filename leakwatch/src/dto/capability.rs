//! What this host offers.

use crate::capabilities::Capability;
use crate::dto::missing::MissingMap;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// One facility of the kernel, or one permission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Capability)]
pub struct CapabilityBody {
    /// Its name.
    pub name: String,
    /// Whether it can be used.
    pub available: bool,
    /// What was found, or why it cannot be used.
    pub reason: String,
    /// How to get it; `null` when it is there or cannot be had.
    pub fix: Option<String>,
    /// Why fields are `null`.
    #[serde(skip_serializing_if = "MissingMap::is_empty", default)]
    pub missing: MissingMap,
}

/// All of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Capabilities)]
pub struct CapabilitiesBody {
    /// In the order they are checked.
    pub items: Vec<CapabilityBody>,
    /// Always `null`: the list has one page.
    pub next_cursor: Option<String>,
}

impl From<&Capability> for CapabilityBody {
    fn from(capability: &Capability) -> Self {
        let mut missing = MissingMap::default();
        let fix = capability.state.as_ref().err().and_then(|why| why.fix.clone());
        Self {
            name: capability.name.to_owned(),
            available: capability.state.is_ok(),
            reason: match &capability.state {
                Ok(found) => found.clone(),
                Err(why) => why.detail.clone(),
            },
            fix: missing.applicable("fix", fix, "there is nothing to fix, or nothing that can be done"),
            missing,
        }
    }
}
