//! `doctor`: what works on this host. Needs no daemon: everything is found out by doing it. One that runs is asked for its lanes.

use crate::capabilities::Capability;
use crate::capabilities::of_host;
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::output::Style;
use crate::cli::text;
use crate::cli::text::paragraph;
use crate::clock::Clock;
use crate::config::Config;
use crate::dto::capability::CapabilitiesBody;
use crate::dto::capability::CapabilityBody;
use crate::dto::status::LaneBody;
use crate::dto::status::StatusBody;
use crate::identity::cgroup::Hierarchy;
use crate::probes::Probes;
use crate::probes::host::HostFacts;
use crate::probes::plan::Plan;

/// Without these a lane is off: samples, and the memory of Go processes.
const NEEDED: [&str; 2] = ["cgroup_memory", "process_memory"];
/// And without these, unless nobody wants eBPF: captures, kills and ends of processes.
const NEEDED_OF_BPF: [&str; 3] = ["ebpf", "oom:mark_victim", "sched:sched_process_exit"];

pub(crate) async fn run(config: &Config, client: Option<&Client>, output: Output) -> Result<Exit, CliError> {
    let hierarchy = config
        .cgroup_root
        .as_deref()
        .map_or_else(Hierarchy::detect, Hierarchy::at);
    let facts = HostFacts::look();
    let plan = Plan::for_host(&facts);
    // Dropping the probes detaches them.
    let probes = config
        .bpf
        .then(|| Probes::start(&plan, Clock::start()).map(|(probes, _events)| probes));
    let capabilities = of_host(hierarchy.as_ref(), &facts, &plan, probes.as_ref().map(Result::as_ref));
    if output.is_json() {
        let items = capabilities.iter().map(CapabilityBody::from).collect();
        output.json(&CapabilitiesBody {
            items,
            next_cursor: None,
        })?;
    } else {
        output.text(&page(&capabilities, output))?;
    }
    let lanes_off = match client {
        Some(client) => lanes_off(client, output).await?,
        None => false,
    };
    let works = |needed: &str| {
        let mut found = capabilities.iter().filter(|capability| capability.name == needed);
        found.any(|capability| capability.state.is_ok())
    };
    let mut needed = NEEDED.iter().chain(NEEDED_OF_BPF.iter().filter(|_| config.bpf));
    let all_work = needed.all(|needed| works(needed));
    Ok(if all_work && !lanes_off {
        Exit::Fine
    } else {
        Exit::Failed
    })
}

/// Whether a lane of a daemon that runs is off. None runs: that is no fault.
async fn lanes_off(client: &Client, output: Output) -> Result<bool, CliError> {
    let status: StatusBody = match client.get("/api/v1/status").await {
        Ok(status) => status,
        Err(CliError::Unreachable { endpoint, .. }) => {
            output.note(&format!("no daemon answers at {endpoint}"));
            return Ok(false);
        }
        Err(error) => return Err(error),
    };
    let off: Vec<&LaneBody> = status.lanes.iter().filter(|lane| lane.state == "off").collect();
    output.note(&format!(
        "the daemon at {}, version {}, has been running for {}: {} of {} lanes are on",
        client.name(),
        status.version,
        text::time(status.uptime_seconds),
        status.lanes.len() - off.len(),
        status.lanes.len(),
    ));
    for lane in &off {
        let fix = lane.fix.as_deref().unwrap_or_default();
        output.note(&format!(
            "its lane {} is off: {}; to fix: {fix}",
            lane.name, lane.detail
        ));
    }
    for warning in &status.warnings {
        output.note(&format!("it warns: {warning}"));
    }
    Ok(!off.is_empty())
}

fn page(capabilities: &[Capability], output: Output) -> String {
    let mut page = String::new();
    for Capability { name, state } in capabilities {
        match state {
            Ok(found) => {
                let mark = output.styled(Style::Good, "ok     ");
                page.push_str(&paragraph(&format!("{mark} {name}: "), "        ", found));
            }
            Err(why) => {
                let mark = output.styled(Style::Bad, "missing");
                page.push_str(&paragraph(&format!("{mark} {name}: "), "        ", &why.detail));
                if let Some(fix) = &why.fix {
                    page.push_str(&paragraph("        to fix: ", "        ", fix));
                }
            }
        }
    }
    let missing = capabilities
        .iter()
        .filter(|capability| capability.state.is_err())
        .count();
    let summary = match missing {
        0 => "everything works here".to_owned(),
        one_or_more => format!(
            "{} of {} work here, {one_or_more} do not",
            capabilities.len() - missing,
            capabilities.len()
        ),
    };
    page + &format!("\n{summary}\n")
}
