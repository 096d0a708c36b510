//! What this host offers.

use crate::capabilities::Capability;
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
        let (available, reason, fix) = match &capability.state {
            Ok(found) => (true, found.clone(), None),
            Err(missing) => (false, missing.detail.clone(), missing.fix.clone()),
        };
        Self {
            name: capability.name.to_owned(),
            available,
            reason,
            fix,
        }
    }
}
