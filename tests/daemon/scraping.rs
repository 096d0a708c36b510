//! `/metrics`, the alert rules and the dashboard, judged by Prometheus's own tools and by a real Prometheus that scrapes a daemon.

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
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_mins(3);

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/prometheus")
}

/// False, and a line that says so, where the program is not installed.
#[expect(
    clippy::print_stdout,
    reason = "the output of a test is where a person looks for what it skipped"
)]
fn is_there(program: &str) -> bool {
    let there = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !there {
        println!("SKIP {program} is not installed");
    }
    there
}

/// What `promtool` says of it has to be nothing but success.
fn promtool(arguments: &[&str], input: Stdio) -> Result<()> {
    let output = Command::new("promtool")
        .current_dir(shipped())
        .args(arguments)
        .stdin(input)
        .output()?;
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    Ok(())
}

#[test]
fn the_alert_rules_do_what_they_say() -> Result<()> {
    if is_there("promtool") {
        promtool(&["check", "rules", "alerts.yml"], Stdio::null())?;
        promtool(&["test", "rules", "alerts-test.yml"], Stdio::null())?;
    }
    Ok(())
}

/// Starts a daemon that watches a process.
fn daemon(parent: &Cgroup) -> Result<Daemon> {
    Daemon::start(&Options {
        executable: Path::new(LEAKWATCH),
        only: parent.path(),
        interval_seconds: 1,
        config: "",
        arguments: &["--no-bpf"],
    })
}

#[test]
fn promtool_has_nothing_to_say_of_the_metrics() -> Result<()> {
    if !is_there("promtool") {
        return Ok(());
    }
    let parent = Cgroup::create("promtool")?;
    let child = parent.child("sleeps", Some(64 << 20))?;
    let directory = TempDir::new()?;
    let _sleeping = Running::start_in(&child, Path::new("/bin/sleep"), ["1000"], &directory.path().join("log"))?;
    let daemon = daemon(&parent)?;
    daemon.wait_target(child.path())?;
    let metrics = directory.path().join("metrics");
    fs::write(&metrics, daemon.client().bytes("/metrics")?)?;
    assert!(fs::read_to_string(&metrics)?.contains("leakwatch_target_limit_bytes{"));
    promtool(&["check", "metrics"], File::open(&metrics)?.into())
}

/// Every query of the dashboard, as Grafana would send it.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("expr").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| queries(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        _ => {}
    }
}

fn encoded(query: &str) -> String {
    let escaped = query.bytes().map(|byte| format!("%{byte:02X}"));
    escaped.collect::<Vec<String>>().concat()
}

#[test]
fn a_real_prometheus_scrapes_evaluates_and_answers_the_dashboard() -> Result<()> {
    if !is_there("prometheus") {
        return Ok(());
    }
    let parent = Cgroup::create("prometheus")?;
    let child = parent.child("sleeps", Some(64 << 20))?;
    let directory = TempDir::new()?;
    let _sleeping = Running::start_in(&child, Path::new("/bin/sleep"), ["1000"], &directory.path().join("log"))?;
    let daemon = daemon(&parent)?;
    let target = daemon.wait_target(child.path())?;
    let scraped = daemon.client().base().trim_start_matches("http://");
    let config = directory.path().join("prometheus.yml");
    let rules = shipped().join("alerts.yml");
    fs::write(
        &config,
        format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [{}]\nscrape_configs:\n- job_name: leakwatch\n  static_configs: [{{targets: [\"{scraped}\"]}}]\n",
            rules.display()
        ),
    )?;
    let address = format!("127.0.0.1:{}", free_port()?);
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            directory.path().join("data").display()
        ))
        .arg(format!("--web.listen-address={address}"));
    let prometheus = Running::start(command, &directory.path().join("prometheus.log"))?;
    let client = Client::new(format!("http://{address}"));
    let ask = |query: &str| -> Result<Value> {
        let answer = client.get(&format!("/api/v1/query?query={}", encoded(query)))?;
        let answer: Value = serde_json::from_slice(&answer.body).context("no JSON")?;
        assert_eq!(text(&answer, "status"), "success", "{query}: {answer}");
        Ok(answer.pointer("/data/result").cloned().unwrap_or_default())
    };

    let limit = format!("leakwatch_target_limit_bytes{{target=\"{target}\"}}");
    let scraped = wait_until("a scrape with the target", DEADLINE, || {
        let Ok(result) = ask(&limit) else { return Ok(None) };
        Ok(result.pointer("/0/value/1").cloned())
    })
    .with_context(|| prometheus.output())?;
    assert_eq!(scraped, Value::String((64 << 20).to_string()));

    let rules = wait_until("the rules to be evaluated", DEADLINE, || {
        let rules = client.json("/api/v1/rules")?;
        let rules = rules.pointer("/data/groups/0/rules").and_then(Value::as_array).cloned();
        let rules = rules.context("rules")?;
        Ok(rules
            .iter()
            .all(|rule| text(rule, "health") != "unknown")
            .then_some(rules))
    })?;
    for rule in &rules {
        assert_eq!(text(rule, "health"), "ok", "{rule}");
    }

    let mut asked = Vec::new();
    let dashboard = fs::read(shipped().join("dashboard.json"))?;
    queries(&serde_json::from_slice(&dashboard)?, &mut asked);
    assert!(asked.len() > 10);
    for query in asked {
        let query = query
            .replace("$service", ".*")
            .replace("$instance", ".*")
            .replace("$__rate_interval", "1m");
        ask(&query)?;
    }
    let charge = ask("leakwatch_target_unreclaimable_bytes / leakwatch_target_limit_bytes")?;
    assert!(
        charge.pointer("/0/value/1").is_some(),
        "the dashboard would be empty: {charge}"
    );
    Ok(())
}
