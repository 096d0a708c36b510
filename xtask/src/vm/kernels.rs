//! Debian's kernels, one image of each series, in the cache. Nothing is installed: packages are downloaded and opened.

use anyhow::Context as _;
use anyhow::ensure;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use xtask::debian;
use xtask::debian::apt;
use xtask::tools;

/// Series, suite and archive. The oldest has the ring buffer since 5.8 and no 6.2 counters; the last is the newest that Debian has.
const SUITES: [(&str, &str, &str); 4] = [
    ("5.10", "bullseye-security", "http://deb.debian.org/debian-security"),
    ("6.1", "bookworm", "http://deb.debian.org/debian"),
    ("6.12", "trixie", "http://deb.debian.org/debian"),
    ("newest", "trixie-backports", "http://deb.debian.org/debian"),
];

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Small, with everything built in that a virtual machine needs.
const PACKAGE: &str = "linux-image-cloud-amd64";

/// A kernel to boot.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// Its series.
    pub(crate) name: &'static str,
    /// The image.
    pub(crate) image: PathBuf,
}

/// Programs and kernels that are needed, installed or downloaded where missing.
pub(crate) fn prepare() -> anyhow::Result<Vec<Kernel>> {
    ensure!(cfg!(target_arch = "x86_64"), "the kernels to test on are for x86_64");
    let programs = [
        ("qemu-system-x86_64", "qemu-system-x86"),
        ("busybox", "busybox-static"),
        ("cpio", "cpio"),
    ];
    debian::ensure_debian_packages(&programs)?;
    fetch()
}

/// Every series, downloaded unless it is in the cache.
fn fetch() -> anyhow::Result<Vec<Kernel>> {
    let cache = tools::cache_dir()?.join("kernels");
    let fetched = SUITES.iter().map(|(name, suite, archive)| {
        let dir = cache.join(name);
        let image = dir.join("vmlinuz");
        if !image.exists() {
            tools::step(&format!("downloading Debian's kernel {name}"), || {
                download(&dir, suite, archive, &image)
            })?;
        }
        Ok(Kernel { name, image })
    });
    fetched.collect()
}

fn download(dir: &Path, suite: &str, archive: &str, image: &Path) -> anyhow::Result<()> {
    for part in ["parts", "lists/partial", "archives/partial"] {
        fs::create_dir_all(dir.join(part)).with_context(|| format!("create {}/{part}", dir.display()))?;
    }
    let source = format!("deb [signed-by={KEYRING}] {archive} {suite} main\n");
    fs::write(dir.join("parts/suite.list"), source)?;
    tools::run(apt("apt-get", dir).args(["-qq", "update"]))?;
    // The meta package names the current version; since 7.2 the image is in a package of its own.
    let depends = [
        "--no-suggests",
        "--no-recommends",
        "--no-conflicts",
        "--no-breaks",
        "--no-replaces",
    ];
    let tree = tools::output(
        apt("apt-cache", dir)
            .args(["depends", "--recurse"])
            .args(depends)
            .arg(PACKAGE),
    )?;
    let is_version = |name: &str| name.starts_with(|first: char| first.is_ascii_digit());
    let packages = tree.lines().filter(|line| {
        ["linux-image-", "linux-binary-"]
            .iter()
            .any(|prefix| line.strip_prefix(prefix).is_some_and(is_version))
    });
    for package in packages {
        tools::run(apt("apt-get", dir).args(["-qq", "download", package]))?;
    }
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            unpack_image(&path, image)?;
            fs::remove_file(&path)?;
        }
    }
    ensure!(image.exists(), "no package of {suite} has a kernel image");
    Ok(())
}

/// Takes the kernel image out of a package, if it is in there.
fn unpack_image(package: &Path, image: &Path) -> anyhow::Result<()> {
    let staging = package.with_extension("root");
    let mut dpkg = Command::new("dpkg-deb");
    tools::run(dpkg.arg("--extract").arg(package).arg(&staging))?;
    let candidates = [staging.join("boot"), staging.join("usr/lib/modules")];
    let found = candidates.iter().find_map(|dir| find_image(dir));
    if let Some(found) = found {
        fs::copy(&found, image).with_context(|| format!("copy {}", found.display()))?;
    }
    fs::remove_dir_all(&staging).with_context(|| format!("remove {}", staging.display()))
}

/// `boot/vmlinuz-VERSION` or `usr/lib/modules/VERSION/vmlinuz`.
fn find_image(dir: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path());
    entries.flat_map(|path| [path.join("vmlinuz"), path]).find(|path| {
        path.is_file()
            && path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"))
    })
}
