//! What a process has in its own root, and may put there to harm: whatever is in the place of a file that is read for names, they are found or not,
//! nobody waits, nothing grows, and nothing outside of the root is read.

use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_mapped::read_missing_pages_as_zeros;
use leakwatch_nativeproc::image;
use leakwatch_nativeproc::symbols::Symbols;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::folder;
use leakwatch_test_support::wait::wait_until;
use rustix::fs::CWD;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::mknodat;
use std::fs;
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_mins(2);
const FUNCTION: &str = "named_by_others";
const COMPILED: &str = "compiled::at_run_time";
/// More than any of these files is worth.
const MOST_GROWTH_KIB: u64 = 256 << 10;

/// Runs a tool.
fn run(directory: &Path, line: &str) -> Result<()> {
    let mut words = line.split(' ');
    let mut tool = Command::new(words.next().context("no tool")?);
    let output = tool.args(words).current_dir(directory).output()?;
    ensure!(
        output.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// Compiles the program that says an address in its code.
fn compile(name: &str, flags: &str, directory: &Path) -> Result<PathBuf> {
    let source = folder().join("native/place.c");
    run(directory, &format!("cc -O2 -g -o {name} {} {flags}", source.display()))?;
    Ok(directory.join(name))
}

/// What is in the place of a good file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InPlace {
    Good,
    Nothing,
    Garbage,
    Fifo,
    Sparse,
    LinkOutside,
    LinkToDevice,
    LinkToItself,
    Directory,
    Changing,
}

const ALL: [InPlace; 10] = [
    InPlace::Good,
    InPlace::Nothing,
    InPlace::Garbage,
    InPlace::Fifo,
    InPlace::Sparse,
    InPlace::LinkOutside,
    InPlace::LinkToDevice,
    InPlace::LinkToItself,
    InPlace::Directory,
    InPlace::Changing,
];

/// Keeps a file changing until it is dropped.
struct Changer(&'static AtomicBool, Option<thread::JoinHandle<()>>);

impl Changer {
    fn start(path: PathBuf, good: Vec<u8>) -> Self {
        let ended: &'static AtomicBool = Box::leak(Box::new(AtomicBool::new(false)));
        let thread = thread::spawn(move || {
            let mut turn = 0_usize;
            while !ended.load(Ordering::Relaxed) {
                turn += 1;
                let length = good.len() * (turn % 5) / 4;
                drop(fs::write(&path, good.get(..length).unwrap_or(&good)));
                if turn.is_multiple_of(3) {
                    drop(fs::write(&path, [0xff; 4096]));
                }
            }
        });
        Self(ended, Some(thread))
    }
}

impl Drop for Changer {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        if let Some(thread) = self.1.take() {
            drop(thread.join());
        }
    }
}

fn put(what: InPlace, path: &Path, good: &Path) -> Result<Option<Changer>> {
    match what {
        InPlace::Good => drop(fs::copy(good, path)?),
        InPlace::Nothing => {}
        InPlace::Garbage => fs::write(path, [0x7f, b'E', b'L', b'F', 2, 1, 1, 0xff].repeat(100_000))?,
        InPlace::Fifo => mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?,
        InPlace::Sparse => {
            fs::copy(good, path)?;
            File::options().write(true).open(path)?.set_len(10 << 30)?;
        }
        InPlace::LinkOutside => symlink(good, path)?,
        InPlace::LinkToDevice => symlink("/dev/zero", path)?,
        InPlace::LinkToItself => symlink(path.file_name().context("a name")?, path)?,
        InPlace::Directory => fs::create_dir(path)?,
        InPlace::Changing => return Ok(Some(Changer::start(path.to_owned(), fs::read(good)?))),
    }
    Ok(None)
}

/// A program whose root is a directory of ours, with a good file outside of it.
struct Stage {
    directory: TempDir,
    root: PathBuf,
}

impl Stage {
    fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let root = directory.path().join("root");
        fs::create_dir_all(root.join("tmp"))?;
        fs::create_dir_all(root.join("dev"))?;
        Ok(Self { directory, root })
    }

    fn program(&self) -> Result<()> {
        compile("place", "-static", &self.root).map(drop)
    }

    fn good(&self) -> PathBuf {
        self.directory.path().join("good")
    }

    /// Starts the program and waits for the address that it says.
    fn start(&self, argument: Option<&str>) -> Result<(Running, u64)> {
        let mut command = Command::new("chroot");
        command.arg(&self.root).arg("/place").args(argument);
        let program = Running::start(command, &self.directory.path().join("output"))?;
        let address = wait_until("an address", DEADLINE, || {
            let output = program.output();
            let digits = output.lines().last().and_then(|line| line.strip_prefix("0x"));
            Ok(digits.and_then(|digits| u64::from_str_radix(digits, 16).ok()))
        })?;
        Ok((program, address))
    }
}

/// Names an address, in a thread of its own that may hang.
fn name(pid: u32, address: u64) -> Result<Frame> {
    let (said, heard) = mpsc::sync_channel(1);
    thread::spawn(move || {
        let frame = Symbols::of_process(pid).frames(address).first().cloned();
        drop(said.send(frame));
    });
    heard.recv_timeout(DEADLINE).context("it hangs")?.context("no frame")
}

fn resident_kib() -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line.context("VmRSS")?.trim_end_matches("kB").trim().parse()?)
}

#[test]
fn a_separate_file_with_debugging_information_harms_nobody() -> Result<()> {
    let stage = Stage::new()?;
    stage.program()?;
    for tool in [
        "objcopy --only-keep-debug place good.debug",
        "strip place",
        "objcopy --add-gnu-debuglink=good.debug place",
    ] {
        run(&stage.root, tool)?;
    }
    let link = stage.root.join("good.debug");
    fs::rename(&link, stage.good())?;
    let (program, address) = stage.start(None)?;
    for what in ALL {
        let before = resident_kib()?;
        let changer = put(what, &link, &stage.good())?;
        let frame = name(program.pid(), address).with_context(|| format!("{what:?}"))?;
        let found = (&*frame.function == FUNCTION, frame.line > 0);
        match what {
            InPlace::Good => assert_eq!(found, (true, true), "{frame:?}"),
            InPlace::Changing => {}
            _ => assert_eq!(found, (false, false), "{what:?}: {frame:?}"),
        }
        assert!(resident_kib()? < before + MOST_GROWTH_KIB, "{what:?}");
        drop(changer);
        drop(fs::remove_file(&link).or_else(|_| fs::remove_dir(&link)));
    }
    Ok(())
}

#[test]
fn a_link_that_leads_elsewhere_is_not_followed() -> Result<()> {
    let stage = Stage::new()?;
    stage.program()?;
    run(&stage.root, "objcopy --only-keep-debug place good.debug")?;
    fs::rename(stage.root.join("good.debug"), stage.good())?;
    run(&stage.root, "strip place")?;
    // What the link may say: objcopy leaves directories out, so the section is made by hand.
    let checksum = crc32fast::hash(&fs::read(stage.good())?);
    let path = stage.good();
    for name_in_link in [path.to_str().context("a path")?, "../good"] {
        let mut section = name_in_link.as_bytes().to_vec();
        section.resize(section.len() / 4 * 4 + 4, 0);
        section.extend(checksum.to_le_bytes());
        fs::write(stage.root.join("section"), section)?;
        run(&stage.root, "objcopy --remove-section .gnu_debuglink place")?;
        run(&stage.root, "objcopy --add-section .gnu_debuglink=section place")?;
        let (program, address) = stage.start(None)?;
        let frame = name(program.pid(), address)?;
        assert_eq!(frame.line, 0, "{name_in_link}: {frame:?}");
    }
    Ok(())
}

#[test]
fn a_list_of_what_was_compiled_at_run_time_harms_nobody() -> Result<()> {
    let stage = Stage::new()?;
    stage.program()?;
    let (program, address) = stage.start(Some("code"))?;
    fs::write(stage.good(), format!("{:x} 100 {COMPILED}\n", address - 16))?;
    let list = stage.root.join(format!("tmp/perf-{}.map", program.pid()));
    for what in ALL {
        let before = resident_kib()?;
        let changer = put(what, &list, &stage.good())?;
        let frame = name(program.pid(), address).with_context(|| format!("{what:?}"))?;
        match what {
            InPlace::Changing => {}
            // The beginning of it is good.
            InPlace::Good | InPlace::Sparse => {
                let too_large = what == InPlace::Sparse;
                assert_eq!(&*frame.function == COMPILED, !too_large, "{what:?}: {frame:?}");
            }
            _ => assert_ne!(&*frame.function, COMPILED, "{what:?}"),
        }
        assert!(resident_kib()? < before + MOST_GROWTH_KIB, "{what:?}");
        drop(changer);
        drop(fs::remove_file(&list).or_else(|_| fs::remove_dir(&list)));
    }
    Ok(())
}

/// The library that reads symbols maps the file: without the handler this test would be ended by SIGBUS.
#[test]
fn a_library_that_is_cut_short_while_it_is_read_ends_nobody() -> Result<()> {
    read_missing_pages_as_zeros()?;
    let directory = tempfile::tempdir()?;
    let executable = compile("place", "-no-pie", directory.path())?;
    let library = compile("library.so", "-shared -fPIC", directory.path())?;
    let mut command = Command::new(executable);
    command.env("LD_PRELOAD", &library);
    let program = Running::start(command, &directory.path().join("output"))?;
    let mapped = wait_until("the library to be mapped", DEADLINE, || {
        let files = image::mapped_files(program.pid()).unwrap_or_default();
        Ok(files.into_iter().find(|file| Path::new(&file.path) == library))
    })?;
    let (range, _) = mapped.mappings.first().context("a mapping")?;
    let mut symbols = Symbols::of_process(program.pid());
    symbols.frames(range.start + 0x10);
    // It stays stopped: it would touch what is gone.
    program.signal(rustix::process::Signal::STOP)?;
    File::options().write(true).open(&library)?.set_len(100)?;
    for offset in (0x20..0x400).step_by(0x20) {
        assert!(!symbols.frames(range.start + offset).is_empty());
    }
    program.signal(rustix::process::Signal::KILL)?;
    Ok(())
}
