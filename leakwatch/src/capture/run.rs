//! The thread of one capture: how much the process works, attach, take in stacks, hand over a profile every few seconds, detach.

use crate::capture::CaptureRequest;
use crate::capture::CaptureState;
use crate::capture::Shared;
use crate::capture::governor::Governor;
use crate::capture::price;
use crate::capture::session::Session;
use crate::engine::input::Input;
use crate::engine::input::RawProfile;
use crate::native::allocator::ProbePoint;
use crate::native::function::Signature;
use crate::native::placement::Execution;
use crate::native::process;
use crate::native::profile;
use crate::native::symbols::Symbols;
use leakwatch_analysis::event::Loss;
use leakwatch_analysis::profile::ProfileSource;
use leakwatch_analysis::profile::ProfileType;
use leakwatch_analysis::sample::Missing;
use leakwatch_analysis::sample::MissingReason;
use leakwatch_analysis::sample::Reading;
use std::time::Duration;
use std::time::Instant;

/// Between two looks at new stacks and at the cost.
const TICK: Duration = Duration::from_millis(100);
/// Between two profiles.
const PROFILE_INTERVAL: Duration = Duration::from_secs(3);
/// How long the process is watched before, for its use of processors.
const BEFORE: Duration = Duration::from_secs(1);
/// Stacks in a profile, those with most live bytes first.
const MAX_ROWS: usize = 8_192;

/// Runs a capture to its end, whatever that is.
pub(super) fn run(shared: &Shared, id: &str, request: &CaptureRequest) {
    let state = capture(shared, id, request).unwrap_or_else(CaptureState::Failed);
    if let CaptureState::Failed(missing) = &state {
        tracing::warn!(capture = id, reason = missing.detail, "a capture failed");
        send(
            shared,
            Input::ProfileMissing {
                at: shared.clock.now(),
                target: request.target.clone(),
                profile_type: ProfileType::Native,
                missing: missing.clone(),
            },
        );
    }
    shared.update(id, |capture| capture.state = state);
}

fn capture(shared: &Shared, id: &str, request: &CaptureRequest) -> Reading<CaptureState> {
    let pid = request.process.pid;
    let used = used(request)?;
    let watched = Instant::now();
    let price = price::of_this_host();
    if shared.rest(id, BEFORE.saturating_sub(watched.elapsed())) {
        return Ok(CaptureState::Stopped);
    }
    let share = (self::used(request)?.saturating_sub(used)).as_secs_f64() / watched.elapsed().as_secs_f64();
    let mut session = Session::start(pid, request.sample_bytes)?;
    let mut symbols = Symbols::of_process(pid);
    let points = session.allocators().points.clone();
    let single_stepped = single_stepped(&points);
    let mut governor = Governor::new(
        price,
        single_stepped,
        request.cpu_budget_percent,
        share,
        request.duration,
    );
    shared.update(id, |capture| {
        capture.state = CaptureState::Running;
        capture.points = points;
        capture.share = share;
        capture.allowance = governor.allowance();
    });
    let start = Instant::now();
    let mut next_profile = BEFORE;
    let state = loop {
        let told = shared.rest(id, TICK);
        session.poll();
        let attached = start.elapsed();
        let counts = session.counts();
        let affordable = governor.goes_on(attached, &counts);
        shared.update(id, |capture| {
            capture.attached = attached;
            capture.counts = counts;
            capture.spent = governor.spent();
            capture.losses = session.losses();
        });
        if told {
            break CaptureState::Stopped;
        }
        if !affordable {
            break CaptureState::OverBudget;
        }
        if attached >= request.duration {
            break CaptureState::Done;
        }
        self::used(request)?;
        if attached >= next_profile {
            next_profile = attached + PROFILE_INTERVAL;
            hand_over(shared, id, request, &mut session, &mut symbols);
        }
    };
    session.detach();
    hand_over(shared, id, request, &mut session, &mut symbols);
    let losses = session.losses();
    for (reason, count) in &losses {
        send(
            shared,
            Input::Loss(Loss {
                at: shared.clock.now(),
                reason: (*reason).into(),
                count: *count,
            }),
        );
    }
    Ok(state)
}

/// Processor time of the process; an error when it has ended.
fn used(request: &CaptureRequest) -> Reading<Duration> {
    process::processor_time(request.process).map_err(|reason| Missing::new(MissingReason::Failed, reason))
}

/// Whether most allocations, and most releases, hit an instruction that is single-stepped: those of `malloc`'s and `free`'s kind.
fn single_stepped(points: &[ProbePoint]) -> (bool, bool) {
    let any = |signature| {
        let mut of_kind = points.iter().filter(|point| point.signature == signature);
        of_kind.any(|point| {
            let main = point.symbol.ends_with("malloc") || point.symbol.ends_with("free");
            main && point.placement.execution == Execution::SingleStepped
        })
    };
    (any(Signature::Size), any(Signature::Release))
}

fn hand_over(shared: &Shared, id: &str, request: &CaptureRequest, session: &mut Session, symbols: &mut Symbols) {
    let mut rows = session.rows();
    shared.update(id, |capture| capture.stacks = rows.len());
    rows.truncate(MAX_ROWS);
    if rows.is_empty() {
        return;
    }
    let at = shared.clock.now();
    let pprof = profile::encode(&rows, symbols, &request.exe, request.sample_bytes, at);
    send(
        shared,
        Input::Profile(RawProfile {
            at,
            target: request.target.clone(),
            process: request.process,
            profile_type: ProfileType::Native,
            source: ProfileSource::Capture,
            pprof,
        }),
    );
}

fn send(shared: &Shared, input: Input) {
    if let Some(inputs) = shared.inputs.upgrade()
        && inputs.blocking_send(input).is_err()
    {
        tracing::debug!("the engine has ended before a capture");
    }
}
