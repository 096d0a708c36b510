//! How true verdicts are: services of minutes to weeks are simulated, each with its truth, watched as the daemon watches, and the
//! answers scored per run. Shares no code with the detectors. See `docs/evaluation.md`.
#![forbid(unsafe_code)]

mod random;
mod service;
mod process;
mod inputs;
mod watch;
mod score;

use crate::service::Service;

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Seed of the first service.
    pub first_seed: u64,
    /// How many services.
    pub services: u64,
    /// Length of the longest in seconds.
    pub longest_seconds: f64,
    /// Processors to use.
    pub threads: usize,
}

/// Simulates, judges and scores: what, and its value.
pub fn evaluate(setup: &Setup) -> Vec<(String, String)> {
    score::score(&runs(setup, |_| true))
}

/// All runs of the services that are wanted.
fn runs(setup: &Setup, wanted: impl Fn(&Service) -> bool + Sync) -> Vec<watch::Run> {
    let next = std::sync::atomic::AtomicU64::new(0);
    let work = || {
        let mut found = Vec::new();
        loop {
            let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            if index >= setup.services {
                return found;
            }
            let service = Service::draw(setup.first_seed + index, setup.longest_seconds);
            if wanted(&service) {
                found.extend(watch::watch(&service));
            }
        }
    };
    let mut runs = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..setup.threads.max(1)).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .flatten()
            .collect::<Vec<_>>()
    });
    runs.sort_by_key(|run| (run.seed, run.earlier));
    runs
}

/// The course of the answers about every run that was judged wrong, or about every run of the kinds whose names begin so, one line each.
pub fn courses(setup: &Setup, kind: Option<&str>) -> Vec<String> {
    let of_kind = |service: &Service| kind.is_none_or(|kind| service.kind.starts_with(kind));
    let runs = runs(setup, of_kind);
    let wanted = runs.iter().filter(|run| kind.is_some() || run.is_miss());
    wanted.map(watch::Run::course).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Setup = Setup {
        first_seed: 7,
        services: 12,
        longest_seconds: 20_000.0,
        threads: 2,
    };

    /// The figures of a release are in `docs/evaluation.md`; here only what makes them worth reading.
    #[test]
    fn the_same_seeds_give_the_same_scores() {
        let once = evaluate(&SMALL);
        assert_eq!(once, evaluate(&SMALL));
        assert!(once.len() > 20);
    }

    #[test]
    fn services_of_every_kind_are_drawn_and_leaks_reach_their_limit() {
        let runs = runs(&Setup { services: 110, ..SMALL }, |_| true);
        let kinds: std::collections::BTreeSet<&str> = runs.iter().map(|run| run.kind).collect();
        assert!(kinds.len() >= 18, "{kinds:?}");
        let killed = runs.iter().filter(|run| run.leaks && run.killed).count();
        assert!(killed >= 10, "{killed}");
        let overused = runs
            .iter()
            .find(|run| !run.leaks && run.killed && run.kind != "small limit");
        assert!(overused.is_none(), "{overused:?}");
    }
}
