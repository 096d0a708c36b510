//! `oom`: the list of OOM kills, and the post-mortem of one.
#![expect(
    clippy::format_push_string,
    reason = "a page is made once per command, and writing into a string has no error to handle"
)]

use crate::cli::args::OomArgs;
use crate::cli::client::Client;
use crate::cli::client::encoded;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::investigate;
use crate::cli::list;
use crate::cli::output::Output;
use crate::cli::output::Style;
use crate::cli::profile;
use crate::cli::text;
use crate::cli::text::one_line;
use crate::dto::missing::Reason;
use crate::dto::oom_kill::OomKillBody;
use crate::dto::page::Page;

pub(crate) async fn run(client: &Client, args: &OomArgs, output: Output) -> Result<Exit, CliError> {
    if let Some(id) = &args.id {
        if args.pin || args.unpin {
            return pin(client, id, args.pin, output).await;
        }
        let kill: OomKillBody = client.get(&format!("/api/v1/oom_kills/{}", encoded(id))).await?;
        if let Some(wanted) = &args.profile {
            let link = profile_link(&kill, wanted)?;
            return profile::last(client, link, args.format.as_deref(), args.out.as_deref(), output).await;
        }
        return if output.is_json() {
            output.json(&kill)
        } else {
            output.text(&post_mortem(&kill, output))
        };
    }
    let page: Page<OomKillBody> = list::all(client, "/api/v1/oom_kills", &[], usize::MAX).await?;
    if output.is_json() {
        return output.json(&page);
    }
    list::note_losses(output, &page.losses);
    let names = list::names(client).await?;
    let rows = page.items.iter().map(|kill| {
        vec![
            kill.at.to_string(),
            list::name_of(&names, kill.target.as_deref()),
            kill.scope.clone().unwrap_or_else(|| text::NONE.to_owned()),
            format!("{} ({})", kill.victim.comm, kill.victim.pid),
            text::size(kill.victim.rss_anon_bytes),
            text::size(kill.limit_bytes),
            kill.verdict
                .as_ref()
                .map_or_else(|| text::NONE.to_owned(), |verdict| verdict.class.clone()),
            kill.id.clone(),
        ]
    });
    let header = ["AT", "NAME", "SCOPE", "VICTIM", "ANON", "LIMIT", "VERDICT", "ID"];
    output.text(&text::table(&header, &["ANON", "LIMIT"], rows))
}

async fn pin(client: &Client, id: &str, pin: bool, output: Output) -> Result<Exit, CliError> {
    let path = format!("/api/v1/oom_kills/{}/pin", encoded(id));
    let kill: OomKillBody = if pin {
        client.post(&path, &()).await?
    } else {
        client.delete(&path).await?
    };
    if output.is_json() {
        return output.json(&kill);
    }
    output.line(&if kill.pinned {
        format!("{id} is kept, whatever its age; `leakwatch oom {id} --unpin` takes it back")
    } else {
        format!("{id} is kept as long as others")
    })
}

/// Where the last profile of a type is.
fn profile_link<'k>(kill: &'k OomKillBody, wanted: &str) -> Result<&'k str, CliError> {
    let found = kill.profiles.iter().find(|profile| profile.r#type == wanted);
    found.map(|profile| profile.link.as_str()).ok_or_else(|| {
        let there: Vec<&str> = kill.profiles.iter().map(|profile| profile.r#type.as_str()).collect();
        let there = if there.is_empty() {
            "there is none".to_owned()
        } else {
            format!("there is {}", there.join(", "))
        };
        CliError::Usage(format!("no {wanted} profile of {} is kept: {there}", kill.id))
    })
}

pub(super) fn post_mortem(kill: &OomKillBody, output: Output) -> String {
    let heading = |text: &str| format!("\n{}\n", output.styled(Style::Strong, text));
    let or_none = |text: &Option<String>| one_line(text.as_deref().unwrap_or("unknown"));
    let victim = &kill.victim;
    let what = match kill.scope.as_deref() {
        Some("memcg") => format!(
            "the memory cgroup {} reached its limit of {}",
            or_none(&kill.memcg_path),
            text::size(kill.limit_bytes)
        ),
        Some(_) => "the machine ran out of memory".to_owned(),
        None => "memory ran out".to_owned(),
    };
    let mut page = format!(
        "{}: {} (pid {}) was killed because {what}\n",
        kill.at,
        one_line(&victim.comm),
        victim.pid
    );
    page.push_str(&format!("cgroup of the victim: {}\n", or_none(&kill.cgroup_path)));
    if kill.pinned {
        page.push_str("pinned: it is kept, whatever its age\n");
    }
    page.push_str(&format!(
        "memory was asked for by {} (pid {})\n",
        one_line(&kill.trigger.comm),
        kill.trigger.pid
    ));
    page.push_str(&heading("The victim's memory"));
    for (name, bytes) in [
        ("anonymous", victim.rss_anon_bytes),
        ("file", victim.rss_file_bytes),
        ("shared", victim.rss_shmem_bytes),
        ("page tables", victim.page_table_bytes),
    ] {
        page.push_str(&format!("{name:>12}  {}\n", text::size(bytes)));
    }
    page.push_str(&ledger(kill, output));
    if !kill.other_processes.is_empty() {
        page.push_str(&heading("Others in the cgroup"));
        for process in &kill.other_processes {
            let line = format!("{} (pid {})", one_line(&process.comm), process.pid);
            page.push_str(&format!("{:>12}  {line}\n", text::size(process.rss_bytes)));
        }
        if let Some(older) = kill.other_processes.iter().find(|process| process.older == Some(true)) {
            page.push_str(&text::paragraph(
                "",
                "",
                &format!(
                    "{} (pid {}) is older than the victim and lived on: who supervises it may not have noticed.",
                    one_line(&older.comm),
                    older.pid
                ),
            ));
        }
    }
    if of_go(kill) {
        page.push_str(&final_state(kill, output));
    }
    if !kill.profiles.is_empty() {
        page.push_str(&heading("Last profiles"));
        for profile in &kill.profiles {
            let complete = if profile.complete { "" } else { ", incomplete" };
            let age = text::time(profile.age_seconds);
            page.push_str(&format!(
                "{} by {}, {age} before the kill{complete}: {}\n",
                profile.r#type, profile.source, profile.link
            ));
        }
    }
    match &kill.verdict {
        Some(verdict) => page.push_str(&investigate::at_the_kill(verdict, output)),
        None => page.push_str("\nit was killed before it could be judged\n"),
    }
    let missing: Vec<String> = kill
        .missing
        .0
        .iter()
        .chain(&victim.missing.0)
        .chain(
            kill.at_death
                .missing
                .0
                .iter()
                .filter(|(field, _)| *field == "goroutines"),
        )
        .filter(|(field, _)| of_go(kill) || *field != "goroutines")
        .filter(|(_, missing)| missing.reason != Reason::NotApplicable)
        .map(|(field, missing)| text::paragraph(&format!("- {field}: "), "  ", &missing.detail))
        .collect();
    if !missing.is_empty() {
        page.push_str(&heading("What is not known"));
        page.push_str(&missing.concat());
    }
    page
}

/// Whether the victim has a heap and goroutines that the kernel may have read: whether anything was ever seen of them.
fn of_go(kill: &OomKillBody) -> bool {
    let is_go = |profile: &str| matches!(profile, "heap" | "goroutine" | "goroutineleak");
    kill.at_death.heap != "none" || kill.profiles.iter().any(|profile| is_go(&profile.r#type))
}

fn ledger(kill: &OomKillBody, output: Output) -> String {
    let known: Vec<_> = kill.ledger.lines.iter().filter(|line| line.bytes.is_some()).collect();
    if known.is_empty() {
        return String::new();
    }
    let age = kill
        .last_sample_age_seconds
        .map_or_else(String::new, |age| format!(", {} before the kill", text::time(age)));
    let mut page = format!(
        "\n{}\n",
        output.styled(Style::Strong, &format!("The cgroup in its last sample{age}"))
    );
    for line in known {
        page.push_str(&format!("{:>12}  {}\n", line.name, text::size(line.bytes)));
    }
    if let Some(residual) = kill.ledger.residual_bytes {
        page.push_str(&format!("{:>12}  {}\n", "residual", text::amount(residual, "bytes")));
    }
    page + &format!("{:>12}  {}\n", "charge", text::size(kill.ledger.charge_bytes))
}

/// Goroutine groups shown; the API has the others.
const GROUPS: usize = 10;

fn final_state(kill: &OomKillBody, output: Output) -> String {
    let at_death = &kill.at_death;
    let age = at_death.heap_age_seconds.map_or_else(String::new, text::time);
    let milliseconds = at_death.heap_seconds.unwrap_or_default() * 1e3;
    let buckets = at_death.buckets.unwrap_or_default();
    let heap = match at_death.heap.as_str() {
        "complete" => format!("heap at death: complete, {buckets} buckets read by the kernel in {milliseconds:.1} ms"),
        "truncated" => format!(
            "heap at death: truncated by {}, {buckets} buckets read by the kernel in {milliseconds:.1} ms, {} lost, \
             {} unreadable, {} not reached, {} left out of the profile, {} without a stack",
            at_death.truncated_by.as_deref().unwrap_or("losses"),
            at_death.buckets_lost.unwrap_or_default(),
            at_death.buckets_unreadable.unwrap_or_default(),
            at_death.buckets_not_reached.unwrap_or_default(),
            at_death.buckets_left_out.unwrap_or_default(),
            at_death.buckets_without_stack.unwrap_or_default(),
        ),
        "pending" => "heap at death: read by the kernel, not here yet; ask again in a second".to_owned(),
        "last_snapshot" => format!("heap at death: not read; the last snapshot was taken {age} before the kill"),
        _ => "heap at death: not read, and there is no snapshot".to_owned(),
    };
    let mut page = format!("\n{}\n{heap}\n", output.styled(Style::Strong, "The end of the victim"));
    for group in at_death.goroutine_groups.iter().take(GROUPS) {
        let creator = group
            .created_by
            .as_deref()
            .map_or_else(String::new, |creator| format!(", created by {}", one_line(creator)));
        let function = one_line(&group.function);
        let line = format!("{function} [{}]{creator}", one_line(&group.state));
        page.push_str(&format!("{:>12}  {line}\n", format!("{} goroutines", group.count)));
    }
    page
}
