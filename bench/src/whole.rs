//! Live heap profiles of very many buckets, as the daemon has them, beside what the program's own endpoint says: totals, every function by `go tool pprof`, and a leak that is
//! spread over ten thousand places; and what the daemon takes for it.

use crate::idle::mib;
use crate::idle::pass;
use crate::idle::status_kib;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::bail;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::http::Client;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::Go;
use leakwatch_test_support::wait::interrupt;
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use xtask::build;
use xtask::tools;

/// How long a daemon may take to read a program, beside much else.
const PATIENCE: Duration = Duration::from_mins(10);
/// Functions and lines compared, those that hold most.
const COMPARED: usize = 50;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Buckets of a program, separated by commas
    #[arg(long, value_delimiter = ',', default_values_t = [250_000, 1_000_000])]
    buckets: Vec<u32>,
    /// Calls below which each allocates, beside the twelve that tell its stacks apart
    #[arg(long, default_value_t = 0)]
    below: u32,
    /// The daemon's executable, instead of building it
    #[arg(long)]
    executable: Option<PathBuf>,
}

/// Bytes by the function and line that `go tool pprof` shows: its own, and those below it.
type Top = BTreeMap<String, (i64, i64)>;

pub(crate) fn main(arguments: &Arguments) -> Result<()> {
    ctrlc::set_handler(interrupt).context("handle Ctrl-C")?;
    let daemon = match &arguments.executable {
        Some(executable) => executable.clone(),
        None => build::main()?,
    };
    let directory = tempfile::tempdir()?;
    let go = Go::on_path();
    let program = go.build_stripped("goproc-target", directory.path())?;
    let mut differences = Vec::new();
    for buckets in &arguments.buckets {
        let options = Options {
            executable: &daemon,
            only: "",
            interval_seconds: 5,
            config: "",
            arguments: &[],
        };
        differences.extend(one(
            &go,
            &program,
            *buckets,
            arguments.below,
            &options,
            directory.path(),
        )?);
    }
    if differences.is_empty() {
        tools::say("all is as the program itself says");
        return Ok(());
    }
    bail!("{}", differences.join("\n"));
}

fn one(
    go: &Go,
    program: &Path,
    buckets: u32,
    below: u32,
    options: &Options<'_>,
    scratch: &Path,
) -> Result<Vec<String>> {
    let cgroup = Cgroup::create("whole")?;
    let of_program = cgroup.child("program", None)?;
    let arguments = ["-rate=1", &format!("-stacks={buckets}"), &format!("-below={below}")];
    let running = Running::start_in(&of_program, program, arguments, &scratch.join("log"))?;
    let endpoint = wait_until("the program to be ready", PATIENCE, || {
        let output = running.output();
        Ok(output
            .lines()
            .find_map(|line| Some(format!("http://{}", line.strip_prefix("ready ")?))))
    })?;
    let endpoint = Client::new(endpoint);
    let mut daemon = Daemon::start(&Options {
        only: cgroup.path(),
        ..options.clone()
    })?;
    let target = daemon.wait_target(of_program.path())?;
    let mut differences = Vec::new();
    let before = Both::take(go, &daemon, &target, &endpoint, scratch, "before", None)?;
    differences.extend(before.compare(&format!("{buckets} buckets")));
    endpoint.bytes("/spread")?;
    let after = Both::take(go, &daemon, &target, &endpoint, scratch, "after", Some(&before.at))?;
    differences.extend(after.compare(&format!("{buckets} buckets, after the leak")));
    let grown = |of: fn(&Both) -> &Top| sum(of(&after)) - sum(of(&before));
    let (ours, theirs) = (grown(|both| &both.ours), grown(|both| &both.theirs));
    tools::say(format!(
        "{buckets} buckets: a leak spread over 10,000 places grew by {ours} bytes, by its own account {theirs}"
    ));
    if ours != theirs {
        differences.push(format!(
            "{buckets} buckets: the leak is {ours} bytes instead of {theirs}"
        ));
    }
    let pid = daemon.process().pid();
    let at_once = mib(status_kib(pid, "VmRSS")?);
    // What was released goes back within half a minute.
    pass(Duration::from_secs(35))?;
    tools::say(format!(
        "{buckets} buckets: the daemon has {at_once:.1} MiB resident, {:.1} MiB half a minute later, at most {:.1} MiB; {}",
        mib(status_kib(pid, "VmRSS")?),
        mib(status_kib(pid, "VmHWM")?),
        after.told
    ));
    Ok(differences)
}

/// What both say of the program at one time.
struct Both {
    at: String,
    /// Stacks in the daemon's profile, and what is missing in it.
    told: String,
    by: &'static str,
    ours: Top,
    theirs: Top,
}

impl Both {
    /// Waits for a profile that is newer than one before.
    fn take(
        go: &Go,
        daemon: &Daemon,
        target: &str,
        endpoint: &Client,
        scratch: &Path,
        name: &str,
        before: Option<&str>,
    ) -> Result<Self> {
        let list = format!("/api/v1/targets/{target}/profiles?type=heap&limit=2");
        let newest = |older: Option<&str>| {
            wait_until("a heap profile", PATIENCE, || {
                let list = daemon.client().json(&list)?;
                let newest = list["items"].as_array().and_then(|items| items.first()).cloned();
                Ok(newest.filter(|newest| older.is_none_or(|older| text(newest, "at") > older)))
            })
        };
        let first: Value = newest(before)?;
        // It may have been begun before.
        let profile = newest(Some(text(&first, "at")))?;
        let ours = scratch.join(format!("{name}.ours.pb.gz"));
        fs::write(&ours, daemon.client().bytes(text(&profile, "link"))?)?;
        let theirs = scratch.join(format!("{name}.theirs.pb.gz"));
        fs::write(&theirs, endpoint.bytes("/debug/pprof/heap")?)?;
        // Where stacks were folded, calls between their ends are left out: then what each function holds is told.
        let by = if profile["complete"] == true {
            "-lines"
        } else {
            "-functions"
        };
        Ok(Self {
            at: text(&profile, "at").to_owned(),
            told: format!(
                "{} stacks, complete {}, losses {}",
                profile["samples"], profile["complete"], profile["losses"]
            ),
            by,
            ours: top(go, &ours, by, scratch)?,
            theirs: top(go, &theirs, by, scratch)?,
        })
    }

    fn compare(&self, what: &str) -> Vec<String> {
        let mut largest: Vec<_> = self.theirs.iter().collect();
        largest.sort_by_key(|(_, (flat, cum))| std::cmp::Reverse((*flat, *cum)));
        let different = largest
            .iter()
            .take(COMPARED)
            .filter(|(place, held)| self.ours.get(*place) != Some(*held))
            .map(|(place, held)| format!("{what}: {place} holds {:?} instead of {held:?}", self.ours.get(*place)));
        let found: Vec<String> = different.collect();
        tools::say(format!(
            "{what}: {} bytes, by its own account {}; {} of {} differ by {}; {}",
            sum(&self.ours),
            sum(&self.theirs),
            found.len(),
            largest.len().min(COMPARED),
            self.by,
            self.told
        ));
        found
    }
}

fn sum(top: &Top) -> i64 {
    top.values().map(|(flat, _)| flat).sum()
}

/// What stands below `main.allocate`, and itself: all that the program holds on its many stacks.
fn top(go: &Go, profile: &Path, by: &str, scratch: &Path) -> Result<Top> {
    let profile = profile.display().to_string();
    let options = [
        "-top",
        by,
        "-nodecount=100000",
        "-nodefraction=0",
        "-unit=B",
        "-sample_index=inuse_space",
        "-focus=main.allocate",
        &profile,
    ];
    let output = go.pprof(&options, scratch)?;
    let mut top = Top::new();
    for line in output.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [flat, _, _, cum, _, place @ ..] = &words[..] else {
            continue;
        };
        let bytes = |word: &str| word.trim_end_matches('B').parse::<i64>().ok();
        if let (Some(flat), Some(cum)) = (bytes(flat), bytes(cum)) {
            let held = top.entry(place.join(" ")).or_default();
            held.0 += flat;
            held.1 += cum;
        }
    }
    anyhow::ensure!(!top.is_empty(), "nothing in {output}");
    Ok(top)
}
