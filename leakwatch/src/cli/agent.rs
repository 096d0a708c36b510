//! `agent`: the daemon in the foreground, logging to standard error.

use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::config::Config;
use crate::daemon;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

pub(crate) async fn run(config: Config, colours: bool) -> Result<Exit, CliError> {
    let filter = EnvFilter::builder()
        .with_env_var("LEAKWATCH_LOG")
        .with_default_directive(LevelFilter::INFO.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .init();
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    daemon::run(config).await?;
    Ok(Exit::Fine)
}
