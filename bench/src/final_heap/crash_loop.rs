//! Kills one after the other, under one daemon: what it keeps of them, and whether it stays small.

use crate::final_heap::kind::Scenario;
use crate::final_heap::scenario::Stage;
use crate::idle::mib;
use crate::idle::pass;
use crate::idle::status_kib;
use crate::statistics;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::text;
use std::time::Duration;
use xtask::tools;

/// How often is told how large the daemon is.
const EVERY: u32 = 10;

/// The function that filled the memory of every victim.
const TOP: &str = "main.fill";

/// Kills `deaths` times, `scenario.victims` programs each time.
pub(crate) fn run(stage: &mut Stage, scenario: Scenario, deaths: u32) -> Result<()> {
    let mut daemon = stage.daemon()?;
    let mut sizes = vec![say_size(&mut daemon, 0)?];
    let (mut wrong, mut incomplete) = (0_usize, 0_usize);
    for death in 1..=deaths {
        let came = stage.kill(scenario, Some(&mut daemon))?;
        for remains in &came.remains {
            if remains.top != TOP {
                wrong += 1;
                tools::say(format!("death {death}: {:?} on top instead of {TOP}", remains.top));
            }
            if remains.outcome != "complete" {
                incomplete += 1;
                tools::say(format!(
                    "death {death}: {} ({}), {:.1} % of the buckets",
                    remains.outcome,
                    remains.told,
                    100.0 * remains.buckets
                ));
            }
        }
        if death % EVERY == 0 || death == deaths {
            sizes.push(say_size(&mut daemon, death)?);
        }
    }
    // What was released goes back within half a minute.
    pass(Duration::from_secs(30))?;
    say_size(&mut daemon, deaths)?;
    let second_half: Vec<_> = sizes.into_iter().filter(|(death, _)| *death >= deaths / 2).collect();
    if let Some(slope) = statistics::slope(&second_half) {
        tools::say(format!(
            "resident memory over the second half: {:+.1} KiB a death",
            slope * 1024.0
        ));
    }
    for loss in daemon.client().json("/api/v1/status")?["losses"]
        .as_array()
        .context("losses")?
    {
        tools::say(format!("dropped and counted: {loss}"));
    }
    tools::say(format!(
        "{scenario}, {deaths} times: {wrong} with another function on top, {incomplete} not complete"
    ));
    ensure!(wrong == 0, "{wrong} post-mortems blame another function than {TOP}");
    Ok(())
}

/// The death after which it was, and the resident MiB.
fn say_size(daemon: &mut Daemon, deaths: u32) -> Result<(u32, f64)> {
    let pid = daemon.process().pid();
    let [resident, anonymous, peak] = ["VmRSS", "RssAnon", "VmHWM"].map(|key| status_kib(pid, key));
    let resident = resident?;
    let allocated = daemon.client().json("/api/v1/status")?["own"]["allocated_bytes"].as_u64();
    let page = daemon.client().json("/api/v1/oom_kills?limit=1000")?;
    let kills = page["items"].as_array().context("items")?;
    let with_profile = kills.iter().filter(|kill| {
        let profiles = kill["profiles"].as_array();
        profiles.is_some_and(|profiles| profiles.iter().any(|profile| text(profile, "type") == "heap"))
    });
    tools::say(format!(
        "{deaths} deaths: {:.1} MiB resident ({:.1} MiB anonymous, {:.1} MiB allocated, peak {:.1} MiB), {} post-mortems, {} with a heap profile",
        mib(resident),
        mib(anonymous?),
        mib(allocated.context("allocated_bytes")? / 1024),
        mib(peak?),
        kills.len(),
        with_profile.count()
    ));
    Ok((deaths, mib(resident)))
}
