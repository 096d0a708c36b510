//! The same leaking service started by real container engines: what leakwatch says of it must be what the engine says.
//!
//! Each engine runs on sockets and directories of its own; the cgroups that it leaves behind are removed.

use crate::LEAKWATCH;
use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_test_support::cgroup::memory_hierarchy;
use leakwatch_test_support::cgroup::remove_subtree;
use leakwatch_test_support::daemon::Daemon;
use leakwatch_test_support::daemon::Options;
use leakwatch_test_support::daemon::text;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::Go;
use leakwatch_test_support::programs::marked_line;
use leakwatch_test_support::wait::wait_until;
use serde_json::Value;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const LIMIT: u64 = 96 << 20;
const ENTRYPOINT: &str = "ENTRYPOINT [\"/markets\"]";
/// About two and a half minutes from start to kill.
const SERVICE: [&str; 5] = [
    "-variant=cache-leak",
    "-listen=127.0.0.1:6060",
    "-rate=320000",
    "-baseline=4000000",
    "-noise=0.2",
];

/// A running container and how to get rid of it. Fields are dropped in this order.
struct Container {
    id: String,
    runtime: &'static str,
    cgroup_path: String,
    /// Where the daemon looks.
    only: &'static str,
    /// Prints the exit code once the container has ended.
    wait: Command,
    _remove: Remove,
    _engine: Option<Running>,
    _cgroups: CgroupLeftovers,
    _directory: TempDir,
}

/// Runs commands when dropped.
struct Remove(Vec<Command>);

impl Drop for Remove {
    fn drop(&mut self) {
        for command in &mut self.0 {
            drop(command.output());
        }
    }
}

/// The engine's cgroups in all hierarchies. Engines leave empty ones behind.
struct CgroupLeftovers {
    /// The memory cgroup of our container.
    container: Option<PathBuf>,
    /// The engine's top-level directories that were not there before.
    ours: Vec<PathBuf>,
}

impl CgroupLeftovers {
    fn of(engine: &str) -> Result<Self> {
        let hierarchies = fs::read_dir("/sys/fs/cgroup")?.flatten().map(|entry| entry.path());
        let tops = hierarchies
            .chain([PathBuf::from("/sys/fs/cgroup")])
            .filter(|hierarchy| hierarchy.join("cgroup.procs").exists())
            .map(|hierarchy| hierarchy.join(engine));
        Ok(Self {
            container: None,
            ours: tops.filter(|top| !top.exists()).collect(),
        })
    }

    fn and_of_container(mut self, cgroup_path: &str) -> Result<Self> {
        let (memory, _) = memory_hierarchy()?;
        self.container = Some(memory.join(cgroup_path.trim_start_matches('/')));
        Ok(self)
    }
}

impl Drop for CgroupLeftovers {
    fn drop(&mut self) {
        if let Some(container) = &self.container {
            drop(remove_subtree(container));
        }
        // Monitors of a container end a moment after it, and use the engine's directories until then.
        drop(wait_until(
            "the engine's cgroups to be empty",
            Duration::from_mins(1),
            || Ok(self.ours.iter().all(|top| remove_empty(top)).then_some(())),
        ));
    }
}

/// Removes directories from the leaves up; true once they are gone. One in which something runs stays.
fn remove_empty(directory: &Path) -> bool {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path());
        }
    }
    fs::remove_dir(directory).is_ok() || !directory.exists()
}

type Test = fn() -> Result<()>;

/// All at once, on as few cores as there may be: they mostly wait.
#[test]
fn each_engine_and_leakwatch_say_the_same() {
    let engines: [(&str, Test); 3] = [
        ("docker", docker),
        ("podman", podman),
        ("containerd below kubepods", containerd_below_kubepods),
    ];
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let running = engines.map(|(name, test)| (name, scope.spawn(test)));
        let outcomes = running.into_iter().map(|(name, thread)| (name, thread.join()));
        let wrong = outcomes.filter_map(|(name, outcome)| match outcome {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{name}: {error:#}")),
            Err(_panic) => Some(format!("{name}: see above")),
        });
        wrong.collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn docker() -> Result<()> {
    if absent(&["dockerd", "docker", "containerd", "runc"]) {
        return Ok(());
    }
    let directory = TempDir::with_prefix("leakwatch-docker-")?;
    let at = |name: &str| directory.path().join(name).display().to_string();
    let socket = format!("unix://{}", at("docker.sock"));
    let docker = |arguments: &[&str]| command("docker", &["-H", &socket], arguments);
    let leftovers = CgroupLeftovers::of("docker")?;
    let engine = Running::start(
        command(
            "dockerd",
            &[
                "--iptables=false",
                "--ip6tables=false",
                "--bridge=none",
                "--storage-driver=vfs",
            ],
            &[
                "--data-root",
                &at("data"),
                "--exec-root",
                &at("exec"),
                "-H",
                &socket,
                "-p",
                &at("pid"),
            ],
        ),
        &directory.path().join("log"),
    )?;
    answers(&mut docker(&["version"])).with_context(|| engine.output())?;

    let archive = archive_of_service(directory.path())?;
    output(&mut docker(&["import", "--change", ENTRYPOINT, &archive, "markets"]))?;
    let memory = LIMIT.to_string();
    let run = ["run", "-d", "--network=none", "--memory", &memory, "markets"];
    let id = output(docker(&run).args(SERVICE))?;
    let cgroup_path = format!("/docker/{id}");
    judge(Container {
        runtime: "docker",
        only: "/docker",
        wait: docker(&["wait", &id]),
        _remove: Remove(vec![docker(&["rm", "-f", &id])]),
        _engine: Some(engine),
        _cgroups: leftovers.and_of_container(&cgroup_path)?,
        _directory: directory,
        cgroup_path,
        id,
    })
}

fn podman() -> Result<()> {
    if absent(&["podman", "conmon", "runc"]) {
        return Ok(());
    }
    let directory = TempDir::with_prefix("leakwatch-podman-")?;
    let at = |name: &str| directory.path().join(name).display().to_string();
    let (root, run_root, scratch) = (at("root"), at("run"), at("scratch"));
    let global = [
        ["--root", root.as_str()],
        ["--runroot", run_root.as_str()],
        ["--tmpdir", scratch.as_str()],
        ["--storage-driver", "vfs"],
        ["--runtime", "runc"],
        ["--cgroup-manager", "cgroupfs"],
        ["--events-backend", "file"],
    ];
    let podman = |arguments: &[&str]| command("podman", global.as_flattened(), arguments);
    let leftovers = CgroupLeftovers::of("libpod_parent")?;

    let archive = archive_of_service(directory.path())?;
    output(&mut podman(&[
        "import",
        "--change",
        ENTRYPOINT,
        &archive,
        "localhost/markets",
    ]))?;
    let memory = LIMIT.to_string();
    // Its default limits are above what a container of ours may set.
    let limits = [
        "--ulimit=nofile=1024:1024",
        "--ulimit=nproc=1000:1000",
        "--network=none",
    ];
    let run = podman(&["run", "-d", "--memory", &memory]);
    let id = output({ run }.args(limits).arg("localhost/markets").args(SERVICE))?;
    let cgroup_path = format!("/libpod_parent/libpod-{id}");
    judge(Container {
        runtime: "podman",
        only: "/libpod_parent",
        wait: podman(&["wait", &id]),
        _remove: Remove(vec![podman(&["rm", "-f", &id])]),
        _engine: None,
        _cgroups: leftovers.and_of_container(&cgroup_path)?,
        _directory: directory,
        cgroup_path,
        id,
    })
}

fn containerd_below_kubepods() -> Result<()> {
    if absent(&["containerd", "ctr", "runc"]) {
        return Ok(());
    }
    let directory = TempDir::with_prefix("leakwatch-containerd-")?;
    let at = |name: &str| directory.path().join(name).display().to_string();
    let socket = at("containerd.sock");
    let configuration = format!(
        "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = \"{socket}\"\n",
        at("root"),
        at("state")
    );
    fs::write(directory.path().join("config.toml"), configuration)?;
    let ctr = |arguments: &[&str]| command("ctr", &["-a", &socket, "-n", "k8s.io"], arguments);
    let leftovers = CgroupLeftovers::of("kubepods")?;
    let engine = Running::start(
        command("containerd", &["--config", &at("config.toml")], &[]),
        &directory.path().join("log"),
    )?;
    answers(&mut ctr(&["version"])).with_context(|| engine.output())?;

    let root = directory.path().join("rootfs");
    fs::create_dir(&root)?;
    Go::on_path().build("markets", &root)?;
    // As the kubelet names them: a pod by its uid, a container by 256 random bits.
    let uid = fs::read_to_string("/proc/sys/kernel/random/uuid")?.trim().to_owned();
    let id = format!("{uid}{uid}").replace('-', "");
    let cgroup_path = format!("/kubepods/besteffort/pod{uid}/{id}");
    let memory = LIMIT.to_string();
    let run = [
        "run",
        "-d",
        "--rootfs",
        "--memory-limit",
        &memory,
        "--cgroup",
        &cgroup_path,
    ];
    output(ctr(&run).arg(&root).args([&id, "/markets"]).args(SERVICE))?;
    judge(Container {
        runtime: "containerd",
        only: "/kubepods",
        // It warns of an exit code that is not zero.
        wait: ctr(&["tasks", "delete", &id]),
        _remove: Remove(vec![
            ctr(&["tasks", "delete", "-f", &id]),
            ctr(&["containers", "delete", &id]),
        ]),
        _engine: Some(engine),
        _cgroups: leftovers.and_of_container(&cgroup_path)?,
        _directory: directory,
        cgroup_path,
        id,
    })
}

/// From the first sample to the post-mortem.
fn judge(mut container: Container) -> Result<()> {
    let daemon = Daemon::start(&Options {
        executable: Path::new(LEAKWATCH),
        only: container.only,
        interval_seconds: 1,
        config: "[go]\ndiscover_endpoints = true\n",
        arguments: &[],
    })?;
    let listed = wait_until("the container to be listed", Duration::from_mins(2), || {
        daemon.target(&container.cgroup_path)
    });
    let target = listed.with_context(|| daemon.log())?;
    let expected = json!({
        "kind": "container",
        "container_id": container.id,
        "container_runtime": container.runtime,
        "cgroup_path": container.cgroup_path,
    });
    for (field, value) in expected.as_object().into_iter().flatten() {
        assert_eq!(target.get(field), Some(value), "{field} of {target:#}");
    }
    assert_eq!(target.pointer("/memory/limit_bytes"), Some(&json!(LIMIT)), "{target:#}");
    assert_eq!(target.pointer("/processes/0/runtime"), Some(&json!("go")), "{target:#}");

    let id = text(&target, "id");
    let mut last = Value::Null;
    let verdict = wait_until("the growing place", Duration::from_mins(10), || {
        last = daemon.investigation(id)?["verdict"].take();
        // One run of one program cannot be told from a cache.
        Ok((last["class"] == "growing" && !last["culprit"].is_null()).then(|| last.clone()))
    });
    let verdict = verdict.with_context(|| format!("{last:#}\n{}", daemon.log()))?;
    let line = marked_line("markets", "markets.go", "cache-leak")?;
    assert_eq!(
        verdict["culprit"]["function"], "main.getOrQueryMarketsValues",
        "{verdict:#}"
    );
    assert_eq!(verdict["culprit"]["line"], line, "{verdict:#}");

    let killed = wait_until("the kill to be reported", Duration::from_mins(10), || {
        daemon.post_mortem(id)
    });
    let kill = killed.with_context(|| daemon.log())?;
    assert_eq!(kill["scope"], "memcg", "{kill:#}");
    assert_eq!(kill["cgroup_path"], container.cgroup_path, "{kill:#}");
    assert_eq!(kill["limit_bytes"], LIMIT, "{kill:#}");
    assert_eq!(kill["victim"]["comm"], "markets", "{kill:#}");
    assert_eq!(kill["verdict"]["class"], "growing", "{kill:#}");
    let profiles = kill["profiles"].as_array().map_or(&[][..], Vec::as_slice);
    assert!(profiles.iter().any(|profile| profile["type"] == "heap"), "{kill:#}");

    // The engine agrees, once it has noticed: 128 + SIGKILL.
    let mut said = String::new();
    let agreed = wait_until("the engine to notice", Duration::from_mins(2), || {
        let wait = container.wait.output()?;
        said = String::from_utf8_lossy(&wait.stdout).into_owned() + &String::from_utf8_lossy(&wait.stderr);
        Ok(said.contains("137").then_some(()))
    });
    agreed.with_context(|| format!("exit code according to {}: {said}", container.runtime))?;
    Ok(())
}

/// Says so when the engine is not installed.
#[expect(clippy::print_stdout, reason = "the word for a skipped test")]
fn absent(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = programs
        .iter()
        .find(|program| !std::env::split_paths(&path).any(|directory| directory.join(program).is_file()));
    if let Some(program) = missing {
        println!("SKIP {program} is not installed");
    }
    missing.is_some()
}

/// The service as the only file of an image.
fn archive_of_service(directory: &Path) -> Result<String> {
    Go::on_path().build("markets", directory)?;
    let archive = directory.join("markets.tar").display().to_string();
    let folder = directory.display().to_string();
    output(&mut command("tar", &["cf", &archive, "-C", &folder], &["markets"]))?;
    Ok(archive)
}

fn command(program: &str, global: &[&str], arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    // Podman's monitor leaves a file `oom` where it was started.
    command.args(global).args(arguments).current_dir(std::env::temp_dir());
    command
}

/// Waits until an engine answers.
fn answers(question: &mut Command) -> Result<()> {
    wait_until("the engine to answer", Duration::from_mins(3), || {
        Ok(question.output()?.status.success().then_some(()))
    })
}

fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
