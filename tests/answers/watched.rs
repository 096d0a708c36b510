//! One program under watch, and whether what is said of it is right.

use crate::LEAKWATCH;
use crate::make::CommandLine;
use crate::truths::Fate;
use crate::truths::Place;
use crate::truths::Truth;
use anyhow::Context as _;
use anyhow::Result;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::process::Signal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

/// When it is not right by then, it is wrong.
const DEADLINE: Duration = Duration::from_secs(210);
/// Nobody is called healthy who was not watched for so long.
const LEAST_WATCHED: Duration = Duration::from_secs(100);

pub(crate) struct Watched {
    truth: &'static Truth,
    process: Running,
    cgroup: Cgroup,
    /// Where all programs were built.
    directory: PathBuf,
    target: String,
    since: Instant,
    /// Whether its limit was raised, or it was sent a signal.
    is_fated: bool,
    /// All leaks that it was ever said to have.
    accused_of: BTreeSet<String>,
}

impl Watched {
    pub(crate) fn start(
        truth: &'static Truth,
        line: &CommandLine,
        parent: &Cgroup,
        daemon: &Daemon,
        directory: &Path,
    ) -> Result<Self> {
        let cgroup = parent.child(truth.name, truth.limit)?;
        let (program, arguments) = line.split_first().context("a command")?;
        let log = directory.join(truth.name).join("log");
        let process = Running::start_in(&cgroup, Path::new(program), arguments, &log)?;
        Ok(Self {
            truth,
            process,
            target: daemon.wait_target(cgroup.path())?,
            cgroup,
            directory: directory.to_owned(),
            since: Instant::now(),
            is_fated: false,
            accused_of: BTreeSet::new(),
        })
    }

    pub(crate) fn truth(&self) -> &'static Truth {
        self.truth
    }

    /// What is wrong, nothing if all is right, once that is known.
    pub(crate) fn look(&mut self, daemon: &Daemon) -> Result<Option<Vec<String>>> {
        let mut answer = daemon.investigation(&self.target)?;
        let verdict = answer["verdict"].take();
        let class = text(&verdict, "class");
        if class.ends_with("_leak") {
            self.accused_of.insert(class.to_owned());
        }
        let kills = self.kills(daemon)?;
        let is_over = self.meet_its_fate(kills.len())?;
        let is_late = self.since.elapsed() > DEADLINE;
        if !(is_over || is_late) {
            return Ok(None);
        }
        let mut wrong = self.judge(&verdict);
        if !is_over {
            wrong.push(format!("{} kills within the deadline", kills.len()));
        }
        let texts = self.texts(daemon, &kills)?;
        wrong.extend(self.read(&texts));
        if !(wrong.is_empty() || is_late) {
            return Ok(None);
        }
        if std::env::var_os("LEAKWATCH_BLESS").is_some() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/answers/texts");
            fs::create_dir_all(&folder)?;
            // Where this checkout is says nothing.
            let sources = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("a workspace")?;
            let anywhere = texts
                .replace(&format!("{}/tests/support/../", sources.display()), "tests/")
                .replace(&format!("{}/", sources.display()), "")
                .replace(&format!("{}/", self.directory.display()), "");
            fs::write(folder.join(self.truth.name).with_extension("txt"), anywhere)?;
        }
        Ok(Some(wrong))
    }

    /// Its kills, newest first.
    fn kills(&self, daemon: &Daemon) -> Result<Vec<String>> {
        let all = daemon.client().json("/api/v1/oom_kills?limit=200")?;
        let items = all["items"].as_array().context("no list of kills")?;
        let own = items.iter().filter(|kill| text(kill, "target") == self.target);
        Ok(own.map(|kill| text(kill, "id").to_owned()).collect())
    }

    /// Does to it what is to be done, and answers whether all has happened that was to happen.
    fn meet_its_fate(&mut self, kills: usize) -> Result<bool> {
        let is_healthy = !self.truth.classes.iter().any(|class| class.ends_with("_leak"));
        let is_watched = !is_healthy || self.since.elapsed() > LEAST_WATCHED;
        match self.truth.fate {
            Fate::Watched => Ok(is_watched),
            Fate::Killed(wanted) => Ok(kills >= wanted),
            Fate::Raised(limit) => {
                if kills > 0 && !self.is_fated {
                    self.cgroup.set_limit(limit)?;
                    self.is_fated = true;
                    self.since = Instant::now();
                }
                Ok(self.is_fated && is_watched)
            }
            Fate::Signalled => {
                if is_watched && !self.is_fated {
                    self.process.signal(Signal::KILL)?;
                    self.is_fated = true;
                }
                Ok(self.is_fated && self.process.ended()?.is_some() && self.cgroup.pids().is_empty())
            }
        }
    }

    fn judge(&self, verdict: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        let truth = self.truth;
        let class = text(verdict, "class");
        if !truth.classes.contains(&class) {
            wrong.push(format!("{class} is none of {:?}", truth.classes));
        }
        let accused = self
            .accused_of
            .iter()
            .filter(|class| !truth.classes.contains(&class.as_str()));
        wrong.extend(accused.map(|class| format!("it was called {class}")));
        let function = text(&verdict["culprit"], "function");
        match truth.place {
            // With its parameters or without them.
            Place::At(wanted) if function != wanted && !function.starts_with(&format!("{wanted}(")) => {
                wrong.push(format!("the place is {function:?}, not {wanted}"));
            }
            Place::Nowhere if !function.is_empty() => wrong.push(format!("{function} is named")),
            _ => {}
        }
        wrong
    }

    /// What a person reads: the investigation, and the post-mortem of the last kill.
    fn texts(&self, daemon: &Daemon, kills: &[String]) -> Result<String> {
        let ask = |arguments: &[&str]| {
            let output = Command::new(LEAKWATCH)
                .args(["--endpoint", daemon.client().base()])
                .args(arguments)
                .env_clear()
                .output()?;
            // The exit code tells a leak, and the text of it is judged.
            let said = String::from_utf8(output.stdout)?;
            anyhow::Ok(format!(
                "$ leakwatch {} TARGET\n{said}\n",
                arguments.first().context("a command")?
            ))
        };
        let mut texts = ask(&["investigate", &self.target])?;
        if let Some(last) = kills.first() {
            texts.push_str(&ask(&["oom", last])?.replace("oom TARGET", "oom ID"));
        }
        Ok(texts)
    }

    /// What the texts lack, and what they must not say.
    fn read(&self, texts: &str) -> Vec<String> {
        // Sentences go over several lines.
        let flowing = texts.split_whitespace().collect::<Vec<_>>().join(" ");
        let lacks = self.truth.says.iter().filter(|says| !flowing.contains(**says));
        // The questions are the same for every program, and say where one does not apply to it.
        let answered = without_questions(&flowing);
        let says = self.truth.never.iter().filter(|never| answered.contains(**never));
        lacks
            .map(|lacks| format!("it does not say {lacks:?}"))
            .chain(says.map(|says| format!("it says {says:?}")))
            .collect()
    }
}

/// All but the list of questions at the end of an investigation.
fn without_questions(texts: &str) -> String {
    let (before, questions) = texts.split_once("How this was found").unwrap_or((texts, ""));
    let after = questions.split_once("$ leakwatch oom").map_or("", |(_, after)| after);
    format!("{before} {after}")
}
