//! What a person who is on call sees first of a target: what killed it, the verdict, where, since when, how its memory went, and what to run next.
#![expect(
    clippy::format_push_string,
    reason = "a page is made once per command, and writing into a string has no error to handle"
)]

use crate::cli::exit::is_leak;
use crate::cli::output::Output;
use crate::cli::output::Style;
use crate::cli::sparkline;
use crate::cli::text;
use crate::cli::text::one_line;
use crate::cli::text::paragraph;
use crate::dto::instant::Instant;
use crate::dto::investigation::InvestigationBody;
use crate::dto::oom_kill::OomKillBody;
use crate::dto::series::SeriesSetBody;
use crate::dto::target::TargetBody;
use crate::dto::verdict::CulpritBody;
use crate::dto::verdict::VerdictBody;
use leakwatch_analysis::short_name;

/// Steps of the line of memory.
pub(super) const STEPS: usize = 72;
/// What a line of the screen is about.
const LABEL: usize = 10;

/// What the screen is made of.
pub(super) struct Known<'a> {
    pub(super) target: &'a TargetBody,
    pub(super) investigation: &'a InvestigationBody,
    /// Memory that cannot be reclaimed, where it was asked for in time.
    pub(super) memory: Option<&'a SeriesSetBody>,
    /// Of this target, the newest first.
    pub(super) kills: &'a [OomKillBody],
    /// Where the API is, if other programs can reach it.
    pub(super) url: Option<&'a str>,
}

/// The screen.
pub(super) fn draw(known: &Known<'_>, output: Output) -> String {
    let Known {
        target, investigation, ..
    } = *known;
    let verdict = &investigation.verdict;
    let now = investigation.at;
    let mut page = head(target, output);
    if let Some(kill) = known.kills.first() {
        page.push_str(&killed(kill, known.kills.len(), now, output));
    }
    page.push_str(&claim(target, verdict, output));
    if let Some(culprit) = &verdict.culprit {
        page.push_str(&line("where", &place(culprit)));
    }
    page.push_str(&line(
        "since",
        &format!("{} ({} ago)", verdict.since, ago(verdict.since, now)),
    ));
    page.push_str(&memory(target, verdict));
    page.push_str(&limit(verdict));
    page.push_str(&course(known, output));
    for (index, (command, what)) in next(known).into_iter().enumerate() {
        let label = if index == 0 { "next" } else { "" };
        page.push_str(&line(label, &command));
        page.push_str(&line("", &output.styled(Style::Faint, &format!("  {what}"))));
    }
    page
}

fn line(label: &str, text: &str) -> String {
    format!("{label:LABEL$}{}\n", one_line_styled(text))
}

/// Names come from programs that are watched; what colours them does not.
fn one_line_styled(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn ago(then: Instant, now: Instant) -> String {
    text::time(now.0.since(then.0).as_secs_f64())
}

fn head(target: &TargetBody, output: Output) -> String {
    let name = output.styled(Style::Strong, &one_line(&target.name));
    let processes: Vec<String> = target.processes.iter().take(3).map(process).collect();
    let more = target.processes.len().saturating_sub(processes.len());
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let mut page = format!(
        "{name}, {} of service {}   {}\n",
        target.kind,
        one_line(&target.service),
        target.id
    );
    page.push_str(&format!(
        "{}\n",
        output.styled(Style::Faint, &one_line(&target.cgroup_path))
    ));
    match (target.gone_at, processes.is_empty()) {
        (Some(gone), _) => page.push_str(&format!("gone since {gone}\n")),
        (None, true) => page.push_str("no process lives in it\n"),
        (None, false) => page.push_str(&format!("{}{more}\n", one_line(&processes.join(", ")))),
    }
    page + "\n"
}

fn process(process: &crate::dto::target::ProcessBody) -> String {
    let runtime = process.runtime_version.as_deref().or(process.runtime.as_deref());
    let runtime = runtime.map(|runtime| format!(", {runtime}")).unwrap_or_default();
    format!(
        "{} (pid {}{runtime}, {})",
        process.comm,
        process.pid,
        text::size(process.rss_bytes)
    )
}

fn killed(kill: &OomKillBody, kills: usize, now: Instant, output: Output) -> String {
    let at = match kill.limit_bytes {
        Some(limit) => format!(" at its limit of {}", text::size(Some(limit))),
        None => String::new(),
    };
    let times = if kills > 1 {
        format!(", {kills} kills in all")
    } else {
        String::new()
    };
    let told = format!(
        "KILLED {} ago for lack of memory{at}: {} (pid {}){times}",
        ago(kill.at, now),
        one_line(&kill.victim.comm),
        kill.victim.pid
    );
    let mut page = output.styled(Style::Bad, &told) + "\n";
    if let Some(verdict) = &kill.verdict {
        page.push_str(&paragraph(
            "then      ",
            "          ",
            &format!("{}: {}", sure(verdict), verdict.summary),
        ));
    }
    page + &line("", &format!("leakwatch oom {}", kill.id)) + "\n"
}

/// The class, and how sure it is where it is an answer.
pub(super) fn sure(verdict: &VerdictBody) -> String {
    match verdict.class.as_str() {
        // Nothing was found that one could be sure of.
        "not_enough_data" => verdict.class.clone(),
        class => format!("{class}, {} sure", text::percent(verdict.confidence)),
    }
}

fn claim(target: &TargetBody, verdict: &VerdictBody, output: Output) -> String {
    let was = if target.processes.is_empty() { "was " } else { "" };
    let class = output.styled(text::class_style(&verdict.class), &sure(verdict));
    format!("{was}{class}\n{}\n", paragraph("", "", &verdict.summary))
}

fn place(culprit: &CulpritBody) -> String {
    let at = match (&culprit.file, culprit.line) {
        (Some(file), Some(line)) => format!("  {file}:{line}"),
        (Some(file), None) => format!("  {file}"),
        _ => String::new(),
    };
    one_line(&format!(
        "{}{at} ({} of the growth)",
        short_name::of(&culprit.function),
        text::percent(culprit.share_of_growth)
    ))
}

fn memory(target: &TargetBody, verdict: &VerdictBody) -> String {
    let memory = &target.memory;
    let of = match memory.limit_bytes {
        Some(limit) => format!("of {}", text::size(Some(limit))),
        None => "without a limit of its own".to_owned(),
    };
    let of = match (
        memory.limit_source.as_deref(),
        &memory.limit_cgroup_path,
        memory.room_bytes,
    ) {
        (Some("ancestor"), Some(path), Some(room)) => {
            format!("{of}, the limit of {path}, of which {} is left", text::size(Some(room)))
        }
        (Some("node"), _, Some(room)) => format!("{of}, the machine has {} left", text::size(Some(room))),
        _ => of,
    };
    let growth = verdict
        .growth_bytes_per_second
        .map(|rate| format!(", {}", text::rate(Some(rate))));
    line(
        "memory",
        &format!(
            "{} that cannot be reclaimed ({} charged) {of}{}",
            text::size(memory.unreclaimable_bytes),
            text::size(memory.charge_bytes),
            growth.unwrap_or_default()
        ),
    )
}

fn limit(verdict: &VerdictBody) -> String {
    let mut parts = Vec::new();
    if let Some(time) = &verdict.time_to_limit_seconds {
        parts.push(format!("reached {}", text::forecast(time)));
    }
    if let Some(limit) = &verdict.limit_probability {
        parts.push(format!(
            "chance {} within 1 h, {} within 6 h, {} within 24 h",
            text::chance(limit.hour),
            text::chance(limit.six_hours),
            text::chance(limit.day)
        ));
    }
    if let Some(limit) = verdict.recommended_limit_bytes {
        parts.push(format!("{} is recommended", text::size(Some(limit))));
    }
    if parts.is_empty() {
        return String::new();
    }
    line("limit", &parts.join("; "))
}

/// Memory over time below its limit, with the kills.
fn course(known: &Known<'_>, output: Output) -> String {
    let Some(set) = known.memory else { return String::new() };
    let Some(series) = set.series.first() else {
        return String::new();
    };
    let highest = series.values.iter().flatten().copied().max();
    let Some(highest) = highest else { return String::new() };
    let most = known
        .target
        .memory
        .limit_bytes
        .map_or(highest, |limit| limit.max(highest));
    let step = set.step_seconds;
    // One after the last sample is shown with it.
    let last = set.at.last().copied();
    let is_in = |end: Instant, kill: &OomKillBody| {
        if kill.at > end {
            Some(end) == last
        } else {
            end.0.since(kill.at.0).as_secs_f64() < step
        }
    };
    let kills: Vec<bool> = set
        .at
        .iter()
        .map(|end| known.kills.iter().any(|kill| is_in(*end, kill)))
        .collect();
    let style = text::class_style(&known.investigation.verdict.class);
    let mut page = String::new();
    for (index, drawn) in sparkline::draw(&series.values, most, &kills, STEPS).iter().enumerate() {
        let style = if index == 0 { style } else { Style::Bad };
        page.push_str(&format!("{:LABEL$}{}\n", "", output.styled(style, drawn)));
    }
    let shown = series.values.len().min(STEPS);
    #[expect(clippy::cast_precision_loss, reason = "at most as many as there are steps")]
    let span = shown as f64 * step;
    let top = if known.target.memory.limit_bytes.is_some() {
        "the limit"
    } else {
        "the highest"
    };
    page + &line(
        "",
        &output.styled(
            Style::Faint,
            &format!(
                "the last {}; a full block is {top}, {}",
                text::time(span),
                text::size(Some(most))
            ),
        ),
    )
}

/// Commands that can be run as they stand, and what each is for.
fn next(known: &Known<'_>) -> Vec<(String, String)> {
    let (target, verdict) = (known.target, &known.investigation.verdict);
    let id = &target.id;
    let mut next = Vec::new();
    if let Some(kill) = known.kills.first() {
        next.push((format!("leakwatch oom {}", kill.id), "why it was killed".to_owned()));
    }
    let compared = known
        .investigation
        .steps
        .iter()
        .rev()
        .find_map(|step| step.diff.as_deref());
    let profile = compared.and_then(|link| parameter(link, "type"));
    if let Some(profile) = profile
        && verdict.culprit.is_some()
    {
        next.push((
            format!("leakwatch diff {profile} {id} --format flame"),
            "what grew between the first and the newest profile".to_owned(),
        ));
        if let Some(url) = known.url {
            let base = compared.and_then(|link| parameter(link, "base")).unwrap_or("-1h");
            next.push((
                format!(
                    "go tool pprof -http=: -diff_base '{url}/pprof/{id}/{profile}?at={base}' {url}/pprof/{id}/{profile}"
                ),
                "the same in the browser".to_owned(),
            ));
        }
    }
    if next.is_empty() && !is_leak(&verdict.class) && !target.processes.is_empty() && verdict.class != "stable" {
        next.push((
            format!("leakwatch investigate {id} --until-verdict"),
            "wait until there is enough to decide".to_owned(),
        ));
    }
    next.push((
        format!("leakwatch investigate {id} --explain"),
        "how this was found, question by question".to_owned(),
    ));
    next
}

/// A parameter of the link to what is compared.
fn parameter<'l>(link: &'l str, name: &str) -> Option<&'l str> {
    let (_, query) = link.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(other, value)| (other == name).then_some(value))
}
