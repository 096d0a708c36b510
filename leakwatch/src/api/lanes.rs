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
    let lacking = |names: &[&str]| {
        let mut lacking = host.iter().filter(|capability| !capability.available);
        lacking.find(|capability| names.contains(&capability.name.as_str()))
    };
    let (capture_needs, outside_needs) = (["ebpf", "perf_events"], ["process_memory"]);
    let captures = config.bpf && !config.native.observe_only && !detached && lacking(&capture_needs).is_none();
    let outside = config.go.outside && lacking(&outside_needs).is_none();
    // What the host lacks is the reason only if nobody has switched it off.
    let refused = |is_wanted: bool, names: &[&str]| lacking(names).filter(|_| is_wanted);
    let no_outside = refused(config.go.outside, &outside_needs);
    let no_captures = refused(config.bpf, &capture_needs);
    let no_native = no_captures.or(refused(config.bpf, &["allocator_probes"]));
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
            None,
            "",
        ),
        lane(
            "oom_and_exit_events",
            kernel.then(|| "tracepoints oom:mark_victim and sched:sched_process_exit".into()),
            refused(config.bpf, &["ebpf"]),
            probe_fix,
        ),
        lane("go_heap", profiles.clone(), no_outside, profile_fix),
        lane("goroutines", profiles, no_outside, profile_fix),
        nobody_can_wake(outside, uptime, no_outside, profile_fix),
        lane(
            "native",
            (captures && no_native.is_none()).then(|| {
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
            no_native,
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
            no_captures,
            capture_fix,
        ),
    ]
}

/// The search for goroutines that nobody can wake, with its price.
fn nobody_can_wake(is_on: bool, uptime: f64, refused: Option<&CapabilityBody>, fix: &str) -> LaneBody {
    let (looks, took) = self_stats::looks::total();
    let seconds = took.as_secs_f64();
    let detail = is_on.then(|| {
        format!(
            "goroutines that nobody can wake, in Go programs whose goroutines pile up: {looks} looks, {seconds:.2} s of processor time, at most \
             1 % of one processor"
        )
    });
    let mut lane = lane("nobody_can_wake", detail, refused, fix);
    if is_on {
        lane = lane.with_overhead(finite(100.0 * seconds / uptime));
    }
    lane
}

/// A lane that is off is so because the host refuses something, or else because nobody has set it up.
fn lane(name: &str, on: Option<String>, refused: Option<&CapabilityBody>, fix: &str) -> LaneBody {
    let off = || match refused {
        Some(refused) => {
            let why = Missing::new(
                MissingReason::NotPermitted,
                format!("{}: {}", refused.name, refused.reason),
            );
            why.with_fix(refused.fix.as_deref().unwrap_or(fix))
        }
        None => Missing::new(MissingReason::NotConfigured, "nothing is set up for it").with_fix(fix),
    };
    on.map_or_else(|| LaneBody::off(name, &off()), |detail| LaneBody::on(name, &detail))
}
