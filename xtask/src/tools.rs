//! What the subcommands share: where things are, running a command, and the programs that are installed when missing.
//!
//! Nothing is installed into the source tree: tools live in the cache directory, which later checkouts reuse.

use anyhow::Context as _;
use anyhow::bail;
use std::env;
use std::num::NonZero;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Instant;

/// 0.11 and later need a system LLVM; this one links inside the LLVM that rustc brings along.
const BPF_LINKER_VERSION: &str = "0.10.4";

/// Root of the workspace.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Cargo's target directory.
pub fn target_dir() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), |dir| workspace().join(dir))
}

/// Cache outside the source tree, created when absent: `$LEAKWATCH_CACHE`, `$XDG_CACHE_HOME/leakwatch` or `~/.cache/leakwatch`.
pub fn cache_dir() -> anyhow::Result<PathBuf> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = set("LEAKWATCH_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|dir| dir.join("leakwatch")))
        .or_else(|| set("HOME").map(|dir| dir.join(".cache/leakwatch")))
        .context("none of LEAKWATCH_CACHE, XDG_CACHE_HOME and HOME is set")?;
    std::fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    Ok(dir)
}

/// Says what happens next.
pub fn say(text: impl AsRef<str>) {
    eprintln!("xtask: {}", text.as_ref());
}

/// The cargo that runs us.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace());
    command
}

/// Runs a command to its end; its output is the user's to see.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .status()
        .with_context(|| format!("start {}", describe(command)))?;
    if !status.success() {
        bail!("{} failed: {status}", describe(command));
    }
    Ok(())
}

/// Lets a command take our place; its exit code becomes ours.
pub fn become_command(command: &mut Command) -> anyhow::Result<()> {
    Err(command.exec()).with_context(|| format!("start {}", describe(command)))
}

/// Runs a command and returns what it printed, trimmed.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("start {}", describe(command)))?;
    if !output.status.success() {
        bail!("{} failed: {}", describe(command), output.status);
    }
    let text = String::from_utf8(output.stdout).with_context(|| format!("output of {}", describe(command)))?;
    Ok(text.trim().to_owned())
}

/// Runs a step that takes a while, saying what it is and how long it took.
pub fn step<T>(what: &str, action: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    say(format!("{what} ..."));
    let start = Instant::now();
    let value = action().with_context(|| what.to_owned())?;
    say(format!("{what}: done in {:.1} s", start.elapsed().as_secs_f64()));
    Ok(value)
}

/// Does the same for each item, as many at a time as there are processors, and returns what came of each. The first error is returned when those
/// beside it have ended.
pub fn side_by_side<T: Sync, R: Send>(
    items: &[T],
    action: impl Fn(&T) -> anyhow::Result<R> + Sync,
) -> anyhow::Result<Vec<R>> {
    let at_once = thread::available_parallelism().map_or(1, NonZero::get);
    let mut all = Vec::with_capacity(items.len());
    for items in items.chunks(at_once) {
        let ended = thread::scope(|scope| {
            let begun: Vec<_> = items.iter().map(|item| scope.spawn(|| action(item))).collect();
            begun
                .into_iter()
                .map(thread::ScopedJoinHandle::join)
                .collect::<Vec<_>>()
        });
        for end in ended {
            all.push(end.unwrap_or_else(|_| bail!("a step panicked"))?);
        }
    }
    Ok(all)
}

fn describe(command: &Command) -> String {
    let arguments = command.get_args().map(std::ffi::OsStr::to_string_lossy);
    let words = std::iter::once(command.get_program().to_string_lossy()).chain(arguments);
    words.collect::<Vec<_>>().join(" ")
}

/// Installation directory of the compiler in use.
pub fn sysroot() -> anyhow::Result<PathBuf> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    output(rustc.current_dir(workspace()).args(["--print", "sysroot"])).map(PathBuf::from)
}

/// The machine's own target.
pub fn host() -> anyhow::Result<String> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let version = output(rustc.current_dir(workspace()).arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names no host")?.to_owned())
}

/// The sources of `core`, which is built from source for the bpf target.
pub fn ensure_rust_src(sysroot: &Path) -> anyhow::Result<()> {
    if sysroot.join("lib/rustlib/src/rust/library/core/src/lib.rs").exists() {
        return Ok(());
    }
    step("installing the sources of core (rustup component rust-src)", || {
        let mut rustup = Command::new("rustup");
        run(rustup.current_dir(workspace()).args(["component", "add", "rust-src"]))
    })
    .context("without rustup, install the rust-src that belongs to this rustc")
}

/// Path of bpf-linker in the cache.
pub fn ensure_bpf_linker(sysroot: &Path) -> anyhow::Result<PathBuf> {
    let root = cache_dir()?.join("tools");
    let linker = root.join("bin/bpf-linker");
    if bpf_linker_version(&linker, sysroot).is_some_and(|version| version.ends_with(BPF_LINKER_VERSION)) {
        return Ok(linker);
    }
    step(
        &format!("installing bpf-linker {BPF_LINKER_VERSION} into {}", root.display()),
        || {
            run(cargo()
                .args([
                    "install",
                    "bpf-linker",
                    "--locked",
                    "--force",
                    "--version",
                    BPF_LINKER_VERSION,
                    "--root",
                ])
                .arg(&root)
                // The work is done inside libLLVM: an unoptimised linker is built in half the time and links as fast.
                .env("CARGO_PROFILE_RELEASE_DEBUG", "0")
                .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
                .env_remove("CARGO_TARGET_DIR"))
        },
    )?;
    Ok(linker)
}

fn bpf_linker_version(linker: &Path, sysroot: &Path) -> Option<String> {
    if !linker.exists() {
        return None;
    }
    output(
        Command::new(linker)
            .arg("--version")
            .env("LD_LIBRARY_PATH", library_path(sysroot)),
    )
    .ok()
}

/// `LD_LIBRARY_PATH` with which bpf-linker finds the libLLVM of this rustc.
pub fn library_path(sysroot: &Path) -> PathBuf {
    sysroot.join("lib")
}
