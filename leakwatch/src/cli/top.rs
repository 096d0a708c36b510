//! `top`: what grows, refreshed.

use crate::cli::args::TopArgs;
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::list::targets_table;
use crate::cli::output::Output;
use crate::dto::page::Page;
use crate::dto::target::TargetBody;
use std::time::Duration;

/// Rows that fit on a screen.
const ROWS: usize = 30;
/// Cursor home, and clear what is below.
const HOME: &str = "\u{1b}[H\u{1b}[J";

pub(crate) async fn run(client: &Client, args: &TopArgs, output: Output) -> Result<Exit, CliError> {
    let interval = Duration::try_from_secs_f64(args.interval)
        .ok()
        .filter(|interval| *interval >= Duration::from_millis(100))
        .ok_or_else(|| CliError::Usage(format!("--interval {} is not a time of at least 0.1 s", args.interval)))?;
    let refreshing = output.is_terminal() && !output.is_json();
    let count = args.count.unwrap_or(if refreshing { u64::MAX } else { 1 });
    let path = format!("/api/v1/targets?sort=growth&limit={ROWS}");
    let mut refreshes = tokio::time::interval(interval);
    for _ in 0..count {
        refreshes.tick().await;
        let page: Page<TargetBody> = client.get(&path).await?;
        if output.is_json() {
            output.json(&page)?;
            continue;
        }
        let home = if refreshing { HOME } else { "" };
        output.text(&format!("{home}{}", targets_table(&page.items)))?;
    }
    Ok(Exit::Fine)
}
