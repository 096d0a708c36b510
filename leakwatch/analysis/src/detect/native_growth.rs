//! Memory that became resident and stays, where the calls of the allocator do not explain it: an allocator without symbols, one of the
//! program's own, generated code.
//!
//! Source: the `growth` profiles of a growth capture: pages touched since it began and still there, by the stack that touched them. Who
//! touches memory first is most often who has asked for it.

use crate::detect::Claim;
use crate::detect::Opinion;
use crate::detect::facts::Facts;
use crate::detect::kept;
use crate::format;
use crate::measure::site_trend;
use crate::measure::site_trend::ProfileGrowth;
use crate::measure::site_trend::Site;
use crate::model::profile::ProfileType;
use crate::model::reading::MissingReason;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;
use crate::model::verdict::VerdictClass;

/// Looks for pages that pile up.
pub fn examine(facts: &Facts<'_>) -> Opinion {
    let Some(growth) = &facts.growth else {
        return Err("what becomes resident was not captured".to_owned());
    };
    // A program that allocates all the time touches new memory wherever it happens to be when old memory has run out.
    if let Some(missing) = facts.history.no_profile(ProfileType::Native)
        && missing.reason == MissingReason::TooLarge
    {
        return Err(format!(
            "who touches memory first need not be who keeps it: {}",
            missing.detail
        ));
    }
    let (site, confidence) = kept::most(facts, growth)?;
    Ok(claim(facts, growth, site, confidence))
}

fn claim(facts: &Facts<'_>, growth: &ProfileGrowth, site: &Site, confidence: f64) -> Claim {
    let place = format::place(&site.frame);
    let culprit = site_trend::culprit(facts.history, growth, site);
    let mut evidence = vec![Evidence {
        claim: format!(
            "{place} touched {} in {} that are resident still (95 % interval {} to {}), {} of all such growth",
            format::bytes(site.growth.estimate),
            format::duration(growth.span().as_secs_f64()),
            format::bytes(site.growth.low),
            format::bytes(site.growth.high),
            format::percent(culprit.share_of_growth)
        ),
        value: site.growth.estimate,
        unit: "bytes",
        link: Some(EvidenceLink::Diff {
            profile_type: ProfileType::Growth,
            base: growth.base,
            compare: growth.compare,
        }),
    }];
    evidence.extend(kept::whole(facts));
    let mut advice = vec![
        format!("Look what {place} keeps, and where it should be given back."),
        "Compare the two profiles in the evidence: what grows between them is resident still.".to_owned(),
    ];
    // Why the allocator's calls do not say it, and what would let them.
    let reason = facts.history.no_profile(ProfileType::Native);
    advice.extend(reason.and_then(|reason| reason.fix.clone()));
    Claim {
        class: VerdictClass::NativeLeak,
        confidence,
        summary: format!(
            "Memory that {place} touches is not given back: {} more ({}){}.",
            format::bytes(site.growth.estimate),
            format::rate(site.rate),
            kept::until_limit(facts)
        ),
        since: facts
            .memory
            .as_ref()
            .map_or(growth.base, |memory| facts.instant(memory.from)),
        culprit: Some(culprit),
        evidence,
        advice,
        recommended_limit: None,
        would_change_our_mind: vec![format!(
            "{} stops growing while the service works as before (a cache or pool that is full)",
            site.frame.function
        )],
    }
}
