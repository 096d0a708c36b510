//! `doctor`: what works on this host. Needs no daemon: everything is found out by doing it.

use crate::capabilities::Capability;
use crate::capabilities::of_host;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::output::Style;
use crate::cli::text::paragraph;
use crate::clock::Clock;
use crate::config::Config;
use crate::dto::capability::CapabilitiesBody;
use crate::dto::capability::CapabilityBody;
use crate::identity::cgroup::Hierarchy;
use crate::probes::Probes;
use crate::probes::host::HostFacts;
use crate::probes::plan::Plan;

/// Without this the daemon has nothing to watch.
const NEEDED: &str = "cgroup_memory";

pub(crate) fn run(config: &Config, output: Output) -> Result<Exit, CliError> {
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
    let can_watch = capabilities
        .iter()
        .any(|capability| capability.name == NEEDED && capability.state.is_ok());
    Ok(if can_watch { Exit::Fine } else { Exit::Failed })
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
