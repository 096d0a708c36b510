//! Kills for memory, some at a time, and whether the daemon tells each: once, of the right process, in the right cgroup, as often as the kernel counts.

use crate::soak::guests::Guest;
use crate::soak::guests::Guests;
use anyhow::Context as _;
use anyhow::Result;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use std::time::Duration;
use xtask::tools;

const DEADLINE: Duration = Duration::from_mins(2);
/// Until the daemon has told what has happened.
const TOLD: Duration = Duration::from_secs(30);

/// What came of the kills so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kills {
    /// By the counters of the cgroups.
    pub(super) counted: u64,
    /// With the victim's process id and cgroup.
    pub(super) told: u64,
    /// With the wrong process, or more often than counted.
    pub(super) wrong: u64,
}

impl Kills {
    pub(super) fn lost(&self) -> u64 {
        self.counted.saturating_sub(self.told)
    }

    /// Lets so many be killed at the same time.
    pub(super) fn batch(&mut self, guests: &mut Guests<'_>, daemon: &Daemon, count: usize) -> Result<()> {
        let mut doomed = Vec::with_capacity(count);
        for number in 0..count {
            doomed.push(guests.doomed(number % 4 == 3)?);
        }
        for guest in &mut doomed {
            guest.running.wait(DEADLINE).context("the end of a victim")?;
        }
        for guest in &doomed {
            let counted = guest.cgroup.oom_kills()?;
            self.counted += counted;
            let told = told(daemon, guest, counted);
            let right = told
                .iter()
                .filter(|kill| victim(kill) == Some(u64::from(guest.running.pid())));
            let right = u64::try_from(right.count())?.min(counted);
            self.told += right;
            self.wrong += u64::try_from(told.len())?.saturating_sub(right);
            if right != counted || told.len() as u64 > right {
                tools::say(format!(
                    "{}: {counted} kills by its counter, told {told:?}",
                    guest.cgroup.path()
                ));
            }
        }
        Ok(())
    }
}

/// The kills of a cgroup, once there are as many as the kernel has counted, or in vain.
fn told(daemon: &Daemon, guest: &Guest, counted: u64) -> Vec<Value> {
    let mut found = Vec::new();
    let waited = wait_until("the kills to be told", TOLD, || {
        // The newest come first.
        let page = daemon.client().json("/api/v1/oom_kills?limit=100")?;
        let items = page.get("items").and_then(Value::as_array).context("items")?;
        let of_guest = items
            .iter()
            .filter(|kill| text(kill, "cgroup_path") == guest.cgroup.path());
        found = of_guest
            .map(|kill| kill.get("victim").cloned().unwrap_or_default())
            .collect();
        Ok((found.len() as u64 >= counted).then_some(()))
    });
    if let Err(error) = waited {
        tools::say(format!("{error:#}"));
    }
    found
}

fn victim(kill: &Value) -> Option<u64> {
    kill.get("pid")?.as_u64()
}
