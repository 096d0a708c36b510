//! Step 3: whether the number of goroutines grows.

use crate::detect::facts::Facts;
use crate::format;
use crate::investigate::steps::reply::Reply;
use crate::investigate::steps::reply::StepRow;
use crate::model::investigation::Answer;
use crate::model::investigation::StepId;
use crate::model::profile::ProfileType;
use crate::model::verdict::Evidence;
use crate::model::verdict::Verdict;

pub(super) const STEP: StepRow = StepRow {
    id: StepId::Goroutines,
    question: "Is the number of goroutines growing?",
    explanation: "Each goroutine owns a stack of at least 2 KiB and keeps everything reachable from it alive. A goroutine that waits for \
             a channel, lock or reply that never comes is never collected. Blocked goroutines at the same line that only grow in \
             number are a leak; numbers that follow load are not.",
    answer,
};

fn answer(facts: &Facts<'_>, _: &Verdict) -> Reply {
    let Some(trend) = facts.trend(ProfileType::Goroutine) else {
        return Reply::no_profile(facts, "goroutine_profile").series(&["goroutines"]);
    };
    let over = trend.span().as_secs_f64();
    let mut reply = match facts.goroutine_suspect() {
        Some(site) => Reply::new(
            Answer::Yes,
            Reply::certainty(over) * site.persistence.max(0.5),
            format!(
                "{:.0} more goroutines wait at {} than {} ago.",
                site.growth.estimate,
                format::call_site(&site.frame),
                format::duration(over)
            ),
        ),
        None => Reply::new(
            Answer::No,
            Reply::certainty(over),
            format!(
                "{} in {}; no call site holds more and more of them.",
                format::change(trend.now - trend.total.estimate, trend.now, format::count),
                format::duration(over)
            ),
        ),
    };
    reply.evidence.push(Evidence {
        claim: "change of the number of goroutines".to_owned(),
        value: trend.total.estimate,
        unit: "goroutines",
        weight: None,
        link: None,
    });
    reply.comparing(ProfileType::Goroutine, trend).series(&["goroutines"])
}
