//! Builds the eBPF objects with the pinned stable compiler and leaves them, without DWARF, at `target/bpf/ARCH/NAME.o`,
//! from where the build script of `leakwatch` takes them.

use crate::elf;
use crate::tools;
use anyhow::Context as _;
use std::env::consts::ARCH;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// What is always loaded, and what is loaded for one process while its allocations are captured.
const OBJECTS: [&str; 2] = ["leakwatch-ebpf", "leakwatch-ebpf-native"];
const TARGET: &str = "bpfel-unknown-none";

/// Builds the objects; unchanged bytes leave a file alone, so that nothing that embeds it is rebuilt.
pub fn main() -> anyhow::Result<()> {
    tools::step("building the eBPF objects", || {
        tools::run(cargo("build")?.arg("--release"))?;
        for name in OBJECTS {
            let linked = target_dir().join(TARGET).join("release").join(name);
            let bytes = fs::read(&linked).with_context(|| format!("read {}", linked.display()))?;
            let stripped = elf::without_dwarf(&bytes).with_context(|| format!("strip {}", linked.display()))?;
            let object = tools::workspace()
                .join("target/bpf")
                .join(ARCH)
                .join(format!("{name}.o"));
            write_if_changed(&object, &stripped)?;
        }
        Ok(())
    })
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
