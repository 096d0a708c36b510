//! `store`: what is in the history on disk, and whether it is whole. Reads the files themselves: the daemon need not run, and may.

use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::config::Config;
use crate::dto::instant::Instant;
use crate::store::disk::verify;
use crate::store::disk::verify::Report;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use serde::Serialize;

/// What is in the store.
#[derive(Debug, Serialize)]
struct StoreReportBody {
    directory: String,
    bytes: u64,
    max_bytes: u64,
    tiers: Vec<TierReportBody>,
    other_bytes: u64,
    problems: Vec<String>,
}

/// What is in a tier.
#[derive(Debug, Serialize)]
struct TierReportBody {
    name: String,
    bytes: u64,
    partitions: usize,
    damaged: usize,
    frames: u64,
    /// `null` unless everything was read.
    rows: Option<u64>,
    from: Option<Instant>,
    to: Option<Instant>,
}

pub(crate) fn run(config: &Config, thorough: bool, output: Output) -> Result<Exit, CliError> {
    let report = verify::look(&config.state_dir, thorough).map_err(CliError::Store)?;
    let body = body(config, &report, thorough);
    if output.is_json() {
        output.json(&body)?;
    } else {
        output.text(&text(&body))?;
    }
    Ok(if report.problems.is_empty() {
        Exit::Fine
    } else {
        Exit::Failed
    })
}

fn body(config: &Config, report: &Report, thorough: bool) -> StoreReportBody {
    let at = |millis: u64| Timestamp::from_unix_nanos(millis.saturating_mul(1_000_000)).into();
    let tiers: Vec<TierReportBody> = report
        .tiers
        .iter()
        .map(|(tier, held)| TierReportBody {
            name: tier.name().to_owned(),
            bytes: held.bytes,
            partitions: held.partitions,
            damaged: held.damaged,
            frames: held.frames,
            rows: thorough.then_some(held.rows),
            from: held.span.map(|(from, _)| at(from)),
            to: held.span.map(|(_, to)| at(to)),
        })
        .collect();
    StoreReportBody {
        directory: config.state_dir.join("store").display().to_string(),
        bytes: tiers.iter().map(|tier| tier.bytes).sum::<u64>() + report.other_bytes,
        max_bytes: config.store.max_bytes.0,
        tiers,
        other_bytes: report.other_bytes,
        problems: report.problems.clone(),
    }
}

fn text(body: &StoreReportBody) -> String {
    let mut lines = vec![format!(
        "{}: {} of {}",
        body.directory,
        Bytes(body.bytes),
        Bytes(body.max_bytes)
    )];
    for tier in &body.tiers {
        let rows = tier.rows.map_or_else(String::new, |rows| format!(", {rows} rows"));
        let from = tier
            .from
            .as_ref()
            .map_or_else(String::new, |from| format!(", from {from}"));
        let damaged = match tier.damaged {
            0 => String::new(),
            damaged => format!(", {damaged} set aside as damaged"),
        };
        lines.push(format!(
            "  {:<14} {:>10} in {} files, {} frames{rows}{from}{damaged}",
            tier.name,
            Bytes(tier.bytes).to_string(),
            tier.partitions,
            tier.frames
        ));
    }
    lines.push(format!("  {:<14} {:>10}", "other", Bytes(body.other_bytes).to_string()));
    match body.problems.len() {
        0 => lines.push("nothing is damaged".to_owned()),
        _ => lines.extend(body.problems.iter().map(|problem| format!("DAMAGED: {problem}"))),
    }
    lines.join("\n") + "\n"
}
