//! The whole system of a virtual machine: busybox, the test program and the libraries it needs.

use anyhow::Context as _;
use anyhow::ensure;
use std::fs;
use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;
use xtask::elf;
use xtask::tools;

/// tracefs is left to the probes, which mount it themselves.
const INIT: &str = "#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo RESULT booted 0
export LEAKWATCH_TEST_VM=1 LEAKWATCH_TEST_DEATHBED=/deathbed RUST_BACKTRACE=0
/kernel probes::matrix --nocapture --test-threads=1
echo RESULT matrix $?
/kernel probes:: --skip probes::matrix --test-threads=2
echo RESULT probes $?
/kernel --ignored
echo RESULT global $?
poweroff -f
";

const APPLETS: [&str; 6] = ["sh", "mount", "cat", "true", "echo", "poweroff"];

/// Packs everything into `dir/initramfs` and returns its path: the tests, and the Go program that is killed in them.
pub(crate) fn pack(dir: &Path, program: &Path, victim: &Path) -> anyhow::Result<PathBuf> {
    let root = dir.join("root");
    if root.exists() {
        fs::remove_dir_all(&root).with_context(|| format!("remove {}", root.display()))?;
    }
    for name in ["bin", "proc", "sys", "dev", "tmp"] {
        fs::create_dir_all(root.join(name)).with_context(|| format!("create {name} in {}", root.display()))?;
    }
    copy(&which("busybox")?, &root.join("bin/busybox"))?;
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    for library in libraries(program)? {
        copy(&library, &root.join(library.strip_prefix("/").unwrap_or(&library)))?;
    }
    let stripped = elf::without_dwarf(&fs::read(program)?).with_context(|| format!("strip {}", program.display()))?;
    write_executable(&root.join("kernel"), &stripped)?;
    copy(victim, &root.join("deathbed"))?;
    write_executable(&root.join("init"), INIT.as_bytes())?;
    let archive = dir.join("initramfs");
    archive_tree(&root, &archive)?;
    Ok(archive)
}

/// The dynamic linker and what it would load.
fn libraries(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let list = tools::output(Command::new("ldd").arg(program))?;
    let paths = list.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths.map(PathBuf::from).collect())
}

fn which(program: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file());
    found.with_context(|| format!("{program} is not on PATH"))
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let dir = to.parent().context("no directory")?;
    fs::create_dir_all(dir).with_context(|| format!("create {}", dir.display()))?;
    fs::copy(from, to)
        .map(drop)
        .with_context(|| format!("copy {}", from.display()))
}

fn write_executable(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("write {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).with_context(|| format!("chmod {}", path.display()))
}

/// `find . | cpio -o -H newc > ARCHIVE` in `root`.
pub(super) fn archive_tree(root: &Path, archive: &Path) -> anyhow::Result<()> {
    let mut find = Command::new("find")
        .arg(".")
        .current_dir(root)
        .stdout(Stdio::piped())
        .spawn()?;
    let names = find.stdout.take().context("output of find")?;
    let output = File::create(archive).with_context(|| format!("create {}", archive.display()))?;
    let mut cpio = Command::new("cpio");
    cpio.args(["-o", "-H", "newc", "--quiet"])
        .current_dir(root)
        .stdin(names)
        .stdout(output);
    tools::run(&mut cpio)?;
    ensure!(find.wait()?.success(), "find failed in {}", root.display());
    Ok(())
}
