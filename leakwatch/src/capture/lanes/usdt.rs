//! The lane `usdt`: what a program's own heap sampler reports by static probes, by stack, with the sampler's weights.

use crate::capture::budget::cost::ProbeCost;
use crate::capture::budget::measure::HostCost;
use crate::capture::lane::Attachment;
use crate::capture::lane::Counted;
use crate::capture::lane::Lane;
use crate::capture::lane::Observer;
use crate::capture::rows;
use crate::capture::rows::Rows;
use crate::capture::stacks;
use crate::capture::stacks::Stacks;
use crate::capture::symbolize::profile::StackRow;
use crate::probes::allocator::HitCounts;
use crate::probes::allocator::StackTotals;
use crate::probes::usdt::UsdtProbes;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_nativeproc::code::ProgramCode;
use leakwatch_nativeproc::usdt::probe;
use leakwatch_nativeproc::usdt::probe::Site;
use std::collections::BTreeMap;

/// Its row.
pub static LANE: Lane = Lane {
    name: "usdt",
    profile_type: ProfileType::Native,
    hits: ["allocations told", "releases told"],
    cost_is_measured: false,
    attach,
};

/// Nanoseconds: a sample copies the fingerprint of its stack; a release is a search. Static probes are `nop`s, which are emulated.
const COST: ProbeCost = ProbeCost {
    allocation: 3_000.0,
    taken: 0.0,
    release: 700.0,
    single_step: 0.0,
};

/// Probes on a process and what they have seen.
#[derive(Debug)]
pub struct UsdtSession {
    sites: Vec<Site>,
    probes: UsdtProbes,
    stacks: Stacks,
    /// Stacks that the newest profile shows by their place alone.
    folded: u64,
}

impl UsdtSession {
    /// Looks for the sampler's probes and attaches to them.
    pub fn start(pid: u32) -> Reading<Self> {
        let sites = probe::find(pid)?;
        let stacks = Stacks::of_process(pid)?;
        let code = ProgramCode::of_process(pid).map_err(|error| stacks::failed(&error))?;
        Ok(Self {
            probes: UsdtProbes::attach(pid, &sites, code)?,
            sites,
            stacks,
            folded: 0,
        })
    }

    /// What is probed.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// Hits so far.
    pub fn counts(&self) -> HitCounts {
        self.probes.counts()
    }

    /// Takes in the stacks that are new.
    pub fn poll(&mut self) {
        let stacks = &mut self.stacks;
        self.probes.drain_stacks(|stack| stacks.take(&stack));
    }

    /// Values of every stack, largest live bytes first, and the mean distance of the samples that their weights show.
    pub fn rows(&mut self) -> (Vec<StackRow>, u64) {
        self.poll();
        let totals = self.probes.totals();
        // By class of size, too: the variance of what a sample stands for depends on it.
        let mut values: BTreeMap<(&[u64], u64), StackValue> = BTreeMap::new();
        for totals in &totals {
            let key = (self.stacks.addresses(totals.fingerprint), totals.size_class);
            values.entry(key).or_default().add(&value(totals));
        }
        let values = values.into_iter();
        let Rows { rows, folded } = Rows::of(values.map(|((addresses, size), value)| (addresses, value, size)));
        self.folded = folded;
        (rows, mean_distance(&totals))
    }
}

/// Samples with the bytes that they stand for.
fn value(totals: &StackTotals) -> StackValue {
    let size = totals.size_class.max(1);
    let live = totals.allocs.saturating_sub(totals.frees);
    let live_bytes = totals.alloc_bytes.saturating_sub(totals.free_bytes);
    let weight = float(live_bytes) / float(live.max(1));
    StackValue {
        alloc_objects: signed(totals.alloc_bytes / size),
        alloc_space: signed(totals.alloc_bytes),
        inuse_objects: signed(live_bytes / size),
        inuse_space: signed(live_bytes),
        // A sample of probability size / weight stands for weight bytes.
        inuse_variance: float(live) * weight * (weight - float(size)).max(0.0),
    }
}

/// An object far smaller than the distance stands for it and half of itself: the small ones tell the distance. One where there is none.
fn mean_distance(totals: &[StackTotals]) -> u64 {
    let weight = |totals: &StackTotals| totals.alloc_bytes / totals.allocs.max(1);
    let small = totals.iter().filter(|totals| weight(totals) / 8 > totals.size_class);
    let (samples, distance) = small.fold((0_u64, 0_u64), |(samples, distance), totals| {
        let halves = totals.size_class / 2 * totals.allocs;
        (
            samples + totals.allocs,
            distance + totals.alloc_bytes.saturating_sub(halves),
        )
    });
    distance.checked_div(samples).unwrap_or(1).max(1)
}

#[expect(clippy::cast_precision_loss, reason = "an estimate; the rounding starts at 2^53")]
const fn float(number: u64) -> f64 {
    number as f64
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Observer for UsdtSession {
    fn cost(&self, _host: &HostCost) -> ProbeCost {
        COST
    }

    fn poll(&mut self) {
        Self::poll(self);
    }

    fn counts(&self) -> HitCounts {
        Self::counts(self)
    }

    fn losses(&self) -> Vec<(&'static str, u64)> {
        let mut losses = self.probes.losses();
        losses.extend(self.stacks.losses());
        losses.extend(rows::loss(self.folded));
        losses
    }

    fn detach(&mut self) {
        self.probes.detach();
    }

    fn counted(&mut self) -> Vec<Counted> {
        let (rows, period) = self.rows();
        vec![Counted {
            profile_type: ProfileType::Native,
            period,
            rows,
            worth_naming: true,
        }]
    }
}

fn attach(attachment: &Attachment<'_>) -> Reading<Box<dyn Observer>> {
    Ok(Box::new(UsdtSession::start(attachment.request.process.pid)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_tell_the_distance_of_the_samples() {
        // Weights of a sampler with a mean distance of 512 KiB: size / (1 - exp(-size / mean)).
        let totals = |size: u64, weight: u64| StackTotals {
            fingerprint: 1,
            size_class: size,
            allocs: 10,
            alloc_bytes: 10 * weight,
            frees: 4,
            free_bytes: 4 * weight,
            ..StackTotals::default()
        };
        let seen = [totals(16, 524_296), totals(4_096, 526_339), totals(1 << 20, 1_212_683)];
        assert!(mean_distance(&seen).abs_diff(524_288) < 10, "{}", mean_distance(&seen));
        assert_eq!(mean_distance(&[]), 1);
        let value = value(&seen[1]);
        assert_eq!(value.inuse_space, 6 * 526_339);
        assert_eq!(value.inuse_objects, 6 * 526_339 / 4_096);
    }
}
