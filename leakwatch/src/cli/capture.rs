//! `capture`: starts one, shows how far it is, and what it has found.

use crate::capture::lanes::Lane;
use crate::cli::args::CaptureArgs;
use crate::cli::args::DetachArgs;
use crate::cli::args::ProfileArgs;
use crate::cli::client::Client;
use crate::cli::client::encoded;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::profile;
use crate::cli::text;
use crate::dto::capture::CaptureBody;
use crate::dto::capture::CaptureRequestBody;
use crate::dto::capture::DetachBody;
use std::time::Duration;
use tokio::signal;

const POLL: Duration = Duration::from_secs(1);
/// Polls between two lines of progress.
const PROGRESS: u32 = 5;

/// Ends the capture when it is interrupted; what was seen until then is shown.
pub(crate) async fn run(client: &Client, args: &CaptureArgs, output: Output) -> Result<Exit, CliError> {
    let asked = CaptureRequestBody {
        lane: args.lane.clone(),
        seconds: args.seconds,
        cpu_budget_percent: args.cpu_budget_percent,
        sample_bytes: args.sample_bytes.unwrap_or(crate::capture::DEFAULT_SAMPLE_BYTES),
    };
    let path = format!("/api/v1/targets/{}/captures", encoded(&args.target));
    let mut capture: CaptureBody = client.post(&path, &asked).await?;
    let path = format!("/api/v1/captures/{}", encoded(&capture.id));
    let mut polls = tokio::time::interval(POLL);
    let mut polled = 0;
    while matches!(capture.state.as_str(), "starting" | "running") {
        tokio::select! {
            _ = polls.tick() => capture = client.get(&path).await?,
            _ = signal::ctrl_c() => capture = client.delete(&path).await?,
        }
        polled += 1;
        if polled % PROGRESS == 0 {
            output.note(&progress(&capture));
        }
    }
    if output.is_json() {
        return output.json(&capture);
    }
    output.line(&progress(&capture))?;
    for (field, missing) in &capture.missing.0 {
        output.line(&format!("{field}: {}", missing.detail))?;
    }
    for loss in &capture.losses {
        output.line(&format!("lost: {} {}", loss.count, loss.reason))?;
    }
    if capture.stacks == 0 {
        return Ok(if capture.state == "failed" {
            Exit::Failed
        } else {
            Exit::Fine
        });
    }
    output.line("")?;
    let shown = ProfileArgs {
        profile_type: Lane::from_name(&capture.lane).map_or(capture.lane, |lane| lane.profile_type.name().to_owned()),
        target: capture.target,
        at: None,
        format: None,
        value: None,
        out: None,
    };
    profile::one(client, &shown, output).await
}

fn progress(capture: &CaptureBody) -> String {
    let cost = &capture.cost;
    let [taken, given] = Lane::from_name(&capture.lane).map_or(["allocations seen", "releases seen"], |lane| lane.hits);
    format!(
        "{} {}: {} of {}, {} {taken} and {} {given}, {} sampled, {} stacks; cost {:.3} s of processor time, allowed {:.3} s",
        capture.id,
        capture.state,
        text::time(capture.attached_seconds),
        text::time(capture.seconds),
        cost.allocation_hits,
        cost.release_hits,
        capture.samples,
        capture.stacks,
        cost.cpu_seconds,
        cost.allowed_cpu_seconds
    )
}

/// Takes all probes off, or allows captures again.
pub(crate) async fn detach(client: &Client, args: &DetachArgs, output: Output) -> Result<Exit, CliError> {
    let answer: DetachBody = if args.undo {
        client.delete("/api/v1/detach").await?
    } else {
        client.post("/api/v1/detach", &serde_json::Value::Null).await?
    };
    if output.is_json() {
        return output.json(&answer);
    }
    if answer.detached {
        output.line(&format!(
            "{} captures end now; no program gets a probe until `leakwatch detach --undo`",
            answer.stopped
        ))
    } else {
        output.line("captures are allowed again")
    }
}
