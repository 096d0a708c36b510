//! The programs that leakwatch is compared with, in the cache. Nothing is installed: packages are downloaded and opened.

use anyhow::Context as _;
use leakwatch_test_support::debian;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use xtask::debian::apt;
use xtask::tools;

/// The stable release whose libbpf-tools have memleak; with the libraries that it needs, as it runs on any.
const SUITE: &str =
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main\n";
const MEMLEAK_PACKAGES: [&str; 5] = ["libbpf-tools", "libc6", "libelf1t64", "zlib1g", "libzstd1"];

/// `memleak` of libbpf-tools, ready for its arguments.
pub(crate) fn memleak() -> anyhow::Result<Command> {
    let dir = tools::cache_dir()?.join("memleak");
    let root = dir.join("root");
    let program = root.join("usr/sbin/memleak-libbpf");
    if !program.exists() {
        tools::step("downloading memleak", || {
            for part in ["parts", "lists/partial", "archives/partial"] {
                fs::create_dir_all(dir.join(part)).with_context(|| format!("create {}/{part}", dir.display()))?;
            }
            fs::write(dir.join("parts/trixie.list"), SUITE)?;
            tools::run(apt("apt-get", &dir).args(["-qq", "update"]))?;
            tools::run(apt("apt-get", &dir).args(["-qq", "download"]).args(MEMLEAK_PACKAGES))?;
            for entry in fs::read_dir(&dir)? {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "deb") {
                    tools::run(Command::new("dpkg-deb").arg("--extract").arg(&path).arg(&root))?;
                    fs::remove_file(&path)?;
                }
            }
            Ok(())
        })?;
    }
    let mut command = Command::new(root.join("usr/lib64/ld-linux-x86-64.so.2"));
    command
        .arg("--library-path")
        .arg(root.join("usr/lib/x86_64-linux-gnu"))
        .arg(program);
    Ok(command)
}

/// The library by which heaptrack sees what a program allocates, and where the libraries are that it needs.
pub(crate) fn heaptrack() -> anyhow::Result<(PathBuf, PathBuf)> {
    let library = debian::unpacked("libheaptrack")?.join("usr/lib/heaptrack/libheaptrack_preload.so");
    let unwind = debian::unpacked("libunwind8")?.join("usr/lib/x86_64-linux-gnu");
    Ok((library, unwind))
}
