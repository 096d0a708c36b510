//! Daemons nobody here wrote, as the distribution builds and ships them: stripped, linked with the C library, at work.

use crate::oracle::compare;
use crate::stacks;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::debian;
use leakwatch_test_support::http::Client;
use leakwatch_test_support::http::free_port;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::wait::wait_until;
use std::fs;
use std::path::Path;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_mins(3);

/// Runs a program of a package with its data below a scratch directory, and compares heap and goroutines with what its own
/// endpoint on `port` says.
fn check(package: &str, program: &str, port: u16, arguments: &[String], scratch: &Path) -> Result<String> {
    let executable = debian::unpacked(package)?.join("usr/bin").join(program);
    let cgroup = Cgroup::create(program)?;
    // Some keep state in the home directory of their user.
    let program = [
        "--unset=GOGC".to_owned(),
        "--unset=GOMEMLIMIT".to_owned(),
        format!("HOME={}", scratch.display()),
        executable.display().to_string(),
    ];
    let command = program.iter().chain(arguments);
    let process = Running::start_in(&cgroup, Path::new("/usr/bin/env"), command, &scratch.join("log"))?;
    let client = Client::new(format!("http://127.0.0.1:{port}"));
    let started = wait_until("the daemon to answer", DEADLINE, || {
        Ok(client.bytes("/debug/pprof/cmdline").ok().map(drop))
    });
    started.with_context(|| process.output())?;
    let mut outside = GoProcess::attach(process.pid())?;
    let buckets = compare(&client, &mut outside).with_context(|| format!("{:?}", outside.heap_variables()))?;
    ensure!(buckets > 0, "no buckets");
    let goroutines = stacks::compare(&client, &mut outside)?;
    let numbers = outside.gc()?;
    Ok(format!(
        "{package} ({}): {buckets} buckets and {} goroutines in {} groups equal its own endpoint's; {} collections, {} bytes \
         live after the last",
        outside.binary().version(),
        goroutines.values().sum::<u64>(),
        goroutines.len(),
        numbers.collections,
        numbers.heap_marked
    ))
}

#[test]
fn prometheus() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let port = free_port()?;
    let config = scratch.path().join("prometheus.yml");
    // It watches itself, so that there is something to do.
    let scrape = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: self\n  static_configs:\n  - targets: ['127.0.0.1:{port}']\n"
    );
    fs::write(&config, scrape)?;
    let arguments = [
        format!("--config.file={}", config.display()),
        format!("--storage.tsdb.path={}", scratch.path().join("data").display()),
        format!("--web.listen-address=127.0.0.1:{port}"),
    ];
    eprintln!(
        "{}",
        check("prometheus", "prometheus", port, &arguments, scratch.path())?
    );
    Ok(())
}

#[test]
fn etcd() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let (port, peer) = (free_port()?, free_port()?);
    let arguments = [
        format!("--data-dir={}", scratch.path().join("data").display()),
        format!("--listen-client-urls=http://127.0.0.1:{port}"),
        format!("--advertise-client-urls=http://127.0.0.1:{port}"),
        format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-cluster=default=http://127.0.0.1:{peer}"),
        "--enable-pprof".to_owned(),
    ];
    eprintln!("{}", check("etcd-server", "etcd", port, &arguments, scratch.path())?);
    Ok(())
}

#[test]
fn victoria_metrics() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let port = free_port()?;
    let arguments = [
        format!("-storageDataPath={}", scratch.path().join("data").display()),
        format!("-httpListenAddr=127.0.0.1:{port}"),
    ];
    eprintln!(
        "{}",
        check("victoria-metrics", "victoria-metrics", port, &arguments, scratch.path())?
    );
    Ok(())
}

#[test]
fn caddy() -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let (port, site) = (free_port()?, free_port()?);
    let config = scratch.path().join("Caddyfile");
    let text = format!("{{\n\tadmin 127.0.0.1:{port}\n}}\nhttp://127.0.0.1:{site} {{\n\trespond \"hello\"\n}}\n");
    fs::write(&config, text)?;
    let arguments = [
        "run".to_owned(),
        "--adapter=caddyfile".to_owned(),
        format!("--config={}", config.display()),
    ];
    eprintln!("{}", check("caddy", "caddy", port, &arguments, scratch.path())?);
    Ok(())
}
