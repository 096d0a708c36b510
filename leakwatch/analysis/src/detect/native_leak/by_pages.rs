//! Memory that became resident and stays, where the calls of the allocator do not explain it: an allocator without symbols, one of the
//! program's own, generated code.
//!
//! Source: the `growth` profiles of a growth capture: pages touched since it began and still there, by the stack that touched them. Who
//! touches memory first is most often who has asked for it.

use crate::detect::captured::Captured;
use crate::detect::captured::Sentences;
use crate::detect::evidence;
use crate::detect::facts::Facts;
use crate::detect::finding::Examination;
use crate::model::profile::ProfileType;
use crate::model::reading::MissingReason;

/// Looks for pages that pile up.
pub(super) fn examine(facts: &Facts<'_>) -> Examination {
    let Some(trend) = facts.trend(ProfileType::Growth) else {
        return Err("what becomes resident was not captured".to_owned());
    };
    let no_calls = facts.history.no_profile(ProfileType::Native);
    // A program that allocates all the time touches new memory wherever it happens to be when old memory has run out.
    if let Some(missing) = no_calls
        && missing.reason == MissingReason::TooLarge
    {
        return Err(format!(
            "who touches memory first need not be who keeps it: {}",
            missing.detail
        ));
    }
    let captured = Captured::most(facts, ProfileType::Growth, trend)?;
    let (site, growth, until) = (captured.call_site(), captured.growth(), evidence::until_limit(facts));
    let mut advice = vec![
        format!("Look what {site} keeps, and where it should be given back."),
        "Compare the two profiles in the evidence: what grows between them is resident still.".to_owned(),
    ];
    // Why the allocator's calls do not say it, and what would let them.
    advice.extend(no_calls.and_then(|missing| missing.fix.clone()));
    let sentences = Sentences {
        evidence: format!(
            "{site} touched {growth} in {} that are resident still {}",
            captured.span(),
            captured.interval()
        ),
        summary: format!(
            "Memory that {site} touches is not given back: {growth} more ({}){until}.",
            captured.rate()
        ),
        advice,
        would_change_our_mind: captured.stops_growing(),
    };
    Ok(captured.finding(facts, sentences))
}
