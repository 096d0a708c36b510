//! The settings of a validated configuration, and what holds when nothing is set.

use crate::config::environment::Environment;
use crate::config::exclude::Exclude;
use crate::config::origin::Origin;
use crate::config::token::Token;
use http::Uri;
use leakwatch_analysis::model::units::Bytes;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A validated configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Time between two samples.
    pub interval: Duration,
    /// Watch just this cgroup subtree: absolute, without a trailing slash. `None` watches all.
    pub only: Option<String>,
    /// What is not watched.
    pub exclude: Exclude,
    /// What this host is called; `None` for its hostname.
    pub node: Option<String>,
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
    /// Who is told of leaks and kills.
    pub webhook: WebhookConfig,
    /// Where sources can be read.
    pub source: SourceConfig,
    /// What looks like a mistake on this host, for the log and the status.
    pub warnings: Vec<String>,
    pub(super) origins: BTreeMap<&'static str, Origin>,
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
    /// Nobody captures anything: no probe is put on any program.
    pub observe_only: bool,
    /// Processor time that a capture may cost which asks for no other.
    pub cpu_budget: CpuBudget,
}

/// Processor time that a capture may cost: the larger of two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CpuBudget {
    /// Percent of what the process uses by itself.
    pub percent: f64,
    /// Percent of one processor, however little the process uses.
    pub floor_percent: f64,
}

impl CpuBudget {
    /// The most percent of either.
    pub const MAX_PERCENT: f64 = 5.0;
}

/// Who is told of leaks and kills.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookConfig {
    /// `http://` with a host; `None` tells nobody.
    pub url: Option<Uri>,
    /// What is told.
    pub format: WebhookFormat,
}

/// The form of what a webhook tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebhookFormat {
    /// The bodies of the API.
    #[default]
    Json,
    /// What Alertmanager takes at `/api/v2/alerts`.
    Alertmanager,
}

impl WebhookFormat {
    /// All.
    pub(crate) const ALL: [Self; 2] = [Self::Json, Self::Alertmanager];

    /// Its name in the file.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Alertmanager => "alertmanager",
        }
    }
}

/// Where sources can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceConfig {
    /// Address of a line, with [`SourceConfig::PLACES`] to be filled in.
    pub url_template: Option<String>,
}

impl SourceConfig {
    /// What may stand in the template: where the repository is (`example.org/shop`), the commit, the path of the file in the repository,
    /// the file as the profile names it, and the line.
    pub const PLACES: [&str; 5] = ["{repository}", "{commit}", "{path}", "{file}", "{line}"];
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreConfig {
    /// On disk.
    pub max_bytes: Bytes,
    /// Age of the oldest sample.
    pub max_age: Duration,
}

impl Config {
    /// The address of the API unless configured.
    pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7411);

    /// Where the value of a key comes from.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// What holds when nothing is set.
    pub fn defaults(environment: &Environment) -> Self {
        Self {
            interval: Duration::from_secs(5),
            only: None,
            exclude: Exclude::default(),
            node: None,
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
                observe_only: false,
                cpu_budget: CpuBudget {
                    percent: 2.0,
                    floor_percent: 1.0,
                },
            },
            store: StoreConfig {
                max_bytes: Bytes::from_mib(1024),
                max_age: Duration::from_hours(14 * 24),
            },
            webhook: WebhookConfig::default(),
            source: SourceConfig::default(),
            warnings: Vec::new(),
            origins: BTreeMap::new(),
        }
    }
}
