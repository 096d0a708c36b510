//! Captures what makes a process's memory grow without a daemon and without a budget, for measuring what the probes cost: `growth PID PERIOD`.
//! Runs until its standard input ends, then prints the counts.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

use anyhow::Context as _;
use leakwatch::capture::lanes::Observer as _;
use leakwatch::capture::lanes::growth::GrowthSession;
use leakwatch::probes::faults::CallsAt;
use std::env;
use std::io;
use std::io::Read as _;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread;
use std::time::Duration;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().collect();
    let [_, pid, period] = arguments.as_slice() else {
        anyhow::bail!("usage: growth PID PERIOD");
    };
    let (pid, period) = (pid.parse().context("PID")?, period.parse().context("PERIOD")?);
    let mut session = GrowthSession::start(pid, period, CallsAt::Tracepoints)
        .map_err(|missing| anyhow::anyhow!("{}", missing.detail))?;
    let (ended, end) = mpsc::sync_channel::<()>(1);
    thread::spawn(move || {
        // Whatever comes, its end is what matters: the channel closes.
        drop(io::stdin().read_to_end(&mut Vec::new()));
        drop(ended);
    });
    while end.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
        session.poll();
    }
    session.detach();
    println!("{:?}, lost {:?}", GrowthSession::counts(&session), session.losses());
    Ok(())
}
