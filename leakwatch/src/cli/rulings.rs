//! `mute`, `mutes`, `overrule`, `overrules`: what a person decides for a service or a version of it.

use crate::cli::args::MuteArgs;
use crate::cli::args::OverruleArgs;
use crate::cli::args::RulingArgs;
use crate::cli::client::Client;
use crate::cli::client::encoded;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::list;
use crate::cli::output::Output;
use crate::cli::text;
use crate::dto::page::Page;
use crate::dto::ruling::MuteBody;
use crate::dto::ruling::OverruleBody;
use crate::size_text::parse_duration;
use serde_json::json;

pub(crate) async fn mute(client: &Client, args: &MuteArgs, output: Output) -> Result<Exit, CliError> {
    if let Some(id) = &args.ruling.undo {
        let mute: MuteBody = client.delete(&format!("/api/v1/mutes/{}", encoded(id))).await?;
        return said(
            &mute,
            &format!("{} alerts again", of(&mute.service, mute.version.as_deref())),
            output,
        );
    }
    let asked = json!({
        "service": args.service,
        "version": args.ruling.version,
        "reason": args.ruling.reason,
        "for_seconds": seconds(&args.ruling)?,
    });
    let mute: MuteBody = client.post("/api/v1/mutes", &asked).await?;
    let line = format!(
        "leaks and kills of {} alert nobody until {}; `leakwatch mute --undo {}` takes it back",
        of(&mute.service, mute.version.as_deref()),
        mute.until,
        mute.id
    );
    said(&mute, &line, output)
}

pub(crate) async fn mutes(client: &Client, output: Output) -> Result<Exit, CliError> {
    let page: Page<MuteBody> = list::all(client, "/api/v1/mutes", &[], usize::MAX).await?;
    if output.is_json() {
        return output.json(&page);
    }
    output.text(&mutes_table(&page.items))
}

/// The table of mutes.
pub(super) fn mutes_table(mutes: &[MuteBody]) -> String {
    let rows = mutes.iter().map(|mute| {
        vec![
            mute.service.clone(),
            mute.version.clone().unwrap_or_else(|| "all".to_owned()),
            mute.until.to_string(),
            mute.reason.clone(),
            mute.id.clone(),
        ]
    });
    text::table(&["SERVICE", "VERSION", "UNTIL", "REASON", "ID"], &[], rows)
}

pub(crate) async fn overrule(client: &Client, args: &OverruleArgs, output: Output) -> Result<Exit, CliError> {
    if let Some(id) = &args.ruling.undo {
        let overrule: OverruleBody = client.delete(&format!("/api/v1/overrules/{}", encoded(id))).await?;
        let of = of(&overrule.service, overrule.version.as_deref());
        return said(
            &overrule,
            &format!("{} of {of} is answered by leakwatch again", overrule.step),
            output,
        );
    }
    let asked = json!({
        "service": args.service,
        "version": args.ruling.version,
        "step": args.step,
        "answer": args.answer,
        "reason": args.ruling.reason,
        "for_seconds": seconds(&args.ruling)?,
    });
    let overrule: OverruleBody = client.post("/api/v1/overrules", &asked).await?;
    let line = format!(
        "the answer to {} is {} for {} until {}; `leakwatch overrule --undo {}` takes it back",
        overrule.step,
        overrule.answer.name(),
        of(&overrule.service, overrule.version.as_deref()),
        overrule.until,
        overrule.id
    );
    said(&overrule, &line, output)
}

pub(crate) async fn overrules(client: &Client, output: Output) -> Result<Exit, CliError> {
    let page: Page<OverruleBody> = list::all(client, "/api/v1/overrules", &[], usize::MAX).await?;
    if output.is_json() {
        return output.json(&page);
    }
    let rows = page.items.iter().map(|overrule| {
        vec![
            overrule.service.clone(),
            overrule.version.clone().unwrap_or_else(|| "all".to_owned()),
            overrule.step.clone(),
            overrule.answer.name().to_owned(),
            overrule.until.to_string(),
            overrule.reason.clone(),
            overrule.id.clone(),
        ]
    });
    let header = ["SERVICE", "VERSION", "QUESTION", "ANSWER", "UNTIL", "REASON", "ID"];
    output.text(&text::table(&header, &[], rows))
}

fn said(body: &impl serde::Serialize, line: &str, output: Output) -> Result<Exit, CliError> {
    if output.is_json() {
        return output.json(body);
    }
    output.line(line)
}

fn of(service: &str, version: Option<&str>) -> String {
    version.map_or_else(|| service.to_owned(), |version| format!("{service} {version}"))
}

fn seconds(args: &RulingArgs) -> Result<u64, CliError> {
    let duration = parse_duration(&args.duration).map_err(|error| CliError::Usage(format!("--for: {error}")))?;
    Ok(duration.as_secs())
}
