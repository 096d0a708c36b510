//! `replay`: what a recording leads to, offline.
#![expect(
    clippy::format_push_string,
    reason = "a page is made once per command, and writing into a string has no error to handle"
)]

use crate::cli::args::ReplayArgs;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::exit::is_leak;
use crate::cli::investigate;
use crate::cli::output::Output;
use crate::cli::output::Style;
use crate::cli::text::one_line;
use crate::dto::instant::Instant;
use crate::dto::investigation::InvestigationBody;
use crate::dto::oom_kill::OomKillBody;
use crate::dto::page::LossBody;
use crate::dto::status::HostBody;
use crate::engine::replay::replay;
use crate::store::view::View;
use leakwatch_analysis::model::units::Timestamp;
use serde::Serialize;

/// What of a recording was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct SkippedBody {
    /// Inputs of an unknown kind.
    pub(super) inputs: u64,
    /// Unknown counters, over all samples.
    pub(super) counters: u64,
    /// Inputs of which some field was left out.
    pub(super) inputs_with_unknown_fields: u64,
}

/// What a recording leads to.
#[derive(Debug, Serialize)]
pub(super) struct ReplayBody {
    /// Inputs played.
    pub(super) inputs: u64,
    /// Version of leakwatch that made the recording; `null` when it does not tell.
    pub(super) recorded_by: Option<String>,
    /// The host it was made on; `null` when it does not tell.
    pub(super) host: Option<HostBody>,
    /// What was left out because only later versions of leakwatch know it.
    pub(super) skipped: SkippedBody,
    /// Why the rest could not be played; `null` when all was.
    pub(super) cut_off: Option<String>,
    /// One per target, in order of their ids: each as the API would have served it.
    pub(super) investigations: Vec<InvestigationBody>,
    /// Post-mortems, oldest first.
    pub(super) oom_kills: Vec<OomKillBody>,
}

pub(crate) fn run(args: &ReplayArgs, output: Output) -> Result<Exit, CliError> {
    let (body, text) = play(args, output)?;
    if output.is_json() {
        output.json(&body)?;
    } else {
        output.text(&text)?;
    }
    Ok(exit(&body))
}

/// 3 when anything leaks.
pub(super) fn exit(body: &ReplayBody) -> Exit {
    let leaks = body.investigations.iter().any(|made| is_leak(&made.verdict.class));
    if leaks { Exit::LeakFound } else { Exit::Fine }
}

/// What the recording leads to, for programs and for people.
pub(super) fn play(args: &ReplayArgs, output: Output) -> Result<(ReplayBody, String), CliError> {
    let until = args.until.as_deref().map(instant).transpose()?;
    let replayed = replay(&args.file, until).map_err(|source| CliError::Replay {
        path: args.file.clone(),
        source,
    })?;
    let view = replayed.view;
    let body = ReplayBody {
        inputs: replayed.inputs,
        recorded_by: replayed.head.as_ref().map(|head| head.leakwatch.clone()),
        host: replayed
            .head
            .as_ref()
            .and_then(|head| Some(HostBody::from(head.host.as_ref().ok()?))),
        skipped: SkippedBody {
            inputs: replayed.skipped.inputs,
            counters: replayed.skipped.counters,
            inputs_with_unknown_fields: replayed.skipped.fields,
        },
        cut_off: replayed
            .cut_off
            .map(|error| format!("{:#}", anyhow::Error::from(error))),
        investigations: view
            .targets()
            .filter_map(|(id, stored)| {
                let losses = LossBody::list(view.losses());
                Some(InvestigationBody::new(id, stored.investigation.as_ref()?, losses))
            })
            .collect(),
        oom_kills: view
            .post_mortems()
            .map(|post_mortem| OomKillBody::new(post_mortem, LossBody::list(view.losses())))
            .collect(),
    };
    let text = page(&body, &view, output);
    Ok((body, text))
}

fn page(body: &ReplayBody, view: &View, output: Output) -> String {
    let mut page = format!("{} inputs, {} targets judged\n", body.inputs, body.investigations.len());
    if let Some(version) = &body.recorded_by {
        let node = body.host.as_ref().and_then(|host| host.node_name.as_deref());
        let node = one_line(node.unwrap_or("a host that is not named"));
        page.push_str(&format!("recorded by leakwatch {} on {node}\n", one_line(version)));
    }
    let skipped = body.skipped;
    for (count, what) in [
        (skipped.inputs, "inputs"),
        (skipped.counters, "counters"),
        (skipped.inputs_with_unknown_fields, "inputs in part"),
    ] {
        if count > 0 {
            page.push_str(&format!(
                "{count} {what} left out: this version of leakwatch does not know them\n"
            ));
        }
    }
    if let Some(why) = &body.cut_off {
        page.push_str(&format!("the rest could not be played: {why}\n"));
    }
    let paths = view.targets().filter(|(_, stored)| stored.investigation.is_some());
    for ((id, stored), made) in paths.zip(&body.investigations) {
        let path = one_line(&stored.history.target.cgroup.path);
        page.push_str(&format!("\n{} {path}\n", output.styled(Style::Strong, id.as_str())));
        page.push_str(&investigate::body(made, output));
    }
    for kill in &body.oom_kills {
        let victim = one_line(&kill.victim.comm);
        page.push_str(&format!(
            "\n{}: OOM kill of {victim} (pid {})\n",
            kill.at, kill.victim.pid
        ));
    }
    page
}

/// Offline there is no now to be relative to.
fn instant(text: &str) -> Result<Timestamp, CliError> {
    let seconds = text.parse().ok().map(Timestamp::from_unix_seconds);
    seconds
        .or_else(|| text.parse::<Instant>().ok().map(|instant| instant.0))
        .ok_or_else(|| {
            CliError::Usage(format!(
                "--until {text:?} is not an instant, write RFC 3339 or unix seconds"
            ))
        })
}
