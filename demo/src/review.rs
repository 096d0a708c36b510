//! Compares what leakwatch said with the truth of the roles.

use crate::cast::Truth;
use crate::stage::Actor;
use crate::story::Account;
use crate::story::Story;
use anyhow::Result;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::programs::marked_line;
use serde_json::Value;

const LEAST_CONFIDENCE: f64 = 0.9;
const FORECAST_TOLERANCE: f64 = 0.2;
/// Of a goroutine leak: memory stands still while its freed heap is filled again, and the line is further off (docs/detectors/forecast.md).
const GOROUTINE_FORECAST_TOLERANCE: f64 = 0.4;
const LEAKS: [&str; 2] = ["go_heap_leak", "goroutine_leak"];

/// One thing that had to be so.
#[derive(Debug)]
pub(crate) struct Check {
    /// Whether it is.
    pub(crate) passed: bool,
    /// What it is, with the number found.
    pub(crate) what: String,
}

fn check(passed: bool, what: impl Into<String>) -> Check {
    let what = what.into();
    Check { passed, what }
}

/// Whether waiting longer can change nothing for the better.
pub(crate) fn complete(story: &Story, actors: &[Actor]) -> bool {
    actors.iter().all(|actor| {
        let Some(account) = story.accounts.get(actor.role.name) else {
            return false;
        };
        match actor.role.truth {
            Truth::Leak { .. } => actor.process.is_none() && account.post_mortem.is_some(),
            Truth::Healthy { class } => text(&account.verdict, "class") == class && account.is_settled(),
        }
    })
}

/// All checks of all roles.
pub(crate) fn review(story: &Story, actors: &[Actor]) -> Result<Vec<(&'static str, Vec<Check>)>> {
    let mut all = Vec::new();
    for actor in actors {
        let Some(account) = story.accounts.get(actor.role.name) else {
            continue;
        };
        let mut checks = match actor.role.truth {
            Truth::Leak { class, function, mark } => {
                let line = marked_line("markets", "markets.go", mark)?;
                leak(account, class, function, line, actor)
            }
            Truth::Healthy { class } => healthy(account, class),
        };
        checks.extend(outlier(story, account, actor, actors));
        all.push((actor.role.name, checks));
    }
    Ok(all)
}

fn healthy(account: &Account, class: &str) -> Vec<Check> {
    let found = text(&account.verdict, "class");
    let accused: Vec<&str> = LEAKS
        .into_iter()
        .filter(|leak| account.classes.contains(*leak))
        .collect();
    let innocence = if accused.is_empty() {
        "never called a leak".to_owned()
    } else {
        format!("called {}", accused.join(", "))
    };
    vec![
        check(found == class, format!("verdict {found}")),
        check(accused.is_empty(), innocence),
    ]
}

fn leak(account: &Account, class: &str, function: &str, line: u64, actor: &Actor) -> Vec<Check> {
    let verdict = &account.verdict;
    let found = text(verdict, "class");
    let confidence = verdict.get("confidence").and_then(Value::as_f64).unwrap_or(0.0);
    let culprit = verdict.get("culprit").unwrap_or(&Value::Null);
    let file = text(culprit, "file");
    let found_line = culprit.get("line").and_then(Value::as_u64);
    let found_line_text = found_line.map_or_else(|| "?".to_owned(), |line| line.to_string());
    let mut checks = vec![
        check(found == class, format!("verdict {found}")),
        check(confidence >= LEAST_CONFIDENCE, format!("confidence {confidence:.2}")),
        check(
            text(culprit, "function") == function,
            format!("culprit {}", text(culprit, "function")),
        ),
        check(
            file.ends_with("/markets.go") && found_line == Some(line),
            format!("at {file}:{found_line_text} (truth: markets.go:{line})"),
        ),
        forecast(account, actor, class),
    ];
    checks.extend(post_mortem(account, actor));
    checks
}

fn forecast(account: &Account, actor: &Actor, class: &str) -> Check {
    let (Some(forecast), Some(end)) = (account.half_way, actor.first_end) else {
        return check(false, "no forecast at half of the head-room, or no kill");
    };
    let real = end.saturating_duration_since(forecast.at).as_secs_f64();
    let error = (forecast.p50 - real) / real;
    let predicted = forecast.p50;
    let tolerance = if class == "goroutine_leak" {
        GOROUTINE_FORECAST_TOLERANCE
    } else {
        FORECAST_TOLERANCE
    };
    check(
        error.abs() <= tolerance,
        format!(
            "at half of the head-room the kill was predicted in {predicted:.1} s and came in {real:.1} s: error {:+.0} %",
            error * 100.0
        ),
    )
}

fn post_mortem(account: &Account, actor: &Actor) -> Vec<Check> {
    let Some(body) = &account.post_mortem else {
        return vec![check(false, "no post-mortem")];
    };
    let victim = body.pointer("/victim/comm").and_then(Value::as_str).unwrap_or("?");
    // The kernel keeps 15 characters of a command name.
    let comm: String = actor.role.service.chars().take(15).collect();
    let limit = body.get("limit_bytes").and_then(Value::as_u64);
    let heap = body.get("profiles").and_then(Value::as_array).into_iter().flatten();
    let heap = heap.into_iter().find(|profile| text(profile, "type") == "heap");
    let source = heap.map_or("none", |heap| text(heap, "source"));
    let read = body.pointer("/at_death/heap").and_then(Value::as_str).unwrap_or("?");
    vec![
        check(victim == comm, format!("post-mortem: victim {victim}")),
        check(
            limit == Some(actor.role.limit),
            format!(
                "post-mortem: limit {} bytes",
                limit.map_or_else(|| "?".to_owned(), |limit| limit.to_string())
            ),
        ),
        check(
            (source, read) == ("kernel_at_death", "complete"),
            format!("post-mortem: heap profile of {source}, {read}"),
        ),
    ]
}

/// Where there are siblings, the leaking one must be the odd one.
fn outlier(story: &Story, account: &Account, actor: &Actor, actors: &[Actor]) -> Option<Check> {
    let siblings = actors
        .iter()
        .filter(|other| other.role.service == actor.role.service)
        .count();
    if siblings < 2 {
        return None;
    }
    let named = story.outliers.get(actor.role.service);
    let named = named.is_some_and(|named| named.word == account.target);
    let what = if named {
        "named as the odd replica"
    } else {
        "not named as the odd replica"
    };
    Some(check(named == actor.role.leaks(), what))
}
