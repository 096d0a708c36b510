//! The flags of the daemon as they are typed. Meaning and validation are in `config::key`.

use std::path::PathBuf;

/// Flags of `leakwatch agent`. Each overrides the environment variable and the key of the configuration file.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AgentArgs {
    /// Directory of the daemon's own state [default: /var/lib/leakwatch]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// TCP address of the API, or `off` [default: 127.0.0.1:7411]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Unix socket of the API, or `off` [default: /run/leakwatch/api.sock]
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Mount point of the cgroup hierarchy with the memory controller [default: found in /proc/self/mountinfo]
    #[arg(long, value_name = "DIR")]
    pub cgroup_root: Option<PathBuf>,
    /// Watch just this cgroup subtree
    #[arg(long, value_name = "CGROUP_PATH")]
    pub only: Option<String>,
    /// Time between two samples, in seconds or with a unit (`500ms`) [default: 5]
    #[arg(long, value_name = "SECONDS")]
    pub interval: Option<String>,
    /// Do without eBPF: no OOM kill records, no exact process exits
    #[arg(long)]
    pub no_bpf: bool,
    /// Write every input to this file, for `leakwatch replay`
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}
