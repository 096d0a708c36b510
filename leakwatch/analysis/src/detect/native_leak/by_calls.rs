//! Memory that the allocator was asked for and never given back.
//!
//! Source: the `native` profiles of a capture of the allocator's calls: what was allocated since it began and not freed.

use crate::detect::captured::Captured;
use crate::detect::captured::Sentences;
use crate::detect::evidence;
use crate::detect::facts::Facts;
use crate::detect::finding::Examination;
use crate::model::profile::ProfileType;

/// Looks for allocations that are not freed.
pub(super) fn examine(facts: &Facts<'_>) -> Examination {
    let Some(trend) = facts.trend(ProfileType::Native) else {
        return Err("the calls of the allocator were not captured".to_owned());
    };
    let captured = Captured::most(facts, ProfileType::Native, trend)?;
    let (site, growth, until) = (captured.call_site(), captured.growth(), evidence::until_limit(facts));
    let sentences = Sentences {
        evidence: format!(
            "{site} allocated {growth} in {} that it did not free {}",
            captured.span(),
            captured.interval()
        ),
        summary: format!(
            "{site} does not free what it allocates: {growth} more ({}){until}.",
            captured.rate()
        ),
        advice: vec![
            format!(
                "Look where what {site} allocates should be freed, on error paths too, or what container keeps it."
            ),
            "Compare the two profiles in the evidence: what grows between them was not freed.".to_owned(),
        ],
        would_change_our_mind: captured.stops_growing(),
    };
    Ok(captured.finding(facts, sentences))
}
