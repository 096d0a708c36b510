//! The daemon ends when it is told to, whoever still listens.

use crate::LEAKWATCH;
use anyhow::Result;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use rustix::process::Signal;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// An open page listens to the stream of events, and a request may never be sent to its end.
#[test]
fn clients_that_stay_do_not_keep_the_daemon() -> Result<()> {
    let parent = Cgroup::create("ending")?;
    let mut daemon = Daemon::start(&Options {
        executable: Path::new(LEAKWATCH),
        only: parent.path(),
        interval_seconds: 1,
        config: "",
        arguments: &["--no-bpf"],
    })?;
    let socket = daemon.directory().join("api.sock");
    let mut stream = UnixStream::connect(&socket)?;
    stream.write_all(b"GET /api/v1/stream HTTP/1.1\r\nHost: leakwatch\r\n\r\n")?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    assert_eq!(&answer, b"HTTP/1.1 200");
    let mut half = UnixStream::connect(&socket)?;
    half.write_all(b"GET /healthz HTTP/1.1\r\nHo")?;
    daemon.process().signal(Signal::TERM)?;
    let status = daemon.process().wait(Duration::from_mins(1))?;
    assert!(status.success(), "{status}\n{}", daemon.log());
    Ok(())
}
