//! Who made a recording.

use crate::input::Head;
use crate::input::convert::field::missing_from;
use crate::input::convert::field::missing_to;
use crate::input::messages;
use leakwatch_analysis::model::host::HostIdentity;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;

pub(in crate::input) fn head_to(head: &Head) -> messages::Head {
    let host = head.host.as_ref().ok();
    messages::Head {
        leakwatch: head.leakwatch.clone(),
        host: host.map(|host| messages::Host {
            machine_id: Some(text_to(&host.machine_id)),
            boot_id: Some(text_to(&host.boot_id)),
            node_name: Some(text_to(&host.node_name)),
        }),
    }
}

pub(in crate::input) fn head_from(head: messages::Head) -> Head {
    let host = head.host.ok_or_else(not_told).map(|host| HostIdentity {
        machine_id: text_from(host.machine_id),
        boot_id: text_from(host.boot_id),
        node_name: text_from(host.node_name),
    });
    Head {
        leakwatch: head.leakwatch,
        host,
    }
}

fn text_to(text: &Reading<String>) -> messages::Text {
    messages::Text {
        value: text.clone().unwrap_or_default(),
        missing: text.as_ref().err().map(missing_to),
    }
}

fn text_from(text: Option<messages::Text>) -> Reading<String> {
    let text = text.ok_or_else(not_told)?;
    text.missing
        .map_or(Ok(text.value), |missing| Err(missing_from(missing)))
}

fn not_told() -> Missing {
    Missing::new(MissingReason::Unsupported, "the recording does not tell")
}
