//! Captures a process as the daemon does by itself, for measuring what that costs real programs: `governed PID`. The allocator's calls within the
//! budget of the daemon; where they are called too often for that, at low duty, or as `governed PID growth` the pages that become resident.
//!
//! Says `ready` when the cost of a hit is known, which the daemon measures once too. Then each line of its standard input is an order:
//! `start` a capture, `look` at it, `stop` it. Each is answered by a line of JSON with what the capture has done so far.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use anyhow::Context as _;
use leakwatch::capture::Capture;
use leakwatch::capture::CaptureRequest;
use leakwatch::capture::CaptureState;
use leakwatch::capture::Captures;
use leakwatch::capture::DEFAULT_SAMPLE_BYTES;
use leakwatch::capture::lanes::Lane;
use leakwatch::capture::lanes::growth;
use leakwatch::capture::lanes::native;
use leakwatch::clock::Clock;
use leakwatch::config::CpuBudget;
use leakwatch::input::Input;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_test_support::wait::wait_until;
use procfs::process::Process;
use serde_json::json;
use std::env;
use std::io;
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc;

/// As long as a capture that the daemon starts by itself: how long a window is depends on it.
const DURATION: Duration = Duration::from_mins(1);
const PERCENT: f64 = 2.0;
const BUDGET: CpuBudget = CpuBudget {
    percent: PERCENT,
    floor_percent: 1.0,
};
/// Then it is clear whether the program bears it.
const UNDER_WAY: Duration = Duration::from_millis(2_500);
const DEADLINE: Duration = Duration::from_secs(30);

fn main() -> anyhow::Result<()> {
    let pid = env::args().nth(1).context("usage: governed PID [growth]")?;
    let then = match env::args().nth(2).as_deref() {
        Some("growth") => &growth::LANE,
        _ => &native::LANE,
    };
    let pid: u32 = pid.parse().context("PID")?;
    // Profiles are made as always, and read by nobody.
    let (inputs, mut received) = mpsc::channel::<Input>(16);
    thread::spawn(move || while received.blocking_recv().is_some() {});
    let captures = Captures::new(Clock::start(), true, &inputs);
    captures.probe_cost();
    println!("ready");
    let mut id = String::new();
    for order in io::stdin().lines() {
        let look = || captures.get(&id).context("no capture was started");
        let capture = match order?.as_str() {
            "start" => {
                let mut capture = captures.start(request(pid, &native::LANE, false)?)?;
                id.clone_from(&capture.id);
                let settled = wait_until("the capture to be under way", DEADLINE, || {
                    let capture = captures.get(&id).context("no capture was started")?;
                    Ok((capture.has_ended() || capture.running > UNDER_WAY).then_some(capture))
                })?;
                if matches!(settled.state, CaptureState::Failed(_)) {
                    capture = captures.start(request(pid, then, true)?)?;
                    id.clone_from(&capture.id);
                }
                capture
            }
            "look" => look()?,
            "stop" => {
                captures.stop(&id);
                wait_until("the capture's end", DEADLINE, || {
                    Ok(Some(look()?).filter(Capture::has_ended))
                })?
            }
            other => anyhow::bail!("{other}: start, look or stop"),
        };
        println!("{}", described(&capture));
    }
    captures.stop_all();
    Ok(())
}

fn request(pid: u32, lane: &'static Lane, low_duty: bool) -> anyhow::Result<CaptureRequest> {
    let stat = Process::new(pid.cast_signed())?.stat()?;
    let request = CaptureRequest {
        lane,
        target: TargetId::from_text("measured"),
        process: ProcessKey {
            pid,
            start_ticks: stat.starttime,
        },
        exe: stat.comm,
        duration: DURATION,
        sample_bytes: DEFAULT_SAMPLE_BYTES,
        cpu_budget: BUDGET,
        automatic: true,
        low_duty: false,
    };
    Ok(if low_duty { request.at_low_duty() } else { request })
}

fn described(capture: &Capture) -> serde_json::Value {
    let counts = capture.counts;
    let running = capture.running.as_secs_f64();
    json!({
        "lane": capture.request.lane.name,
        "state": format!("{:?}", capture.state),
        "running_seconds": running,
        "attached_seconds": running * capture.duty,
        "windows": capture.windows,
        "hits": counts.entries + counts.frees,
        "samples": counts.samples,
        "spent_seconds": capture.overhead.as_secs_f64(),
        "used_seconds": capture.used.as_secs_f64(),
        "losses": capture.losses.iter().map(|(_, count)| count).sum::<u64>(),
    })
}
