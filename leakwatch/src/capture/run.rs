//! The thread of one capture: how much the process works, attach, take in stacks, hand over a profile every few seconds, detach.

use crate::capture::CaptureRequest;
use crate::capture::CaptureState;
use crate::capture::Shared;
use crate::capture::governor;
use crate::capture::governor::Decision;
use crate::capture::governor::Governor;
use crate::capture::governor::Terms;
use crate::capture::growth;
use crate::capture::growth::GrowthSession;
use crate::capture::lane::Counted;
use crate::capture::lane::Lane;
use crate::capture::lane::Observer;
use crate::capture::pace::Done;
use crate::capture::pace::Pace;
use crate::capture::price;
use crate::capture::scribe::Scribe;
use crate::capture::session::Prepared;
use crate::capture::session::Session;
use crate::capture::usdt::UsdtSession;
use crate::input::Input;
use crate::probes::native::Programs;
use fastrand::Rng;
use leakwatch_analysis::model::event::Loss;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_nativeproc::process;
use leakwatch_nativeproc::process::Use;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

/// Between two profiles.
const PROFILE_INTERVAL: Duration = Duration::from_secs(3);
/// The same of a program that is looked at for moments: each shows as many of them more than the one before.
const SPARING_INTERVAL: Duration = governor::STRETCH.saturating_mul(2);
/// Sampled pages, fewer of which are not shown before the end of a capture that nobody has asked for: their number is wrong by a third.
const LEAST_PAGES: u64 = 8;
/// How long the process is watched before, for its use of processors.
const BEFORE: Duration = Duration::from_secs(1);
/// And for how long its calls are counted, where nobody has asked. As long as a capture is before it is known whether the program notices.
const FIRST_LOOK: Duration = Duration::from_millis(10);

/// Runs a capture to its end, whatever that is.
pub(super) fn run(shared: &Arc<Shared>, id: &str, request: &CaptureRequest) {
    let state = capture(shared, id, request).unwrap_or_else(CaptureState::Failed);
    if let CaptureState::Failed(missing) = &state {
        tracing::warn!(capture = id, reason = missing.detail, "a capture failed");
        shared.send(Input::ProfileMissing {
            at: shared.clock.now(),
            target: request.target.clone(),
            profile_type: request.lane.profile_type(),
            missing: missing.clone(),
        });
    }
    shared.update(id, |capture| capture.state = state);
}

fn capture(shared: &Arc<Shared>, id: &str, request: &CaptureRequest) -> Reading<CaptureState> {
    let before = used(request)?;
    let watched = Instant::now();
    if request.lane == Lane::Native {
        // Takes a while the first time.
        price::of_this_host();
    }
    if shared.rest(id, BEFORE.saturating_sub(watched.elapsed())) {
        return Ok(CaptureState::Stopped);
    }
    let now = used(request)?;
    let share =
        now.processor_time.saturating_sub(before.processor_time).as_secs_f64() / watched.elapsed().as_secs_f64();
    let scribe = Scribe::start(shared, id, request)?;
    let mut observer = attach(shared, id, request, share, (before, now, watched.elapsed()))?;
    // Attaching took its time, in which the program has earned nothing.
    let at_start = used(request)?.processor_time;
    let calls_at_start = process::calls(request.process);
    let start = Instant::now();
    let points = observer.points().to_vec();
    let (price, single_stepped) = (observer.price(), observer.single_stepped());
    let terms = Terms {
        percent: request.cpu_budget_percent,
        share,
        duration: request.duration,
        in_slots: observer.in_windows().is_some(),
        // Page faults are looked at so seldom that nobody notices.
        unasked: request.automatic && !request.sparing && request.lane == Lane::Native,
        sparing: request.sparing && request.lane == Lane::Native,
    };
    let interval = if terms.sparing {
        SPARING_INTERVAL
    } else {
        PROFILE_INTERVAL
    };
    let mut pace = Pace::default();
    let mut governor = Governor::new(price, single_stepped, terms, Rng::new());
    shared.update(id, |capture| {
        capture.state = CaptureState::Running;
        capture.points = points;
        capture.share = share;
        capture.windows = 1;
    });
    let mut next_profile = if terms.sparing { interval } else { BEFORE };
    let state = loop {
        observer.poll();
        let running = start.elapsed();
        let counts = observer.counts();
        let used = used(request)?.processor_time.saturating_sub(at_start);
        let session = observer.in_windows();
        let is_attached = session.as_ref().is_none_or(|session| session.is_attached());
        let duty = session.as_ref().map_or(1.0, |session| session.duty());
        let way = session.as_ref().map(|session| session.way());
        let decision = governor.look(running, used, &counts, is_attached);
        let done = Done {
            own: used.as_secs_f64() - governor.spent().as_secs_f64(),
            // Only what is looked at in slots is made to fit.
            calls: session.map_or(0, |_| process::calls(request.process).saturating_sub(calls_at_start)),
        };
        pace.look(running, done, is_attached);
        shared.update(id, |capture| {
            capture.running = running;
            capture.used = used;
            capture.attached = is_attached;
            capture.duty = duty;
            capture.way = way;
            capture.windows += u64::from(decision == Decision::Attach);
            capture.counts = counts;
            capture.spent = governor.spent();
            capture.allowance = governor.allowance();
            capture.losses = observer.losses();
        });
        let wait = match decision {
            Decision::Wait(time) => time,
            Decision::End => break CaptureState::OverBudget,
            Decision::TooDear(slowed) => return Err(too_dear(request, slowed)),
            to_do => {
                // The others are only ever told to detach, and for good.
                let Some(session) = observer.in_windows() else {
                    break CaptureState::OverBudget;
                };
                obey(to_do, session, governor.chance())?;
                Duration::ZERO
            }
        };
        if running >= request.duration {
            break CaptureState::Done;
        }
        // Reading all the totals takes a while, and a slot with probes would last as much longer.
        let cut = governor.chance() < 1.0 && observer.in_windows().is_some_and(|session| session.is_attached());
        if running >= next_profile && !cut {
            next_profile = interval.mul_f64(running.div_duration_f64(interval).floor() + 1.0);
            let counted = counted(request, observer.as_mut(), &pace);
            if !request.automatic || is_worth_naming(&counted) {
                scribe.take(shared.clock.now(), counted);
            }
        }
        if shared.rest(id, wait) {
            break CaptureState::Stopped;
        }
    };
    observer.detach();
    let counts = observer.counts();
    let spent = price.of(&counts, single_stepped);
    shared.update(id, |capture| {
        capture.counts = counts;
        capture.spent = spent;
        capture.attached = false;
    });
    let last = counted(request, observer.as_mut(), &pace);
    for (reason, count) in &observer.losses() {
        shared.send(Input::Loss(Loss {
            at: shared.clock.now(),
            reason: (*reason).into(),
            count: *count,
        }));
    }
    scribe.finish(shared.clock.now(), last)?;
    Ok(state)
}

/// Does what the governor has decided; `chance` is that of the slot that begins.
fn obey(decision: Decision, session: &mut Session, chance: f64) -> Reading<()> {
    match decision {
        Decision::Detach => session.pause(),
        Decision::Attach => session.attach_again()?,
        Decision::Slot => session.next_slot(chance)?,
        Decision::Follow => session.follow()?,
        Decision::Wait(_) | Decision::End | Decision::TooDear(_) => {}
    }
    Ok(())
}

/// What there is to show. In a program that allocates all the time whoever touches memory first need not be who keeps it.
fn counted(request: &CaptureRequest, observer: &mut dyn Observer, pace: &Pace) -> Vec<Counted> {
    if let Some(session) = observer.in_windows() {
        session.set_speed(pace.speed());
    }
    let mut counted = observer.counted();
    counted.retain(|counted| !request.sparing || counted.profile_type != ProfileType::Growth);
    counted
}

/// Whether there is so much that somebody would believe it: reading debugging information takes a tenth of a second of processor time, which a server
/// that faults now and then need not lend.
fn is_worth_naming(counted: &[Counted]) -> bool {
    counted.iter().any(|counted| {
        let bytes: i64 = counted.rows.iter().map(|row| row.value.inuse_space).sum();
        let pages = bytes.unsigned_abs() / counted.period.max(1);
        counted.profile_type == ProfileType::Native || pages >= LEAST_PAGES
    })
}

fn too_dear(request: &CaptureRequest, slowed: f64) -> Missing {
    let detail = format!(
        "the process calls its allocator so often that looking at each call would slow it by {:.0} %, which is not done unasked: it is looked at for moments instead",
        100.0 * slowed
    );
    let fix = format!(
        "look for a while at the price of {} % of its processor time: leakwatch capture {}",
        request.cpu_budget_percent, request.target
    );
    Missing::new(MissingReason::TooLarge, detail).with_fix(fix)
}

/// What the process has used; an error when it has ended.
fn used(request: &CaptureRequest) -> Reading<Use> {
    process::used(request.process).map_err(|reason| Missing::new(MissingReason::Failed, reason))
}

/// Puts the probes of the lane on the process, which uses such a share of a processor and was watched for a while.
fn attach(
    shared: &Shared,
    id: &str,
    request: &CaptureRequest,
    share: f64,
    (before, now, watched): (Use, Use, Duration),
) -> Reading<Box<dyn Observer>> {
    let pid = request.process.pid;
    Ok(match request.lane {
        Lane::Native => {
            let mut prepared = Prepared::of_process(pid, request.sample_bytes, Programs::Best)?;
            if request.automatic && !request.sparing {
                look_first(shared, id, request, share, &mut prepared)?;
            }
            Box::new(prepared.begin()?)
        }
        Lane::Usdt => Box::new(UsdtSession::start(pid)?),
        Lane::Growth => {
            let faults = now.minor_faults.saturating_sub(before.minor_faults);
            #[expect(clippy::cast_precision_loss, reason = "a rate, roughly")]
            let faults_per_second = faults as f64 / watched.as_secs_f64();
            let in_kernel = now.kernel_time.saturating_sub(before.kernel_time);
            let fallback = growth::fallback(in_kernel.div_duration_f64(watched), request.automatic);
            Box::new(GrowthSession::start(pid, growth::period(faults_per_second), fallback)?)
        }
    })
}

/// An error where it is clear at once that the process would notice: the programs that count are verified in no time, those that sample in a tenth of a
/// second, in which somebody else may want the processor.
fn look_first(shared: &Shared, id: &str, request: &CaptureRequest, share: f64, prepared: &mut Prepared) -> Reading<()> {
    let (mut took, mut told_to_end) = (Duration::ZERO, false);
    let spent = prepared.look_first(|| {
        let start = Instant::now();
        told_to_end = shared.rest(id, FIRST_LOOK);
        took = start.elapsed();
    });
    match spent.and_then(|spent| governor::noticed(spent, took, share)) {
        Some(slowed) if !told_to_end => Err(too_dear(request, slowed)),
        _ => Ok(()),
    }
}
