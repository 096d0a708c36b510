//! How the demo speaks: one line per event with the time since the start, longer text indented below it.

use crate::stage::Actor;
use anyhow::Result;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::text;
use serde_json::Value;
use std::io::IsTerminal as _;
use std::time::Instant;

const INDENT: &str = "                         ";
const MIB: f64 = 1_048_576.0;

/// Prints to the terminal.
#[derive(Debug)]
pub(crate) struct Narrator {
    start: Instant,
    colour: bool,
}

#[expect(clippy::print_stdout, reason = "the demo is what it prints")]
impl Narrator {
    /// The clock starts now.
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    /// A line about someone.
    pub(crate) fn say(&self, who: &str, what: &str) {
        let seconds = self.start.elapsed().as_secs();
        println!("{:02}:{:02}  {who:<16} {what}", seconds / 60, seconds % 60);
    }

    /// A heading.
    pub(crate) fn heading(&self, what: &str) {
        println!("\n{}", self.bold(what));
    }

    /// A line without a time.
    pub(crate) fn line(what: &str) {
        println!("{what}");
    }

    /// The guided workflow: every question with its answer, and why.
    pub(crate) fn walk(&self, who: &str, steps: &[Value]) {
        for step in steps {
            self.say(
                who,
                &format!("{} {}", text(step, "question"), self.bold(text(step, "answer"))),
            );
            println!("{INDENT}{}", text(step, "why"));
        }
    }

    /// A verdict that changed.
    pub(crate) fn verdict(&self, who: &str, verdict: &Value) {
        let confidence = number(verdict, "/confidence");
        self.say(
            who,
            &format!("{} (confidence {confidence:.2})", self.bold(text(verdict, "class"))),
        );
        println!("{INDENT}{}", text(verdict, "summary"));
        if let Some(culprit) = verdict.get("culprit").filter(|culprit| culprit.is_object()) {
            println!("{INDENT}culprit: {}", place(culprit));
        }
    }

    /// Memory of all services against their limits.
    pub(crate) fn table(&self, daemon: &Daemon, actors: &[Actor]) -> Result<()> {
        for actor in actors {
            let Some(target) = daemon.target(actor.cgroup.path())? else {
                continue;
            };
            let (charge, limit) = (
                number(&target, "/memory/charge_bytes"),
                number(&target, "/memory/limit_bytes"),
            );
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a part of 24 columns, clamped"
            )]
            let columns = (charge / limit * 24.0).clamp(0.0, 24.0) as usize;
            let bar = format!("{}{}", "#".repeat(columns), ".".repeat(24 - columns));
            let state = if actor.process.is_some() { "" } else { "  (killed)" };
            self.say(
                actor.role.name,
                &format!("[{bar}] {:4.0} of {:.0} MiB{state}", charge / MIB, limit / MIB),
            );
        }
        Ok(())
    }

    /// What is known of a kill.
    pub(crate) fn post_mortem(&self, who: &str, body: &Value) {
        self.say(who, &self.bold("killed for lack of memory. Post-mortem:"));
        let victim = body.get("victim").unwrap_or(&Value::Null);
        println!(
            "{INDENT}victim {} (pid {}), {:.0} MiB anonymous; {} limit of {:.0} MiB",
            text(victim, "comm"),
            number(victim, "/pid"),
            number(victim, "/rss_anon_bytes") / MIB,
            text(body, "scope"),
            number(body, "/limit_bytes") / MIB
        );
        for profile in body.get("profiles").and_then(Value::as_array).into_iter().flatten() {
            let age = number(profile, "/age_seconds");
            let (kind, link) = (text(profile, "type"), text(profile, "link"));
            let taken = if text(profile, "source") == "kernel_at_death" {
                "at death".to_owned()
            } else {
                format!("{age:.1} s before the kill")
            };
            println!("{INDENT}last {kind} profile: {taken}, {link}");
        }
        if let Some(at_death) = body.get("at_death").filter(|at_death| at_death["buckets"].is_u64()) {
            println!(
                "{INDENT}heap read by the kernel while it died: {}, {} buckets; that held it up for {:.1} ms",
                text(at_death, "heap"),
                number(at_death, "/buckets"),
                number(at_death, "/heap_seconds") * 1e3
            );
        }
        if let Some(culprit) = body.pointer("/verdict/culprit").filter(|culprit| culprit.is_object()) {
            println!(
                "{INDENT}verdict at death: {}, {}",
                text(&body["verdict"], "class"),
                place(culprit)
            );
        }
    }

    fn bold(&self, text: &str) -> String {
        if self.colour {
            format!("\x1b[1m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// `function (file:line), N % of the growth`.
pub(crate) fn place(culprit: &Value) -> String {
    format!(
        "{} ({}:{}), {:.0} % of the growth",
        text(culprit, "function"),
        text(culprit, "file"),
        number(culprit, "/line"),
        number(culprit, "/share_of_growth") * 100.0
    )
}

/// For display only: what is absent shows as NaN.
fn number(value: &Value, pointer: &str) -> f64 {
    value.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN)
}
