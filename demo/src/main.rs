//! `cargo xtask demo`: the main job, shown on real processes, real limits and real OOM kills. Builds a Go service and the daemon,
//! runs healthy and leaking copies side by side in memory cgroups of their own, tells what the daemon finds, and checks it
//! against the truth. Needs root, for cgroups and eBPF. Everything is removed at the end, also after Ctrl-C.
#![forbid(unsafe_code)]

mod cast;
mod narrator;
mod stage;
mod story;
mod review;

use anyhow::Context as _;
use anyhow::ensure;
use cast::ROLES;
use cast::Role;
use cast::Variant;
use clap::Parser;
use leakwatch_test_support::programs::Go;
use leakwatch_test_support::wait::wait_until;
use narrator::Narrator;
use stage::Stage;
use std::path::PathBuf;
use std::time::Duration;
use story::Story;
use xtask::build;
use xtask::go;
use xtask::tools;

/// Shows a leak, its verdict and its OOM kill on real processes.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask demo")]
struct Arguments {
    /// What to show
    #[arg(long, value_enum, default_value_t = Variant::All)]
    variant: Variant,
    /// Show this daemon instead of building one
    #[arg(long)]
    daemon: Option<PathBuf>,
    /// Stay when all is told, with the daemon, its page and the services, until Ctrl-C
    #[arg(long)]
    keep: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    ctrlc::set_handler(leakwatch_test_support::wait::interrupt).context("handle Ctrl-C")?;
    let go = Go::at(go::ensure_go()?);
    let daemon = arguments.daemon.clone().map_or_else(build::main, Ok)?;
    let builds = tempfile::tempdir()?;
    let service = tools::step("building the Go service", || go.build("markets", builds.path()))?;

    let shown = |role: &&'static Role| arguments.variant == Variant::All || role.variant == arguments.variant;
    let roles: Vec<&'static Role> = ROLES.iter().filter(shown).collect();
    let narrator = Narrator::new();
    let mut stage = Stage::set_up(&roles, &service, &daemon)?;
    introduce(&narrator, &roles, &stage);

    let mut story = Story::default();
    let followed = story.follow(&mut stage, &narrator, review::complete);
    if followed.is_err() {
        Narrator::line(&stage.daemon.log());
    }
    followed?;

    narrator.heading("Summary");
    let mut failed = 0;
    for (name, checks) in review::review(&story, &stage.actors)? {
        for check in checks {
            let mark = if check.passed { "ok    " } else { "FAILED" };
            failed += usize::from(!check.passed);
            Narrator::line(&format!("  {mark} {name:<16} {}", check.what));
        }
    }
    if arguments.keep {
        keep(&narrator, &mut stage);
    }
    ensure!(failed == 0, "{failed} checks failed");
    Ok(())
}

/// Until Ctrl-C. What is killed starts again, also what leaks: the page shows its runs behind each other.
fn keep(narrator: &Narrator, stage: &mut Stage) {
    narrator.heading(&format!(
        "The page stays open until Ctrl-C: {}/",
        stage.daemon.client().base()
    ));
    // Ends with an error, since that is how a wait ends that is interrupted: the guards take all of it down.
    let ended = wait_until("Ctrl-C", Duration::MAX, || {
        for actor in &mut stage.actors {
            actor.start_again()?;
        }
        Ok(None::<()>)
    });
    if let Err(reason) = ended {
        Narrator::line(&format!("{reason:#}"));
    }
}

fn introduce(narrator: &Narrator, roles: &[&'static Role], stage: &Stage) {
    narrator.heading("One Go service in several memory cgroups; leakwatch is told nothing about them");
    for role in roles {
        Narrator::line(&format!(
            "  {:<16} limit {:>3} MiB  {} {}",
            role.name,
            role.limit >> 20,
            role.service,
            role.arguments.join(" ")
        ));
    }
    Narrator::line(&format!(
        "  page: {0}/   API: {0}/api/v1/targets",
        stage.daemon.client().base()
    ));
    narrator.heading("What leakwatch says");
}
