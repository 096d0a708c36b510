//! The configuration file: TOML with positions, flattened into settings. What the keys mean is in [`crate::config::key`].

use crate::config::error::ConfigError;
use crate::config::key::KEYS;
use crate::config::key::Value;
use crate::config::key::find;
use crate::config::key::nearest;
use crate::config::origin::Origin;
use crate::config::settings::EndpointRule;
use http::Uri;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

/// What a file says.
#[derive(Debug, Default)]
pub(crate) struct FileSettings {
    /// Keys with values, in file order.
    pub(crate) settings: Vec<(String, Value, Origin)>,
    /// The `[[go.endpoint]]` tables.
    pub(crate) endpoints: Vec<EndpointRule>,
}

const ENDPOINT: &str = "go.endpoint";
const ENDPOINT_KEYS: [&str; 4] = ["exe", "service", "port", "url"];
const TABLES: [&str; 6] = ["api", "go", "native", "store", "webhook", "source"];

/// Parses the text of a file.
pub(crate) fn parse(path: &Path, text: &str) -> Result<FileSettings, ConfigError> {
    let source = Source { path, text };
    let document = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        line: error.span().map_or(1, |span| source.line(&span)),
        message: error.message().to_owned(),
    })?;
    let mut flat = Vec::new();
    flatten("", document.get_ref(), &mut flat);
    flat.sort_by_key(|entry| entry.span.start);
    let mut file = FileSettings::default();
    for entry in flat {
        let origin = source.origin(&entry.span);
        if entry.key == ENDPOINT {
            file.endpoints.append(&mut endpoints(&source, entry.value, &origin)?);
        } else if find(&entry.key).is_some() {
            file.settings.push((entry.key, value(entry.value), origin));
        } else {
            let known = KEYS.iter().map(|key| key.name).chain(TABLES).chain([ENDPOINT]);
            let nearest = nearest(&entry.key, known);
            return Err(ConfigError::UnknownKey {
                origin,
                key: entry.key,
                nearest,
            });
        }
    }
    Ok(file)
}

struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        1 + self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count()
    }

    fn origin(&self, span: &Range<usize>) -> Origin {
        Origin::File {
            path: self.path.to_owned(),
            line: self.line(span),
        }
    }
}

struct Entry<'a> {
    key: String,
    span: Range<usize>,
    value: &'a DeValue<'a>,
}

/// Known tables are entered, everything else is an entry: an unknown table is an unknown key.
fn flatten<'a>(prefix: &str, table: &'a DeTable<'a>, flat: &mut Vec<Entry<'a>>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{prefix}.{}", name.get_ref())
        };
        match value.get_ref() {
            DeValue::Table(inner) if TABLES.contains(&key.as_str()) => flatten(&key, inner, flat),
            other => flat.push(Entry {
                key,
                span: name.span(),
                value: other,
            }),
        }
    }
}

fn value(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(integer) => i128::from_str_radix(integer.as_str(), integer.radix())
            .map_or(Value::Other("an integer that is too large"), Value::Integer),
        DeValue::Float(float) => float
            .as_str()
            .parse()
            .map_or(Value::Other("an unreadable float"), Value::Float),
        DeValue::Boolean(boolean) => Value::Bool(*boolean),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Table(_) => Value::Other("a table"),
        DeValue::Array(items) => {
            let texts: Option<Vec<String>> = items
                .iter()
                .map(|item| item.get_ref().as_str().map(str::to_owned))
                .collect();
            texts.map_or(Value::Other("an array of something else than strings"), Value::List)
        }
    }
}

fn endpoints(source: &Source<'_>, value: &DeValue<'_>, origin: &Origin) -> Result<Vec<EndpointRule>, ConfigError> {
    let wrong_type = || ConfigError::WrongType {
        origin: origin.clone(),
        key: ENDPOINT.to_owned(),
        found: self::value(value).describe(),
        expected: "an array of tables, each starting with [[go.endpoint]]",
    };
    let tables = value.as_array().ok_or_else(wrong_type)?;
    tables
        .iter()
        .map(|table| {
            let inner = table.get_ref().as_table().ok_or_else(wrong_type)?;
            endpoint(source, inner, source.origin(&table.span()))
        })
        .collect()
}

fn endpoint(source: &Source<'_>, table: &DeTable<'_>, origin: Origin) -> Result<EndpointRule, ConfigError> {
    let mut rule = EndpointRule {
        origin: origin.clone(),
        exe: None,
        service: None,
        port: None,
        url: String::new(),
    };
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    for (name, value) in entries {
        let at = source.origin(&name.span());
        match name.get_ref().as_ref() {
            "exe" => {
                rule.exe = Some(text(
                    value,
                    "exe",
                    "a glob over the executable's path, like \"*/checkout\"",
                    &at,
                )?);
            }
            "service" => rule.service = Some(text(value, "service", "the name of a service, like \"checkout\"", &at)?),
            "port" => rule.port = Some(port(value, &at)?),
            "url" => rule.url = url(value, &at)?,
            unknown => {
                return Err(ConfigError::UnknownKey {
                    origin: at,
                    key: format!("{ENDPOINT}.{unknown}"),
                    nearest: nearest(unknown, ENDPOINT_KEYS.into_iter()).map(|near| format!("{ENDPOINT}.{near}")),
                });
            }
        }
    }
    if rule.url.is_empty() {
        return Err(ConfigError::IncompleteEndpoint {
            origin,
            reason: "needs a `url`",
        });
    }
    if rule.exe.is_none() && rule.service.is_none() && rule.port.is_none() {
        return Err(ConfigError::IncompleteEndpoint {
            origin,
            reason: "needs at least one of `exe`, `service` and `port` to say which processes it is for",
        });
    }
    Ok(rule)
}

fn text(
    value: &Spanned<DeValue<'_>>,
    name: &str,
    expected: &'static str,
    origin: &Origin,
) -> Result<String, ConfigError> {
    let key = || format!("{ENDPOINT}.{name}");
    match value.get_ref().as_str() {
        Some("") => Err(ConfigError::WrongValue {
            origin: origin.clone(),
            key: key(),
            reason: "it is empty".to_owned(),
            expected,
        }),
        Some(text) => Ok(text.to_owned()),
        None => Err(ConfigError::WrongType {
            origin: origin.clone(),
            key: key(),
            found: self::value(value.get_ref()).describe(),
            expected,
        }),
    }
}

fn port(value: &Spanned<DeValue<'_>>, origin: &Origin) -> Result<u16, ConfigError> {
    let expected = "a TCP port, like 6060";
    let key = || format!("{ENDPOINT}.port");
    match self::value(value.get_ref()) {
        Value::Integer(number) => {
            u16::try_from(number)
                .ok()
                .filter(|port| *port != 0)
                .ok_or_else(|| ConfigError::WrongValue {
                    origin: origin.clone(),
                    key: key(),
                    reason: format!("{number} is not a port"),
                    expected,
                })
        }
        other => Err(ConfigError::WrongType {
            origin: origin.clone(),
            key: key(),
            found: other.describe(),
            expected,
        }),
    }
}

fn url(value: &Spanned<DeValue<'_>>, origin: &Origin) -> Result<String, ConfigError> {
    let expected = "the base of the endpoint, like \"http://127.0.0.1:6060/debug/pprof/\"";
    let text = text(value, "url", expected, origin)?;
    let wrong = |reason: String| ConfigError::WrongValue {
        origin: origin.clone(),
        key: format!("{ENDPOINT}.url"),
        reason,
        expected,
    };
    let uri: Uri = text
        .parse()
        .map_err(|error| wrong(format!("{text:?} is not a URL: {error}")))?;
    if uri.scheme_str() != Some("http") || uri.host().is_none_or(str::is_empty) {
        return Err(wrong(format!("{text:?} is not an http URL with a host")));
    }
    if uri.query().is_some() {
        return Err(wrong(format!(
            "{text:?} has a query, but profile names are appended to it"
        )));
    }
    Ok(text)
}
