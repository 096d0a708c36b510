//! What is claimed of a process, with the odds that the claim stands on: after a restart it stands as before, until something refutes it.

use super::class_from;
use super::verdict::culprit_from;
use super::verdict::culprit_to;
use crate::store::disk::messages;
use leakwatch_analysis::history::Claim;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::units::Timestamp;

pub(super) fn claim_to(claim: &Claim) -> messages::Claim {
    messages::Claim {
        pid: claim.process.pid,
        start_ticks: claim.process.start_ticks,
        class: claim.class.name().to_owned(),
        profile: claim.profile.map(|profile| profile.name().to_owned()),
        culprit: Some(culprit_to(&claim.culprit)),
        since: claim.since.unix_nanos(),
        at: claim.at.unix_nanos(),
        log_odds: claim.log_odds,
    }
}

pub(super) fn claim_from(message: messages::Claim) -> Option<Claim> {
    Some(Claim {
        process: ProcessKey {
            pid: message.pid,
            start_ticks: message.start_ticks,
        },
        class: class_from(&message.class).filter(|class| class.is_leak())?,
        profile: message.profile.as_deref().and_then(ProfileType::from_name),
        culprit: culprit_from(message.culprit?)?,
        since: Timestamp::from_unix_nanos(message.since),
        at: Timestamp::from_unix_nanos(message.at),
        log_odds: Some(message.log_odds).filter(|odds| odds.is_finite())?,
    })
}
