//! A program's own goroutine profile as the judge of what was read from outside.

use anyhow::Result;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::goroutines::GoroutineBounds;
use leakwatch_goproc::goroutines::StackState;
use leakwatch_test_support::http::Client;
use leakwatch_test_support::wait::wait_until;
use std::collections::BTreeMap;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_mins(3);

/// Addresses of the process to how many goroutines have this stack.
pub(crate) type Stacks = BTreeMap<Vec<u64>, u64>;

/// Waits for a moment in which both are equal: goroutines of a program at work come and go.
pub(crate) fn compare(client: &Client, outside: &mut GoProcess) -> Result<Stacks> {
    let goroutines = wait_until("equal goroutines", DEADLINE, || {
        let (ours, theirs) = (outside_goroutines(outside)?, endpoint_goroutines(client, outside)?);
        Ok((ours == theirs).then_some(ours))
    });
    match goroutines {
        Ok(goroutines) => Ok(goroutines),
        Err(error) => {
            let (ours, theirs) = (outside_goroutines(outside)?, endpoint_goroutines(client, outside)?);
            let only = |one: &Stacks, other: &Stacks| -> Vec<(u64, Vec<String>)> {
                let differs = one.iter().filter(|(stack, count)| other.get(*stack) != Some(count));
                differs.map(|(stack, count)| (*count, names(outside, stack))).collect()
            };
            Err(error.context(format!(
                "ours {:#?} theirs {:#?}",
                only(&ours, &theirs),
                only(&theirs, &ours)
            )))
        }
    }
}

fn outside_goroutines(process: &mut GoProcess) -> Result<Stacks> {
    let snapshot = process.goroutines(GoroutineBounds::default())?.snapshot()?;
    let mut stacks = Stacks::new();
    for group in snapshot.groups {
        // One that runs is no match for any stack.
        if group.state == StackState::Complete {
            let stack = group.stack.iter().map(|address| address + process.bias());
            // As deep as profiles of Go 1.19 are.
            let stack: Vec<u64> = stack.take(32).collect();
            *stacks.entry(stack).or_default() += group.count;
        }
    }
    Ok(without_endpoint(process, stacks))
}

fn endpoint_goroutines(client: &Client, process: &GoProcess) -> Result<Stacks> {
    let text = String::from_utf8(client.bytes("/debug/pprof/goroutine?debug=1")?)?;
    let mut stacks = Stacks::new();
    for line in text.lines() {
        if let Some((count, addresses)) = line.split_once(" @ ") {
            let addresses = addresses
                .split_whitespace()
                .map(|address| u64::from_str_radix(address.trim_start_matches("0x"), 16));
            *stacks.entry(addresses.collect::<Result<_, _>>()?).or_default() += count.trim().parse::<u64>()?;
        }
    }
    Ok(without_endpoint(process, stacks))
}

/// Leaves out the goroutines that exist only because the profile was asked for.
fn without_endpoint(process: &GoProcess, mut stacks: Stacks) -> Stacks {
    stacks.retain(|stack, _| {
        let names = names(process, stack);
        names != ["runtime.goexit"]
            && !names.iter().any(|name| {
                matches!(
                    name.as_str(),
                    "net/http.(*conn).serve" | "net/http.(*connReader).backgroundRead"
                )
            })
    });
    stacks
}

fn names(process: &GoProcess, stack: &[u64]) -> Vec<String> {
    let table = process.binary().pclntab();
    let name = |address: &u64| {
        let pc = address.checked_sub(process.bias())?.checked_sub(1)?;
        let function = table.function_at(pc)?;
        Some(table.frame(&function, &table.innermost(&function, pc)).function)
    };
    stack.iter().map(|address| name(address).unwrap_or_default()).collect()
}
