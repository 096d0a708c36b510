//! Lives that end by a kill, one after the other: what is said between them and how steady it is.

use super::MIB;
use super::Setup;
use super::process::GoroutineSite;
use super::process::Program;
use super::programs::Score;
use super::programs::blocked;
use super::programs::names;
use super::programs::program;
use super::programs::site;
use super::programs::steady;
use super::programs::tell;
use super::programs::with;
use super::run;
use crate::detect::go_heap_leak;
use crate::detect::goroutine_leak;
use crate::detect::stable;
use crate::detect::undersized_limit;
use crate::model::verdict::VerdictClass;

fn killed_again_and_again(program: &Program, limit: f64, seconds: f64, seed: u64) -> super::Outcome {
    let mut setup = Setup::new(Some(limit), seconds, seed);
    setup.restart_after_kill = true;
    run(program, &setup)
}

/// A heap that GOMEMLIMIT holds just below the limit, and a burst every now and then that does not fit.
#[test]
fn a_limit_too_small_for_bursts_gets_one_recommendation() {
    let mut class = Score::new("bursts: undersized at the end");
    let mut healthy = Score::new("bursts: neither stable nor leak");
    let mut sane = Score::new("bursts: recommended limit");
    for seed in 0..4 {
        for (live, every) in [(40.0 * MIB, 70.0), (80.0 * MIB, 55.0), (600.0 * MIB, 90.0)] {
            let burst = live * 0.3;
            let held = move |t: f64| if t % every > every - 2.0 { burst } else { 0.0 };
            let mut bursting = program(with(steady(live), site("main.burst", 65_536.0, 0.0, held)), live / 20.0);
            bursting.memory_limit = Some(live * 1.15);
            let limit = live * 1.2 + 8.0 * MIB;
            let outcome = killed_again_and_again(&bursting, limit, 420.0, seed);
            let label = format!("{} MiB every {every} s", live / MIB);
            class.add(outcome.last().class == undersized_limit::CLASS, || {
                format!("{label}:{}", tell(&outcome))
            });
            let killed = outcome.killed_at.unwrap();
            let after = outcome.verdicts.iter().filter(|(at, _)| *at > killed);
            let wrong = |class: VerdictClass| class == stable::CLASS || class.is_leak();
            healthy.add(!after.map(|(_, verdict)| verdict.class).any(wrong), || {
                format!("{label}:{}", tell(&outcome))
            });
            let told: Vec<f64> = outcome
                .verdicts
                .iter()
                .filter_map(|(_, verdict)| Some(verdict.recommended_limit?.as_f64()))
                .collect();
            let least = told.iter().copied().fold(f64::INFINITY, f64::min);
            let most = told.iter().copied().fold(0.0, f64::max);
            // What it holds and what a burst adds must fit. The profiles of a life of a minute say how much that is to within a quarter.
            let fits = least >= (live + burst) * 1.1 && most <= (2.0 * live + burst) * 1.6;
            sane.add(fits && most <= least * 1.9, || {
                format!("{label}: {:.0} to {:.0} MiB", least / MIB, most / MIB)
            });
        }
    }
    class.report(1.0);
    healthy.report(1.0);
    sane.report(0.9);
}

/// Goroutines that pile up so fast that no life is a minute long.
#[test]
fn goroutines_that_kill_within_seconds_are_named() {
    let mut named = Score::new("goroutines: named from life 3");
    let mut never = Score::new("goroutines: never undersized");
    for seed in 0..3 {
        for (per_second, limit) in [(2200.0, 128.0 * MIB), (700.0, 96.0 * MIB), (9000.0, 512.0 * MIB)] {
            let mut leaking = program(steady(12.0 * MIB), MIB);
            leaking.goroutines.push(GoroutineSite {
                stack: blocked("main.waitForUpdate"),
                count: Box::new(move |t| (per_second * (t - 0.5).max(0.0)).floor()),
            });
            let outcome = killed_again_and_again(&leaking, limit, 200.0, seed);
            let label = format!("{per_second}/s in {} MiB", limit / MIB);
            let later = outcome.post_mortems.iter().skip(2);
            let missed = later.filter(|verdict| !names(verdict, goroutine_leak::CLASS)).count();
            named.add(missed == 0 && outcome.post_mortems.len() > 3, || {
                format!("{label}: {missed} of {}:{}", outcome.post_mortems.len(), tell(&outcome))
            });
            let wrong = outcome.first(|verdict| verdict.class == undersized_limit::CLASS);
            never.add(wrong.is_none(), || format!("{label}:{}", tell(&outcome)));
        }
    }
    named.report(0.9);
    never.report(0.9);
}

/// A straight climb to the limit in a quarter of a minute, life after life, by requests and not by `main`.
#[test]
fn fast_heap_leaks_are_never_blamed_on_the_limit() {
    let mut named = Score::new("fast leak: named from life 3");
    let mut never = Score::new("fast leak: never undersized");
    for seed in 0..4 {
        for (rate, limit) in [
            (10.0 * MIB, 256.0 * MIB),
            (3.0 * MIB, 96.0 * MIB),
            (45.0 * MIB, 1600.0 * MIB),
        ] {
            let sites = with(
                steady(limit * 0.08),
                site("main.remember", 4000.0, 0.0, move |t| rate * t),
            );
            let outcome = killed_again_and_again(&program(sites, rate * 4.0), limit, 240.0, seed);
            let label = format!("{} MiB/s in {} MiB", rate / MIB, limit / MIB);
            for told in outcome.post_mortems.iter().skip(2) {
                named.add(names(told, go_heap_leak::CLASS), || {
                    format!("{label}: {:?}", told.class)
                });
            }
            let wrong = outcome.first(|verdict| verdict.class == undersized_limit::CLASS);
            never.add(wrong.is_none(), || format!("{label}:{}", tell(&outcome)));
        }
    }
    named.report(0.85);
    never.report(1.0);
}
