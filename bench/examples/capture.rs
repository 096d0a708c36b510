//! Captures the allocator's calls of a process without a daemon and without a budget, for measuring what the probes cost: `capture PID
//! SAMPLE_BYTES [PROGRAMS]`. Says `attached` and runs until its standard input ends; then prints the counts and the ten stacks with most
//! live bytes.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use anyhow::Context as _;
use leakwatch::capture::lanes::DutyCycle as _;
use leakwatch::capture::lanes::native::Session;
use leakwatch::capture::symbolize::profile::frames;
use leakwatch::probes::allocator::Programs;
use leakwatch_nativeproc::symbols::Symbols;
use std::env;
use std::io;
use std::io::Read as _;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().collect();
    let [_, pid, sample_bytes, programs @ ..] = arguments.as_slice() else {
        anyhow::bail!("usage: capture PID SAMPLE_BYTES [PROGRAMS]");
    };
    let programs = programs.first().map_or("best", String::as_str);
    let pid: u32 = pid.parse().context("PID")?;
    let sample_bytes: u64 = sample_bytes.parse().context("SAMPLE_BYTES")?;
    let programs = match programs {
        "best" => Programs::Best,
        "single" => Programs::Single,
        "empty" => Programs::Empty,
        _ => anyhow::bail!("PROGRAMS: best, single or empty"),
    };
    let mut session =
        Session::start_with(pid, sample_bytes, programs).map_err(|missing| anyhow::anyhow!("{}", missing.detail))?;
    println!("attached, {:?}", session.attach_mode());
    let end = end_of_input();
    while end.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
        session.poll();
    }
    session.detach();
    println!("{:?}, lost {:?}", session.counts(), session.losses());
    let mut symbols = Symbols::of_process(pid);
    for row in session.rows().iter().take(10) {
        let names: Vec<String> = frames(&row.addresses, &mut symbols)
            .iter()
            .take(3)
            .map(|frame| frame.function.to_string())
            .collect();
        println!("{} bytes live: {}", row.value.inuse_space, names.join(" < "));
    }
    Ok(())
}

/// Closes when standard input ends: whatever comes before does not matter.
fn end_of_input() -> mpsc::Receiver<()> {
    let (ended, end) = mpsc::sync_channel::<()>(1);
    thread::spawn(move || {
        drop(io::stdin().read_to_end(&mut Vec::new()));
        drop(ended);
    });
    end
}
