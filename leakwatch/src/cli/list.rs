//! `targets` and `events`.

use crate::cli::args::EventsArgs;
use crate::cli::args::TargetsArgs;
use crate::cli::client::Client;
use crate::cli::client::query;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::text;
use crate::dto::event::EventBody;
use crate::dto::page::LossBody;
use crate::dto::page::Page;
use crate::dto::target::TargetBody;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// The largest page the API gives.
const PAGE: usize = 1_000;

pub(crate) async fn targets(client: &Client, args: &TargetsArgs, output: Output) -> Result<Exit, CliError> {
    let filters = [
        ("kind", args.kind.as_deref()),
        ("service", args.service.as_deref()),
        ("verdict", args.verdict.as_deref()),
        ("sort", Some(args.sort.as_deref().unwrap_or("leak"))),
    ];
    let page: Page<TargetBody> = all(client, "/api/v1/targets", &filters, args.limit.unwrap_or(usize::MAX)).await?;
    if output.is_json() {
        return output.json(&page);
    }
    note_losses(output, &page.losses);
    output.text(&targets_table(&page.items))
}

/// The table of targets.
pub(crate) fn targets_table(targets: &[TargetBody]) -> String {
    let header = [
        "NAME", "KIND", "SERVICE", "CHARGE", "LIMIT", "GROWTH", "VERDICT", "SURE", "LIMIT IN", "KILLS", "ID",
    ];
    let right = ["CHARGE", "LIMIT", "GROWTH", "SURE", "LIMIT IN", "KILLS"];
    let rows = targets.iter().map(|target| {
        let verdict = target.verdict.as_ref();
        // Nothing was found that one could be sure of.
        let sure = verdict.filter(|verdict| verdict.class != "not_enough_data");
        let left = verdict
            .and_then(|verdict| verdict.time_to_limit_seconds.as_ref())
            .and_then(|time| time.p50);
        vec![
            target.name.clone(),
            target.kind.clone(),
            target.service.clone(),
            text::size(target.memory.charge_bytes),
            text::size(target.memory.limit_bytes),
            text::rate(verdict.and_then(|verdict| verdict.growth_bytes_per_second)),
            match verdict {
                Some(verdict) if target.muted.is_some() => format!("{} (muted)", verdict.class),
                Some(verdict) => verdict.class.clone(),
                None => text::NONE.to_owned(),
            },
            text::percent(sure.and_then(|verdict| verdict.confidence)),
            left.map_or_else(|| text::NONE.to_owned(), text::time),
            target.oom_kills.to_string(),
            target.id.clone(),
        ]
    });
    text::table(&header, &right, rows)
}

pub(crate) async fn events(client: &Client, args: &EventsArgs, output: Output) -> Result<Exit, CliError> {
    let filters = [
        ("kinds", args.kinds.as_deref()),
        ("target", args.target.as_deref()),
        ("from", args.from.as_deref()),
        ("to", args.to.as_deref()),
    ];
    let page: Page<EventBody> = all(client, "/api/v1/events", &filters, args.limit).await?;
    if output.is_json() {
        return output.json(&page);
    }
    note_losses(output, &page.losses);
    let names = names(client).await?;
    let rows = page.items.iter().map(|event| {
        vec![
            event.at.to_string(),
            event.kind.clone(),
            name_of(&names, event.target.as_deref()),
            if event.muted {
                format!("{} (muted)", event.summary)
            } else {
                event.summary.clone()
            },
        ]
    });
    output.text(&text::table(&["AT", "KIND", "TARGET", "WHAT"], &[], rows))
}

/// A list over all its pages, up to `limit` items.
pub(crate) async fn all<T: DeserializeOwned>(
    client: &Client,
    path: &str,
    filters: &[(&str, Option<&str>)],
    limit: usize,
) -> Result<Page<T>, CliError> {
    let mut whole = Page {
        items: Vec::new(),
        next_cursor: None,
        losses: Vec::new(),
    };
    loop {
        let wanted = limit.saturating_sub(whole.items.len()).clamp(1, PAGE).to_string();
        let paging = [
            ("limit", Some(wanted.as_str())),
            ("cursor", whole.next_cursor.as_deref()),
        ];
        let page: Page<T> = client
            .get(&format!("{path}{}", query(filters.iter().copied().chain(paging))))
            .await?;
        whole.items.extend(page.items);
        whole.losses = page.losses;
        whole.next_cursor = page.next_cursor;
        if whole.next_cursor.is_none() || whole.items.len() >= limit {
            return Ok(whole);
        }
    }
}

/// Names of targets by their ids, those that are gone too.
pub(super) async fn names(client: &Client) -> Result<BTreeMap<String, String>, CliError> {
    let page: Page<TargetBody> = all(client, "/api/v1/targets", &[("life", Some("all"))], usize::MAX).await?;
    Ok(page.items.into_iter().map(|target| (target.id, target.name)).collect())
}

/// The name of a target; its id where it is forgotten.
pub(super) fn name_of(names: &BTreeMap<String, String>, id: Option<&str>) -> String {
    let name = id.map(|id| names.get(id).map_or(id, String::as_str));
    name.unwrap_or(text::NONE).to_owned()
}

/// What was dropped concerns every answer.
pub(crate) fn note_losses(output: Output, losses: &[LossBody]) {
    for loss in losses {
        output.note(&format!("{} lost: {}", loss.count, loss.reason));
    }
}
