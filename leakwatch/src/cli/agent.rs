//! `agent`: the daemon in the foreground, logging to standard error.

use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::config::Config;
use crate::daemon;
use crate::daemon::Load;
use std::env;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

const LOG_VARIABLE: &str = "LEAKWATCH_LOG";

/// `debug`, or `info,leakwatch::probes=debug`: targets that are not named log what is informative.
fn filter(asked: &str) -> Result<Targets, ParseError> {
    let informative = Targets::new().with_default(LevelFilter::INFO);
    if asked.is_empty() {
        return Ok(informative);
    }
    let asked: Targets = asked.parse()?;
    let default = asked.default_level().unwrap_or(LevelFilter::INFO);
    Ok(informative.with_default(default).with_targets(asked))
}

pub(crate) async fn run(config: Config, load: Load, colours: bool) -> Result<Exit, CliError> {
    let asked = env::var(LOG_VARIABLE).unwrap_or_default();
    let (targets, refused) = match filter(&asked) {
        Ok(targets) => (targets, None),
        Err(error) => (Targets::new().with_default(LevelFilter::INFO), Some(error)),
    };
    tracing_subscriber::registry()
        .with(fmt::layer().with_writer(std::io::stderr).with_ansi(colours))
        .with(targets)
        .init();
    if let Some(error) = refused {
        tracing::warn!("{LOG_VARIABLE} is {asked:?}: {error}");
    }
    daemon::run(config, load).await?;
    Ok(Exit::Fine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn what_is_not_named_logs_what_is_informative() {
        for (asked, target, level, expected) in [
            ("", "leakwatch::engine", Level::INFO, true),
            ("", "leakwatch::engine", Level::DEBUG, false),
            ("debug", "leakwatch::engine", Level::DEBUG, true),
            ("leakwatch::probes=debug", "leakwatch::probes", Level::DEBUG, true),
            ("leakwatch::probes=debug", "leakwatch::engine", Level::DEBUG, false),
            ("leakwatch::probes=debug", "leakwatch::engine", Level::INFO, true),
            ("error,leakwatch::probes=debug", "leakwatch::engine", Level::INFO, false),
        ] {
            let filter = filter(asked).unwrap();
            assert_eq!(
                filter.would_enable(target, &level),
                expected,
                "{asked}: {target} {level}"
            );
        }
        assert!(filter("leakwatch=loud").is_err());
    }
}
