//! The keys of the configuration: name, meaning, how a value is taken in and how it is printed. One row per key; the file,
//! the environment and the flags all go through here, so that they cannot differ.
// tidy: long because it is one table

use crate::config::CpuBudget;
use crate::config::exclude::Exclude;
use crate::config::settings::Config;
use crate::config::settings::SourceConfig;
use crate::config::settings::WebhookFormat;
use crate::size_text::format_duration;
use crate::size_text::format_size;
use crate::size_text::parse_duration;
use crate::size_text::parse_size;
use http::Uri;
use leakwatch_analysis::model::units::Bytes;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A value as its source gives it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// From the environment or a flag: the key decides what it is.
    Untyped(String),
    /// A TOML string.
    Text(String),
    /// A TOML integer, with underscores removed.
    Integer(i128),
    /// A TOML float.
    Float(f64),
    /// A TOML boolean.
    Bool(bool),
    /// A TOML array of strings.
    List(Vec<String>),
    /// A TOML value that no key takes, by its article and type.
    Other(&'static str),
}

impl Value {
    /// Article and type, for error messages.
    pub(crate) const fn describe(&self) -> &'static str {
        match self {
            Self::Untyped(_) | Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Bool(_) => "a boolean",
            Self::List(_) => "an array",
            Self::Other(name) => name,
        }
    }

    fn text(&self) -> Result<&str, Refusal> {
        match self {
            Self::Untyped(text) | Self::Text(text) => Ok(text.trim()),
            _ => Err(Refusal::Type),
        }
    }

    fn path(&self) -> Result<PathBuf, Refusal> {
        match self.text()? {
            "" => Err(Refusal::Value("the path is empty".to_owned())),
            text => Ok(PathBuf::from(text)),
        }
    }

    /// A path, or nothing for `off`.
    fn path_or_off(&self) -> Result<Option<PathBuf>, Refusal> {
        if self.text()? == "off" {
            Ok(None)
        } else {
            self.path().map(Some)
        }
    }

    fn boolean(&self) -> Result<bool, Refusal> {
        match self {
            Self::Bool(value) => Ok(*value),
            Self::Untyped(text) => match text.trim() {
                "true" | "1" | "yes" => Ok(true),
                "false" | "0" | "no" => Ok(false),
                other => Err(Refusal::Value(format!("{other:?} is neither true nor false"))),
            },
            _ => Err(Refusal::Type),
        }
    }

    fn duration(&self) -> Result<Duration, Refusal> {
        match self {
            Self::Integer(_) | Self::Float(_) => Err(Refusal::Value("a bare number has no unit".to_owned())),
            _ => parse_duration(self.text()?).map_err(|error| Refusal::Value(error.to_string())),
        }
    }

    fn size(&self) -> Result<Bytes, Refusal> {
        match self {
            Self::Integer(_) | Self::Float(_) => Err(Refusal::Value("a bare number has no unit".to_owned())),
            _ => parse_size(self.text()?).map_err(|error| Refusal::Value(error.to_string())),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a percentage that needs more than 53 bits is out of range anyway"
    )]
    fn number(&self) -> Result<f64, Refusal> {
        match self {
            Self::Integer(value) => Ok(*value as f64),
            Self::Float(value) => Ok(*value),
            Self::Untyped(text) => text
                .trim()
                .parse()
                .map_err(|error| Refusal::Value(format!("{text:?} is not a number: {error}"))),
            _ => Err(Refusal::Type),
        }
    }

    fn percent(&self) -> Result<f64, Refusal> {
        let percent = self.number()?;
        if !(percent > 0.0 && percent <= CpuBudget::MAX_PERCENT) {
            return Err(Refusal::Value(format!("{percent} is out of range")));
        }
        Ok(percent)
    }

    fn list(&self) -> Result<Vec<String>, Refusal> {
        match self {
            Self::List(items) => Ok(items.clone()),
            Self::Untyped(text) => Ok(text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(str::to_owned)
                .collect()),
            _ => Err(Refusal::Type),
        }
    }
}

/// Why a key does not take a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its type is wrong.
    Type,
    /// It cannot be meant, because of this.
    Value(String),
}

/// When a new value of a key has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applies {
    /// When the daemon is told to load its configuration again.
    AtReload,
    /// When the daemon starts: what depends on it is made once.
    AtStart,
}

/// One key.
pub(crate) struct Key {
    /// With its tables: `api.listen`.
    pub(crate) name: &'static str,
    /// What is expected, with an example.
    pub(crate) expected: &'static str,
    /// When a new value has an effect.
    pub(crate) applies: Applies,
    /// Takes in a value.
    pub(crate) set: fn(&mut Config, &Value) -> Result<(), Refusal>,
    /// The value in force as TOML; `None` when unset.
    pub(crate) show: fn(&Config) -> Option<String>,
}

/// All keys except the tables of `[[go.endpoint]]`, in the order `config print` shows them.
pub(crate) const KEYS: &[Key] = &[
    Key {
        name: "interval",
        expected: "a duration with a unit between 100ms and 1h, like \"5s\"",
        applies: Applies::AtReload,
        set: |config, value| {
            let interval = value.duration()?;
            if !(Duration::from_millis(100)..=Duration::from_hours(1)).contains(&interval) {
                return Err(Refusal::Value(format!("{} is out of range", format_duration(interval))));
            }
            config.interval = interval;
            Ok(())
        },
        show: |config| Some(quoted(&format_duration(config.interval))),
    },
    Key {
        name: "only",
        expected: "a cgroup path below the hierarchy's root, like \"/kubepods\"",
        applies: Applies::AtStart,
        set: |config, value| {
            let path = value.text()?;
            if path.is_empty() || path.split('/').any(|part| part == "..") {
                return Err(Refusal::Value(format!("{path:?} is not a cgroup path")));
            }
            config.only = Some(format!("/{}", path.trim_matches('/')));
            Ok(())
        },
        show: |config| config.only.as_deref().map(quoted),
    },
    Key {
        name: "exclude",
        expected: "globs over cgroup paths and names, like [\"/user.slice\", \"service=batch-*\", \"name=*.scope\"]",
        applies: Applies::AtReload,
        set: |config, value| {
            config.exclude = Exclude::parse(&value.list()?).map_err(Refusal::Value)?;
            Ok(())
        },
        show: |config| {
            let rules: Vec<String> = config.exclude.texts().map(|rule| quoted(&rule)).collect();
            Some(format!("[{}]", rules.join(", ")))
        },
    },
    Key {
        name: "node",
        expected: "what this host is called, like \"node7\"; its hostname without it",
        applies: Applies::AtStart,
        set: |config, value| {
            let name = value.text()?;
            if name.is_empty()
                || name.len() > 253
                || name.chars().any(|letter| letter.is_control() || letter.is_whitespace())
            {
                return Err(Refusal::Value(format!("{name:?} is no name of a host")));
            }
            config.node = Some(name.to_owned());
            Ok(())
        },
        show: |config| config.node.as_deref().map(quoted),
    },
    Key {
        name: "state_dir",
        expected: "a directory, like \"/var/lib/leakwatch\"",
        applies: Applies::AtStart,
        set: |config, value| {
            config.state_dir = value.path()?;
            Ok(())
        },
        show: |config| Some(quoted(&config.state_dir.to_string_lossy())),
    },
    Key {
        name: "cgroup_root",
        expected: "the mount point of a cgroup hierarchy, like \"/sys/fs/cgroup\"",
        applies: Applies::AtStart,
        set: |config, value| {
            config.cgroup_root = Some(value.path()?);
            Ok(())
        },
        show: |config| config.cgroup_root.as_ref().map(|path| quoted(&path.to_string_lossy())),
    },
    Key {
        name: "bpf",
        expected: "true or false",
        applies: Applies::AtStart,
        set: |config, value| {
            config.bpf = value.boolean()?;
            Ok(())
        },
        show: |config| Some(config.bpf.to_string()),
    },
    Key {
        name: "record",
        expected: "a file that inputs are written to, like \"/var/lib/leakwatch/inputs.lwr\"",
        applies: Applies::AtStart,
        set: |config, value| {
            config.record = Some(value.path()?);
            Ok(())
        },
        show: |config| config.record.as_ref().map(|path| quoted(&path.to_string_lossy())),
    },
    Key {
        name: "api.listen",
        expected: "an IP address with a port, like \"127.0.0.1:7411\", or \"off\"",
        applies: Applies::AtStart,
        set: |config, value| {
            config.api.listen = match value.text()? {
                "off" => None,
                text => Some(parse_address(text)?),
            };
            Ok(())
        },
        show: |config| {
            Some(quoted(
                &config
                    .api
                    .listen
                    .map_or_else(|| "off".to_owned(), |listen| listen.to_string()),
            ))
        },
    },
    Key {
        name: "api.socket",
        expected: "the path of a unix socket, like \"/run/leakwatch/api.sock\", or \"off\"",
        applies: Applies::AtStart,
        set: |config, value| {
            config.api.socket = value.path_or_off()?;
            Ok(())
        },
        show: |config| {
            Some(quoted(
                &config
                    .api
                    .socket
                    .as_ref()
                    .map_or_else(|| "off".into(), |path| path.to_string_lossy()),
            ))
        },
    },
    Key {
        name: "api.token_file",
        expected: "a file with a token, like \"/etc/leakwatch/token\"",
        applies: Applies::AtReload,
        set: |config, value| {
            config.api.token_file = Some(value.path()?);
            Ok(())
        },
        show: |config| {
            config
                .api
                .token_file
                .as_ref()
                .map(|path| quoted(&path.to_string_lossy()))
        },
    },
    Key {
        name: "api.hosts",
        expected: "names besides IP addresses and localhost that clients may use, like [\"node7.example.org\"]",
        applies: Applies::AtReload,
        set: |config, value| {
            config.api.hosts = value.list()?;
            Ok(())
        },
        show: |config| {
            let names: Vec<String> = config.api.hosts.iter().map(|name| quoted(name)).collect();
            Some(format!("[{}]", names.join(", ")))
        },
    },
    Key {
        name: "go.outside",
        expected: "true or false",
        applies: Applies::AtStart,
        set: |config, value| {
            config.go.outside = value.boolean()?;
            Ok(())
        },
        show: |config| Some(config.go.outside.to_string()),
    },
    Key {
        name: "go.discover_endpoints",
        expected: "true or false",
        applies: Applies::AtReload,
        set: |config, value| {
            config.go.discover_endpoints = value.boolean()?;
            Ok(())
        },
        show: |config| Some(config.go.discover_endpoints.to_string()),
    },
    Key {
        name: "native.automatic",
        expected: "true or false",
        applies: Applies::AtReload,
        set: |config, value| {
            config.native.automatic = value.boolean()?;
            Ok(())
        },
        show: |config| Some(config.native.automatic.to_string()),
    },
    Key {
        name: "native.observe_only",
        expected: "true or false",
        applies: Applies::AtReload,
        set: |config, value| {
            config.native.observe_only = value.boolean()?;
            Ok(())
        },
        show: |config| Some(config.native.observe_only.to_string()),
    },
    Key {
        name: "native.cpu_budget_percent",
        expected: "a number above 0, at most 5, like 2.0",
        applies: Applies::AtReload,
        set: |config, value| {
            config.native.cpu_budget.percent = value.percent()?;
            Ok(())
        },
        show: |config| Some(format!("{:?}", config.native.cpu_budget.percent)),
    },
    Key {
        name: "native.cpu_floor_percent",
        expected: "a number above 0, at most 5, like 1.0",
        applies: Applies::AtReload,
        set: |config, value| {
            config.native.cpu_budget.floor_percent = value.percent()?;
            Ok(())
        },
        show: |config| Some(format!("{:?}", config.native.cpu_budget.floor_percent)),
    },
    Key {
        name: "store.max_bytes",
        expected: "a size with a unit of at least 1MiB, like \"1GiB\"",
        applies: Applies::AtStart,
        set: |config, value| {
            let size = value.size()?;
            if size < Bytes::from_mib(1) {
                return Err(Refusal::Value(format!("{size} is too small to keep anything")));
            }
            config.store.max_bytes = size;
            Ok(())
        },
        show: |config| Some(quoted(&format_size(config.store.max_bytes))),
    },
    Key {
        name: "store.max_age",
        expected: "a duration with a unit of at least 1m, like \"14d\"",
        applies: Applies::AtStart,
        set: |config, value| {
            let age = value.duration()?;
            if age < Duration::from_mins(1) {
                return Err(Refusal::Value(format!(
                    "{} is too short to see any growth",
                    format_duration(age)
                )));
            }
            config.store.max_age = age;
            Ok(())
        },
        show: |config| Some(quoted(&format_duration(config.store.max_age))),
    },
    Key {
        name: "webhook.url",
        expected: "who is told of claimed leaks and OOM kills, like \"http://127.0.0.1:9093/api/v2/alerts\"",
        applies: Applies::AtStart,
        set: |config, value| {
            config.webhook.url = Some(parse_receiver(value.text()?)?);
            Ok(())
        },
        show: |config| config.webhook.url.as_ref().map(|url| quoted(&url.to_string())),
    },
    Key {
        name: "webhook.format",
        expected: "\"json\" or \"alertmanager\"",
        applies: Applies::AtStart,
        set: |config, value| {
            let name = value.text()?;
            let format = WebhookFormat::ALL.into_iter().find(|format| format.name() == name);
            config.webhook.format = format.ok_or_else(|| Refusal::Value(format!("{name:?} is no format")))?;
            Ok(())
        },
        show: |config| Some(quoted(config.webhook.format.name())),
    },
    Key {
        name: "source.url_template",
        expected: "the address of a line of source code, like \"https://{repository}/blob/{commit}/{path}#L{line}\"",
        applies: Applies::AtReload,
        set: |config, value| {
            config.source.url_template = Some(parse_template(value.text()?)?);
            Ok(())
        },
        show: |config| config.source.url_template.as_deref().map(quoted),
    },
];

/// The key of that name.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The candidate that is nearest to what was written: as a whole, or in its last part (`listen` for `api.listen`).
pub(crate) fn nearest<'a>(written: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or(name).to_owned();
    candidates
        .map(|candidate| {
            let whole = strsim::normalized_damerau_levenshtein(written, candidate);
            let part = strsim::normalized_damerau_levenshtein(&last(written), &last(candidate));
            (whole.max(part * 0.99), candidate)
        })
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate.to_owned())
}

/// Below this, a suggestion is noise: fewer than a third of the letters are in place.
const MIN_SIMILARITY: f64 = 0.34;

/// `localhost` is accepted because everyone writes it; other names are not resolved.
fn parse_address(text: &str) -> Result<SocketAddr, Refusal> {
    let numeric = text
        .strip_prefix("localhost:")
        .map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    numeric
        .parse()
        .map_err(|error| Refusal::Value(format!("{text:?} is not an address: {error}")))
}

/// Without TLS, as there is none in the daemon, and without a user, which nothing would be done with.
fn parse_receiver(text: &str) -> Result<Uri, Refusal> {
    let url: Uri = text
        .parse()
        .map_err(|error| Refusal::Value(format!("{text:?} is not a URL: {error}")))?;
    let host = url.host().filter(|host| !host.is_empty());
    let is_plain = url
        .authority()
        .is_some_and(|authority| !authority.as_str().contains('@'));
    if url.scheme_str() != Some("http") || host.is_none() || !is_plain {
        return Err(Refusal::Value(format!(
            "{text:?} is not of the form http://HOST:PORT/PATH"
        )));
    }
    Ok(url)
}

/// An address of the web once its places are filled in. What fills them is encoded where it is filled in.
fn parse_template(text: &str) -> Result<String, Refusal> {
    let filled = SourceConfig::PLACES
        .iter()
        .fold(text.to_owned(), |text, place| text.replace(place, "x"));
    if let Some(brace) = filled.find(['{', '}']) {
        let (_, rest) = filled.split_at(brace);
        return Err(Refusal::Value(format!(
            "{rest:?} is none of {}",
            SourceConfig::PLACES.join(", ")
        )));
    }
    // A fragment is no part of what `Uri` reads.
    let address = filled.split('#').next().unwrap_or_default();
    let url: Uri = address
        .parse()
        .map_err(|error| Refusal::Value(format!("{text:?} is not a URL: {error}")))?;
    let is_web = matches!(url.scheme_str(), Some("http" | "https"));
    if !is_web || url.host().is_none_or(str::is_empty) || filled == text {
        return Err(Refusal::Value(format!(
            "{text:?} is not of the form https://HOST/PATH with at least one of {}",
            SourceConfig::PLACES.join(", ")
        )));
    }
    Ok(text.to_owned())
}

/// As a TOML basic string.
pub(crate) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
