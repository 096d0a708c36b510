//! All programs with a known truth at once, each in a cgroup of its own: verdicts, culprits, the post-mortem, and the same findings
//! from a recording.

use crate::LEAKWATCH;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::bail;
use anyhow::ensure;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::Go;
use leakwatch_test_support::programs::marked_line;
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const LEAKS: [&str; 2] = ["go_heap_leak", "goroutine_leak"];
/// For everything that is waited for: the machine may be slow and have much else to do.
const DEADLINE: Duration = Duration::from_mins(15);

/// A program and what is true of it.
struct Case {
    program: &'static str,
    arguments: &'static [&'static str],
    limit: u64,
    truth: Truth,
}

enum Truth {
    /// It grows in this function, at the line marked in this file: `growing`, as one run of one program cannot be told from a cache, or a
    /// claim of this class.
    Leak(&'static str, &'static str, &'static str, &'static str),
    /// Never a leak; one of these sooner or later.
    Healthy(&'static [&'static str]),
}

const CASES: [Case; 9] = [
    Case {
        program: "transfers",
        arguments: &[],
        limit: 512 * MIB,
        truth: Truth::Leak("go_heap_leak", "main.(*journal).record", "main.go", "leak"),
    },
    Case {
        program: "checkout",
        arguments: &["-rate=600000"],
        limit: 512 * MIB,
        truth: Truth::Leak(
            "go_heap_leak",
            "example.com/shop/checkout/session.(*Store).Put",
            "session/store.go",
            "leak",
        ),
    },
    Case {
        program: "orders",
        arguments: &["-rate=800000"],
        limit: 512 * MIB,
        truth: Truth::Leak("go_heap_leak", "main.archiveReceipt", "main.go", "leak"),
    },
    Case {
        program: "search",
        arguments: &["-rate=500000"],
        limit: 512 * MIB,
        truth: Truth::Leak("go_heap_leak", "main.(*Index[...]).Insert", "main.go", "leak"),
    },
    Case {
        program: "poller",
        arguments: &["-rate=100"],
        limit: 512 * MIB,
        truth: Truth::Leak("goroutine_leak", "main.waitForUpdate", "main.go", "leak"),
    },
    Case {
        program: "thumbnails",
        arguments: &[],
        limit: 256 * MIB,
        truth: Truth::Healthy(&["warm_up", "stable"]),
    },
    Case {
        program: "reports",
        arguments: &[],
        limit: 256 * MIB,
        truth: Truth::Healthy(&["stable", "not_enough_data"]),
    },
    Case {
        program: "uploads",
        arguments: &[],
        limit: 256 * MIB,
        truth: Truth::Healthy(&["stable", "not_enough_data"]),
    },
    Case {
        // The only one that is killed.
        program: "markets",
        arguments: &[
            "-variant=cache-leak",
            "-rate=700000",
            "-noise=0.5",
            "-burst-every=17s",
            "-burst-bytes=6000000",
        ],
        limit: 160 * MIB,
        truth: Truth::Leak(
            "go_heap_leak",
            "main.getOrQueryMarketsValues",
            "markets.go",
            "cache-leak",
        ),
    },
];

/// A running case and what was said of it.
struct Watched {
    case: &'static Case,
    cgroup: Cgroup,
    process: Running,
    target: String,
    /// All classes so far.
    classes: BTreeSet<String>,
    /// The last verdict.
    verdict: Value,
    /// Why it is not the right one yet.
    wrong: Option<String>,
}

#[test]
fn programs_with_a_known_truth_get_the_right_verdict() -> Result<()> {
    let directory = TempDir::new()?;
    let parent = Cgroup::create("end-to-end")?;
    // It stays after a failure: `leakwatch replay` shows the same findings again.
    let recording = Path::new(env!("CARGO_TARGET_TMPDIR")).join("end-to-end.recording");
    let daemon = Daemon::start(&Options {
        executable: Path::new(LEAKWATCH),
        only: parent.path(),
        interval_seconds: 1,
        config: "[go]\ndiscover_endpoints = true\n",
        arguments: &["--record", &recording.display().to_string()],
    })?;
    let mut all = Vec::new();
    for case in &CASES {
        let executable = Go::on_path().build(case.program, directory.path())?;
        let cgroup = parent.child(case.program, Some(case.limit))?;
        let arguments = case.arguments.iter().copied().chain(["-listen=127.0.0.1:0"]);
        let log = directory.path().join(case.program).with_extension("log");
        let process = Running::start_in(&cgroup, &executable, arguments, &log)?;
        all.push(Watched {
            case,
            target: daemon.wait_target(cgroup.path())?,
            cgroup,
            process,
            classes: BTreeSet::new(),
            verdict: Value::Null,
            wrong: Some("no verdict yet".to_owned()),
        });
    }
    let decided = wait_until("the right verdicts, and the kill", DEADLINE, || {
        let mut open = false;
        for watched in &mut all {
            watched.look(&daemon)?;
            open |= watched.wrong.is_some() || (watched.is_killed() && watched.cgroup.oom_kills()? == 0);
        }
        Ok((!open).then_some(()))
    });
    let wrong: Vec<String> = all.iter().filter_map(Watched::complaint).collect();
    decided.with_context(|| format!("{}recorded in {}", wrong.concat(), recording.display()))?;
    for watched in &mut all {
        let kills = watched.cgroup.oom_kills()?;
        assert_eq!(kills > 0, watched.is_killed(), "{}", watched.case.program);
        if watched.is_killed() {
            watched.check_post_mortem(&daemon)?;
        }
    }
    replay_agrees(&daemon, &all, &recording)
}

impl Watched {
    /// Whether it has a limit that it is to reach.
    fn is_killed(&self) -> bool {
        self.case.program == "markets"
    }

    /// Takes in the verdict of now. A leak that is named once is named; who is healthy must never be accused.
    fn look(&mut self, daemon: &Daemon) -> Result<()> {
        if self.wrong.is_none() && matches!(self.case.truth, Truth::Leak(..)) {
            return Ok(());
        }
        self.verdict = daemon.investigation(&self.target)?["verdict"].take();
        self.classes.insert(text(&self.verdict, "class").to_owned());
        if self.accused().is_some() {
            bail!("{} is called a leak: {:?}", self.case.program, self.classes);
        }
        if self.wrong.is_some() {
            self.wrong = judge(self.case, &self.verdict).err().map(|error| format!("{error:#}"));
        }
        Ok(())
    }

    fn accused(&self) -> Option<&'static str> {
        let healthy = matches!(self.case.truth, Truth::Healthy(_));
        LEAKS.into_iter().find(|leak| healthy && self.classes.contains(*leak))
    }

    fn complaint(&self) -> Option<String> {
        let wrong = self.wrong.as_ref()?;
        Some(format!("{}: {wrong}\n{:#}\n", self.case.program, self.verdict))
    }

    fn check_post_mortem(&mut self, daemon: &Daemon) -> Result<()> {
        let reported = wait_until("the kill to be reported", DEADLINE, || daemon.post_mortem(&self.target));
        let kill = reported.with_context(|| daemon.log())?;
        assert_eq!(text(&kill, "target"), self.target, "{kill:#}");
        assert_eq!(text(&kill, "cgroup_path"), self.cgroup.path(), "{kill:#}");
        assert_eq!(text(&kill, "scope"), "memcg", "{kill:#}");
        assert_eq!(kill["limit_bytes"], self.case.limit, "{kill:#}");
        assert_eq!(kill["victim"]["pid"], self.process.pid(), "{kill:#}");
        assert_eq!(kill["victim"]["comm"], self.case.program, "{kill:#}");
        // The kernel kills when the charge cannot grow: what the victim held is nearly the limit.
        let held = kill["victim"]["rss_anon_bytes"].as_u64().context("rss_anon_bytes")?;
        assert!(held > self.case.limit / 10 * 9 && held <= self.case.limit, "{kill:#}");
        judge(self.case, &kill["verdict"]).with_context(|| format!("{kill:#}"))?;
        let profiles = kill["profiles"].as_array().context("profiles")?;
        let heap = profiles
            .iter()
            .find(|profile| profile["type"] == "heap")
            .context("no heap profile")?;
        let profile = daemon.client().bytes(text(heap, "link"))?;
        assert_eq!(
            profile.get(..2),
            Some(&[0x1f, 0x8b][..]),
            "the heap profile is not gzipped"
        );
        Ok(())
    }
}

/// Whether a verdict says what is true of the program. How sure it is of that is not asked: that depends on how long it was watched.
fn judge(case: &Case, verdict: &Value) -> Result<()> {
    let class = text(verdict, "class");
    match case.truth {
        Truth::Leak(expected, function, file, mark) => {
            let line = marked_line(case.program, file, mark)?;
            let culprit = &verdict["culprit"];
            ensure!(class == expected || class == "growing", "{class} instead of {expected}");
            let named = without_type_arguments(text(culprit, "function"));
            ensure!(named == function, "{named} instead of {function}");
            ensure!(text(culprit, "file").ends_with(file), "file is not {file}");
            ensure!(culprit["line"] == line, "line is not {line}");
        }
        Truth::Healthy(expected) => ensure!(expected.contains(&class), "{class} is none of {expected:?}"),
    }
    Ok(())
}

/// As `go tool pprof` shows generic functions: `(*Index[go.shape.string,go.shape.uint64])` is `(*Index[...])`.
fn without_type_arguments(function: &str) -> String {
    match (function.split_once('['), function.rsplit_once(']')) {
        (Some((before, _)), Some((_, after))) => format!("{before}[...]{after}"),
        _ => function.to_owned(),
    }
}

/// The recording, played up to the round of an answer that the daemon gave, leads to the same findings byte for byte.
fn replay_agrees(daemon: &Daemon, all: &[Watched], recording: &Path) -> Result<()> {
    // Losses carry no time: those after a round may be in one of the answers and not in the other.
    let found = |mut answer: Value| {
        answer["losses"] = Value::Null;
        answer
    };
    for watched in all {
        let path = format!("/api/v1/targets/{}/investigation", watched.target);
        // The recorder writes behind the engine: the round is in the file a moment later. An answer between two rounds is in none.
        wait_until("a round of an answer to be recorded", DEADLINE, || {
            let live = found(daemon.client().json(&path)?);
            let arguments = ["replay", "--output", "json", "--until", text(&live, "at")];
            let replay = Command::new(LEAKWATCH).args(arguments).arg(recording).output()?;
            let offline: Value = serde_json::from_slice(&replay.stdout)
                .with_context(|| format!("replay: {}: {}", replay.status, String::from_utf8_lossy(&replay.stderr)))?;
            let items = offline["investigations"].as_array().context("no investigations")?;
            let same = items.iter().find(|item| item["target"] == live["target"]);
            Ok(same
                .filter(|same| same["at"] == live["at"])
                .map(|same| assert_eq!(found(same.clone()), live)))
        })?;
    }
    Ok(())
}
