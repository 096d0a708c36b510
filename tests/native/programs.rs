//! Programs of `tests/programs/native` in C, compiled for the test.

use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch::capture::symbolize::profile::StackRow;
use leakwatch_nativeproc::symbols::Symbols;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs::folder;
use leakwatch_test_support::wait::wait_until;
use rustix::process::Signal;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_mins(5);

/// Held by a test while it has probes: one at a time, as they count descriptors and measure time.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static PROBES: Mutex<()> = Mutex::new(());
    PROBES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Compiles `NAME.c` to `NAME`.
pub(crate) fn compile(name: &str, directory: &Path) -> Result<PathBuf> {
    compile_with("cc", &format!("{name}.c"), name, &[], directory)
}

/// Compiles with optimisation, debugging information and, as distributions do, without frame pointers.
pub(crate) fn compile_with(
    compiler: &str,
    source: &str,
    name: &str,
    flags: &[&str],
    directory: &Path,
) -> Result<PathBuf> {
    let executable = directory.join(name);
    let output = Command::new(compiler)
        .args(["-O2", "-g", "-fomit-frame-pointer", "-o"])
        .arg(&executable)
        .arg(folder().join("native").join(source))
        .args(flags)
        .output()
        .with_context(|| format!("start {compiler}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{compiler}: {errors}");
    Ok(executable)
}

/// Runs a tool and answers what it prints.
pub(crate) fn run(directory: &Path, line: &str) -> Result<String> {
    let mut words = line.split(' ');
    let output = Command::new(words.next().context("no tool")?)
        .args(words)
        .current_dir(directory)
        .output()
        .with_context(|| line.to_owned())?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{line}: {errors}");
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a program has counted itself for one of its functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Truth {
    pub(crate) function: String,
    pub(crate) alloc_objects: i64,
    pub(crate) alloc_space: i64,
    pub(crate) inuse_objects: i64,
    pub(crate) inuse_space: i64,
}

/// A program that waits for a signal before it allocates and before it ends.
pub(crate) struct Program(Running);

impl Program {
    /// Starts it and waits until it is ready.
    pub(crate) fn start(executable: &Path, arguments: &[&str], directory: &Path) -> Result<Self> {
        let mut command = Command::new(executable);
        command.args(arguments);
        let running = Running::start(command, &directory.join("output"))?;
        let program = Self(running);
        program.wait_for("ready", || ())?;
        Ok(program)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        self.0.signal(signal)
    }

    /// Lets it allocate and answers what it has counted. `meanwhile` runs often until then.
    pub(crate) fn run(&self, meanwhile: impl FnMut()) -> Result<Vec<Truth>> {
        self.0.signal(Signal::USR1)?;
        self.wait_for("done", meanwhile)?;
        let output = self.0.output();
        let counted = output.lines().filter_map(|line| {
            let mut words = line.split(' ');
            let function = words.next().filter(|word| word.starts_with("from_"))?.to_owned();
            let mut number = || words.next()?.parse().ok();
            Some(Truth {
                function,
                alloc_objects: number()?,
                alloc_space: number()?,
                inuse_objects: number()?,
                inuse_space: number()?,
            })
        });
        Ok(counted.collect())
    }

    /// Lets it end, and answers all that it has said.
    pub(crate) fn finish(&self) -> Result<String> {
        self.0.signal(Signal::USR1)?;
        self.wait_for("end", || ())?;
        Ok(self.0.output())
    }

    /// Nanoseconds that each allocation took, its release included.
    pub(crate) fn nanoseconds_per_pair(&self) -> Option<f64> {
        let output = self.0.output();
        let number = output
            .lines()
            .find_map(|line| line.strip_prefix("nanoseconds_per_pair "))?;
        number.parse().ok()
    }

    fn wait_for(&self, word: &str, mut meanwhile: impl FnMut()) -> Result<()> {
        wait_until(word, DEADLINE, || {
            meanwhile();
            Ok(self.0.output().lines().any(|line| line == word).then_some(()))
        })
    }
}

/// What a capture has counted for the functions that say what they allocate, all called by `main`, in `pairs.c` and `kinds.c`.
#[expect(clippy::panic, reason = "called by tests only")]
pub(crate) fn counted(rows: &[StackRow], symbols: &mut Symbols) -> Vec<Truth> {
    let mut counted = Vec::new();
    for row in rows {
        let mut frame = |index| Some(symbols.frames(*row.addresses.get(index)?).first()?.clone());
        let (Some(function), Some(caller)) = (frame(0), frame(1)) else {
            panic!("a stack without a caller: {row:?}");
        };
        if function.function.starts_with("from_") {
            assert_eq!(&*caller.function, "main");
            let in_source = function.file.ends_with("pairs.c") || function.file.ends_with("kinds.c");
            assert!(in_source && function.line > 0, "{function:?}");
            counted.push(Truth {
                function: function.function.to_string(),
                alloc_objects: row.value.alloc_objects,
                alloc_space: row.value.alloc_space,
                inuse_objects: row.value.inuse_objects,
                inuse_space: row.value.inuse_space,
            });
        }
    }
    counted
}
