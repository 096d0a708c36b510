//! Step 4: whether the live Go heap grows.

use crate::detect::facts::Facts;
use crate::detect::not_enough_data;
use crate::format;
use crate::investigate::steps::reply::Reply;
use crate::investigate::steps::reply::StepRow;
use crate::model::investigation::Answer;
use crate::model::investigation::StepId;
use crate::model::profile::ProfileType;
use crate::model::verdict::Evidence;
use crate::model::verdict::Verdict;

pub(super) const STEP: StepRow = StepRow {
    id: StepId::LiveHeap,
    question: "Is the live Go heap growing from one garbage collection to the next?",
    explanation: "Live heap is what the last garbage collection could still reach. With GOGC=100 the runtime lets the heap grow to twice \
             that before it collects again, so resident memory shows live heap plus garbage. The heap profile (inuse_space) counts \
             sampled allocations that are not freed yet, as of a finished collection: it lags by up to two collections, and when it \
             grows collection after collection, something keeps the objects reachable.",
    answer,
};

fn answer(facts: &Facts<'_>, _: &Verdict) -> Reply {
    let Some(trend) = facts.trend(ProfileType::Heap) else {
        let mut reply = Reply::no_profile(facts, "heap_profile").series(&["go_heap_live_bytes"]);
        if let Some(grows) = not_enough_data::unseen_live_heap(facts) {
            (reply.answer, reply.why) = (Answer::Yes, grows);
            reply.confidence = Reply::certainty(facts.memory.observed);
        }
        return reply;
    };
    let over = trend.span().as_secs_f64();
    let numbers = format!(
        "live heap changed by {} (95 % interval {} to {}) to {} in {}",
        format::bytes(trend.total.estimate),
        format::bytes(trend.total.low),
        format::bytes(trend.total.high),
        format::bytes(trend.now),
        format::duration(over)
    );
    let mut reply = match facts.leaking_sites().next() {
        Some(site) if trend.total.estimate > 0.0 => Reply::new(
            Answer::Yes,
            Reply::certainty(over) * site.persistence.max(0.5),
            format!("{} retains more and more: {numbers}.", format::call_site(&site.frame)),
        ),
        _ if trend.observations < 3 => Reply::new(
            Answer::Unknown,
            0.3,
            format!("Only {} differing profiles so far: {numbers}.", trend.observations),
        ),
        _ => Reply::new(
            Answer::No,
            Reply::certainty(over),
            format!("No call site retains more and more: {numbers}."),
        ),
    };
    for site in facts.leaking_sites().take(5) {
        reply.evidence.push(Evidence {
            claim: format!("growth retained by {}", format::call_site(&site.frame)),
            value: site.growth.estimate,
            unit: "bytes",
            weight: None,
            link: None,
        });
    }
    reply
        .comparing(ProfileType::Heap, trend)
        .series(&["go_heap_live_bytes"])
}
