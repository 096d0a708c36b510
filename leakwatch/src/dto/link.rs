//! Links from one body to another route.

use crate::dto::instant::Instant;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::model::verdict::EvidenceLink;

/// Where all routes of this version start.
pub const BASE: &str = "/api/v1";

/// A target.
pub fn target(id: &TargetId) -> String {
    format!("{BASE}/targets/{id}")
}

/// The profile of a type that was taken at an instant.
pub fn profile(id: &TargetId, profile_type: ProfileType, at: Timestamp) -> String {
    format!(
        "{BASE}/targets/{id}/profiles/{}?at={}",
        profile_type.name(),
        Instant(at)
    )
}

/// Two profiles compared.
pub fn diff(id: &TargetId, profile_type: ProfileType, base: Timestamp, compare: Timestamp) -> String {
    let (base, compare) = (Instant(base), Instant(compare));
    format!(
        "{BASE}/targets/{id}/diff?type={}&base={base}&compare={compare}",
        profile_type.name()
    )
}

/// A post-mortem.
pub fn oom_kill(id: &str) -> String {
    format!("{BASE}/oom_kills/{id}")
}

/// What a piece of evidence rests on.
pub fn evidence(id: &TargetId, link: &EvidenceLink) -> String {
    match link {
        EvidenceLink::Series(metrics) => format!("{BASE}/targets/{id}/series?metrics={}", metrics.join(",")),
        EvidenceLink::Diff {
            profile_type,
            base,
            compare,
        } => diff(id, *profile_type, *base, *compare),
        EvidenceLink::Events => format!("{BASE}/events?kinds=oom_kill&target={id}"),
    }
}
