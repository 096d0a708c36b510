//! `profile`, `diff` and `bundle`: what may be saved.

use crate::cli::args::BundleArgs;
use crate::cli::args::DiffArgs;
use crate::cli::args::ProfileArgs;
use crate::cli::client::Client;
use crate::cli::client::encoded;
use crate::cli::client::query;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::flame;
use crate::cli::output::Output;
use crate::cli::text;
use crate::dto::diff::DiffBody;
use crate::dto::page::LossBody;
use crate::dto::profile::TopBody;
use leakwatch_analysis::short_name;
use std::path::Path;

/// Rows shown of a table.
const ROWS: usize = 30;

pub(crate) async fn one(client: &Client, args: &ProfileArgs, output: Output) -> Result<Exit, CliError> {
    let format = args
        .format
        .as_deref()
        .unwrap_or(if args.out.is_some() { "pprof" } else { "top" });
    let query = query([
        ("format", Some(format)),
        ("at", args.at.as_deref()),
        ("value", args.value.as_deref()),
    ]);
    let path = format!(
        "/api/v1/targets/{}/profiles/{}{query}",
        encoded(&args.target),
        encoded(&args.profile_type)
    );
    show(client, &path, format, args.out.as_deref(), output).await
}

/// The last profile of a victim, where its post-mortem says it is.
pub(super) async fn last(
    client: &Client,
    link: &str,
    format: Option<&str>,
    out: Option<&Path>,
    output: Output,
) -> Result<Exit, CliError> {
    let format = format.unwrap_or(if out.is_some() { "pprof" } else { "top" });
    let separator = if link.contains('?') { '&' } else { '?' };
    show(
        client,
        &format!("{link}{separator}format={}", encoded(format)),
        format,
        out,
        output,
    )
    .await
}

async fn show(client: &Client, path: &str, format: &str, out: Option<&Path>, output: Output) -> Result<Exit, CliError> {
    if format == "top" && out.is_none() && !output.is_json() {
        let top: TopBody = client.get(path).await?;
        return output.text(&top_table(&top));
    }
    save(&client.bytes(path).await?, format, out, output)
}

pub(crate) async fn diff(client: &Client, args: &DiffArgs, output: Output) -> Result<Exit, CliError> {
    let format = args
        .format
        .as_deref()
        .unwrap_or(if args.out.is_some() { "pprof" } else { "json" });
    let table = args.format.is_none() && args.out.is_none() && !output.is_json();
    let is_flame = format == "flame";
    if is_flame && args.out.is_some() {
        return Err(CliError::Usage(
            "a flame graph of text is for the terminal: save pprof or folded".to_owned(),
        ));
    }
    let query = query([
        ("type", Some(args.profile_type.as_str())),
        ("format", Some(if is_flame { "folded" } else { format })),
        ("base", args.base.as_deref()),
        ("compare", args.compare.as_deref()),
        ("base_target", args.base_target.as_deref()),
        ("value", args.value.as_deref()),
        // The table needs no tree.
        ("max_nodes", table.then_some("2")),
    ]);
    let path = format!("/api/v1/targets/{}/diff{query}", encoded(&args.target));
    if table {
        let diff: DiffBody = client.get(&path).await?;
        return output.text(&diff_table(&diff));
    }
    if is_flame {
        let folded = client.bytes(&path).await?;
        let unit = match args.profile_type.as_str() {
            "goroutine" | "goroutineleak" => "count",
            _ if args.value.as_deref().is_some_and(|value| value.ends_with("objects")) => "count",
            _ => "bytes",
        };
        return output.text(&flame::draw(&String::from_utf8_lossy(&folded), unit, output));
    }
    save(&client.bytes(&path).await?, format, args.out.as_deref(), output)
}

pub(crate) async fn bundle(client: &Client, args: &BundleArgs, output: Output) -> Result<Exit, CliError> {
    let query = query([("from", args.from.as_deref()), ("to", args.to.as_deref())]);
    let path = format!("/api/v1/targets/{}/bundle{query}", encoded(&args.target));
    save(&client.bytes(&path).await?, "bundle", Some(&args.out), output)
}

fn save(bytes: &[u8], format: &str, file: Option<&Path>, output: Output) -> Result<Exit, CliError> {
    match file {
        Some(path) => {
            std::fs::write(path, bytes).map_err(|source| CliError::File {
                path: path.to_owned(),
                source,
            })?;
            Ok(Exit::Fine)
        }
        None if format == "pprof" && output.is_terminal() => Err(CliError::Usage(
            "a pprof file is no text: give a file with --out".to_owned(),
        )),
        None => output.bytes(bytes),
    }
}

fn top_table(top: &TopBody) -> String {
    let amount = |value| text::amount(value, &top.unit);
    let rows = top.top.iter().take(ROWS).map(|row| {
        vec![
            amount(row.flat),
            share(row.flat, top.total),
            amount(row.cum),
            place(&row.function, row.file.as_deref(), row.line),
        ]
    });
    let table = text::table(&["FLAT", "SHARE", "CUM", "FUNCTION"], &["FLAT", "SHARE", "CUM"], rows);
    format!(
        "{} {} at {}: {} in total{}\n\n{table}",
        top.r#type,
        top.value,
        top.at,
        amount(top.total),
        incomplete(&top.losses)
    )
}

fn diff_table(diff: &DiffBody) -> String {
    let delta = |value| text::delta(value, &diff.unit);
    let total = diff.compare.total.saturating_sub(diff.base.total);
    let rows = diff.top.iter().take(ROWS).map(|row| {
        let interval = match (row.low, row.high) {
            (Some(low), Some(high)) if low != high => format!("{} .. {}", delta(low), delta(high)),
            _ => text::NONE.to_owned(),
        };
        vec![
            delta(row.flat_delta),
            delta(row.cum_delta),
            interval,
            place(&row.function, row.file.as_deref(), row.line),
        ]
    });
    let table = text::table(
        &["FLAT", "CUM", "95 % INTERVAL", "FUNCTION"],
        &["FLAT", "CUM", "95 % INTERVAL"],
        rows,
    );
    let of_other =
        (diff.base.target != diff.compare.target).then(|| format!(" of {}", text::one_line(&diff.base.target)));
    let builds = (diff.matched_by == "function").then_some("\n  the builds differ: functions are compared, not lines");
    format!(
        "{} {}: {} at {}{}\n  compared with {} at {}{}: {}{}{}\n\n{table}",
        diff.r#type,
        diff.value,
        text::amount(diff.compare.total, &diff.unit),
        diff.compare.at,
        incomplete(&diff.compare.losses),
        text::amount(diff.base.total, &diff.unit),
        diff.base.at,
        of_other.unwrap_or_default(),
        delta(total),
        incomplete(&diff.base.losses),
        builds.unwrap_or_default(),
    )
}

fn incomplete(losses: &[LossBody]) -> String {
    LossBody::line(losses).map_or_else(String::new, |line| format!("\n  incomplete: {line}"))
}

fn place(function: &str, file: Option<&str>, line: Option<u32>) -> String {
    let function = short_name::of(function);
    // The last two parts of a path say enough in a table.
    let short = |file: &str| {
        file.rsplitn(3, '/')
            .take(2)
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
            .join("/")
    };
    match (file, line) {
        (Some(file), Some(line)) => format!("{function}  {}:{line}", short(file)),
        (Some(file), None) => format!("{function}  {}", short(file)),
        _ => function.into_owned(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown without decimals")]
fn share(part: i64, total: i64) -> String {
    if total == 0 {
        text::NONE.to_owned()
    } else {
        text::percent(Some(part as f64 / total as f64))
    }
}
