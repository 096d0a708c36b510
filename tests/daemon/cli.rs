//! The command line as a script uses it: the executable, its output and its exit codes, against a daemon of our own.

use crate::LEAKWATCH;
use anyhow::Context as _;
use anyhow::Result;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::process::Running;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::process::Output;

fn leakwatch(arguments: &[&str]) -> Result<Output> {
    Ok(Command::new(LEAKWATCH)
        .args(arguments)
        .env_remove("LEAKWATCH_ENDPOINT")
        .output()?)
}

fn check(arguments: &[&str], code: i32) -> Result<(String, String)> {
    let output = leakwatch(arguments)?;
    let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert_eq!(
        output.status.code(),
        Some(code),
        "leakwatch {}\n{out}\n{err}",
        arguments.join(" ")
    );
    Ok((out, err))
}

#[test]
fn a_running_daemon_is_asked_over_its_socket_and_over_tcp() -> Result<()> {
    let parent = Cgroup::create("cli")?;
    let child = parent.child("sleeper", Some(64 << 20))?;
    let logs = tempfile::tempdir()?;
    let sleeper = Running::start_in(
        &child,
        Path::new("/bin/sleep"),
        ["600"],
        &logs.path().join("sleeper.log"),
    )?;
    let daemon = Daemon::start(&Options {
        executable: Path::new(LEAKWATCH),
        only: parent.path(),
        interval_seconds: 1,
        config: "",
        arguments: &["--no-bpf"],
    })?;
    let id = daemon.wait_target(child.path())?;
    let socket = format!("unix://{}", daemon.directory().join("api.sock").display());
    let pid = sleeper.pid().to_string();
    for endpoint in [socket.as_str(), daemon.client().base()] {
        let ask = |arguments: &[&str], code| check(&[&["--endpoint", endpoint], arguments].concat(), code);
        let (table, _) = ask(&["targets"], 0)?;
        assert!(
            table
                .lines()
                .any(|line| line.contains(&id) && line.contains("64.0 MiB")),
            "{table}"
        );
        let (json, _) = ask(&["targets", "--output", "json"], 0)?;
        let list: Value = serde_json::from_str(&json)?;
        assert_eq!(list["items"][0]["id"], id.as_str());
        let (top, _) = ask(&["top", "--count", "1"], 0)?;
        assert!(top.contains(&id), "{top}");
        for target in [id.as_str(), pid.as_str(), child.path()] {
            let (json, _) = ask(&["investigate", target, "--output", "json"], 0)?;
            let made: Value = serde_json::from_str(&json)?;
            assert_eq!(made["target"], id.as_str(), "{target}");
            let (text, _) = ask(&["investigate", target], 0)?;
            assert!(
                text.contains("How this was found") && text.contains("sleep (pid "),
                "{text}"
            );
        }
        let (events, _) = ask(&["events", "--kinds", "verdict_change", "--target", &id], 0)?;
        assert!(events.contains("the first verdict is"), "{events}");
        ask(&["oom"], 0)?;
        let (_, err) = ask(&["investigate", "nobody"], 1)?;
        assert!(err.contains("no target `nobody`"), "{err}");
        let (_, err) = ask(&["profile", "heap", &id], 1)?;
        assert!(err.contains("no heap profile of this target"), "{err}");
        let (_, err) = ask(&["diff", "heap", &id, "--base", "-1h", "--compare", "now"], 1)?;
        assert!(err.contains("no heap profile of this target"), "{err}");
        let (_, err) = ask(&["events", "--from", "yesterday"], 2)?;
        assert!(err.contains("parameter `from`"), "{err}");
        let (_, err) = ask(&["investigate", &id, "--until-verdict", "--timeout", "1s"], 1)?;
        assert!(err.contains("no verdict within 1s"), "{err}");
    }
    Ok(())
}

#[test]
fn doctor_needs_no_daemon() -> Result<()> {
    let (text, _) = check(&["doctor", "--no-bpf"], 0)?;
    assert!(
        text.contains("cgroup_memory: ") && text.contains("to fix: start without --no-bpf"),
        "{text}"
    );
    let (json, _) = check(&["doctor", "--no-bpf", "--output", "json"], 0)?;
    let list: Value = serde_json::from_str(&json)?;
    let items = list["items"].as_array().context("items")?;
    assert!(
        items
            .iter()
            .all(|item| item["name"].is_string() && item["available"].is_boolean())
    );
    Ok(())
}

#[test]
fn the_configuration_is_checked_and_printed() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("leakwatch.toml");
    let file = path.to_str().context("path")?;
    std::fs::write(&path, "interval = \"10s\"\n[api]\nlisten = \"off\"\n")?;
    check(&["config", "check", "--config", file], 0)?;
    let (text, _) = check(&["config", "print", "--config", file, "--interval", "3"], 0)?;
    assert!(text.contains("interval = \"3s\" # flag --interval"), "{text}");
    assert!(text.contains(&format!("listen = \"off\" # {file}:3")), "{text}");
    std::fs::write(&path, "\nintervall = \"10s\"\n")?;
    let (_, err) = check(&["config", "check", "--config", file], 1)?;
    assert!(
        err.contains(&format!("{file}:2: unknown key `intervall`, did you mean `interval`?")),
        "{err}"
    );
    check(&["agent", "--config", file], 1)?;
    let (_, err) = check(&["config", "check", "--interval", "5GiB"], 2)?;
    assert!(err.contains("flag --interval"), "{err}");
    let (_, err) = check(&["agent", "--listen", "0.0.0.0:7411"], 1)?;
    assert!(err.contains("needs a token"), "{err}");
    Ok(())
}

#[test]
fn wrong_usage_is_2_and_help_is_0() -> Result<()> {
    for arguments in [
        &["nonsense"][..],
        &[],
        &["investigate"],
        &["--output", "xml", "targets"],
        &["--endpoint", "localhost:7411", "targets"],
        &["top", "--interval", "0"],
        &["investigate", "x", "--timeout", "1m"],
        &["replay", "/dev/null", "--until", "soon"],
    ] {
        let (out, err) = check(arguments, 2)?;
        assert!(out.is_empty() && !err.is_empty(), "{arguments:?}");
    }
    let (help, _) = check(&["--help"], 0)?;
    for command in ["agent", "doctor", "investigate", "replay", "completions", "Exit codes"] {
        assert!(help.contains(command), "{command}");
    }
    check(&["--version"], 0)?;
    Ok(())
}

#[test]
fn nobody_there_is_said_so() -> Result<()> {
    let (_, err) = check(&["--endpoint", "unix:///nonexistent/api.sock", "targets"], 1)?;
    assert!(err.contains("is `leakwatch agent` running?"), "{err}");
    let (_, err) = check(&["replay", "/nonexistent/recording"], 1)?;
    assert!(err.contains("/nonexistent/recording"), "{err}");
    Ok(())
}

#[test]
fn completions_and_the_manual_are_made_from_the_commands() -> Result<()> {
    for (shell, part) in [
        ("bash", "complete -F _leakwatch"),
        ("zsh", "#compdef leakwatch"),
        ("fish", "investigate"),
    ] {
        let (script, _) = check(&["completions", shell], 0)?;
        assert!(script.contains(part), "{shell}");
    }
    let (page, _) = check(&["man"], 0)?;
    assert!(
        page.starts_with(".ie") && page.contains("investigate") && page.contains(".TH leakwatch 1"),
        "{page}"
    );
    Ok(())
}
