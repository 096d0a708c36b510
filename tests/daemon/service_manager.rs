//! What a service manager is told, by a socket that stands in for systemd's: ready, alive, reloading, ending.

use crate::LEAKWATCH;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::wait::wait_until;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::mknodat;
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_mins(3);
/// Without a ping for so long systemd would end the daemon.
const WATCHDOG: Duration = Duration::from_secs(4);

/// Stands in for systemd.
struct Supervisor {
    socket: UnixDatagram,
    directory: TempDir,
}

impl Supervisor {
    fn new() -> Result<Self> {
        let directory = TempDir::with_prefix("leakwatch-notify-")?;
        let socket = UnixDatagram::bind(directory.path().join("notify"))?;
        Ok(Self { socket, directory })
    }

    fn environment(&self) -> [(&'static str, String); 2] {
        [
            (
                "NOTIFY_SOCKET",
                self.directory.path().join("notify").display().to_string(),
            ),
            ("WATCHDOG_USEC", WATCHDOG.as_micros().to_string()),
        ]
    }

    /// The next message; none when none comes in this time.
    fn next(&self, within: Duration) -> Result<Option<String>> {
        self.socket.set_read_timeout(Some(within))?;
        let mut buffer = [0; 4096];
        match self.socket.recv(&mut buffer) {
            Ok(length) => Ok(buffer
                .get(..length)
                .map(|text| String::from_utf8_lossy(text).into_owned())),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// All messages up to the first with this line.
    fn until(&self, line: &str) -> Result<String> {
        let mut said = String::new();
        wait_until(&format!("the daemon to say {line}"), DEADLINE, || {
            let message = self.next(DEADLINE)?.unwrap_or_default();
            said.push_str(&message);
            Ok(message.lines().any(|said| said.starts_with(line)).then_some(()))
        })
        .with_context(|| said.clone())?;
        Ok(said)
    }

    /// Waits until the daemon would be ended for its silence.
    fn trips(&self) -> Result<()> {
        wait_until("the pings to stop", DEADLINE, || {
            Ok(self.next(WATCHDOG)?.is_none().then_some(()))
        })
    }
}

/// A directory that looks like the root of a cgroup v1 hierarchy.
fn fake_hierarchy(directory: &Path) -> Result<PathBuf> {
    let root = directory.join("cgroup");
    fs::create_dir(&root)?;
    fs::write(root.join("memory.usage_in_bytes"), "0\n")?;
    fs::write(root.join("cgroup.procs"), "")?;
    Ok(root)
}

/// A cgroup whose list of processes keeps whoever opens it.
fn blocking_cgroup(root: &Path, name: &str) -> Result<PathBuf> {
    let staging = root.with_file_name(name);
    fs::create_dir(&staging)?;
    let fifo = staging.join("cgroup.procs");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
    // Whole at once: the daemon may be looking.
    fs::rename(&staging, root.join(name))?;
    Ok(root.join(name).join("cgroup.procs"))
}

#[test]
fn the_watchdog_trips_when_sampling_hangs_and_the_rest_lives() -> Result<()> {
    let manager = Supervisor::new()?;
    let root = fake_hierarchy(manager.directory.path())?;
    let options = Options {
        executable: Path::new(LEAKWATCH),
        only: "/",
        interval_seconds: 1,
        config: "",
        arguments: &["--no-bpf", "--cgroup-root", &root.display().to_string()],
    };
    let mut daemon = Daemon::start_with(&options, &manager.environment())?;
    let said = manager.until("READY=1")?;
    ensure!(!said.contains("STOPPING"), "{said}");
    for _ in 0..5 {
        manager.until("WATCHDOG=1")?;
    }

    let fifo = blocking_cgroup(&root, "hung")?;
    manager.trips()?;
    assert_eq!(daemon.client().get("/healthz")?.status, 200, "the rest lives");
    assert_eq!(daemon.client().get("/api/v1/status")?.status, 200, "the rest lives");

    // Nobody opens it again once it is gone; who has opened it meanwhile finds that nobody writes any more.
    let release = OpenOptions::new().write(true).open(&fifo)?;
    fs::remove_file(&fifo)?;
    drop(release);
    manager.until("WATCHDOG=1")?;

    blocking_cgroup(&root, "hung-again")?;
    manager.trips()?;
    daemon.process().signal(Signal::TERM)?;
    manager.until("STOPPING=1")?;
    let status = daemon.process().wait(DEADLINE)?;
    assert!(
        status.success(),
        "a hung round keeps nobody: {status}\n{}",
        daemon.log()
    );
    Ok(())
}

/// Reloads and returns what the daemon says of it.
fn reload(daemon: &mut Daemon, manager: &Supervisor, text: &str) -> Result<Value> {
    fs::write(daemon.directory().join("leakwatch.toml"), text)?;
    daemon.process().signal(Signal::HUP)?;
    manager.until("RELOADING=1")?;
    manager.until("READY=1")?;
    daemon.client().json("/api/v1/status")
}

#[test]
fn a_reload_takes_up_what_it_can_and_a_broken_file_changes_nothing() -> Result<()> {
    let manager = Supervisor::new()?;
    let parent = Cgroup::create("reload")?;
    let options = Options {
        executable: Path::new(LEAKWATCH),
        only: parent.path(),
        interval_seconds: 1,
        config: "",
        arguments: &["--no-bpf"],
    };
    let mut daemon = Daemon::start_with(&options, &manager.environment())?;
    let said = manager.until("READY=1")?;
    ensure!(said.contains("STATUS=0 targets, 0 leaks claimed"), "{said}");
    let status = daemon.client().json("/api/v1/status")?;
    assert_eq!(status.get("config_reload"), None);

    let sound = "[native]\nautomatic = false\n[go]\noutside = false\n";
    let status = reload(&mut daemon, &manager, sound)?;
    let told = |status: &Value, pointer: &str| status.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(
        told(&status, "/config_reload/applied"),
        serde_json::json!(["native.automatic"])
    );
    assert_eq!(
        told(&status, "/config_reload/need_restart"),
        serde_json::json!(["go.outside"])
    );

    let before = fs::read_to_string(daemon.directory().join("leakwatch.toml"))?;
    let status = reload(&mut daemon, &manager, &format!("{before}automtic = true\n"))?;
    let refused = told(&status, "/config_reload/refused").to_string();
    assert!(
        refused.contains("leakwatch.toml:5") && refused.contains("automtic"),
        "{refused}"
    );
    assert!(
        told(&status, "/warnings").to_string().contains("stays in force"),
        "{status}"
    );
    ensure!(daemon.log().contains("stays in force"), "{}", daemon.log());

    // Both reloads are events, newest first.
    let events = daemon.client().json("/api/v1/events?kinds=config_reload")?;
    assert_eq!(told(&events, "/items/0/detail/refused").to_string(), refused);
    assert_eq!(
        told(&events, "/items/1/detail/applied"),
        serde_json::json!(["native.automatic"])
    );

    // What was in force before the broken file still is: nothing has changed against it.
    let status = reload(&mut daemon, &manager, sound)?;
    assert_eq!(told(&status, "/config_reload/applied"), serde_json::json!([]));
    assert_eq!(told(&status, "/config_reload/refused"), Value::Null);
    Ok(())
}
