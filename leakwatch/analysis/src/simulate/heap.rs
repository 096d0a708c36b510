//! Heap leaks over the grid of rates and limits, and programs that do not leak: floors of precision and recall.

use super::MIB;
use super::Outcome;
use super::Setup;
use super::process::GoroutineSite;
use super::process::Program;
use super::programs::Tally;
use super::programs::blocked;
use super::programs::program;
use super::programs::site;
use super::programs::steady;
use super::programs::tell;
use super::programs::with;
use super::run;
use crate::verdict::VerdictClass;

fn leak_case(rate: f64, limit: f64, base: f64, garbage: f64, object_size: f64, seed: u64) -> (Program, Setup) {
    let sites = with(
        steady(base),
        site("main.getOrQueryMarketsValues", object_size, 0.0, move |t| {
            rate * (t - 1.0).max(0.0)
        }),
    );
    (program(sites, garbage), Setup::new(Some(limit), 600.0, seed))
}

/// Rates over limits: every combination that takes between 30 s and some hours to fill.
#[test]
fn leaks_over_the_grid_of_rates_and_limits() {
    let mut found = Tally::new("leak found");
    let mut culprit = Tally::new("culprit right");
    let mut quick = Tally::new("found when due");
    let mut forecast = Tally::new("forecast within 20 %");
    let mut covered = Tally::new("forecast p10..p90 covers");
    let mut delays = Vec::new();
    let mut seed = 0;
    for rate in [50.0 * 1024.0, 200.0 * 1024.0, MIB, 4.0 * MIB, 15.0 * MIB, 50.0 * MIB] {
        for limit in [32.0 * MIB, 256.0 * MIB, 1024.0 * MIB, 8192.0 * MIB] {
            for garbage in [0.5, 5.0, 40.0] {
                seed += 1;
                let base = (limit * 0.08).min(200.0 * MIB);
                let death = (limit - 2.0 * base) / rate;
                if !(60.0..=40_000.0).contains(&death) {
                    continue;
                }
                let (program, setup) = leak_case(rate, limit, base, garbage * rate, 640.0, seed);
                let outcome = run(&program, &setup);
                let at =
                    outcome.first(|verdict| verdict.class == VerdictClass::GoHeapLeak && verdict.confidence >= 0.9);
                // A dozen samples of 512 KiB, published by the second collection after, and a minute to be sure.
                let due = 75.0 + 12.0 * 0.5 * MIB / rate * 1.3;
                if outcome.killed_at.is_some_and(|killed| killed < due) {
                    continue;
                }
                let label = format!(
                    "{} KiB/s limit {} MiB garbage x{garbage}:",
                    (rate / 1024.0).round(),
                    (limit / MIB).round()
                );
                found.add(outcome.last().class == VerdictClass::GoHeapLeak, || {
                    format!("{label}{}", tell(&outcome))
                });
                quick.add(at.is_some_and(|at| at <= due), || {
                    format!("{label} at {at:?} {}", tell(&outcome))
                });
                delays.extend(at);
                if let Some(named) = &outcome.last().culprit {
                    culprit.add(&*named.frame.function == "main.getOrQueryMarketsValues", || {
                        format!("{label} {named:?}")
                    });
                }
                if let Some(killed) = outcome.killed_at {
                    judge_forecast(&outcome, killed, limit, &label, &mut forecast, &mut covered);
                }
            }
        }
    }
    delays.sort_by(f64::total_cmp);
    println!(
        "delay to 0.9: median {:?} worst {:?}",
        delays.get(delays.len() / 2),
        delays.last()
    );
    found.report(0.94);
    quick.report(0.6);
    culprit.report(0.97);
    forecast.report(0.8);
    covered.report(0.75);
}

fn judge_forecast(outcome: &Outcome, killed: f64, limit: f64, label: &str, forecast: &mut Tally, covered: &mut Tally) {
    let half = f64::midpoint(outcome.first_level, limit);
    let points = outcome.history.window();
    let half_at = points
        .iter()
        .find(|point| point.unreclaimable.is_some_and(|level| level.as_f64() >= half))
        .map(|point| point.at.seconds_from(outcome.history.window_start));
    let Some((at, verdict)) = half_at.and_then(|half| outcome.verdicts.iter().find(|(at, _)| *at >= half)) else {
        return;
    };
    let truth = killed - at;
    let Some(time) = verdict.time_to_limit else {
        forecast.add(false, || format!("{label} none at {at}; {}", tell(outcome)));
        return;
    };
    let error = (time.p50_seconds - truth) / truth;
    forecast.add(error.abs() <= 0.2, || {
        format!("{label} at {at} {time:?} truth {truth:.0} error {error:.2}")
    });
    covered.add(time.p10_seconds <= truth && truth <= time.p90_seconds, || {
        format!("{label} {time:?} truth {truth:.0}")
    });
}

/// Programs that do not leak: no leak verdict may ever be given, and those that are steady must be called so.
#[test]
fn programs_that_do_not_leak() {
    let mut never = Tally::new("never called a leak");
    let mut settled = Tally::new("right class at the end");
    let mut calm = Tally::new("at most 3 changes");
    let mut steady_at = Vec::new();
    for (name, build, allowed) in negatives() {
        for seed in 0..2 {
            for size in [12.0 * MIB, 60.0 * MIB, 700.0 * MIB] {
                for (garbage, attach_at) in [(2.0, 0.0), (0.2, 0.0), (1.0, 300.0)] {
                    let program = build(size, garbage * size / 10.0);
                    let mut setup = Setup::new(Some(size * 8.0 + 32.0 * MIB), 420.0, seed);
                    setup.attach_at = attach_at;
                    let outcome = run(&program, &setup);
                    let label = format!(
                        "{name} {} MiB garbage {garbage} attach {attach_at}:",
                        (size / MIB).round()
                    );
                    let false_alarm = outcome.first(|verdict| verdict.class.is_leak());
                    never.add(false_alarm.is_none(), || {
                        format!("{label} at {false_alarm:?}{}", tell(&outcome))
                    });
                    settled.add(allowed.contains(&outcome.last().class), || {
                        format!("{label}{}", tell(&outcome))
                    });
                    calm.add(outcome.changes() <= 3, || format!("{label}{}", tell(&outcome)));
                    if name == "steady" {
                        steady_at.extend(outcome.first(|verdict| verdict.class == VerdictClass::Stable));
                    }
                }
            }
        }
    }
    steady_at.sort_by(f64::total_cmp);
    println!(
        "steady called stable: median {:?} worst {:?}",
        steady_at.get(steady_at.len() / 2),
        steady_at.last()
    );
    never.report(0.985);
    settled.report(0.97);
    calm.report(0.6);
}

type Build = Box<dyn Fn(f64, f64) -> Program>;

fn negatives() -> Vec<(&'static str, Build, &'static [VerdictClass])> {
    const STEADY: &[VerdictClass] = &[VerdictClass::Stable];
    const SETTLING: &[VerdictClass] = &[VerdictClass::Stable, VerdictClass::WarmUp];
    const MOVING: &[VerdictClass] = &[VerdictClass::Stable, VerdictClass::WarmUp, VerdictClass::NotEnoughData];
    vec![
        (
            "steady",
            Box::new(|size, garbage| program(steady(size), garbage)),
            STEADY,
        ),
        (
            "noisy",
            Box::new(|size, garbage| Program {
                noise: 0.03,
                ..program(steady(size), garbage)
            }),
            STEADY,
        ),
        (
            "cache filling to a bound",
            Box::new(|size, garbage| {
                let rate = size / 40.0;
                program(
                    with(
                        steady(size),
                        site("main.fill", 900.0, 0.0, move |t| (rate * t).min(size)),
                    ),
                    garbage,
                )
            }),
            SETTLING,
        ),
        (
            "cache saturating",
            Box::new(|size, garbage| {
                program(
                    with(
                        steady(size),
                        site("main.fill", 900.0, 0.01, move |t| size * (1.0 - (-t / 45.0).exp())),
                    ),
                    garbage,
                )
            }),
            SETTLING,
        ),
        (
            "periodic job",
            Box::new(|size, garbage| {
                program(
                    with(
                        steady(size),
                        site("main.report", 32_768.0, 0.0, move |t| {
                            if t % 60.0 < 15.0 { size * 0.6 } else { 0.0 }
                        }),
                    ),
                    garbage,
                )
            }),
            MOVING,
        ),
        (
            "load wave",
            Box::new(|size, garbage| Program {
                garbage: Box::new(move |t| garbage * (1.0 + 0.6 * (t / 38.0).sin())),
                ..program(
                    with(
                        steady(size),
                        site("main.sessions", 1500.0, 0.2, move |t| {
                            size * 0.5 * (1.0 + 0.6 * (t / 38.0).sin())
                        }),
                    ),
                    garbage,
                )
            }),
            MOVING,
        ),
        (
            "burst that returns",
            Box::new(|size, garbage| {
                program(
                    with(
                        steady(size),
                        site("main.batch", 8192.0, 0.0, move |t| {
                            let t = t % 300.0;
                            if (100.0..160.0).contains(&t) { size * 0.8 } else { 0.0 }
                        }),
                    ),
                    garbage,
                )
            }),
            MOVING,
        ),
        (
            "goroutine bursts",
            Box::new(|size, garbage| {
                let mut program = program(steady(size), garbage);
                program.goroutines.push(GoroutineSite {
                    stack: blocked("main.request"),
                    count: Box::new(|t| 100.0 + 80.0 * (t / 30.0).sin()),
                });
                program
            }),
            STEADY,
        ),
        (
            "page cache grows",
            Box::new(|size, garbage| Program {
                page_cache: Box::new(move |t| 5.0 * MIB + size * t / 300.0),
                ..program(steady(size), garbage)
            }),
            STEADY,
        ),
    ]
}
