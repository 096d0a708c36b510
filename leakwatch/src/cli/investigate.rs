//! `investigate`: the guided workflow in the terminal.
#![expect(
    clippy::format_push_string,
    reason = "a page is made once per command, and writing into a string has no error to handle"
)]

use crate::cli::args::InvestigateArgs;
use crate::cli::client::Client;
use crate::cli::client::encoded;
use crate::cli::client::query;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::exit::is_leak;
use crate::cli::list;
use crate::cli::output::Output;
use crate::cli::output::Style;
use crate::cli::screen;
use crate::cli::screen::Known;
use crate::cli::text;
use crate::cli::text::one_line;
use crate::cli::text::paragraph;
use crate::dto::investigation::AnswerBody;
use crate::dto::investigation::InvestigationBody;
use crate::dto::investigation::StepBody;
use crate::dto::missing::MissingMap;
use crate::dto::missing::Reason;
use crate::dto::oom_kill::OomKillBody;
use crate::dto::page::Page;
use crate::dto::series::SeriesSetBody;
use crate::dto::target::TargetBody;
use crate::dto::verdict::CulpritBody;
use crate::dto::verdict::EstimateBody;
use crate::dto::verdict::VerdictBody;
use crate::size_text::parse_duration;
use leakwatch_analysis::short_name;
use std::time::Duration;
use tokio::time::Instant;

const POLL: Duration = Duration::from_secs(1);
/// What only what lives has.
const FUTURE: [&str; 3] = ["growth_bytes_per_second", "time_to_limit_seconds", "limit_probability"];
/// Frames of the culprit's stack that are shown.
const FRAMES: usize = 12;

pub(crate) async fn run(client: &Client, args: &InvestigateArgs, output: Output) -> Result<Exit, CliError> {
    let target: TargetBody = client
        .get(&format!("/api/v1/targets/{}", encoded(&args.target)))
        .await?;
    let path = format!("/api/v1/targets/{}/investigation", encoded(&target.id));
    let investigation: InvestigationBody = if args.until_verdict {
        wait(client, &path, args, output).await?
    } else {
        client.get(&path).await?
    };
    if output.is_json() {
        output.json(&investigation)?;
    } else {
        let page = page(client, &target.id, &investigation, args.explain, output).await?;
        output.text(&page)?;
    }
    Ok(if is_leak(&investigation.verdict.class) {
        Exit::LeakFound
    } else {
        Exit::Fine
    })
}

/// The screen, and below it what it rests on.
async fn page(
    client: &Client,
    id: &str,
    investigation: &InvestigationBody,
    explain: bool,
    output: Output,
) -> Result<String, CliError> {
    // The numbers of the screen belong to the answer, so they are asked for again after waiting.
    let target: TargetBody = client.get(&format!("/api/v1/targets/{}", encoded(id))).await?;
    let mut kills = Vec::new();
    if target.oom_kills > 0 {
        let all: Page<OomKillBody> = list::all(client, "/api/v1/oom_kills", &[], usize::MAX).await?;
        kills = all.items;
        kills.retain(|kill| kill.target.as_deref() == Some(id));
    }
    let series = query([("metrics", Some("unreclaimable_bytes"))]);
    let memory = client
        .get::<SeriesSetBody>(&format!("/api/v1/targets/{}/series{series}", encoded(id)))
        .await;
    let known = Known {
        target: &target,
        investigation,
        // A target that was never sampled has none; the screen is worth as much without it.
        memory: memory.as_ref().ok(),
        kills: &kills,
        url: client.url(),
    };
    Ok(screen::draw(&known, output) + &rest(investigation, explain, output))
}

/// Asks until there is a verdict. A target that was just found has none yet, which is no error while waiting.
async fn wait(
    client: &Client,
    path: &str,
    args: &InvestigateArgs,
    output: Output,
) -> Result<InvestigationBody, CliError> {
    let timeout = parse_duration(&args.timeout).map_err(|error| CliError::Usage(format!("--timeout: {error}")))?;
    let deadline = Instant::now() + timeout;
    let mut polls = tokio::time::interval(POLL);
    let (begun, mut told) = (Instant::now(), String::new());
    let mut waiting_for = String::from("it was not judged yet");
    while Instant::now() < deadline {
        polls.tick().await;
        match client.get::<InvestigationBody>(path).await {
            Ok(investigation) if investigation.verdict.class != "not_enough_data" => return Ok(investigation),
            Ok(investigation) => waiting_for = investigation.verdict.summary,
            Err(CliError::Refused { status: 409, detail }) => waiting_for = detail,
            Err(error) => return Err(error),
        }
        // Numbers in it change with every look; what is waited for is told when it is something else.
        let kind: String = waiting_for
            .chars()
            .filter(|character| !character.is_numeric())
            .collect();
        if kind != told {
            output.note(&format!(
                "waiting for a verdict since {}, at most {}: {waiting_for}",
                text::time(begun.elapsed().as_secs_f64()),
                args.timeout
            ));
            told = kind;
        }
    }
    Err(CliError::Deadline(format!(
        "no verdict within {}: {waiting_for}",
        args.timeout
    )))
}

/// The verdict and the way to it.
pub(crate) fn body(investigation: &InvestigationBody, output: Output) -> String {
    let verdict = &investigation.verdict;
    let class = output.styled(text::class_style(&verdict.class), &screen::sure(verdict));
    let mut page = format!("\n{class}, since {}\n", verdict.since);
    page.push_str(&paragraph("", "", &verdict.summary));
    page + &numbers(verdict) + &rest(investigation, true, output)
}

/// What the verdict rests on, and the way to it; with what every step teaches where that is asked for.
fn rest(investigation: &InvestigationBody, explain: bool, output: Output) -> String {
    let mut page = reasons(&investigation.verdict, output);
    page.push_str(&format!("\n{}\n", output.styled(Style::Strong, "How this was found")));
    for (index, step) in investigation.steps.iter().enumerate() {
        page.push_str(&self::step(index + 1, step, explain, output));
    }
    page.push_str(&not_seen(investigation, output));
    for loss in &investigation.losses {
        page.push_str(&format!("lost: {} {}\n", loss.count, loss.reason));
    }
    page
}

/// What was said of the victim when it was killed: of the past.
pub(crate) fn at_the_kill(verdict: &VerdictBody, output: Output) -> String {
    let class = output.styled(text::class_style(&verdict.class), &screen::sure(verdict));
    let mut page = format!(
        "\n{}\n{class}, since {}\n",
        output.styled(Style::Strong, "What was known when it was killed"),
        verdict.since
    );
    page.push_str(&paragraph("", "", &verdict.summary));
    page + &numbers(verdict) + &reasons(verdict, output)
}

/// The numbers of a verdict, a line each.
fn numbers(verdict: &VerdictBody) -> String {
    let mut page = String::new();
    if !verdict.decided_by.is_empty() || is_leak(&verdict.class) {
        page.push_str(&format!(
            "probability of a leak: {}\n",
            text::percent(verdict.leak_probability)
        ));
    }
    if let Some(limit) = &verdict.limit_probability {
        page.push_str(&format!(
            "chance that the limit is reached: {} within 1 h, {} within 6 h, {} within 24 h\n",
            text::chance(limit.hour),
            text::chance(limit.six_hours),
            text::chance(limit.day)
        ));
    }
    if let Some(rate) = verdict.growth_bytes_per_second {
        page.push_str(&format!("growth: {}\n", text::rate(Some(rate))));
    }
    if let Some(time) = &verdict.time_to_limit_seconds {
        page.push_str(&format!("limit reached: {}\n", text::forecast(time)));
    }
    if let Some(limit) = verdict.recommended_limit_bytes {
        page.push_str(&format!("recommended limit: {}\n", text::size(Some(limit))));
    }
    page
}

/// Culprit, evidence, advice and what was rejected.
fn reasons(verdict: &VerdictBody, output: Output) -> String {
    let heading = |text: &str| format!("\n{}\n", output.styled(Style::Strong, text));
    let mut page = String::new();
    if let Some(culprit) = &verdict.culprit {
        page.push_str(&heading("Culprit"));
        page.push_str(&self::culprit(culprit));
    }
    if !verdict.evidence.is_empty() {
        page.push_str(&heading("Evidence"));
        for evidence in &verdict.evidence {
            let weight = evidence.weight.map(|weight| format!(" ({weight:+.1})"));
            let claim = format!("{}{}", evidence.claim, weight.unwrap_or_default());
            page.push_str(&paragraph("- ", "  ", &claim));
        }
    }
    if !verdict.decided_by.is_empty() {
        page.push_str(&heading("What will decide"));
        for deciding in &verdict.decided_by {
            let at = deciding.at.map(|at| format!(" (about {at})"));
            let line = format!("{}{}", deciding.what, at.unwrap_or_default());
            page.push_str(&paragraph("- ", "  ", &line));
        }
    }
    if !verdict.advice.is_empty() {
        page.push_str(&heading("What to do"));
        for (index, advice) in verdict.advice.iter().enumerate() {
            page.push_str(&paragraph(&format!("{}. ", index + 1), "   ", advice));
        }
    }
    for (checked, title) in [(true, "What it is not"), (false, "Not checked")] {
        let mut rejected = verdict
            .rejected
            .iter()
            .filter(|rejected| rejected.checked == checked)
            .peekable();
        if rejected.peek().is_some() {
            page.push_str(&heading(title));
        }
        for rejected in rejected {
            page.push_str(&paragraph(&format!("- {}: ", rejected.class), "  ", &rejected.because));
        }
    }
    if !verdict.would_change_our_mind.is_empty() {
        page.push_str(&heading("What would change this verdict"));
        for observation in &verdict.would_change_our_mind {
            page.push_str(&paragraph("- ", "  ", observation));
        }
    }
    page
}

fn culprit(culprit: &CulpritBody) -> String {
    let place = match (&culprit.file, culprit.line) {
        (Some(file), Some(line)) => format!("  {file}:{line}"),
        (Some(file), None) => format!("  {file}"),
        _ => String::new(),
    };
    let mut page = format!("{}{}\n", one_line(&short_name::of(&culprit.function)), one_line(&place));
    let growth = match (&culprit.growth_bytes, &culprit.growth_goroutines) {
        (Some(bytes), _) => interval(bytes, "bytes", ""),
        (None, Some(goroutines)) => interval(goroutines, "count", " goroutines"),
        (None, None) => text::NONE.to_owned(),
    };
    page.push_str(&format!(
        "{} of the growth: {growth}\n",
        text::percent(culprit.share_of_growth)
    ));
    for frame in culprit.stack.iter().take(FRAMES) {
        page.push_str(&format!("    {}\n", one_line(&short_name::of(frame))));
    }
    if let Some(more) = culprit.stack.len().checked_sub(FRAMES).filter(|more| *more > 0) {
        page.push_str(&format!("    and {more} callers\n"));
    }
    page
}

fn interval(estimate: &EstimateBody, unit: &str, suffix: &str) -> String {
    let amount = |value| text::amount(value, unit);
    let middle = amount(estimate.estimate);
    format!(
        "{middle}{suffix} (between {} and {})",
        amount(estimate.low),
        amount(estimate.high)
    )
}

fn step(number: usize, step: &StepBody, explain: bool, output: Output) -> String {
    let mut page = format!("\n{number}. {}", step.question);
    if let Some(why) = &step.skipped_because {
        page.push('\n');
        return page + &paragraph("   skipped: ", "   ", why);
    }
    let answer = match step.answer {
        AnswerBody::Yes => output.styled(Style::Warn, "yes"),
        AnswerBody::No => output.styled(Style::Good, "no"),
        AnswerBody::Unknown => output.styled(Style::Faint, "unknown"),
    };
    // Nobody is sure of what is not known.
    let sure = (step.answer != AnswerBody::Unknown).then(|| format!("{} sure", text::percent(step.confidence)));
    let by = (step.answered_by == "user").then(|| "answered by a person".to_owned());
    let notes: Vec<String> = sure.into_iter().chain(by).collect();
    let notes = if notes.is_empty() {
        String::new()
    } else {
        format!(" ({})", notes.join(", "))
    };
    page.push_str(&format!("  {answer}{notes}\n"));
    page.push_str(&paragraph("   ", "   ", &step.why));
    for evidence in &step.evidence {
        page.push_str(&paragraph("   - ", "     ", &evidence.claim));
    }
    if explain {
        page.push_str(&output.styled(Style::Faint, paragraph("   ", "   ", &step.teaches).trim_end()));
        page.push('\n');
    }
    page
}

/// What could not be looked at and how to get it, once each.
fn not_seen(investigation: &InvestigationBody, output: Output) -> String {
    let mut lines: Vec<String> = Vec::new();
    let maps =
        std::iter::once(&investigation.verdict.missing).chain(investigation.steps.iter().map(|step| &step.missing));
    for (field, missing) in maps.flat_map(|MissingMap(map)| map) {
        // That the dead have no future is no gap in what was seen.
        let is_of_the_dead = missing.reason == Reason::Gone && FUTURE.contains(&field.as_str());
        if missing.reason == Reason::NotApplicable || is_of_the_dead {
            continue;
        }
        let fix = missing
            .fix
            .as_ref()
            .map_or_else(String::new, |fix| format!("; to fix: {fix}"));
        let line = paragraph(&format!("- {field}: "), "  ", &format!("{}{fix}", missing.detail));
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    format!(
        "\n{}\n{}",
        output.styled(Style::Strong, "What could not be looked at"),
        lines.concat()
    )
}
