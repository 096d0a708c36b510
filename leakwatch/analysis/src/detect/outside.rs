//! Shared memory or memory of the kernel that grows, or that fills most of a limit: what `tmpfs` and `kernel_memory` have in common.

use crate::detect::facts::Facts;
use crate::detect::headroom;
use crate::format;
use crate::measure::charge;
use crate::measure::charge::Change;
use crate::measure::filling::Filling;
use crate::model::units::Bytes;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;
use std::time::Duration;

/// Growth over less time may be start-up, as for `growing`.
const LEAST_SECONDS: f64 = 60.0;
/// A trend that is significant at 95 % is wrong once in forty times on the side of growth.
const CHANCE: f64 = 0.025;
/// What fills so much of the limit is why there is no room, whatever the rest does.
const FILLS: f64 = 0.7;

/// A kill so long ago is what the answer is about, also where a sample was taken before it was told.
const JUST_NOW: Duration = Duration::from_mins(1);
/// What nearly all growth before a kill was in is why it was killed, unless the last sample was taken long before.
const KILLED: f64 = 0.9;

/// How a part of the charge matters.
#[derive(Clone, Copy, Debug)]
pub(super) enum Part {
    /// Nearly all growth is in it.
    Grows(Change),
    /// It fills most of a limit that was reached.
    Fills(Filling),
}

impl Part {
    /// The part that `memory.stat` has under this name, or why it does not matter.
    pub(super) fn of(facts: &Facts<'_>, name: &'static str) -> Result<Self, String> {
        let killed = was_killed(facts);
        let limit = facts.limit.map(Bytes::as_f64);
        let is_full = headroom::is_at_limit(facts) || killed || facts.runs().are_recent(facts.now);
        let filling = Filling::of(facts.history).filter(|filling| filling.name == name);
        if let (Some(limit), Some(filling)) = (limit, filling)
            && is_full
            && filling.bytes >= limit * FILLS
        {
            return Ok(Self::Fills(filling));
        }
        let grows = charge::growing_outside_of_heaps(facts.history).filter(|part| part.name == name);
        if let Some(part) = grows
            && (killed || facts.memory.grows() && facts.memory.observed >= LEAST_SECONDS)
        {
            return Ok(Self::Grows(part));
        }
        Err("it neither fills most of a limit that was reached, nor is nearly all growth in it".to_owned())
    }

    /// How sure it is.
    pub(super) fn confidence(&self, facts: &Facts<'_>) -> f64 {
        match self {
            Self::Grows(_) if was_killed(facts) => KILLED,
            Self::Grows(_) => (1.0 - CHANCE) * facts.memory.observed / (facts.memory.observed + 5.0),
            // Of what there is to fill the limit, so much is it.
            Self::Fills(filling) => {
                filling.bytes.min(filling.charge) / facts.limit.map_or(filling.charge, Bytes::as_f64)
            }
        }
    }

    /// The sentence: `what` is how people call it.
    pub(super) fn sentence(&self, facts: &Facts<'_>, what: &str) -> String {
        match self {
            Self::Grows(part) => grows(facts, part),
            Self::Fills(filling) => format!(
                "{what} fills the limit: {} of {}; it is in no heap.",
                format::bytes(filling.bytes),
                facts.limit.map_or_else(String::new, |limit| limit.to_string())
            ),
        }
    }

    /// Its size as evidence.
    pub(super) fn evidence(&self, what: &str, series: &'static str) -> Evidence {
        let (claim, value) = match self {
            Self::Grows(part) => (
                format!(
                    "{what} {}",
                    format::change(part.level - part.change, part.level, format::bytes)
                ),
                part.change,
            ),
            Self::Fills(filling) => (
                format!(
                    "{} of {} in use is {what}",
                    format::bytes(filling.bytes),
                    format::bytes(filling.charge)
                ),
                filling.bytes,
            ),
        };
        Evidence {
            claim,
            value,
            unit: "bytes",
            weight: None,
            link: Some(EvidenceLink::Series(vec![series, "charge_bytes", "limit_bytes"])),
        }
    }
}

/// That shared memory or memory of the kernel grows.
pub(super) fn grows(facts: &Facts<'_>, part: &Change) -> String {
    format!(
        "{} grows: {} more in {}, now {}; it is in no heap.",
        if part.name == "shmem" {
            "Shared memory (tmpfs)"
        } else {
            "Memory of the kernel"
        },
        format::bytes(part.change),
        format::duration(facts.memory.observed),
        format::bytes(part.level)
    )
}

fn was_killed(facts: &Facts<'_>) -> bool {
    let last = facts.history.oom_kills.last();
    facts.dying || last.is_some_and(|kill| kill.at <= facts.now && facts.now.since(kill.at) <= JUST_NOW)
}
