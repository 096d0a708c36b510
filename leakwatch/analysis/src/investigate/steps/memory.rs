//! Step 1: whether the memory of the target grows.

use crate::detect::facts::Facts;
use crate::format;
use crate::investigate::steps::reply::Reply;
use crate::investigate::steps::reply::StepRow;
use crate::measure::motion::Motion;
use crate::model::investigation::Answer;
use crate::model::investigation::StepId;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;
use crate::model::verdict::Verdict;

pub(super) const STEP: StepRow = StepRow {
    id: StepId::Memory,
    question: "Is the memory of this target growing?",
    explanation: "A cgroup is charged for every page its processes touch first: anonymous memory, page cache, shared memory and kernel \
             memory. Page cache is given back when the limit is near, so what counts for survival is the charge minus reclaimable \
             cache. A Go heap moves up and down with each garbage collection; only a rising lower envelope is growth.",
    answer,
};

fn answer(facts: &Facts<'_>, _: &Verdict) -> Reply {
    let series = ["unreclaimable_bytes", "charge_bytes", "limit_bytes"];
    let Some(trend) = &facts.memory.trend else {
        return Reply::new(Answer::Unknown, 0.0, "Fewer than three samples in this window.").series(&series);
    };
    let over = format::duration(trend.span());
    let numbers = format!(
        "{} per second over {over} (95 % interval {} to {}), now {}",
        format::bytes(trend.slope.estimate),
        format::bytes(trend.slope.low),
        format::bytes(trend.slope.high),
        format::bytes(trend.level)
    );
    let (answer, why) = match facts.memory.motion {
        Motion::Growing => (Answer::Yes, format!("It grows by {numbers}.")),
        Motion::Levelling => (
            Answer::Yes,
            format!(
                "It grows, but slower and slower: {} now; {numbers}.",
                format::rate(trend.end_slope)
            ),
        ),
        Motion::Flat => (Answer::No, format!("It is flat: {numbers}.")),
        Motion::Returning => (
            Answer::No,
            format!("It comes and goes, within what was seen before: {numbers}."),
        ),
        Motion::Unclear | Motion::Unknown => (
            Answer::Unknown,
            format!("It moves, but growth cannot be told from noise yet: {numbers}."),
        ),
    };
    let mut reply = Reply::new(answer, Reply::certainty(trend.span()), why).series(&series);
    reply.evidence.push(Evidence {
        claim: format!("growth of memory that cannot be reclaimed over {over}"),
        value: trend.slope.estimate,
        unit: "bytes_per_second",
        weight: None,
        link: Some(EvidenceLink::Series(series.to_vec())),
    });
    reply
}
