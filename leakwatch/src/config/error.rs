//! Why a configuration is refused. Every variant names where the value came from.

use crate::config::origin::Origin;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file given by `--config` (or an existing default file) cannot be read.
    #[error("cannot read configuration file {path}", path = path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{path}:{line}: not valid TOML: {message}", path = path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The parser's message.
        message: String,
    },
    /// A key that does not exist.
    #[error("{origin}: unknown key `{key}`{}", did_you_mean(nearest.as_deref()))]
    UnknownKey {
        /// Where it is.
        origin: Origin,
        /// As written, with its tables.
        key: String,
        /// The existing key that is nearest.
        nearest: Option<String>,
    },
    /// A variable with our prefix that is no setting.
    #[error("environment variable {name} is not a setting{}", did_you_mean(nearest.as_deref()))]
    UnknownVariable {
        /// Its name.
        name: String,
        /// The variable of a setting that is nearest.
        nearest: Option<String>,
    },
    /// The value has another type than the key.
    #[error("{origin}: `{key}` is {found}, expected {expected}")]
    WrongType {
        /// Where it is.
        origin: Origin,
        /// Which key.
        key: String,
        /// What it is.
        found: &'static str,
        /// What it has to be, with an example.
        expected: &'static str,
    },
    /// The value is of the right type but cannot be meant.
    #[error("{origin}: `{key}`: {reason}; expected {expected}")]
    WrongValue {
        /// Where it is.
        origin: Origin,
        /// Which key.
        key: String,
        /// What is wrong with it.
        reason: String,
        /// What it has to be, with an example.
        expected: &'static str,
    },
    /// A `[[go.endpoint]]` without `url`, or one that matches nothing in particular.
    #[error("{origin}: `[[go.endpoint]]` {reason}")]
    IncompleteEndpoint {
        /// Where the table starts.
        origin: Origin,
        /// What is missing.
        reason: &'static str,
    },
    /// An address that others can reach, without a token.
    #[error(
        "{origin}: listening on {listen} lets other machines read profiles, so it needs a token: set `api.token_file`, \
         or listen on 127.0.0.1"
    )]
    TokenRequired {
        /// Where the address comes from.
        origin: Origin,
        /// The address.
        listen: SocketAddr,
    },
    /// The token file cannot be read.
    #[error("{origin}: cannot read token file {path}", path = path.display())]
    TokenUnreadable {
        /// Where the path comes from.
        origin: Origin,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The token is no secret.
    #[error(
        "{origin}: the token in {path} has {length} characters, at least {min} printable ones without spaces are needed; \
         make one with `openssl rand -hex 32`",
        path = path.display()
    )]
    TokenWeak {
        /// Where the path comes from.
        origin: Origin,
        /// The file.
        path: PathBuf,
        /// Characters found.
        length: usize,
        /// Characters needed.
        min: usize,
    },
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!(", did you mean `{nearest}`?"))
}
