//! One kind of death, with the daemon and without, in turns.

use crate::final_heap::kernel_trace::KernelTrace;
use crate::final_heap::kind::Kills;
use crate::final_heap::kind::Scenario;
use crate::final_heap::post_mortem;
use crate::final_heap::post_mortem::Remains;
use crate::final_heap::row::Row;
use crate::final_heap::victim::Truth;
use crate::final_heap::victim::Victim;
use crate::idle::TICKS_PER_SECOND;
use crate::idle::mib;
use crate::idle::pass;
use crate::idle::processor_ticks;
use crate::idle::status_kib;
use crate::statistics::Paired;
use crate::statistics::median;
use anyhow::Result;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::wait::wait_until;
use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use xtask::tools;

/// Where it happens: the daemon's executable and the program, and what tells when the kernel chose.
#[derive(Debug)]
pub(crate) struct Stage {
    daemon: PathBuf,
    program: PathBuf,
    directory: PathBuf,
    trace: Option<KernelTrace>,
    cgroup: Cgroup,
    /// For names that are not used again.
    started: u32,
}

impl Stage {
    pub(crate) fn new(daemon: PathBuf, program: PathBuf, directory: &Path) -> Result<Self> {
        let trace = KernelTrace::start();
        if let Err(error) = &trace {
            tools::say(format!("no delays: {error:#}"));
        }
        Ok(Self {
            daemon,
            program,
            directory: directory.to_owned(),
            trace: trace.ok(),
            cgroup: Cgroup::create("deaths")?,
            started: 0,
        })
    }

    /// A daemon that watches what happens here.
    pub(crate) fn daemon(&self) -> Result<Daemon> {
        Daemon::start(&Options {
            executable: &self.daemon,
            only: self.cgroup.path(),
            interval_seconds: 5,
            config: "",
            arguments: &[],
        })
    }

    /// Kills, with a daemon that has read the victims before, or without.
    pub(crate) fn kill(&mut self, scenario: Scenario, mut daemon: Option<&mut Daemon>) -> Result<Kills> {
        let mut victims = Vec::new();
        for _ in 0..scenario.victims {
            self.started += 1;
            let cgroup = self.cgroup.child(&format!("victim{}", self.started), None)?;
            let log = self.directory.join(format!("victim{}", self.started));
            victims.push(Victim::start(&self.program, cgroup, &scenario.arguments(), log)?);
        }
        for victim in &victims {
            victim.wait_ready()?;
        }
        if let Some(trace) = &self.trace {
            trace.clear()?;
        }
        let ticks = if let Some(daemon) = daemon.as_deref_mut() {
            wait_read(daemon, &victims)?;
            processor_ticks(daemon.process().pid())?
        } else {
            pass(Duration::from_secs(2))?;
            0.0
        };
        for victim in &victims {
            victim.fill()?;
        }
        let truths: Vec<Truth> = victims.into_iter().map(Victim::wait).collect::<Result<_>>()?;
        let mut deaths = Kills::default();
        for truth in &truths {
            let marked = self.trace.as_ref().map(|trace| trace.marked(truth.pid)).transpose()?;
            deaths
                .delays
                .extend(marked.flatten().map(|marked| 1e3 * (truth.gone - marked)));
        }
        if let Some(daemon) = daemon {
            for truth in &truths {
                deaths.remains.push(post_mortem::wait(daemon, truth)?);
            }
            let used = processor_ticks(daemon.process().pid())? - ticks;
            deaths.processor = 1e3 * used / TICKS_PER_SECOND;
        }
        Ok(deaths)
    }

    /// Kills with and without, in turns, says what came of it, and answers with it.
    pub(crate) fn compare(&mut self, scenario: Scenario, pairs: usize) -> Result<Row> {
        let mut with = Vec::new();
        let mut delays = Vec::new();
        let mut resident = Vec::new();
        let mut peak = Vec::new();
        for turn in 0..pairs.max(1) {
            // As ABBA: a machine that gets slower all the time changes nothing.
            let mut without = (turn % 2 == 1 && pairs > 0)
                .then(|| self.kill(scenario, None))
                .transpose()?;
            let mut daemon = self.daemon()?;
            let deaths = self.kill(scenario, Some(&mut daemon))?;
            let pid = daemon.process().pid();
            resident.push(mib(status_kib(pid, "VmRSS")?));
            peak.push(mib(status_kib(pid, "VmHWM")?));
            drop(daemon);
            if without.is_none() && pairs > 0 {
                without = Some(self.kill(scenario, None)?);
            }
            if let Some(without) = without {
                delays.extend(longest(&deaths).zip(longest(&without)));
            }
            with.push(deaths);
        }
        report(&with, &delays);
        tools::say(format!(
            "  daemon: {:.0} ms of processor time for all of them, {:.0} MiB resident after it, at most {:.0} MiB",
            median(with.iter().map(|deaths| deaths.processor)).unwrap_or(f64::NAN),
            median(resident.iter().copied()).unwrap_or(f64::NAN),
            median(peak.iter().copied()).unwrap_or(f64::NAN),
        ));
        Ok(Row {
            scenario,
            with,
            delays,
            resident,
            peak,
        })
    }
}

/// Waits until the daemon has read all victims after they were ready.
fn wait_read(daemon: &Daemon, victims: &[Victim]) -> Result<()> {
    let newest = |target: &str| -> Result<Option<String>> {
        let list = daemon
            .client()
            .json(&format!("/api/v1/targets/{target}/profiles?type=heap&limit=1"))?;
        let newest = list["items"].as_array().and_then(|items| items.first());
        Ok(newest.map(|newest| text(newest, "id").to_owned()))
    };
    let mut before = Vec::new();
    for victim in victims {
        let target = daemon.wait_target(victim.cgroup().path())?;
        before.push((newest(&target)?, target));
    }
    for (victim, (before, target)) in victims.iter().zip(&before) {
        let what = format!("the heap of process {} to be read", victim.pid());
        wait_until(&what, Duration::from_mins(3), || {
            Ok(newest(target)?.filter(|newest| Some(newest) != before.as_ref()))
        })?;
    }
    Ok(())
}

fn longest(deaths: &Kills) -> Option<f64> {
    deaths.delays.iter().copied().max_by(f64::total_cmp)
}

fn report(with: &[Kills], delays: &[(f64, f64)]) {
    let remains: Vec<&Remains> = with.iter().flat_map(|deaths| &deaths.remains).collect();
    let least = |of: fn(&Remains) -> f64| remains.iter().map(|remains| of(remains)).fold(f64::INFINITY, f64::min);
    let middle = |of: fn(&Remains) -> f64| median(remains.iter().map(|remains| of(remains))).unwrap_or(f64::NAN);
    let share = |of| format!("{:.1} % (least {:.1} %)", 100.0 * middle(of), 100.0 * least(of));
    tools::say(format!(
        "  of what {} victims had: buckets {}, stacks in the profile {}, bytes in the profile {}",
        remains.len(),
        share(|remains| remains.buckets),
        share(|remains| remains.stacks),
        share(|remains| remains.bytes)
    ));
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    for remains in &remains {
        let told = if remains.told.is_empty() {
            "nothing missing"
        } else {
            &remains.told
        };
        *outcomes
            .entry(format!(
                "{} ({told}), goroutines {}",
                remains.outcome, remains.goroutines
            ))
            .or_default() += 1;
    }
    for (outcome, count) in outcomes {
        tools::say(format!("  {count} times: {outcome}"));
    }
    let walk = |pick: fn(f64, f64) -> f64| remains.iter().filter_map(|remains| remains.walk).reduce(pick);
    if let (Some(middle), Some(most)) = (
        median(remains.iter().filter_map(|remains| remains.walk)),
        walk(f64::max),
    ) {
        tools::say(format!(
            "  walk through the heap: median {middle:.1} ms, at most {most:.1} ms"
        ));
    }
    if let Some(later) = Paired::difference(delays) {
        let interval = if later.sure { "95 % interval" } else { "least and most" };
        tools::say(format!(
            "  from the kernel's choice to the end of the last thread: {:.1} ms with the daemon, {:.1} ms without; {:.1} ms later \
             ({interval} {:.1} to {:.1}, {} pairs)",
            median(delays.iter().map(|(with, _)| *with)).unwrap_or(f64::NAN),
            median(delays.iter().map(|(_, without)| *without)).unwrap_or(f64::NAN),
            later.middle,
            later.low,
            later.high,
            later.pairs
        ));
    }
}
