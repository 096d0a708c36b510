//! What can be typed.

use crate::config::args::AgentArgs;
use clap::Args;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;
use clap_complete::Shell;
use std::path::PathBuf;

/// Finds memory leaks and explains OOM kills without touching the programs it watches
#[derive(Debug, Parser)]
#[command(
    name = "leakwatch",
    version,
    propagate_version = true,
    after_help = "TARGET is an id or the start of one, a container id or the start of one (docker://ID, too), a pod's uid, a unit name,\n\
        a cgroup path, also as a directory of the file system, or a pid.\n\
        Exit codes: 0 fine, 1 error, 2 usage, 3 a leak was found (investigate, replay)."
)]
pub struct Cli {
    /// The daemon's address.
    #[arg(
        help = "The daemon: unix:///PATH or http://HOST:PORT [default: its unix socket, else http://127.0.0.1:7411]",
        long,
        global = true,
        value_name = "URL"
    )]
    pub endpoint: Option<String>,
    /// Form of the output [default: table]
    #[arg(long, global = true, value_name = "FORM")]
    pub output: Option<Form>,
    /// Configuration file [default: /etc/leakwatch/leakwatch.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// For people
    Table,
    /// The body of the API, for programs
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon
    Agent(AgentArgs),
    /// Show what works on this host, what does not, and how to fix it
    Doctor(DoctorArgs),
    /// List what is watched, with verdicts
    Targets(TargetsArgs),
    /// List services with their replicas, or the replicas of one
    Services(ServicesArgs),
    /// Watch what grows
    Top(TopArgs),
    /// Go through the guided workflow of a target
    Investigate(InvestigateArgs),
    /// Show or save a profile of a target
    Profile(ProfileArgs),
    /// Compare two profiles of a target
    Diff(DiffArgs),
    /// Look closer at what a target allocates, for a while
    Capture(CaptureArgs),
    /// Take every probe off every program, and keep them off
    Detach(DetachArgs),
    /// Let leaks and kills of a service, or of one version of it, alert nobody for a while
    #[command(disable_version_flag = true)]
    Mute(MuteArgs),
    /// List what is muted
    Mutes,
    /// Answer a question of the guided workflow for all of a service, or of one version of it, for a while
    #[command(disable_version_flag = true)]
    Overrule(OverruleArgs),
    /// List what is overruled for services
    Overrules,
    /// List what happened, newest first
    Events(EventsArgs),
    /// List OOM kills, or explain one
    Oom(OomArgs),
    /// Save everything about a target in one file, to be opened elsewhere
    Bundle(BundleArgs),
    /// Play a recording, or open a bundle, and show what it leads to
    Replay(ReplayArgs),
    /// Look at the history on disk
    Store {
        /// What to do.
        #[command(subcommand)]
        command: StoreCommand,
    },
    /// Check or print the configuration
    Config {
        /// What to do.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print a completion script
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Print the manual page, or write those of all commands
    Man(ManArgs),
}

/// Options of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for each command into this directory instead
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

/// What to do with the history on disk.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Show what is kept: bytes, files, how far back
    Stats(StoreArgs),
    /// Read all of it and name what is damaged; changes nothing
    Verify(StoreArgs),
}

/// Options of `store`.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// State directory [default: that of the configuration]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Refuse what the daemon would refuse
    Check(AgentArgs),
    /// Print every setting in force with its origin
    Print(AgentArgs),
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Do not try to load eBPF programs
    #[arg(long)]
    pub no_bpf: bool,
}

/// Options of `targets`.
#[derive(Debug, Args)]
pub struct TargetsArgs {
    /// Only `container`, `service` or `cgroup`
    #[arg(long)]
    pub kind: Option<String>,
    /// Only replicas of this service
    #[arg(long)]
    pub service: Option<String>,
    /// Only targets with a verdict of this class
    #[arg(long)]
    pub verdict: Option<String>,
    /// `leak`, `charge`, `name`, `growth`, `confidence` or `time_to_limit`; `-` in front reverses [default: leak]
    #[arg(long, allow_hyphen_values = true)]
    pub sort: Option<String>,
    /// At most so many [default: all]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// Options of `services`.
#[derive(Debug, Args)]
pub struct ServicesArgs {
    /// Which service; lists them without it
    pub name: Option<String>,
    /// Show its runs, those of containers that are gone too
    #[arg(long, requires = "name")]
    pub runs: bool,
    /// Of its runs at most so many
    #[arg(long, value_name = "N", default_value_t = 100, requires = "runs")]
    pub limit: usize,
}

/// Options of `top`.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Seconds between two refreshes
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    pub interval: f64,
    /// Stop after so many refreshes [default: one if the output is no terminal]
    #[arg(long, value_name = "N")]
    pub count: Option<u64>,
}

/// Options of `investigate`.
#[derive(Debug, Args)]
pub struct InvestigateArgs {
    /// Which target
    pub target: String,
    /// Say with every question how memory works there
    #[arg(long)]
    pub explain: bool,
    /// Wait until there is enough data for a verdict
    #[arg(long)]
    pub until_verdict: bool,
    /// Give up waiting after this time
    #[arg(long, value_name = "DURATION", default_value = "15m", requires = "until_verdict")]
    pub timeout: String,
}

/// Options of `profile`.
#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// `heap`, `goroutine`, `goroutineleak` or `native`
    #[arg(value_name = "TYPE")]
    pub profile_type: String,
    /// Which target
    pub target: String,
    /// Instant: RFC 3339, unix seconds, or relative (`-30m`) [default: newest]
    #[arg(long, allow_hyphen_values = true)]
    pub at: Option<String>,
    /// `top`, `pprof`, `flamegraph`, `folded` or `speedscope` [default: top, pprof with --out]
    #[arg(long)]
    pub format: Option<String>,
    /// Sample type, for example `inuse_space`
    #[arg(long)]
    pub value: Option<String>,
    /// Write to this file
    #[arg(short = 'o', long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Options of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// `heap`, `goroutine`, `goroutineleak` or `native`
    #[arg(value_name = "TYPE")]
    pub profile_type: String,
    /// Which target
    pub target: String,
    /// Instant of the earlier profile [default: first]
    #[arg(long, allow_hyphen_values = true)]
    pub base: Option<String>,
    /// Instant of the later profile [default: newest]
    #[arg(long, allow_hyphen_values = true)]
    pub compare: Option<String>,
    /// The target that the earlier profile is of: a sibling, or one that is gone, by its whole id [default: the same]
    #[arg(long, value_name = "TARGET")]
    pub base_target: Option<String>,
    /// `flame` (a flame graph of text), `json`, `pprof` or `folded` instead of a table [default with --out: pprof]
    #[arg(long)]
    pub format: Option<String>,
    /// Sample type, for example `inuse_space`
    #[arg(long)]
    pub value: Option<String>,
    /// Write to this file
    #[arg(short = 'o', long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// Options of `capture`.
#[derive(Debug, Args)]
pub struct CaptureArgs {
    /// Which target; of its processes the largest, or the one whose pid this is
    pub target: String,
    /// `native`: the calls of the allocator; `growth`: page faults and system calls that map memory;
    /// `usdt`: what the program's own heap sampler tells
    #[arg(long, default_value = "native")]
    pub lane: String,
    /// For how long
    #[arg(long, value_name = "N", default_value_t = 60)]
    pub seconds: u64,
    /// Processor time it may cost, in percent of what the process uses, at most 5 [default: as configured]
    #[arg(long, value_name = "P")]
    pub cpu_budget_percent: Option<f64>,
    /// Mean bytes between samples; 1 takes every call [default: 524288]
    #[arg(long, value_name = "BYTES")]
    pub sample_bytes: Option<u64>,
}

/// Options of `detach`.
#[derive(Debug, Args)]
pub struct DetachArgs {
    /// Allow captures again
    #[arg(long)]
    pub undo: bool,
}

/// What mutes and overrules have in common.
#[derive(Debug, Args)]
pub struct RulingArgs {
    /// Beginning of the version's build id, or of a Go program its module's version or commit [default: all versions]
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    /// Why, for whoever wonders later
    #[arg(long, value_name = "TEXT", required_unless_present = "undo")]
    pub reason: Option<String>,
    /// When it ends by itself, at most a year from now
    #[arg(long = "for", value_name = "DURATION", default_value = "7d")]
    pub duration: String,
    /// Take the one with this id back
    #[arg(long, value_name = "ID", conflicts_with_all = ["version", "reason", "service"])]
    pub undo: Option<String>,
}

/// Options of `mute`.
#[derive(Debug, Args)]
pub struct MuteArgs {
    /// Name of the service
    #[arg(required_unless_present = "undo")]
    pub service: Option<String>,
    /// What mutes and overrules have in common.
    #[command(flatten)]
    pub ruling: RulingArgs,
}

/// Options of `overrule`.
#[derive(Debug, Args)]
pub struct OverruleArgs {
    /// Name of the service
    #[arg(required_unless_present = "undo")]
    pub service: Option<String>,
    /// Which question: `memory`, `ledger`, `goroutines`, `live_heap`, `native`, `other` or `conclusion`
    #[arg(required_unless_present = "undo")]
    pub step: Option<String>,
    /// `yes` or `no`
    #[arg(required_unless_present = "undo")]
    pub answer: Option<String>,
    /// What mutes and overrules have in common.
    #[command(flatten)]
    pub ruling: RulingArgs,
}

/// Options of `events`.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Only these kinds, separated by commas: `oom_kill`, `process_exit`, `restart`, `limit_change`,
    /// `verdict_change`, `deploy`, `loss`, `config_reload`, `ruling`
    #[arg(long)]
    pub kinds: Option<String>,
    /// Only of this target
    #[arg(long)]
    pub target: Option<String>,
    /// Not before: RFC 3339, unix seconds, or relative (`-30m`)
    #[arg(long, allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Not after
    #[arg(long, allow_hyphen_values = true)]
    pub to: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
}

/// Options of `oom`.
#[derive(Debug, Args)]
pub struct OomArgs {
    /// Which OOM kill; lists them without it
    pub id: Option<String>,
    /// The victim's last profile of this type instead: `heap`, `goroutine` or `native`
    #[arg(long, value_name = "TYPE", requires = "id")]
    pub profile: Option<String>,
    /// `top`, `pprof`, `flamegraph`, `folded` or `speedscope` [default: top, pprof with --out]
    #[arg(long, requires = "profile")]
    pub format: Option<String>,
    /// Write the profile to this file
    #[arg(short = 'o', long, value_name = "FILE", requires = "profile")]
    pub out: Option<PathBuf>,
    /// Keep it with its profiles, whatever its age
    #[arg(long, requires = "id", conflicts_with_all = ["profile", "unpin"])]
    pub pin: bool,
    /// Take that back
    #[arg(long, requires = "id", conflicts_with = "profile")]
    pub unpin: bool,
}

/// Options of `replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Written by `leakwatch bundle` or `leakwatch agent --record FILE`
    pub file: PathBuf,
    /// Stop at this instant: RFC 3339 or unix seconds [default: the end]
    #[arg(long, value_name = "INSTANT")]
    pub until: Option<String>,
    /// Serve API and page of what it leads to, as of the instant at which it ends
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:7412")]
    pub serve: Option<std::net::SocketAddr>,
}

/// Options of `bundle`.
#[derive(Debug, Args)]
pub struct BundleArgs {
    /// Which target
    pub target: String,
    /// Write to this file
    #[arg(short = 'o', long, value_name = "FILE")]
    pub out: PathBuf,
    /// Samples and profiles that are on disk only from then on: RFC 3339, unix seconds, or relative (`-3d`) [default: -6h]
    #[arg(long, allow_hyphen_values = true)]
    pub from: Option<String>,
    /// And until then [default: now]
    #[arg(long, allow_hyphen_values = true)]
    pub to: Option<String>,
}
