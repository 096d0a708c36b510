//! The ways of looking that this daemon has, as `/api/v1/status` names them.

use crate::config::Config;
use crate::dto::capability::CapabilityBody;
use crate::dto::number::finite;
use crate::dto::status::LaneBody;
use crate::self_stats;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;

/// Every lane and whether it is on.
pub(crate) fn lanes(
    config: &Config,
    kernel: bool,
    detached: bool,
    host: &[CapabilityBody],
    uptime: f64,
) -> Vec<LaneBody> {
    let works = |name: &str| {
        let mut found = host.iter().filter(|capability| capability.name == name);
        found.all(|capability| capability.available)
    };
    let captures = config.bpf && !config.native.observe_only && !detached && works("ebpf") && works("perf_events");
    let outside = config.go.outside && works("process_memory");
    let seconds = config.interval.as_secs_f64();
    let rules = config.go.endpoints.len();
    let endpoints = match (rules, config.go.discover_endpoints) {
        (0, false) => None,
        (rules, true) => Some(format!(
            "endpoints: {rules} rules, and the listening ports of every Go process"
        )),
        (rules, false) => Some(format!("endpoints: {rules} rules")),
    };
    let profiles = match (endpoints, outside) {
        (None, true) => Some("read from the memory of Go processes".to_owned()),
        (Some(endpoints), true) => Some(format!(
            "read from the memory of Go processes; where that gives no heap, {endpoints}"
        )),
        (endpoints, false) => endpoints,
    };
    let profile_fix = "set go.outside = true and let the daemon read other users' processes (CAP_SYS_PTRACE), or add [[go.endpoint]] rules";
    let probe_fix = "see leakwatch doctor; --no-bpf must not be set";
    let capture_fix = "see leakwatch doctor; --no-bpf and native.observe_only must not be set, and `leakwatch detach --undo` allows captures again";
    vec![
        lane(
            "samples",
            Some(format!(
                "cgroups and processes every {seconds} s, every second near a limit"
            )),
            "",
        ),
        lane(
            "oom_and_exit_events",
            kernel.then(|| "tracepoints oom:mark_victim and sched:sched_process_exit".into()),
            probe_fix,
        ),
        lane("go_heap", profiles.clone(), profile_fix),
        lane("goroutines", profiles, profile_fix),
        nobody_can_wake(outside, uptime, profile_fix),
        lane(
            "native",
            (captures && works("allocator_probes")).then(|| {
                let who = if config.native.automatic {
                    "of suspects and on request"
                } else {
                    "on request"
                };
                format!(
                    "allocator calls {who}, for at most {} % of the processor time that the process uses or {} % of one processor, whichever is more",
                    config.native.cpu_budget.percent, config.native.cpu_budget.floor_percent
                )
            }),
            capture_fix,
        ),
        lane(
            "growth",
            captures.then(|| {
                let who = if config.native.automatic {
                    "of suspects that the allocator's calls do not explain and on request"
                } else {
                    "on request"
                };
                format!(
                    "page faults and mappings {who}, for at most {} % of the processor time that the process uses or {} % of one processor, whichever is more",
                    config.native.cpu_budget.percent, config.native.cpu_budget.floor_percent
                )
            }),
            capture_fix,
        ),
    ]
}

/// The search for goroutines that nobody can wake, with its price.
fn nobody_can_wake(is_on: bool, uptime: f64, fix: &str) -> LaneBody {
    let (looks, took) = self_stats::looks::total();
    let seconds = took.as_secs_f64();
    let detail = is_on.then(|| {
        format!(
            "goroutines that nobody can wake, in Go programs whose goroutines pile up: {looks} looks, {seconds:.2} s of processor time, at most \
             1 % of one processor"
        )
    });
    let mut lane = lane("nobody_can_wake", detail, fix);
    if is_on {
        lane = lane.with_overhead(finite(100.0 * seconds / uptime));
    }
    lane
}

fn lane(name: &str, on: Option<String>, fix: &str) -> LaneBody {
    match on {
        Some(detail) => LaneBody::on(name, &detail),
        None => LaneBody::off(
            name,
            &Missing::new(MissingReason::NotConfigured, "nothing is set up for it").with_fix(fix),
        ),
    }
}
