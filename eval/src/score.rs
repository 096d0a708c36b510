//! Scores of all runs: per run, at the first claim and at parts of the head-room, never per answer.

use crate::inputs::PLACE;
use crate::watch::Run;
use crate::watch::Told;
use std::collections::BTreeMap;

const DAY: f64 = 86_400.0;
/// Parts of the head-room at which runs are asked.
const PARTS: [f64; 3] = [0.25, 0.5, 0.75];
/// A run with fewer answers says nothing.
const LEAST_ANSWERS: usize = 4;
/// Probabilities are kept away from certainty, as the logarithm needs.
const SURE: f64 = 0.001;

/// Lines of the table: what, and its value.
pub(crate) type Lines = Vec<(String, String)>;

/// A group of runs by name.
type Group = (&'static str, fn(&Run) -> bool);

/// All scores of these runs.
pub(crate) fn score(runs: &[Run]) -> Lines {
    let mut lines = Lines::new();
    let healthy: Vec<&Run> = runs.iter().filter(|run| !run.leaks).collect();
    let leaking: Vec<&Run> = runs
        .iter()
        .filter(|run| run.leaks && run.told.len() >= LEAST_ANSWERS)
        .collect();
    let days = healthy.iter().map(|run| run.to - run.from).sum::<f64>() / DAY;
    let claims: usize = healthy.iter().map(|run| episodes(run, |told| told.is_claim)).sum();
    let accused = healthy
        .iter()
        .filter(|run| run.told.iter().any(|told| told.is_claim))
        .count();
    lines.push(line("service-days that do not leak", format!("{days:.0}")));
    lines.push(line(
        "false claims per service-day (upper 95 % bound)",
        format!("{:.4} ({:.4})", count(claims) / days, upper(claims) / days),
    ));
    lines.push(line(
        "runs that do not leak and were accused",
        share(accused, healthy.len()),
    ));
    for (kind, runs) in by_kind(&healthy) {
        let accused = runs
            .iter()
            .filter(|run| run.told.iter().any(|told| told.is_claim))
            .count();
        if accused > 0 {
            lines.push(line(&format!("- {kind}"), share(accused, runs.len())));
        }
    }
    steadiness(&healthy, &mut lines);
    leaks(&leaking, &mut lines);
    probabilities(&healthy, &leaking, &mut lines);
    forecasts(&leaking, &mut lines);
    limits(runs, &mut lines);
    lines
}

fn line(what: &str, value: String) -> (String, String) {
    (what.to_owned(), value)
}

fn count(n: usize) -> f64 {
    f64::from(u32::try_from(n).unwrap_or(u32::MAX))
}

fn share(part: usize, all: usize) -> String {
    if all == 0 {
        return "none of 0".to_owned();
    }
    format!("{:.1} % of {all}", 100.0 * count(part) / count(all))
}

/// Upper 95 % bound of a Poisson count (Wilson and Hilferty's approximation of the chi-square quantile).
fn upper(seen: usize) -> f64 {
    let k = count(seen) + 1.0;
    k * (1.0 - 1.0 / (9.0 * k) + 1.645 / (3.0 * k.sqrt())).powi(3)
}

fn by_kind<'a>(runs: &[&'a Run]) -> BTreeMap<&'static str, Vec<&'a Run>> {
    let mut kinds: BTreeMap<&'static str, Vec<&Run>> = BTreeMap::new();
    for run in runs {
        kinds.entry(run.kind).or_default().push(run);
    }
    kinds
}

fn episodes(run: &Run, wanted: impl Fn(&Told) -> bool) -> usize {
    let mut before = false;
    let mut found = 0;
    for told in &run.told {
        let now = wanted(told);
        found += usize::from(now && !before);
        before = now;
    }
    found
}

fn changes(run: &Run) -> usize {
    run.told
        .windows(2)
        .filter(|pair| pair[0].class != pair[1].class)
        .count()
}

fn steadiness(healthy: &[&Run], lines: &mut Lines) {
    let steady: Vec<&&Run> = healthy.iter().filter(|run| run.kind == "steady").collect();
    let days = steady.iter().map(|run| run.to - run.from).sum::<f64>() / DAY;
    let changed: usize = steady.iter().map(|run| changes(run)).sum();
    lines.push(line(
        "changes of class of a steady service per day",
        format!("{:.2}", count(changed) / days.max(1e-9)),
    ));
    let answers: usize = steady.iter().map(|run| run.told.len()).sum();
    let growing: usize = steady
        .iter()
        .flat_map(|run| &run.told)
        .filter(|told| told.class == "growing" || told.is_claim)
        .count();
    lines.push(line(
        "answers about steady services that speak of growth",
        share(growing, answers),
    ));
}

fn leaks(leaking: &[&Run], lines: &mut Lines) {
    let groups: [Group; 5] = [
        ("first runs", |run| run.earlier == 0 && !run.has_healthy_replicas),
        ("later runs", |run| run.earlier > 0 && !run.has_healthy_replicas),
        ("later runs in Go after kills", |run| {
            run.earlier > 0 && !run.has_healthy_replicas && run.is_go && !run.kind.ends_with("deploys")
        }),
        ("later runs in Go after deploys", |run| {
            run.earlier > 0 && run.kind.ends_with("deploys")
        }),
        ("with healthy replicas", |run| run.has_healthy_replicas),
    ];
    for (name, is_in) in groups {
        let runs: Vec<&&Run> = leaking.iter().filter(|run| is_in(run)).collect();
        let reached: Vec<&&&Run> = runs
            .iter()
            .filter(|run| run.told.iter().any(|told| told.used >= 0.5))
            .collect();
        let claimed = reached
            .iter()
            .filter(|run| run.told.iter().any(|told| told.is_claim && told.used < 0.5))
            .count();
        lines.push(line(
            &format!("leaks, {name}: claimed before half of the head-room"),
            share(claimed, reached.len()),
        ));
        let mut at: Vec<f64> = runs
            .iter()
            .filter_map(|run| {
                run.told
                    .iter()
                    .find(|told| told.is_claim)
                    .map(|told| told.used.max(0.0))
            })
            .collect();
        at.sort_by(f64::total_cmp);
        let median = at.get(at.len() / 2).map_or_else(
            || "never".to_owned(),
            |used| format!("{:.0} % of the head-room", used * 100.0),
        );
        lines.push(line(&format!("leaks, {name}: first claim, median"), median));
        let lost = runs.iter().filter(|run| is_taken_back(run)).count();
        lines.push(line(
            &format!("leaks, {name}: a claim taken back"),
            share(lost, runs.len()),
        ));
    }
    let go: Vec<&&Run> = leaking
        .iter()
        .filter(|run| run.is_go && run.told.iter().any(|told| told.used >= 0.25))
        .collect();
    let placed = go
        .iter()
        .filter(|run| at_part(run, 0.25).is_some_and(|told| told.place.as_deref() == Some(PLACE)))
        .count();
    lines.push(line(
        "leaks in Go: right place at a quarter of the head-room",
        share(placed, go.len()),
    ));
    let wrong = go
        .iter()
        .filter(|run| at_part(run, 0.25).is_some_and(|told| told.place.as_deref().is_some_and(|place| place != PLACE)))
        .count();
    lines.push(line(
        "leaks in Go: wrong place at a quarter of the head-room",
        share(wrong, go.len()),
    ));
}

/// A claim that was given up before the run ended.
fn is_taken_back(run: &Run) -> bool {
    let first = run.told.iter().position(|told| told.is_claim);
    first.is_some_and(|first| run.told.iter().skip(first).any(|told| !told.is_claim))
}

/// The answer when a part of the head-room was used first.
fn at_part(run: &Run, part: f64) -> Option<&Told> {
    run.told.iter().find(|told| told.used >= part)
}

/// The answer that a run is asked for: by head-room when it leaks, by the part of what it ever uses when it does not.
fn asked(run: &Run, part: f64) -> Option<&Told> {
    if run.leaks {
        return at_part(run, part);
    }
    let most = run.told.iter().map(|told| told.used).fold(0.0, f64::max);
    if most < 0.05 {
        let index = run.told.len() * 2 / 3;
        return run.told.get(index);
    }
    at_part(run, part * most)
}

fn probabilities(healthy: &[&Run], leaking: &[&Run], lines: &mut Lines) {
    for part in PARTS {
        // Twice as many that do not leak as there are leaks would tell more of the drawing than of the answers: first runs of each.
        let of = |runs: &[&Run]| -> Vec<f64> {
            let first = runs
                .iter()
                .filter(|run| run.earlier == 0 && run.told.len() >= LEAST_ANSWERS);
            first
                .filter_map(|run| asked(run, part))
                .map(|told| told.probability)
                .collect()
        };
        let (no, yes) = (of(healthy), of(leaking));
        if no.is_empty() || yes.is_empty() {
            continue;
        }
        let base = count(yes.len()) / count(yes.len() + no.len());
        let loss = |p: f64, leaks: bool| {
            let p = p.clamp(SURE, 1.0 - SURE);
            -(if leaks { p } else { 1.0 - p }).ln()
        };
        let ours: f64 = yes
            .iter()
            .map(|p| loss(*p, true))
            .chain(no.iter().map(|p| loss(*p, false)))
            .sum();
        let of_base = loss(base, true) * count(yes.len()) + loss(base, false) * count(no.len());
        lines.push(line(
            &format!(
                "first runs at {:.0} %: skill of the log loss against the base rate {base:.2}",
                part * 100.0
            ),
            format!("{:.2}", 1.0 - ours / of_base),
        ));
        lines.push(line(
            &format!("first runs at {:.0} %: area under the curve", part * 100.0),
            format!("{:.2}", area(&yes, &no)),
        ));
        for (low, high) in [(0.0, 0.05), (0.05, 0.2), (0.2, 0.5), (0.5, 0.9), (0.9, 1.01)] {
            let within = |p: &&f64| (low..high).contains(*p);
            let (leaks, others) = (yes.iter().filter(within).count(), no.iter().filter(within).count());
            lines.push(line(
                &format!("- told {low} to {:.2}: leaks", f64::min(high, 1.0)),
                share(leaks, leaks + others),
            ));
        }
    }
}

/// Chance that a leak is given a higher probability than another run.
fn area(yes: &[f64], no: &[f64]) -> f64 {
    let mut above = 0.0;
    for leak in yes {
        for other in no {
            above += match leak.total_cmp(other) {
                std::cmp::Ordering::Greater => 1.0,
                std::cmp::Ordering::Equal => 0.5,
                std::cmp::Ordering::Less => 0.0,
            };
        }
    }
    above / (count(yes.len()) * count(no.len())).max(1.0)
}

fn forecasts(leaking: &[&Run], lines: &mut Lines) {
    let (mut errors, mut covered) = (Vec::new(), 0_usize);
    let killed: Vec<&&Run> = leaking
        .iter()
        .filter(|run| run.killed && run.told.iter().any(|told| told.used >= 0.5))
        .collect();
    for run in &killed {
        let Some(told) = at_part(run, 0.5) else { continue };
        let Some([low, middle, high]) = told.p10_p50_p90 else {
            continue;
        };
        let truth = run.to - told.seconds;
        errors.push((middle - truth).abs() / truth.max(1.0));
        covered += usize::from((low..=high).contains(&truth));
    }
    errors.sort_by(f64::total_cmp);
    lines.push(line(
        "forecast at half of the head-room: given",
        share(errors.len(), killed.len()),
    ));
    if let Some(median) = errors.get(errors.len() / 2) {
        lines.push(line(
            "forecast at half of the head-room: median error",
            format!("{:.0} %", median * 100.0),
        ));
        lines.push(line(
            "forecast at half of the head-room: 80 % interval covers",
            share(covered, errors.len()),
        ));
    }
}

/// Alerts that the limit will be reached, and how often it was when that was said for an hour.
fn limits(runs: &[Run], lines: &mut Lines) {
    let killed: Vec<&Run> = runs
        .iter()
        .filter(|run| run.leaks && run.killed && run.to - run.from >= 1200.0)
        .collect();
    let in_time = |run: &&&Run| {
        let alert = run.told.iter().find(|told| told.limit_alert);
        alert.is_some_and(|alert| run.to - alert.seconds >= f64::min(300.0, (run.to - run.from) / 10.0))
    };
    let warned = killed.iter().filter(in_time).count();
    lines.push(line(
        "leaks killed after 20 minutes and more: limit alert in time",
        share(warned, killed.len()),
    ));
    for (low, high) in [(0.0, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01)] {
        let (mut said, mut reached) = (0, 0);
        for run in runs {
            // One answer a run and bin, so that long runs do not count more; those whose next hour was not watched say nothing.
            let first = run.told.iter().find(|told| {
                let known = run.killed || told.seconds + 3600.0 <= run.to;
                known && told.limit_hour.is_some_and(|hour| (low..high).contains(&hour))
            });
            let Some(told) = first else { continue };
            said += 1;
            reached += usize::from(run.killed && run.to - told.seconds <= 3600.0);
        }
        lines.push(line(
            &format!(
                "- limit within the hour, told {low} to {:.1}: reached",
                f64::min(high, 1.0)
            ),
            share(reached, said),
        ));
    }
}
