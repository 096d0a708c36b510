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

/// The largest page the API gives.
const PAGE: usize = 1_000;

pub(crate) async fn targets(client: &Client, args: &TargetsArgs, output: Output) -> Result<Exit, CliError> {
    let filters = [
        ("kind", args.kind.as_deref()),
        ("service", args.service.as_deref()),
        ("verdict", args.verdict.as_deref()),
        ("sort", args.sort.as_deref()),
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
        "TARGET", "KIND", "NAME", "SERVICE", "CHARGE", "LIMIT", "GROWTH", "VERDICT", "SURE", "LIMIT IN", "KILLS",
    ];
    let right = ["CHARGE", "LIMIT", "GROWTH", "SURE", "LIMIT IN", "KILLS"];
    let rows = targets.iter().map(|target| {
        let verdict = target.verdict.as_ref();
        let left = verdict
            .and_then(|verdict| verdict.time_to_limit_seconds.as_ref())
            .and_then(|time| time.p50);
        vec![
            target.id.clone(),
            target.kind.clone(),
            target.name.clone(),
            target.service.clone(),
            text::size(target.memory.charge_bytes),
            text::size(target.memory.limit_bytes),
            text::rate(verdict.and_then(|verdict| verdict.growth_bytes_per_second)),
            verdict.map_or_else(|| text::NONE.to_owned(), |verdict| verdict.class.clone()),
            text::percent(verdict.and_then(|verdict| verdict.confidence)),
            left.map_or_else(|| text::NONE.to_owned(), text::time),
            target.oom_kills.to_string(),
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
    let rows = page.items.iter().map(|event| {
        vec![
            event.at.to_string(),
            event.kind.clone(),
            event.target.clone().unwrap_or_else(|| text::NONE.to_owned()),
            event.summary.clone(),
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

/// What was dropped concerns every answer.
pub(crate) fn note_losses(output: Output, losses: &[LossBody]) {
    for loss in losses {
        output.note(&format!("{} lost: {}", loss.count, loss.reason));
    }
}
