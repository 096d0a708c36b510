//! `go tool pprof` on our URLs against the same on what the service itself served at the same instant.
//!
//! The instant is made the same by standing between the daemon and the service and keeping what passes.

use crate::LEAKWATCH;
use anyhow::Context as _;
use anyhow::Result;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::http::Client;
use leakwatch_test_support::http::free_port;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::Go;
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use tempfile::TempDir;

/// Passes requests on to a service and keeps the answers.
struct Tap {
    port: u16,
    passed: Arc<Mutex<Vec<Passed>>>,
}

#[derive(Clone)]
struct Passed {
    /// Path and query as asked for.
    asked: String,
    body: Vec<u8>,
}

impl Tap {
    /// Its thread ends with the test.
    fn before(service: u16) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let passed = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&passed);
        std::thread::spawn(move || {
            let service = Client::new(format!("http://127.0.0.1:{service}"));
            for connection in listener.incoming() {
                // A request that fails is the daemon's to try again.
                drop(
                    connection
                        .map_err(Into::into)
                        .and_then(|stream| pass(stream, &service, &kept)),
                );
            }
        });
        Ok(Self { port, passed })
    }

    fn asked(&self, profile: &str) -> Vec<Passed> {
        let path = format!("/debug/pprof/{profile}");
        let passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        let same = passed
            .iter()
            .filter(|passed| passed.asked.split('?').next() == Some(&path));
        same.cloned().collect()
    }
}

fn pass(mut stream: TcpStream, service: &Client, kept: &Mutex<Vec<Passed>>) -> Result<()> {
    let mut request = String::new();
    let mut reader = BufReader::new(stream.try_clone()?);
    reader.read_line(&mut request)?;
    let asked = request.split(' ').nth(1).context("no path")?.to_owned();
    let mut header = String::new();
    while reader.read_line(&mut header)? > 2 {
        header.clear();
    }
    let answer = service.get(&asked)?;
    write!(
        stream,
        "HTTP/1.1 {} Passed\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.status,
        answer.content_type,
        answer.body.len()
    )?;
    stream.write_all(&answer.body)?;
    if answer.status == 200 {
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(Passed {
            asked,
            body: answer.body,
        });
    }
    Ok(())
}

#[test]
fn our_urls_say_what_the_service_said() -> Result<()> {
    let directory = TempDir::new()?;
    let go = Go::on_path();
    let parent = Cgroup::create("tool-pprof")?;
    let cgroup = parent.child("markets", Some(512 << 20))?;
    let port = free_port()?;
    let executable = go.build("markets", directory.path())?;
    let arguments = [
        "-variant=cache-leak",
        "-rate=2000000",
        &format!("-listen=127.0.0.1:{port}"),
    ];
    let service = Running::start_in(&cgroup, &executable, arguments, &directory.path().join("log"))?;
    wait_until("the service to listen", Duration::from_secs(10), || {
        Ok(service.output().contains("listening").then_some(()))
    })?;
    let tap = Tap::before(port)?;
    let config = format!(
        "[[go.endpoint]]\nexe = \"*/markets\"\nurl = \"http://127.0.0.1:{}/debug/pprof/\"\n",
        tap.port
    );
    let daemon = Daemon::start(&Options {
        executable: Path::new(LEAKWATCH),
        only: parent.path(),
        interval_seconds: 1,
        config: &config,
        arguments: &[],
    })?;
    let target = daemon.wait_target(cgroup.path())?;
    let snapshots = |profile: &str| -> Result<Vec<Value>> {
        let list = format!("/api/v1/targets/{target}/profiles?type={profile}&limit=500");
        Ok(daemon.client().json(&list)?["items"]
            .as_array()
            .context("items")?
            .clone())
    };
    for profile in ["heap", "goroutine"] {
        wait_until("three profiles", Duration::from_mins(3), || {
            Ok((snapshots(profile)?.len() >= 3).then_some(()))
        })
        .with_context(|| daemon.log())?;
        let stored = snapshots(profile)?;
        let (Some(first), Some(last)) = (stored.first(), stored.last()) else {
            anyhow::bail!("no snapshots");
        };
        let ours = [first, last].map(|snapshot| {
            let at = text(snapshot, "at");
            format!("{}/pprof/{target}/{profile}?at={at}", daemon.client().base())
        });
        // The daemon keeps both ends of the history, hence the first is the first and the last is the stored count's.
        let passed = tap.asked(profile);
        let theirs = [0, stored.len() - 1].map(|index| {
            let file = directory.path().join(format!("{profile}.{index}.pb.gz"));
            fs::write(&file, &passed[index].body).unwrap();
            file.display().to_string()
        });
        let indices: &[&str] = match profile {
            "heap" => &["inuse_space", "inuse_objects", "alloc_space", "alloc_objects"],
            _ => &["goroutine"],
        };
        for index in indices {
            let top = ["-top", "-nodecount=1000", "-nodefraction=0", "-lines"];
            let options: Vec<String> = top.iter().map(|&option| option.to_owned()).collect();
            let run = |files: &[&str]| -> Result<String> {
                let index = format!("-sample_index={index}");
                let arguments = options
                    .iter()
                    .map(String::as_str)
                    .chain([index.as_str()])
                    .chain(files.iter().copied());
                go.pprof(&arguments.collect::<Vec<_>>(), directory.path())
            };
            let top_of_theirs = run(&[&theirs[1]])?;
            assert!(top_of_theirs.contains("main."), "{top_of_theirs}");
            assert_eq!(run(&[&ours[1]])?, top_of_theirs, "-top of {profile} by {index}");
            let diff_of_theirs = run(&["-diff_base", &theirs[0], &theirs[1]])?;
            let diff_of_ours = run(&["-diff_base", &ours[0], &ours[1]])?;
            assert_eq!(diff_of_ours, diff_of_theirs, "-diff_base of {profile} by {index}");
        }
    }
    // As a person types it: without an instant, and with the parameter that the tool adds.
    let newest = format!("{}/pprof/{target}/heap", daemon.client().base());
    let top = go.pprof(&["-top", "-seconds=1", &newest], directory.path())?;
    assert!(top.contains("main.getOrQueryMarketsValues"), "{top}");

    // Asking must not disturb: a collection on our behalf (gc=1) and stopping the world (debug=2) are out of bounds.
    for passed in tap.passed.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        assert!(
            !passed.asked.contains("gc=") && !passed.asked.contains("debug="),
            "{}",
            passed.asked
        );
    }
    Ok(())
}
