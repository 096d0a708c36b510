//! A collector of one cgroup's subtree, and what it has said so far.

use anyhow::Context as _;
use anyhow::Result;
use leakwatch::clock::Clock;
use leakwatch::collect::CollectConfig;
use leakwatch::collect::Collector;
use leakwatch::identity::cgroup::Hierarchy;
use leakwatch::input::Input;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::target::Process;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_test_support::cgroup::Cgroup;
use std::path::PathBuf;

/// A collector of one cgroup's subtree, and what it has said so far.
pub(crate) struct Watcher {
    pub(crate) collector: Collector,
    pub(crate) clock: Clock,
    pub(crate) targets: Vec<Target>,
    pub(crate) gone: Vec<TargetId>,
    pub(crate) processes: Vec<Process>,
}

impl Watcher {
    pub(crate) fn of(cgroup: &Cgroup) -> Result<Self> {
        let clock = Clock::start();
        let config = CollectConfig {
            hierarchy: Hierarchy::detect()?,
            only: Some(PathBuf::from(cgroup.path())),
            proc_root: PathBuf::from("/proc"),
            clock,
        };
        Ok(Self {
            collector: Collector::new(config)?,
            clock,
            targets: Vec::new(),
            gone: Vec::new(),
            processes: Vec::new(),
        })
    }

    /// One round: its samples. Nothing of our own may be lost.
    pub(crate) fn round(&mut self) -> Result<Vec<Sample>> {
        let mut samples = Vec::new();
        for input in self.collector.round(self.clock.now()) {
            match input {
                Input::TargetSeen { target, .. } => self.targets.push(target),
                Input::TargetGone { target, .. } => self.gone.push(target),
                Input::Sample(sample) => {
                    self.processes
                        .extend(sample.new_processes.iter().map(|process| Process::clone(process)));
                    samples.push(sample);
                }
                other => anyhow::bail!("unexpected {other:?}"),
            }
        }
        Ok(samples)
    }

    /// The sample of the cgroup with this path, from a new round.
    pub(crate) fn sample(&mut self, path: &str) -> Result<Sample> {
        let samples = self.round()?;
        let target = self.target(path)?.id();
        let mut samples = samples.into_iter();
        samples
            .find(|sample| sample.target == target)
            .with_context(|| format!("no sample of {path}"))
    }

    /// The newest target with this path.
    pub(crate) fn target(&self, path: &str) -> Result<&Target> {
        let mut newest = self.targets.iter().rev();
        newest
            .find(|target| target.cgroup.path == path)
            .with_context(|| format!("{path} is not among {:?}", self.targets))
    }

    /// The newest facts of a process.
    pub(crate) fn process(&self, key: ProcessKey) -> Result<&Process> {
        let mut newest = self.processes.iter().rev();
        newest.find(|process| process.key == key).context("not announced")
    }
}
