//! The distribution's `redis-server`, stripped as it ships it, with a client that only ever adds keys; and what heaptrack says of the same.

use crate::verdicts::tools;
use crate::verdicts::tools::CommandLine;
use anyhow::Context as _;
use anyhow::Result;
use leakwatch_test_support::debian::unpacked;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::process::Signal;
use leakwatch_test_support::process::run;
use leakwatch_test_support::wait::wait_until;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::fs::File;
use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

const LIBRARIES: [&str; 3] = ["libjemalloc2", "liblzf1", "libatomic1"];
const PRINTER_LIBRARIES: [&str; 3] = [
    "libboost-iostreams1.74.0",
    "libboost-program-options1.74.0",
    "libboost-filesystem1.74.0",
];
/// Keys added ten times a second: 1.5 MB a second.
const BATCH: usize = 50;
const VALUE_BYTES: usize = 3000;
const LONG: Duration = Duration::from_hours(1);
const DEADLINE: Duration = Duration::from_mins(3);
const HEAPTRACK_KEYS: u64 = 2000;

/// The server, listening on a socket in the directory only, saving nothing.
pub(super) fn server(directory: &Path) -> Result<CommandLine> {
    // What the program is depends on the name it is called by.
    let server = directory.join("redis-server");
    if !server.exists() {
        let program = unpacked("redis-tools")?.join("usr/bin/redis-check-rdb");
        std::os::unix::fs::symlink(program, &server)?;
    }
    let mut command = tools::with_libraries(&LIBRARIES)?;
    command.push(server.into());
    command.extend(["--port", "0", "--save", "", "--unixsocket"].map(Into::into));
    command.push(socket(directory).into());
    Ok(command)
}

fn socket(directory: &Path) -> PathBuf {
    directory.join("redis.sock")
}

/// A client that adds keys until it is dropped.
pub(super) struct Client {
    stop: Arc<AtomicBool>,
    added: Arc<AtomicU64>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Client {
    /// Connects as soon as the server listens.
    pub(super) fn start(directory: &Path) -> Result<Self> {
        let stream = wait_until("the server to listen", DEADLINE, || {
            Ok(UnixStream::connect(socket(directory)).ok())
        })?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let (stop, added) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (told, count) = (Arc::clone(&stop), Arc::clone(&added));
        let thread = thread::spawn(move || add_keys(stream, &count, &told));
        Ok(Self {
            stop,
            added,
            thread: Some(thread),
        })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(self.thread.take().map(JoinHandle::join));
    }
}

fn add_keys(mut stream: UnixStream, added: &AtomicU64, stop: &AtomicBool) -> Result<()> {
    let value = "x".repeat(VALUE_BYTES);
    wait_until("the end of the test", LONG, || {
        let mut request = String::new();
        for _ in 0..BATCH {
            let key = format!("key:{}", added.fetch_add(1, Ordering::SeqCst));
            let length = key.len();
            write!(
                request,
                "*3\r\n$3\r\nSET\r\n${length}\r\n{key}\r\n${VALUE_BYTES}\r\n{value}\r\n"
            )?;
        }
        stream.write_all(request.as_bytes())?;
        stream.read_exact(&mut [0; BATCH * "+OK\r\n".len()])?;
        Ok(stop.load(Ordering::SeqCst).then_some(()))
    })
}

/// What heaptrack says of the same server under the same load: the functions of the stack that has leaked most, innermost first, without
/// the allocating function and without what has no name.
pub(super) fn heaptrack(directory: &Path) -> Result<Vec<String>> {
    let directory = directory.join("heaptrack");
    fs::create_dir(&directory)?;
    let (raw, interpreted) = (directory.join("raw"), directory.join("interpreted"));
    let tools = unpacked("libheaptrack")?.join("usr/lib/heaptrack");
    let mut server = server(&directory)?;
    // For the server alone, behind the variable that is set for it already.
    let mut preload = OsString::from("LD_PRELOAD=");
    preload.push(tools.join("libheaptrack_preload.so"));
    let mut dump = OsString::from("DUMP_HEAPTRACK_OUTPUT=");
    dump.push(&raw);
    server.splice(2..2, [preload, dump]);
    let (program, arguments) = server.split_first().context("a command")?;
    let mut command = Command::new(program);
    command.args(arguments);
    let mut running = Running::start(command, &directory.join("log"))?;
    let client = Client::start(&directory)?;
    wait_until("keys in the server", DEADLINE, || {
        Ok((client.added.load(Ordering::SeqCst) >= HEAPTRACK_KEYS).then_some(()))
    })?;
    drop(client);
    running.signal(Signal::TERM)?;
    running.wait(DEADLINE)?;
    let mut interpret = Command::new(tools.join("libexec/heaptrack_interpret"));
    interpret.stdin(File::open(&raw)?).stdout(File::create(&interpreted)?);
    run(&mut interpret)?;
    // Its libraries, and what of all it can print is wanted.
    let mut print = tools::with_libraries(&PRINTER_LIBRARIES)?;
    print.push(unpacked("heaptrack")?.join("usr/bin/heaptrack_print").into());
    print.extend(["-l", "1", "-p", "0", "-a", "0", "-T", "0", "-f"].map(Into::into));
    print.push(interpreted.into());
    let (program, arguments) = print.split_first().context("a command")?;
    Ok(largest_leak(&run(Command::new(program).args(arguments))?))
}

/// Below the first `... leaked over ... calls from:` there are two lines for a frame: the function, and a deeper one that begins with `in`
/// or `at`.
fn largest_leak(printed: &str) -> Vec<String> {
    let lines = printed
        .lines()
        .skip_while(|line| !line.ends_with("calls from:"))
        .skip(1);
    lines
        .take_while(|line| line.starts_with("    "))
        .map(str::trim)
        .filter(|line| !line.starts_with("in ") && !line.starts_with("at ") && !line.starts_with("0x"))
        .map(str::to_owned)
        .collect()
}
