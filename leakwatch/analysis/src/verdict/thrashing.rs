//! A target that thrashes at its limit: said first, whatever else is found, since no kill comes that anybody could wait for.

use crate::detect::facts::Facts;
use crate::detect::finding::Finding;
use crate::format;
use crate::measure::filling::Filling;
use crate::measure::thrashing::Thrashing;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;

/// Adds to a finding that the target thrashes, and what fills its limit.
pub(super) fn tell(facts: &Facts<'_>, finding: &mut Finding) {
    let (Some(thrashing), Some(limit)) = (facts.thrashing(), facts.limit) else {
        return;
    };
    let filled = Filling::of(facts.history).map_or_else(String::new, |filling| {
        format!(" What fills it: {}.", filling.words(facts.history))
    });
    finding.summary = format!(
        "It thrashes at its limit of {limit} and hardly gets on: for {} pages were taken back that were needed again{}.{filled} {}",
        format::duration(thrashing.seconds),
        stalls(thrashing),
        finding.summary
    );
    finding.evidence.insert(
        0,
        Evidence {
            claim: if thrashing.hits > 0.0 {
                format!(
                    "the charge hit the limit {} times per second over {}, without a kill",
                    format::count(thrashing.hits),
                    format::duration(thrashing.seconds)
                )
            } else {
                format!(
                    "the charge stayed at the limit over {}, without a kill",
                    format::duration(thrashing.seconds)
                )
            },
            value: thrashing.hits,
            unit: "per_second",
            weight: None,
            link: Some(EvidenceLink::Series(vec!["charge_bytes", "limit_bytes"])),
        },
    );
    if let Some(faults) = thrashing.major_faults {
        finding.evidence.insert(
            1,
            Evidence {
                claim: format!("{} page faults per second waited for a device", format::count(faults)),
                value: faults,
                unit: "per_second",
                weight: None,
                link: None,
            },
        );
    }
    finding.advice.insert(
        0,
        "Do not wait for the kill: as long as the kernel finds a page of a file to take back, none comes. Raise the limit, or restart it."
            .to_owned(),
    );
}

/// What it costs, as far as it is measured.
fn stalls(thrashing: &Thrashing) -> String {
    let faults = thrashing
        .major_faults
        .map(|faults| format!("{} page faults per second waited for a device", format::count(faults)));
    let stalled = thrashing
        .stalled
        .map(|part| format!("in {} of the last minute nothing could run", format::percent(part)));
    let told: Vec<String> = faults.into_iter().chain(stalled).collect();
    if told.is_empty() {
        String::new()
    } else {
        format!(" ({})", told.join("; "))
    }
}
