//! Programs built by several releases of Go and in several forms, for what depends on the release.

use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// Every minor release there is a layout for, one patch release of each.
const ALL: [&str; 8] = [
    "go1.19.13",
    "go1.21.13",
    "go1.22.12",
    "go1.23.12",
    "go1.24.13",
    "go1.25.7",
    "go1.26.8",
    "go1.27.3",
];

/// Together they have every layout of a goroutine, of a memory record and of an inline tree that the others have.
const QUICK: [&str; 3] = ["go1.19.13", "go1.24.13", "go1.27.3"];

/// How a program is linked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As `go build` does.
    Plain,
    /// With debug information that is not compressed.
    Debug,
    /// Without symbols and debug information.
    Stripped,
    /// Position-independent, with symbols.
    Pie,
    /// Position-independent, without symbols and debug information.
    StrippedPie,
    /// Without symbols and without section headers: nothing but what the kernel needs to run it.
    Headerless,
    /// Linked with the C library by the system's linker, without symbols.
    Cgo,
    /// Compiled without optimisation and inlining.
    Unoptimised,
    /// With the C library inside, position-independent, without symbols.
    StaticPie,
}

impl Form {
    /// Mode, flags of the linker, flags of the compiler, and whether C may be linked.
    const fn flags(self) -> (&'static str, &'static str, &'static str, bool) {
        match self {
            Self::Plain => ("exe", "", "", false),
            Self::Debug => ("exe", "-compressdwarf=false", "", false),
            Self::Stripped | Self::Headerless => ("exe", "-s -w", "", false),
            Self::Pie => ("pie", "", "", false),
            Self::StrippedPie => ("pie", "-s -w", "", false),
            Self::Cgo => ("exe", "-s -w -linkmode=external", "", true),
            Self::Unoptimised => ("exe", "", "all=-N -l", false),
            Self::StaticPie => ("pie", "-s -w -linkmode=external -extldflags=-static-pie", "", true),
        }
    }
}

/// The releases to test: all with `LEAKWATCH_SLOW_TESTS=1`, a few that differ most otherwise.
pub fn releases() -> &'static [&'static str] {
    match std::env::var_os("LEAKWATCH_SLOW_TESTS") {
        Some(value) if value == "1" => &ALL,
        _ => &QUICK,
    }
}

/// The newest release, or all with `LEAKWATCH_SLOW_TESTS=1`: for what hardly depends on the release and builds slowly.
pub fn newest_or_all() -> &'static [&'static str] {
    let releases = releases();
    if releases.len() == QUICK.len() {
        releases.get(QUICK.len() - 1..).unwrap_or_default()
    } else {
        releases
    }
}

/// Builds `tests/programs/NAME` into `directory`; the toolchain comes through the module proxy and is kept by Go.
pub fn build(name: &str, release: &str, form: Form, directory: &Path) -> Result<PathBuf> {
    build_folder(&super::programs::folder().join(name), release, form, directory)
}

/// The same for the program in another folder.
pub fn build_folder(folder: &Path, release: &str, form: Form, directory: &Path) -> Result<PathBuf> {
    let name = folder.file_name().context("the folder's name")?.display();
    let executable = directory.join(format!("{name}-{release}-{form:?}"));
    let (mode, linker, compiler, with_c) = form.flags();
    // Go 1.19 takes a folder of its own toolchain for an unknown import when it is told to build `.`.
    let sources = fs::read_dir(folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<Vec<_>>>()?;
    let output = Command::new("go")
        .args([
            "build",
            "-buildmode",
            mode,
            "-ldflags",
            linker,
            "-gcflags",
            compiler,
            "-o",
        ])
        .arg(&executable)
        .args(
            sources
                .iter()
                .filter(|file| Path::new(file).extension().is_some_and(|kind| kind == "go")),
        )
        .current_dir(folder)
        .env("GOTOOLCHAIN", release)
        .env("CGO_ENABLED", if with_c { "1" } else { "0" })
        .env("GOFLAGS", "-mod=mod")
        .env("GOWORK", "off")
        .output()
        .context("run go; `cargo xtask test` brings one where there is none")?;
    ensure!(
        output.status.success(),
        "{release} build {name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    if form == Form::Headerless {
        remove_section_headers(&executable)?;
    }
    Ok(executable)
}

/// As `sstrip` does: the file says that it has none (`e_shoff`, `e_shnum`, `e_shstrndx`), and they are zeros.
fn remove_section_headers(executable: &Path) -> Result<()> {
    let mut bytes = fs::read(executable)?;
    let word = bytes.get(40..48).context("header")?.try_into()?;
    let number = bytes.get(60..62).context("header")?.try_into()?;
    let start = usize::try_from(u64::from_le_bytes(word))?;
    let end = start + usize::from(u16::from_le_bytes(number)) * 64;
    for range in [40..48, 60..64, start..end] {
        bytes.get_mut(range).context("section headers")?.fill(0);
    }
    Ok(fs::write(executable, bytes)?)
}

/// A copy whose build info names another version, of the same length.
pub fn relabelled(executable: &Path, from: &str, to: &str) -> Result<PathBuf> {
    let mut bytes = fs::read(executable)?;
    let find = |bytes: &[u8], text: &[u8]| bytes.windows(text.len()).position(|window| window == text);
    let record = find(&bytes, b"\xff Go buildinf:").context("build info")?;
    let rest = bytes.get(record..).unwrap_or_default();
    let version = record + find(rest, from.as_bytes()).context("version")?;
    let place = bytes.get_mut(version..version + to.len()).context("version")?;
    place.copy_from_slice(to.as_bytes());
    let copy = executable.with_extension(to);
    fs::write(&copy, bytes)?;
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755))?;
    Ok(copy)
}
