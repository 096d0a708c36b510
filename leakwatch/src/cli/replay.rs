//! `replay`: what a recording or a bundle leads to, offline.
#![expect(
    clippy::format_push_string,
    reason = "a page is made once per command, and writing into a string has no error to handle"
)]

use crate::cli::args::ReplayArgs;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::exit::is_leak;
use crate::cli::investigate;
use crate::cli::offline;
use crate::cli::offline::Known;
use crate::cli::output::Output;
use crate::cli::output::Style;
use crate::cli::text::one_line;
use crate::dto::instant::Instant;
use crate::dto::investigation::InvestigationBody;
use crate::dto::oom_kill::OomKillBody;
use crate::dto::page::LossBody;
use crate::dto::status::HostBody;
use crate::engine::bundle;
use crate::engine::replay::replay;
use crate::input::Head;
use crate::store::bundle::decode;
use crate::store::bundle::is_bundle;
use crate::store::view::View;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use serde::Serialize;
use std::fs::File;
use std::io::Read as _;

/// What tells a bundle from a recording.
const MAX_BEGIN: u64 = 8;
/// Bytes of a bundle that are read at most.
const MAX_BUNDLE: u64 = 256 << 20;

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

/// A bundle, and whether its verdict is reproduced.
#[derive(Debug, Serialize)]
pub(super) struct BundleBody {
    /// When it was made.
    pub(super) made_at: Instant,
    /// Id of the target that it is about.
    pub(super) target: String,
    /// Class of the verdict that it was made with.
    pub(super) verdict: Option<String>,
    /// Whether the verdict made again is the same in every number and sentence; `null` where it cannot be made again because the target had ended.
    pub(super) identical: Option<bool>,
}

/// What a recording or a bundle leads to.
#[derive(Debug, Serialize)]
pub(super) struct ReplayBody {
    /// Inputs played; none of a bundle, which has what came of them.
    pub(super) inputs: u64,
    /// What is only told of a bundle; `null` for a recording.
    pub(super) bundle: Option<BundleBody>,
    /// Version of leakwatch that made the file; `null` when it does not tell.
    pub(super) recorded_by: Option<String>,
    /// The host it was made on; `null` when it does not tell.
    pub(super) host: Option<HostBody>,
    /// What was left out because only later versions of leakwatch know it.
    pub(super) skipped: SkippedBody,
    /// Why the rest could not be played; `null` when all was.
    pub(super) cut_off: Option<String>,
    /// One per target, in order of their ids: each as the API would have served it. Of a bundle only that of its target.
    pub(super) investigations: Vec<InvestigationBody>,
    /// Post-mortems, oldest first.
    pub(super) oom_kills: Vec<OomKillBody>,
}

pub(crate) async fn run(args: &ReplayArgs, output: Output) -> Result<Exit, CliError> {
    let played = play(args, output)?;
    if output.is_json() {
        output.json(&played.body)?;
    } else {
        output.text(&played.text)?;
    }
    let exit = exit(&played.body);
    if let Some(address) = args.serve {
        offline::serve(address, played.known, output).await?;
    }
    Ok(exit)
}

/// 3 when anything leaks.
pub(super) fn exit(body: &ReplayBody) -> Exit {
    let leaks = body.investigations.iter().any(|made| is_leak(&made.verdict.class));
    if leaks { Exit::LeakFound } else { Exit::Fine }
}

/// What a file leads to.
#[derive(Debug)]
pub(super) struct Played {
    /// For programs.
    pub(super) body: ReplayBody,
    /// For people.
    pub(super) text: String,
    /// To be served.
    pub(super) known: Known,
}

/// Plays the recording or opens the bundle.
pub(super) fn play(args: &ReplayArgs, output: Output) -> Result<Played, CliError> {
    let path = &args.file;
    let read = |source| CliError::Read {
        path: path.clone(),
        source,
    };
    let mut begin = Vec::new();
    let file = File::open(path).map_err(read)?;
    file.take(MAX_BEGIN).read_to_end(&mut begin).map_err(read)?;
    if !is_bundle(&begin) {
        return play_recording(args, output);
    }
    if args.until.is_some() {
        return Err(CliError::Usage(
            "--until is for recordings: a bundle has one instant".to_owned(),
        ));
    }
    let refuse = |source| CliError::Bundle {
        path: path.clone(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(read)?;
    file.take(MAX_BUNDLE).read_to_end(&mut bytes).map_err(read)?;
    let opened = bundle::open(decode(&bytes).map_err(refuse)?);
    let bundle = BundleBody {
        made_at: opened.made_at.into(),
        target: opened.subject.to_string(),
        verdict: opened.verdict.as_ref().map(|verdict| verdict.class.name().to_owned()),
        identical: opened.is_reproduced,
    };
    let view = opened.engine.views().newest();
    let mut body = body_of(&view, Some(&opened.head), |id| *id == opened.subject);
    body.bundle = Some(bundle);
    let text = page(&body, &view, output);
    let known = Known {
        engine: opened.engine,
        head: Some(opened.head),
        at: opened.made_at,
        past: Some((opened.subject, opened.past)),
    };
    Ok(Played { body, text, known })
}

fn play_recording(args: &ReplayArgs, output: Output) -> Result<Played, CliError> {
    let until = args.until.as_deref().map(instant).transpose()?;
    let replayed = replay(&args.file, until).map_err(|source| CliError::Replay {
        path: args.file.clone(),
        source,
    })?;
    let view = replayed.view;
    let mut body = body_of(&view, replayed.head.as_ref(), |_| true);
    body.inputs = replayed.inputs;
    body.skipped = SkippedBody {
        inputs: replayed.skipped.inputs,
        counters: replayed.skipped.counters,
        inputs_with_unknown_fields: replayed.skipped.fields,
    };
    body.cut_off = replayed
        .cut_off
        .map(|error| format!("{:#}", anyhow::Error::from(error)));
    let text = page(&body, &view, output);
    let known = Known {
        engine: replayed.engine,
        head: replayed.head,
        at: view.now(),
        past: None,
    };
    Ok(Played { body, text, known })
}

fn body_of(view: &View, head: Option<&Head>, is_asked_for: impl Fn(&TargetId) -> bool) -> ReplayBody {
    let losses = || LossBody::list(view.losses());
    let targets = view.targets().filter(|(id, _)| is_asked_for(id));
    ReplayBody {
        inputs: 0,
        bundle: None,
        recorded_by: head.map(|head| head.leakwatch.clone()),
        host: head.and_then(|head| Some(HostBody::from(head.host.as_ref().ok()?))),
        skipped: SkippedBody {
            inputs: 0,
            counters: 0,
            inputs_with_unknown_fields: 0,
        },
        cut_off: None,
        investigations: targets
            .filter_map(|(id, stored)| Some(InvestigationBody::new(id, stored.investigation.as_ref()?, losses())))
            .collect(),
        oom_kills: view
            .post_mortems()
            .map(|post_mortem| OomKillBody::new(post_mortem, losses()))
            .collect(),
    }
}

fn page(body: &ReplayBody, view: &View, output: Output) -> String {
    let mut page = match &body.bundle {
        None => format!("{} inputs, {} targets judged\n", body.inputs, body.investigations.len()),
        Some(bundle) => format!("a bundle of {} as of {}\n", bundle.target, bundle.made_at),
    };
    if let Some(bundle) = &body.bundle {
        let class = bundle.verdict.as_deref().unwrap_or("none");
        let is_alike = body
            .investigations
            .first()
            .is_some_and(|made| made.verdict.class == class);
        page.push_str(&match bundle.identical {
            Some(true) => "the verdict is made again, and is the same\n".to_owned(),
            Some(false) if is_alike => {
                "the verdict is made again, and is of the same class, in other words or numbers: another build made the bundle\n"
                    .to_owned()
            }
            Some(false) => format!("the verdict is made again, and is another: it was {class}\n"),
            None => format!("the verdict is the one of then: {class}\n"),
        });
    }
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
    for made in &body.investigations {
        let target = view.target(&TargetId::from_text(&made.target));
        let path = target
            .map(|target| one_line(&target.history.target.cgroup.path))
            .unwrap_or_default();
        page.push_str(&format!("\n{} {path}\n", output.styled(Style::Strong, &made.target)));
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
