//! The load: Debian's `redis-benchmark` and `wrk`, unpacked, on one processor and over loopback, for a number of requests or of seconds.

use anyhow::Context as _;
use anyhow::ensure;
use leakwatch_test_support::debian::unpacked;
use leakwatch_test_support::process::Running;
use std::env::join_paths;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// The processor of the server, and that of what makes the load.
pub(crate) const SERVER_PROCESSOR: &str = "0";
const LOAD_PROCESSOR: &str = "1";

/// Where packages of the distribution have their libraries.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
pub(crate) const REDIS_LIBRARIES: [&str; 3] = ["libjemalloc2", "liblzf1", "libatomic1"];
const WRK_LIBRARIES: [&str; 1] = ["libluajit-5.1-2"];

/// As many as `redis-benchmark` has unless told otherwise: with fewer, its steps of 8 microseconds are too coarse for the 99th percentile.
const REDIS_CLIENTS: &str = "50";
const REDIS_KEYS: &str = "100000";
const REDIS_VALUE_BYTES: &str = "64";
/// What it makes before its speed is known.
const FIRST_REQUESTS: f64 = 300_000.0;
const HTTP_CONNECTIONS: &str = "16";

/// What `wrk` prints itself has too few digits.
const SCRIPT: &str = "\
done = function(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format('result %d %d %d %d\\n', summary.requests, summary.duration, latency:percentile(99), failed))
end
";

/// Longer than asked for by so much, a load has failed.
const GRACE: Duration = Duration::from_mins(1);

/// What was seen from outside.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Served {
    pub(crate) requests_per_second: f64,
    pub(crate) p99_milliseconds: f64,
}

/// Who makes it, for one server.
#[derive(Debug)]
pub(crate) enum Load {
    /// `redis-benchmark`, to a port, which takes a number of requests: that of so many a second.
    Redis { port: u16, requests_per_second: f64 },
    /// `wrk`, to an address.
    Http { address: String, script: PathBuf },
}

/// A load that is being made.
pub(crate) struct Loading<'a> {
    load: &'a Load,
    running: Running,
    seconds: u64,
}

impl Load {
    /// On `redis-server`, whose keys are there afterwards.
    pub(crate) fn redis(port: u16, directory: &Path) -> anyhow::Result<Self> {
        let of_speed = |requests_per_second| Self::Redis {
            port,
            requests_per_second,
        };
        let first = of_speed(FIRST_REQUESTS).start(1, directory)?.finish()?;
        Ok(of_speed(first.requests_per_second))
    }

    /// On a server that speaks HTTP.
    pub(crate) fn http(address: &str, directory: &Path) -> anyhow::Result<Self> {
        let script = directory.join("result.lua");
        fs::write(&script, SCRIPT)?;
        Ok(Self::Http {
            address: address.to_owned(),
            script,
        })
    }

    /// Begins.
    pub(crate) fn start(&self, seconds: u64, directory: &Path) -> anyhow::Result<Loading<'_>> {
        let (package, libraries) = match self {
            Self::Redis { .. } => ("redis-tools", REDIS_LIBRARIES.as_slice()),
            Self::Http { .. } => ("wrk", WRK_LIBRARIES.as_slice()),
        };
        let programs = unpacked(package)?.join("usr/bin");
        let mut command = Command::new("taskset");
        command
            .args(["-c", LOAD_PROCESSOR])
            .env("LD_LIBRARY_PATH", library_path(libraries)?);
        match self {
            Self::Redis {
                port,
                requests_per_second,
            } => {
                let requests = requests_per_second * Duration::from_secs(seconds).as_secs_f64();
                command.arg(programs.join("redis-benchmark")).arg("--csv");
                command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-t", "set"]);
                command.args(["-r", REDIS_KEYS, "-d", REDIS_VALUE_BYTES, "-c", REDIS_CLIENTS]);
                command.args(["-n", &format!("{requests:.0}")]);
            }
            Self::Http { address, script } => {
                command
                    .arg(programs.join("wrk"))
                    .args(["-t", "1", "-c", HTTP_CONNECTIONS]);
                command.args(["-d", &format!("{seconds}s")]);
                command.arg("-s").arg(script).arg(format!("http://{address}/"));
            }
        }
        Ok(Loading {
            load: self,
            running: Running::start(command, &directory.join("load.log"))?,
            seconds,
        })
    }
}

impl Loading<'_> {
    /// Waits for its end.
    pub(crate) fn finish(mut self) -> anyhow::Result<Served> {
        let status = self.running.wait(Duration::from_secs(self.seconds) + GRACE)?;
        let output = self.running.output();
        ensure!(status.success(), "the load ended with {status}: {output}");
        let served = match self.load {
            Load::Redis { .. } => of_redis_benchmark(&output),
            Load::Http { .. } => of_wrk(&output)?,
        };
        served.with_context(|| format!("not understood: {output}"))
    }
}

/// The search path for the shared libraries of some packages.
pub(crate) fn library_path(packages: &[&str]) -> anyhow::Result<OsString> {
    let directories = packages
        .iter()
        .map(|package| Ok(unpacked(package)?.join(LIBRARIES)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    Ok(join_paths(directories)?)
}

/// Two lines of values in quotes: names, and those of the one command.
fn of_redis_benchmark(output: &str) -> Option<Served> {
    let mut lines = output.lines().filter(|line| line.starts_with('"'));
    let mut row = || Some(lines.next()?.split(',').map(|field| field.trim_matches('"')));
    let (names, values) = (row()?, row()?);
    let fields: Vec<(&str, &str)> = names.zip(values).collect();
    let number = |wanted: &str| fields.iter().find(|(name, _)| *name == wanted)?.1.parse().ok();
    Some(Served {
        requests_per_second: number("rps")?,
        p99_milliseconds: number("p99_latency_ms")?,
    })
}

/// The line of our script: requests, microseconds that they took together, the 99th percentile in microseconds, failures.
fn of_wrk(output: &str) -> anyhow::Result<Option<Served>> {
    let Some(line) = output.lines().find_map(|line| line.strip_prefix("result ")) else {
        return Ok(None);
    };
    let numbers = line.split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    let [requests, microseconds, p99, failed] = numbers[..] else {
        return Ok(None);
    };
    ensure!(failed < 1.0, "{failed} requests failed");
    Ok(Some(Served {
        requests_per_second: requests * 1e6 / microseconds,
        p99_milliseconds: p99 / 1e3,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_programs_print_is_understood() {
        let printed = "\
\"test\",\"rps\",\"avg_latency_ms\",\"min_latency_ms\",\"p50_latency_ms\",\"p95_latency_ms\",\"p99_latency_ms\",\"max_latency_ms\"
\"SET\",\"63816.21\",\"0.226\",\"0.024\",\"0.079\",\"0.343\",\"4.375\",\"39.295\"
";
        let served = of_redis_benchmark(printed);
        let expected = Served {
            requests_per_second: 63_816.21,
            p99_milliseconds: 4.375,
        };
        assert_eq!(served, Some(expected));
        assert_eq!(of_redis_benchmark("Could not connect"), None);
        let served = of_wrk("16 connections\nresult 80000 5000000 5843 0\n").unwrap();
        let expected = Served {
            requests_per_second: 16_000.0,
            p99_milliseconds: 5.843,
        };
        assert_eq!(served, Some(expected));
        assert!(of_wrk("result 80000 5000000 5843 3\n").is_err());
        assert_eq!(of_wrk("unable to connect\n").unwrap(), None);
    }
}
