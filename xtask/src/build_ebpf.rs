//! The eBPF objects, which are committed at `leakwatch/bpf-objects/ARCH`: whoever builds the daemon needs neither bpf-linker nor the
//! sources of `core`. They are built with the pinned stable compiler, are stripped of DWARF and name no directory of the machine: the
//! same sources give the same bytes, which CI checks. `SOURCES` beside them has the number of the sources they were built from.

use crate::elf;
use crate::inputs;
use crate::tools;
use anyhow::Context as _;
use anyhow::ensure;
use std::env::consts::ARCH;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// What is always loaded, and what is loaded for one process while its allocations are captured.
const OBJECTS: [&str; 2] = ["leakwatch-ebpf", "leakwatch-ebpf-native"];
const TARGET: &str = "bpfel-unknown-none";
/// What the objects are made from, but for the dependencies: what those change, CI finds by the bytes.
const SOURCES: [&str; 5] = [
    "leakwatch-ebpf",
    "leakwatch-common",
    "rust-toolchain.toml",
    "xtask/src/build_ebpf.rs",
    "xtask/src/elf.rs",
];

/// Sees to it that the objects are those of the sources: builds them where somebody has changed these.
pub fn ensure() -> anyhow::Result<()> {
    let committed = fs::read_to_string(sources_file()).unwrap_or_default();
    if committed.trim() == inputs::hash(&SOURCES)? {
        return Ok(());
    }
    main()
}

/// Builds the objects; unchanged bytes leave a file alone, so that nothing that embeds it is rebuilt.
pub fn main() -> anyhow::Result<()> {
    for (name, bytes) in build()? {
        write_if_changed(&object(name), &bytes)?;
    }
    write_if_changed(&sources_file(), format!("{}\n", inputs::hash(&SOURCES)?).as_bytes())
}

/// Builds the objects and compares them with those that are committed.
pub fn check() -> anyhow::Result<()> {
    for (name, bytes) in build()? {
        let committed = fs::read(object(name)).with_context(|| format!("read {}", object(name).display()))?;
        ensure!(
            committed == bytes,
            "{} is not what its sources give; `cargo xtask build-ebpf` refreshes it",
            object(name).display()
        );
    }
    let committed = fs::read_to_string(sources_file()).unwrap_or_default();
    ensure!(
        committed.trim() == inputs::hash(&SOURCES)?,
        "{} is out of date; `cargo xtask build-ebpf` refreshes it",
        sources_file().display()
    );
    Ok(())
}

fn build() -> anyhow::Result<Vec<(&'static str, Vec<u8>)>> {
    tools::step("building the eBPF objects", || {
        tools::run(cargo("build")?.arg("--release"))?;
        let stripped = OBJECTS.map(|name| {
            let linked = target_dir().join(TARGET).join("release").join(name);
            let bytes = fs::read(&linked).with_context(|| format!("read {}", linked.display()))?;
            let stripped = elf::without_dwarf(&bytes).with_context(|| format!("strip {}", linked.display()))?;
            Ok((name, stripped))
        });
        stripped.into_iter().collect()
    })
}

fn directory() -> PathBuf {
    tools::workspace().join("leakwatch/bpf-objects").join(ARCH)
}

fn object(name: &str) -> PathBuf {
    directory().join(format!("{name}.o"))
}

fn sources_file() -> PathBuf {
    directory().join("SOURCES")
}

/// `cargo SUBCOMMAND` for the eBPF crate on the bpf target.
pub fn cargo(subcommand: &str) -> anyhow::Result<Command> {
    let sysroot = tools::sysroot()?;
    tools::ensure_rust_src(&sysroot)?;
    let linker = tools::ensure_bpf_linker(&sysroot)?;
    let mut command = tools::cargo();
    command
        .args([
            subcommand,
            "--package",
            "leakwatch-ebpf",
            "--target",
            TARGET,
            "-Z",
            "build-std=core",
        ])
        // What the host's dependencies save in build time is no model for `core` in a program that the kernel verifies.
        .args(["--config", "profile.release.package.\"*\".opt-level=3"])
        .args(["--config", "profile.release.lto=false"])
        // Lets the stable compiler build core from source; set for this call only.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker)
        .env("LD_LIBRARY_PATH", tools::library_path(&sysroot))
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(&sysroot))
        // Its own: RUSTC_BOOTSTRAP would make build scripts of the host's directory run again at every switch.
        .env("CARGO_TARGET_DIR", target_dir());
    Ok(command)
}

fn target_dir() -> PathBuf {
    tools::workspace().join("target/ebpf")
}

fn rustflags(sysroot: &Path) -> OsString {
    // The line information in .BTF.ext names source files: no directory of the build machine may stay in there.
    let remap = |from: PathBuf, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let cargo_home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")));
    let mut flags = vec![
        format!("--cfg=bpf_target_arch=\"{ARCH}\""),
        "-Cdebuginfo=2".to_owned(),
        "-Clink-arg=--btf".to_owned(),
        remap(tools::workspace(), "/leakwatch"),
        remap(sysroot.join("lib/rustlib/src/rust"), "/rust"),
    ];
    flags.extend(cargo_home.map(|home| remap(home.join("registry/src"), "/registry")));
    flags.join("\x1f").into()
}

fn write_if_changed(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    let dir = path.parent().context("path has no directory")?;
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))
}
