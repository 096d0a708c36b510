//! Memory that was mapped (`mmap`) and never unmapped, while memory as a whole keeps growing.
//!
//! Source: the `mapping` profiles of a growth capture: mappings made since it began and still there, by the stack that made them, with the
//! bytes of them that became resident. Allocators map, too, a few large pieces: a leak here is many.

use crate::detect::Claim;
use crate::detect::Opinion;
use crate::detect::facts::Facts;
use crate::detect::kept;
use crate::format;
use crate::history::window;
use crate::measure::site_trend;
use crate::measure::site_trend::ProfileGrowth;
use crate::measure::site_trend::Site;
use crate::model::profile::ProfileType;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;
use crate::model::verdict::VerdictClass;

/// Mappings that one stack has made and kept. Fewer are the arenas of an allocator, of which each serves many places.
const LEAST_MAPPINGS: i64 = 5;

/// Looks for mappings that pile up.
pub fn examine(facts: &Facts<'_>) -> Opinion {
    let Some(mappings) = &facts.mappings else {
        return Err("what the process maps was not captured".to_owned());
    };
    let (site, confidence) = kept::most(facts, mappings)?;
    let kept = mappings_of(facts, site);
    if kept < LEAST_MAPPINGS {
        return Err(format!(
            "{} keeps {kept} mapping(s), as an allocator does for others",
            format::place(&site.frame)
        ));
    }
    Ok(claim(facts, mappings, site, kept, confidence))
}

/// Mappings of the place's largest stack that are there.
fn mappings_of(facts: &Facts<'_>, site: &Site) -> i64 {
    let newest = window::snapshots(facts.history, ProfileType::Mapping, facts.now).last();
    let value = newest.and_then(|snapshot| snapshot.values.iter().find(|(stack, _)| *stack == site.stack));
    value.map_or(0, |(_, value)| value.inuse_objects)
}

fn claim(facts: &Facts<'_>, mappings: &ProfileGrowth, site: &Site, kept: i64, confidence: f64) -> Claim {
    let place = format::place(&site.frame);
    let culprit = site_trend::culprit(facts.history, mappings, site);
    let seconds = mappings.span().as_secs_f64();
    let mut evidence = vec![Evidence {
        claim: format!(
            "{place} mapped memory and did not unmap it, of which {} became resident in {} (95 % interval {} to {}), {} of all such growth; \
             {kept} of its mappings are there",
            format::bytes(site.growth.estimate),
            format::duration(seconds),
            format::bytes(site.growth.low),
            format::bytes(site.growth.high),
            format::percent(culprit.share_of_growth)
        ),
        value: site.growth.estimate,
        unit: "bytes",
        link: Some(EvidenceLink::Diff {
            profile_type: ProfileType::Mapping,
            base: mappings.base,
            compare: mappings.compare,
        }),
    }];
    evidence.extend(kept::whole(facts));
    Claim {
        class: VerdictClass::MappingLeak,
        confidence,
        summary: format!(
            "{place} does not unmap what it maps: {} more resident ({}) in {kept} mappings{}.",
            format::bytes(site.growth.estimate),
            format::rate(site.rate),
            kept::until_limit(facts)
        ),
        since: facts
            .memory
            .as_ref()
            .map_or(mappings.base, |memory| facts.instant(memory.from)),
        culprit: Some(culprit),
        evidence,
        advice: vec![
            format!(
                "Look where what {place} maps should be unmapped (munmap, the end of a thread, the end of generated code), on error paths too."
            ),
            "Compare the two profiles in the evidence: what grows between them is mapped still.".to_owned(),
        ],
        recommended_limit: None,
        would_change_our_mind: vec![format!(
            "{} stops mapping more while the service works as before (a pool that is full)",
            site.frame.function
        )],
    }
}
