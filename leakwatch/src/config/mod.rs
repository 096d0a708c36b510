//! Everything that can be set: defaults, then the file, then `LEAKWATCH_*`, then flags, validated into one [`Config`].
//! Nothing else in the daemon reads the environment, and nothing here touches the network or cgroups.

pub mod args;
pub mod error;
pub mod exclude;
pub mod live;
pub mod origin;
pub mod reload;
mod environment;
mod settings;
mod file;
mod key;
#[cfg(test)]
mod tests;
pub mod token;

pub use crate::config::environment::Environment;
pub use crate::config::settings::ApiConfig;
pub use crate::config::settings::Config;
pub use crate::config::settings::CpuBudget;
pub use crate::config::settings::EndpointRule;
pub use crate::config::settings::GoConfig;
pub use crate::config::settings::NativeConfig;
pub use crate::config::settings::SourceConfig;
pub use crate::config::settings::StoreConfig;
pub use crate::config::settings::WebhookConfig;
pub use crate::config::settings::WebhookFormat;

use crate::config::args::AgentArgs;
use crate::config::error::ConfigError;
use crate::config::key::KEYS;
use crate::config::key::Refusal;
use crate::config::key::Value;
use crate::config::origin::Origin;
use crate::config::token::Token;
use std::path::Path;
use std::path::PathBuf;

/// Where the file is looked for when `--config` does not say.
pub const DEFAULT_FILE: &str = "/etc/leakwatch/leakwatch.toml";

/// Variables of the same prefix that are not keys: global flags of the command line and the log filter.
const OTHER_VARIABLES: [&str; 4] = [
    "LEAKWATCH_CONFIG",
    "LEAKWATCH_ENDPOINT",
    "LEAKWATCH_OUTPUT",
    "LEAKWATCH_LOG",
];
const PREFIX: &str = "LEAKWATCH_";

/// Whether Kubernetes sets a variable of this name for containers beside a Service whose name begins with ours
/// (`makeEnvVariableName` in pkg/kubelet/envvars/envvars.go).
fn is_of_kubernetes(name: &str) -> bool {
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT_"]
        .iter()
        .any(|part| name.contains(part))
        || name.ends_with("_PORT")
}

impl Config {
    /// Loads and validates. `file` is what `--config` says; without it the default file is used if it exists.
    pub fn load(args: &AgentArgs, file: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let mut config = Self::defaults(environment);
        config.apply_file(file)?;
        config.apply_environment(environment)?;
        config.apply_flags(args)?;
        config.validate()?;
        Ok(config)
    }

    /// The configuration as a file that, loaded, gives the same, each value with its origin.
    #[expect(
        clippy::format_push_string,
        reason = "made once, and writing into a string has no error to handle"
    )]
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut table = "";
        for key in KEYS {
            let (key_table, name) = key.name.split_once('.').unwrap_or(("", key.name));
            if key_table != table {
                table = key_table;
                text.push_str(&format!("\n[{table}]\n"));
            }
            let origin = self.origin(key.name);
            match (key.show)(self) {
                Some(value) => text.push_str(&format!("{name} = {value} # {origin}\n")),
                None => text.push_str(&format!("# {name} is not set; {}\n", key.expected)),
            }
        }
        for rule in &self.go.endpoints {
            text.push_str(&format!("\n[[go.endpoint]] # {}\n", rule.origin));
            for (name, value) in [
                ("exe", &rule.exe),
                ("service", &rule.service),
                ("url", &Some(rule.url.clone())),
            ] {
                if let Some(value) = value {
                    text.push_str(&format!("{name} = {}\n", key::quoted(value)));
                }
            }
            if let Some(port) = rule.port {
                text.push_str(&format!("port = {port}\n"));
            }
        }
        text
    }

    fn apply_file(&mut self, file: Option<&Path>) -> Result<(), ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(source) => {
                return Err(ConfigError::Unreadable {
                    path: path.to_owned(),
                    source,
                });
            }
        };
        let settings = file::parse(path, &text)?;
        for (name, value, origin) in &settings.settings {
            self.set(name, value, origin)?;
        }
        self.go.endpoints = settings.endpoints;
        Ok(())
    }

    fn apply_environment(&mut self, environment: &Environment) -> Result<(), ConfigError> {
        let variable = |key: &str| format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase());
        for (name, value) in &environment.variables {
            if !name.starts_with(PREFIX) || OTHER_VARIABLES.contains(&name.as_str()) {
                continue;
            }
            if let Some(key) = KEYS.iter().find(|key| variable(key.name) == *name) {
                self.set(
                    key.name,
                    &Value::Untyped(value.clone()),
                    &Origin::Environment(name.clone()),
                )?;
            } else if !is_of_kubernetes(name) {
                let names: Vec<String> = KEYS.iter().map(|key| variable(key.name)).collect();
                return Err(ConfigError::UnknownVariable {
                    name: name.clone(),
                    nearest: key::nearest(name, names.iter().map(String::as_str)),
                });
            }
        }
        Ok(())
    }

    fn apply_flags(&mut self, args: &AgentArgs) -> Result<(), ConfigError> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let seconds = |text: &String| {
            if text.parse::<f64>().is_ok() {
                format!("{text}s")
            } else {
                text.clone()
            }
        };
        let flags = [
            ("state_dir", "--state-dir", path(&args.state_dir)),
            ("api.listen", "--listen", args.listen.clone()),
            ("api.socket", "--socket", path(&args.socket)),
            ("cgroup_root", "--cgroup-root", path(&args.cgroup_root)),
            ("only", "--only", args.only.clone()),
            ("interval", "--interval", args.interval.as_ref().map(seconds)),
            ("bpf", "--no-bpf", args.no_bpf.then(|| "false".to_owned())),
            ("record", "--record", path(&args.record)),
        ];
        for (key, flag, value) in flags {
            if let Some(value) = value {
                self.set(key, &Value::Untyped(value), &Origin::Flag(flag))?;
            }
        }
        Ok(())
    }

    fn set(&mut self, name: &str, value: &Value, origin: &Origin) -> Result<(), ConfigError> {
        let Some(key) = key::find(name) else {
            return Err(ConfigError::UnknownKey {
                origin: origin.clone(),
                key: name.to_owned(),
                nearest: None,
            });
        };
        (key.set)(self, value).map_err(|refusal| match refusal {
            Refusal::Type => ConfigError::WrongType {
                origin: origin.clone(),
                key: name.to_owned(),
                found: value.describe(),
                expected: key.expected,
            },
            Refusal::Value(reason) => ConfigError::WrongValue {
                origin: origin.clone(),
                key: name.to_owned(),
                reason,
                expected: key.expected,
            },
        })?;
        self.origins.insert(key.name, origin.clone());
        Ok(())
    }

    fn validate(&mut self) -> Result<(), ConfigError> {
        if let Some(path) = &self.api.token_file {
            self.api.token = Some(Token::read(path, &self.origin("api.token_file"))?);
        }
        self.refuse_open_address()
    }

    /// An address that others can reach needs a token.
    fn refuse_open_address(&self) -> Result<(), ConfigError> {
        match self.api.listen {
            Some(listen) if !listen.ip().is_loopback() && self.api.token.is_none() => Err(ConfigError::TokenRequired {
                origin: self.origin("api.listen"),
                listen,
            }),
            _ => Ok(()),
        }
    }
}
