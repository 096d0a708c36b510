//! The servers: Debian's `redis-server`, and one each in Go and Rust of `tests/programs/native`. Each on one processor, on loopback, in
//! a cgroup of its own.

use crate::servers::load::Load;
use crate::servers::load::REDIS_LIBRARIES;
use crate::servers::load::SERVER_PROCESSOR;
use crate::servers::load::library_path;
use anyhow::Context as _;
use anyhow::bail;
use leakwatch_test_support::cgroup::Cgroup;
use leakwatch_test_support::debian::unpacked;
use leakwatch_test_support::http::free_port;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::folder;
use leakwatch_test_support::wait::wait_until;
use std::ffi::OsString;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use xtask::go;
use xtask::tools;

const DEADLINE: Duration = Duration::from_secs(30);

/// Which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Redis,
    Rust,
    Go,
}

/// One that runs. Dropping it ends it and removes its cgroup.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) cgroup: Cgroup,
    pub(crate) load: Load,
}

impl Server {
    /// Builds it where it has to be built, and starts it.
    pub(crate) fn start(kind: Kind, directory: &Path) -> anyhow::Result<Self> {
        let cgroup = Cgroup::create("servers")?;
        let log = directory.join("server.log");
        let on_its_processor = |program: PathBuf| -> Vec<OsString> {
            vec!["taskset".into(), "-c".into(), SERVER_PROCESSOR.into(), program.into()]
        };
        if kind == Kind::Redis {
            let port = free_port()?;
            let mut libraries = OsString::from("LD_LIBRARY_PATH=");
            libraries.push(library_path(&REDIS_LIBRARIES)?);
            let mut arguments = vec![libraries];
            arguments.extend(on_its_processor(redis(directory)?));
            arguments.extend(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""].map(Into::into));
            arguments.extend(["--dir".into(), directory.into()]);
            let mut running = Running::start_in(&cgroup, Path::new("/usr/bin/env"), arguments, &log)?;
            until_ready(&mut running, |_| TcpStream::connect(("127.0.0.1", port)).ok())?;
            let load = Load::redis(port, directory)?;
            return Ok(Self { running, cgroup, load });
        }
        let program = if kind == Kind::Go { go(directory)? } else { rust()? };
        let command = on_its_processor(program);
        let mut running = Running::start_in(&cgroup, Path::new("/usr/bin/env"), command, &log)?;
        let address = until_ready(&mut running, |output| {
            output
                .lines()
                .find_map(|line| line.strip_prefix("ready "))
                .map(str::to_owned)
        })?;
        let load = Load::http(&address, directory)?;
        Ok(Self { running, cgroup, load })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }
}

fn until_ready<T>(running: &mut Running, mut ready: impl FnMut(&str) -> Option<T>) -> anyhow::Result<T> {
    wait_until("the server to be ready", DEADLINE, || {
        if let Some(status) = running.ended()? {
            bail!("the server ended with {status}: {}", running.output());
        }
        Ok(ready(&running.output()))
    })
}

/// What the program is depends on the name that it is called by; the package with the tools has it under another one.
fn redis(directory: &Path) -> anyhow::Result<PathBuf> {
    let server = directory.join("redis-server");
    let program = unpacked("redis-tools")?.join("usr/bin/redis-check-rdb");
    std::os::unix::fs::symlink(program, &server)?;
    Ok(server)
}

/// `quotes`, linked with the C library.
fn go(directory: &Path) -> anyhow::Result<PathBuf> {
    let executable = directory.join("quotes");
    tools::step("building the server in Go", || {
        let mut go = Command::new("go");
        go.args(["build", "-o"]).arg(&executable).arg(".");
        go.current_dir(folder().join("native/quotes"));
        go.env("PATH", go::path_with_go()?)
            .env("CGO_ENABLED", "1")
            .env("GOWORK", "off");
        tools::run(&mut go)
    })?;
    Ok(executable)
}

/// `offers`, built once.
fn rust() -> anyhow::Result<PathBuf> {
    let target = tools::cache_dir()?.join("offers");
    tools::step("building the server in Rust", || {
        let mut cargo = tools::cargo();
        cargo
            .args(["build", "--quiet", "--release", "--locked", "--target-dir"])
            .arg(&target);
        tools::run(cargo.current_dir(folder().join("native/offers"))).context("cargo")
    })?;
    Ok(target.join("release/offers"))
}
