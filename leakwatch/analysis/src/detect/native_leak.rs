//! Memory that the allocator was asked for and never given back, while memory as a whole keeps growing.
//!
//! Source: the `native` profiles of a capture of the allocator's calls: what was allocated since it began and not freed.

use crate::detect::Claim;
use crate::detect::Opinion;
use crate::detect::facts::Facts;
use crate::detect::kept;
use crate::format;
use crate::measure::site_trend;
use crate::measure::site_trend::ProfileGrowth;
use crate::measure::site_trend::Site;
use crate::model::profile::ProfileType;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;
use crate::model::verdict::VerdictClass;

/// Looks for a leak of native memory.
pub fn examine(facts: &Facts<'_>) -> Opinion {
    let Some(native) = &facts.native else {
        return Err("the calls of the allocator were not captured".to_owned());
    };
    let (site, confidence) = kept::most(facts, native)?;
    Ok(claim(facts, native, site, confidence))
}

fn claim(facts: &Facts<'_>, native: &ProfileGrowth, site: &Site, confidence: f64) -> Claim {
    let culprit = site_trend::culprit(facts.history, native, site);
    let diff = Some(EvidenceLink::Diff {
        profile_type: ProfileType::Native,
        base: native.base,
        compare: native.compare,
    });
    let seconds = native.span().as_secs_f64();
    let mut evidence = vec![Evidence {
        claim: format!(
            "{} allocated {} in {} that it did not free (95 % interval {} to {}), {} of all such growth",
            format::place(&site.frame),
            format::bytes(site.growth.estimate),
            format::duration(seconds),
            format::bytes(site.growth.low),
            format::bytes(site.growth.high),
            format::percent(culprit.share_of_growth)
        ),
        value: site.growth.estimate,
        unit: "bytes",
        link: diff,
    }];
    evidence.extend(kept::whole(facts));
    Claim {
        class: VerdictClass::NativeLeak,
        confidence,
        summary: format!(
            "{} does not free what it allocates: {} more ({}){}.",
            format::place(&site.frame),
            format::bytes(site.growth.estimate),
            format::rate(site.rate),
            kept::until_limit(facts)
        ),
        since: facts
            .memory
            .as_ref()
            .map_or(native.base, |memory| facts.instant(memory.from)),
        culprit: Some(culprit),
        evidence,
        advice: vec![
            format!(
                "Look where what {} allocates should be freed, on error paths too, or what container keeps it.",
                format::place(&site.frame)
            ),
            "Compare the two profiles in the evidence: what grows between them was not freed.".to_owned(),
        ],
        recommended_limit: None,
        would_change_our_mind: vec![format!(
            "{} stops growing while the service works as before (a cache or pool that is full)",
            site.frame.function
        )],
    }
}
