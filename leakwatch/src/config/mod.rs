//! Everything that can be set: defaults, then the file, then `LEAKWATCH_*`, then flags, validated into one [`Config`].
//! Nothing else in the daemon reads the environment, and nothing here touches the network or cgroups.

pub mod args;
pub mod error;
pub mod origin;
mod file;
mod key;
#[cfg(test)]
mod tests;
pub mod token;

use crate::config::args::AgentArgs;
use crate::config::error::ConfigError;
use crate::config::key::KEYS;
use crate::config::key::Refusal;
use crate::config::key::Value;
use crate::config::origin::Origin;
use crate::config::token::Token;
use leakwatch_analysis::model::units::Bytes;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

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

/// A validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Time between two samples.
    pub interval: Duration,
    /// Watch just this cgroup subtree: absolute, without a trailing slash. `None` watches all.
    pub only: Option<String>,
    /// The daemon's own state.
    pub state_dir: PathBuf,
    /// Mount point of the cgroup hierarchy; `None` finds it in `/proc/self/mountinfo`.
    pub cgroup_root: Option<PathBuf>,
    /// Whether to load eBPF programs.
    pub bpf: bool,
    /// Where inputs are recorded to.
    pub record: Option<PathBuf>,
    /// How the API is served.
    pub api: ApiConfig,
    /// How Go processes are looked at.
    pub go: GoConfig,
    /// How native allocations are looked at.
    pub native: NativeConfig,
    /// How much is kept.
    pub store: StoreConfig,
    /// Things in the environment that look like a mistake, for the log.
    pub warnings: Vec<String>,
    origins: BTreeMap<&'static str, Origin>,
}

/// How the API is served.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// TCP address; `None` for no TCP.
    pub listen: Option<SocketAddr>,
    /// Unix socket; `None` for none.
    pub socket: Option<PathBuf>,
    /// File the token was read from.
    pub token_file: Option<PathBuf>,
    /// The token, if one is required over TCP.
    pub token: Option<Token>,
    /// Host names clients may use besides IP addresses and `localhost`.
    pub hosts: Vec<String>,
}

/// How Go processes are looked at.
#[derive(Clone, Debug)]
pub struct GoConfig {
    /// Read heap, goroutines and GC numbers from the process's memory.
    pub outside: bool,
    /// Probe the listening ports of Go processes for `/debug/pprof`.
    pub discover_endpoints: bool,
    /// Configured endpoints, in file order.
    pub endpoints: Vec<EndpointRule>,
}

/// One `[[go.endpoint]]`: every key given must match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointRule {
    /// Where it was configured.
    pub origin: Origin,
    /// Glob over the executable's path.
    pub exe: Option<String>,
    /// Name of the service.
    pub service: Option<String>,
    /// A TCP port the process listens on.
    pub port: Option<u16>,
    /// Base of the endpoint; profile names are appended.
    pub url: String,
}

/// How native allocations are looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NativeConfig {
    /// Capture suspects without being asked to.
    pub automatic: bool,
    /// Percent of the target's CPU that automatic captures may take.
    pub cpu_budget_percent: f64,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// On disk.
    pub max_bytes: Bytes,
    /// Age of the oldest sample.
    pub max_age: Duration,
}

/// What the process was started with: variables, and whether it is root.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// Effective user id 0.
    pub root: bool,
}

impl Environment {
    /// Of this process. Variables that are not Unicode are left out.
    pub fn of_this_process() -> Self {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self {
            variables: variables.collect(),
            root: rustix::process::geteuid().is_root(),
        }
    }

    /// Where state goes unless configured: the system's directory for root, the user's own otherwise.
    pub fn default_state_dir(&self) -> PathBuf {
        if self.root {
            return PathBuf::from("/var/lib/leakwatch");
        }
        let base = self
            .absolute("XDG_STATE_HOME")
            .or_else(|| Some(self.absolute("HOME")?.join(".local/state")));
        base.unwrap_or_else(|| PathBuf::from("/var/lib")).join("leakwatch")
    }

    /// Where the socket goes unless configured.
    pub fn default_socket(&self) -> PathBuf {
        let user = if self.root {
            None
        } else {
            self.absolute("XDG_RUNTIME_DIR")
        };
        user.unwrap_or_else(|| PathBuf::from("/run")).join("leakwatch/api.sock")
    }

    fn absolute(&self, name: &str) -> Option<PathBuf> {
        self.variables
            .get(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    }
}

impl Config {
    /// The address of the API unless configured.
    pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7411);

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

    /// Where the value of a key comes from.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// What holds when nothing is set.
    pub fn defaults(environment: &Environment) -> Self {
        Self {
            interval: Duration::from_secs(5),
            only: None,
            state_dir: environment.default_state_dir(),
            cgroup_root: None,
            bpf: true,
            record: None,
            api: ApiConfig {
                listen: Some(Self::DEFAULT_LISTEN),
                socket: Some(environment.default_socket()),
                token_file: None,
                token: None,
                hosts: Vec::new(),
            },
            go: GoConfig {
                outside: true,
                discover_endpoints: false,
                endpoints: Vec::new(),
            },
            native: NativeConfig {
                automatic: true,
                cpu_budget_percent: 2.0,
            },
            store: StoreConfig {
                max_bytes: Bytes::from_mib(1024),
                max_age: Duration::from_hours(14 * 24),
            },
            warnings: Vec::new(),
            origins: BTreeMap::new(),
        }
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
            } else {
                // Kubernetes sets LEAKWATCH_SERVICE_HOST and the like for a Service of this name: not ours to refuse.
                let names: Vec<String> = KEYS.iter().map(|key| variable(key.name)).collect();
                let near = key::nearest(name, names.iter().map(String::as_str));
                let hint = near.map_or_else(String::new, |near| format!(", did you mean {near}?"));
                self.warnings
                    .push(format!("environment variable {name} is not a setting{hint}"));
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
        match self.api.listen {
            Some(listen) if !listen.ip().is_loopback() && self.api.token.is_none() => Err(ConfigError::TokenRequired {
                origin: self.origin("api.listen"),
                listen,
            }),
            _ => Ok(()),
        }
    }
}
