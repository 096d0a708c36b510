//! The thread of one capture: how much the process works, attach, take in stacks, hand over a profile every few seconds, detach.

use crate::capture::budget;
use crate::capture::budget::Decision;
use crate::capture::budget::Governor;
use crate::capture::budget::Terms;
use crate::capture::budget::slowdown::Done;
use crate::capture::budget::slowdown::Slowdown;
use crate::capture::lane::Activity;
use crate::capture::lane::Attachment;
use crate::capture::lane::CaptureRequest;
use crate::capture::lane::Counted;
use crate::capture::lane::DutyCycle;
use crate::capture::lane::Observer;
use crate::capture::registry::Registry;
use crate::capture::state::CaptureState;
use crate::capture::symbolize::Symbolizer;
use crate::input::Input;
use crate::self_stats;
use fastrand::Rng;
use leakwatch_analysis::model::event::Loss;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_nativeproc::allocator::ProbePoint;
use leakwatch_nativeproc::process;
use leakwatch_nativeproc::process::Use;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// Between two profiles.
const PROFILE_INTERVAL: Duration = Duration::from_secs(3);
/// The same at low duty: each shows as many sampling windows more than the one before.
const LOW_DUTY_INTERVAL: Duration = budget::LOW_DUTY_PERIOD.saturating_mul(2);
/// How long the process is watched before, for its use of processors.
const BEFORE: Duration = Duration::from_secs(1);

/// Runs a capture to its end, whatever that is.
pub(super) fn run(registry: &Arc<Registry>, id: &str, request: &CaptureRequest) {
    let state = capture(registry, id, request).unwrap_or_else(CaptureState::Failed);
    if let CaptureState::Failed(missing) = &state {
        tracing::warn!(capture = id, reason = missing.detail, "a capture failed");
        registry.send(Input::ProfileMissing {
            at: registry.clock.now(),
            target: request.target.clone(),
            profile_type: request.lane.profile_type,
            missing: missing.clone(),
        });
    }
    // What naming its code took, most of it.
    self_stats::give_back();
    registry.update(id, |capture| capture.state = state);
}

fn capture(registry: &Arc<Registry>, id: &str, request: &CaptureRequest) -> Reading<CaptureState> {
    let before = used(request)?;
    let watched = Instant::now();
    if request.lane.cost_is_measured {
        registry.host.get();
    }
    if registry.rest(id, BEFORE.saturating_sub(watched.elapsed())) {
        return Ok(CaptureState::Stopped);
    }
    let activity = activity(before, used(request)?, watched.elapsed());
    let share = activity.share;
    let symbolizer = Symbolizer::start(registry, id, request)?;
    let mut observer = (request.lane.attach)(&Attachment {
        request,
        host: &registry.host,
        activity,
        wait: &|duration| registry.rest(id, duration),
    })?;
    // Attaching took its time, in which the program has earned nothing.
    let at_start = used(request)?.processor_time;
    let calls_at_start = process::calls(request.process);
    let start = Instant::now();
    let functions: Arc<[ProbePoint]> = observer.functions().into();
    let cost = observer.cost(&registry.host);
    let duty_cycled = observer.duty_cycle().is_some();
    let terms = Terms {
        budget: request.cpu_budget,
        share,
        duration: request.duration,
        duty_cycled,
        // Page faults are sampled so rarely that nobody notices.
        limit_slowdown: request.automatic && !request.low_duty && duty_cycled,
        low_duty: request.low_duty && duty_cycled,
    };
    let interval = if terms.low_duty {
        LOW_DUTY_INTERVAL
    } else {
        PROFILE_INTERVAL
    };
    let mut slowdown = Slowdown::default();
    let mut governor = Governor::new(cost, terms, Rng::new());
    registry.update(id, |capture| {
        capture.state = CaptureState::Running;
        capture.functions = functions;
        capture.share = share;
        capture.windows = 1;
    });
    let mut next_profile = if terms.low_duty { interval } else { BEFORE };
    let state = loop {
        observer.poll();
        let running = start.elapsed();
        let counts = observer.counts();
        let used = used(request)?.processor_time.saturating_sub(at_start);
        let duty_cycle = observer.duty_cycle();
        let is_attached = duty_cycle.as_ref().is_none_or(|probes| probes.is_attached());
        let duty = duty_cycle.as_ref().map_or(1.0, |probes| probes.duty());
        let attach_mode = duty_cycle.as_ref().map(|probes| probes.attach_mode());
        let decision = governor.check(running, used, &counts, is_attached);
        let done = Done {
            own: used.as_secs_f64() - governor.overhead().as_secs_f64(),
            // Only what is sampled in windows is scaled to the speed of the program.
            calls: duty_cycled
                .then(|| process::calls(request.process))
                .map_or(0, |calls| calls.saturating_sub(calls_at_start)),
        };
        slowdown.record(running, done, is_attached);
        registry.update(id, |capture| {
            capture.running = running;
            capture.used = used;
            capture.attached = is_attached;
            capture.duty = duty;
            capture.attach_mode = attach_mode;
            capture.windows += u64::from(decision == Decision::Attach);
            capture.counts = counts;
            capture.overhead = governor.overhead();
            capture.allowance = governor.allowance();
            capture.losses = observer.losses();
        });
        let wait = match decision {
            Decision::Wait(time) => time,
            Decision::OverBudget => break CaptureState::OverBudget,
            Decision::TooSlow(slowdown) => return Err(request.too_slow(slowdown)),
            to_do => {
                // The others are only ever told to detach, and for good.
                let Some(probes) = observer.duty_cycle() else {
                    break CaptureState::OverBudget;
                };
                carry_out(to_do, probes, governor.chance())?;
                Duration::ZERO
            }
        };
        if running >= request.duration {
            break CaptureState::Done;
        }
        // Reading all the totals takes a while, and a window with probes would last as much longer.
        let in_window = governor.chance() < 1.0 && observer.duty_cycle().is_some_and(|probes| probes.is_attached());
        if running >= next_profile && !in_window {
            next_profile = interval.mul_f64(running.div_duration_f64(interval).floor() + 1.0);
            let counted = counted(observer.as_mut(), &slowdown);
            if !request.automatic || counted.iter().any(|counted| counted.worth_naming) {
                symbolizer.take(registry.clock.now(), counted);
            }
        }
        if registry.rest(id, wait) {
            break CaptureState::Stopped;
        }
    };
    observer.detach();
    let counts = observer.counts();
    let overhead = cost.overhead(&counts);
    registry.update(id, |capture| {
        capture.counts = counts;
        capture.overhead = overhead;
        capture.attached = false;
    });
    let last = counted(observer.as_mut(), &slowdown);
    tell_losses(registry, id, observer.losses());
    // Its maps and its stacks, tens of MiB, before the debugging information is read.
    drop(observer);
    symbolizer.finish(registry.clock.now(), last)?;
    Ok(state)
}

/// What was lost in all, for the capture and for the engine.
fn tell_losses(registry: &Registry, id: &str, losses: Vec<(&'static str, u64)>) {
    registry.update(id, |capture| capture.losses.clone_from(&losses));
    for (reason, count) in losses {
        registry.send(Input::Loss(Loss {
            at: registry.clock.now(),
            reason: reason.into(),
            count,
        }));
    }
}

/// Does what the governor has decided; `chance` is that of the window that begins.
fn carry_out(decision: Decision, probes: &mut dyn DutyCycle, chance: f64) -> Reading<()> {
    match decision {
        Decision::Detach => probes.pause(),
        Decision::Attach => probes.resume()?,
        Decision::OpenWindow => probes.open_window(chance)?,
        Decision::Follow => probes.follow()?,
        Decision::Wait(_) | Decision::OverBudget | Decision::TooSlow(_) => {}
    }
    Ok(())
}

/// What there is to show.
fn counted(observer: &mut dyn Observer, slowdown: &Slowdown) -> Vec<Counted> {
    if let Some(probes) = observer.duty_cycle() {
        probes.set_slowdown_factor(slowdown.factor());
    }
    observer.counted()
}

/// What the process did between two instants, so long apart.
fn activity(before: Use, now: Use, watched: Duration) -> Activity {
    let processor_time = now.processor_time.saturating_sub(before.processor_time);
    let in_kernel = now.kernel_time.saturating_sub(before.kernel_time);
    let faults = now.minor_faults.saturating_sub(before.minor_faults);
    #[expect(clippy::cast_precision_loss, reason = "a rate, roughly")]
    let faults_per_second = faults as f64 / watched.as_secs_f64();
    Activity {
        share: processor_time.div_duration_f64(watched),
        in_kernel: in_kernel.div_duration_f64(watched),
        faults_per_second,
    }
}

/// What the process has used; an error when it has ended.
fn used(request: &CaptureRequest) -> Reading<Use> {
    process::used(request.process).map_err(|reason| Missing::new(MissingReason::Failed, reason))
}
