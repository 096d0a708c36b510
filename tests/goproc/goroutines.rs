//! Goroutines of running programs, read from outside, judged by the programs' own `/debug/pprof/goroutine`.

use anyhow::Context as _;
use anyhow::Result;
use leakwatch_goproc::BinaryTable;
use leakwatch_goproc::attach::GoProcess;
use leakwatch_goproc::attach::NoGoroutines;
use leakwatch_goproc::goroutines::Calibration;
use leakwatch_goproc::goroutines::CalibrationError;
use leakwatch_goproc::goroutines::CensusGroup;
use leakwatch_goproc::goroutines::GoroutineBounds;
use leakwatch_goproc::goroutines::GoroutineSource;
use leakwatch_goproc::goroutines::Goroutines;
use leakwatch_goproc::goroutines::Group;
use leakwatch_goproc::goroutines::LayoutOrigin;
use leakwatch_goproc::goroutines::Snapshot;
use leakwatch_goproc::goroutines::StackState;
use leakwatch_goproc::goroutines::Status;
use leakwatch_goproc::layout::Layout;
use leakwatch_goproc::memory::MemoryError;
use leakwatch_goproc::os::ProcessMemory;
use leakwatch_goproc::pclntab::Frame;
use leakwatch_goproc::pclntab::Pclntab;
use leakwatch_test_support::http::Client;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::programs;
use leakwatch_test_support::toolchains;
use leakwatch_test_support::toolchains::Form;
use leakwatch_test_support::wait::wait_until;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const FORMS: [Form; 3] = [Form::Plain, Form::Stripped, Form::StrippedPie];

/// A running program and what reading it needs.
struct Attached {
    _running: Running,
    minor: u32,
    client: Client,
    process: GoProcess,
    source: GoroutineSource,
}

impl Attached {
    fn start(release: &str, form: Form, arguments: &[&str], directory: &Path) -> Result<Self> {
        let executable = toolchains::build("blocked", release, form, directory)?;
        let (running, address) = run(&executable, arguments)?;
        let mut process = GoProcess::attach(running.pid())?;
        let source = process.goroutines(GoroutineBounds::default())?.source().clone();
        assert_eq!(source.origin, LayoutOrigin::Confirmed);
        Ok(Self {
            _running: running,
            minor: release.split('.').nth(1).context("minor")?.parse()?,
            client: Client::new(format!("http://{address}")),
            process,
            source,
        })
    }

    fn table(&self) -> &Pclntab<BinaryTable> {
        self.process.binary().pclntab()
    }

    fn goroutines(&self, bounds: GoroutineBounds) -> Goroutines<'_, ProcessMemory, BinaryTable> {
        let process = &self.process;
        Goroutines::new(process.memory(), self.table(), process.bias(), &self.source, bounds)
    }
}

/// Starts the program, and answers where it listens once all its goroutines wait.
fn run(executable: &Path, arguments: &[&str]) -> Result<(Running, String)> {
    let mut command = Command::new(executable);
    command.args(arguments);
    let running = Running::start(command, &executable.with_extension("log"))?;
    let address = wait_until("the program to listen", Duration::from_mins(3), || {
        let output = running.output();
        let listening = output.lines().find_map(|line| line.strip_prefix("listening "));
        Ok(listening.map(str::to_owned))
    })?;
    Ok((running, address))
}

type Stacks = BTreeMap<Vec<u64>, u64>;

impl Attached {
    /// The call that an address of a stack stands for, as linked.
    fn frame(&self, address: u64) -> Option<Frame> {
        let pc = address.checked_sub(1)?;
        let function = self.table().function_at(pc)?;
        Some(self.table().frame(&function, &self.table().innermost(&function, pc)))
    }

    fn name(&self, address: u64) -> String {
        self.frame(address).map_or_else(String::new, |frame| frame.function)
    }

    /// Stacks in `/debug/pprof/goroutine?debug=1`, and the calls it prints for their addresses.
    fn theirs(&self) -> Result<(Stacks, BTreeMap<u64, Frame>)> {
        let text = String::from_utf8(self.client.bytes("/debug/pprof/goroutine?debug=1")?)?;
        let mut stacks = Stacks::new();
        let mut frames = BTreeMap::new();
        let number = |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16);
        for line in text.lines() {
            // `COUNT @ ADDRESS ...`
            if let Some((count, addresses)) = line.split_once(" @ ") {
                let addresses = addresses
                    .split_whitespace()
                    .map(|address| Ok(number(address)? - self.process.bias()));
                *stacks.entry(addresses.collect::<Result<_>>()?).or_default() += count.trim().parse::<u64>()?;
            }
            // `# ADDRESS FUNCTION+OFFSET FILE:LINE`
            let columns: Vec<&str> = line.split_whitespace().collect();
            if let ["#", address, function, place] = columns[..] {
                let (file, line) = place.rsplit_once(':').context("place")?;
                let (function, _) = function.rsplit_once("+0x").context("function")?;
                let frame = Frame {
                    function: function.to_owned(),
                    file: file.to_owned(),
                    line: line.parse()?,
                };
                frames.insert(number(address)? - self.process.bias() + 1, frame);
            }
        }
        Ok((stacks, frames))
    }

    fn ours(&self, snapshot: &Snapshot) -> Stacks {
        // As many calls as the profiles of each release have.
        let deepest = if self.minor < 23 { 32 } else { 128 };
        let mut stacks = Stacks::new();
        for group in &snapshot.groups {
            let stack = group.stack.iter().copied().take(deepest).collect();
            *stacks.entry(stack).or_default() += group.count;
        }
        stacks
    }

    /// Leaves out the goroutines that exist only because the profile was asked for.
    fn without_endpoint(&self, mut stacks: Stacks) -> Stacks {
        stacks.retain(|stack, _| {
            let names: Vec<String> = stack.iter().map(|address| self.name(*address)).collect();
            // A goroutine that has not begun has only the frame that all begin with.
            names != ["runtime.goexit"]
                && !names.iter().any(|name| {
                    matches!(
                        name.as_str(),
                        "net/http.(*conn).serve" | "net/http.(*connReader).backgroundRead"
                    )
                })
        });
        stacks
    }

    /// Stacks whose count is another one in `other`.
    fn describe(&self, stacks: &Stacks, other: &Stacks) -> String {
        let different = stacks.iter().filter(|(stack, count)| other.get(*stack) != Some(count));
        let lines = different.flat_map(|(stack, count)| {
            let frames = stack
                .iter()
                .map(|address| format!("    {address:#x} {:?}\n", self.frame(*address)));
            std::iter::once(format!("{count} @\n")).chain(frames)
        });
        lines.collect()
    }
}

#[test]
fn stacks_are_those_of_the_program_itself() -> Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for release in toolchains::releases() {
        for form in FORMS {
            let attached = Attached::start(release, form, &[], directory.path())?;
            let mut difference = String::new();
            // The loop that accepts connections may be caught between two of them.
            let compared = wait_until("equal stacks", Duration::from_mins(3), || {
                let snapshot = attached.goroutines(GoroutineBounds::default()).snapshot()?;
                let (theirs, frames) = attached.theirs()?;
                let theirs = attached.without_endpoint(theirs);
                let ours = attached.without_endpoint(attached.ours(&snapshot));
                difference = format!(
                    "{release} {form:?}\nours\n{}theirs\n{}",
                    attached.describe(&ours, &theirs),
                    attached.describe(&theirs, &ours)
                );
                Ok((ours == theirs).then_some((snapshot, frames)))
            });
            let (snapshot, frames) = compared.with_context(|| difference)?;
            assert!(snapshot.count >= 65, "{}", snapshot.count);
            assert_eq!((snapshot.moving, snapshot.unreadable, snapshot.over_bound), (0, 0, 0));
            for group in &snapshot.groups {
                assert_eq!(group.state, StackState::Complete, "{group:?}");
            }
            assert!(frames.len() > 30, "{}", frames.len());
            for (address, theirs) in frames {
                assert_eq!(
                    attached.frame(address).as_ref(),
                    Some(&theirs),
                    "{release} {form:?} {address:#x}"
                );
            }
            println!(
                "{release} {form:?}: {} goroutines, {} groups",
                snapshot.count,
                snapshot.groups.len()
            );
        }
    }
    Ok(())
}

#[test]
fn reasons_and_lines_are_those_of_the_source() -> Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for release in toolchains::releases() {
        let attached = Attached::start(release, Form::Plain, &["-collect"], directory.path())?;
        let snapshot = attached.goroutines(GoroutineBounds::default()).snapshot()?;
        let census = attached.goroutines(GoroutineBounds::default()).census()?;
        assert_eq!(census.count, snapshot.count);
        assert_eq!((census.stride, census.listed), (1, snapshot.listed));
        let expected = [
            ("chan receive", 20),
            ("chan send", 3),
            ("chan receive (nil chan)", 2),
            ("chan send (nil chan)", 2),
            ("select (no cases)", 2),
            ("select", 7),
            ("sleep", 4),
            ("sync.Mutex.Lock", 5),
            ("sync.WaitGroup.Wait", 6),
            ("sync.Cond.Wait", 3),
            ("IO wait", 1),
        ];
        for (mark, count) in expected {
            // Locks had no reason of their own once.
            let reason = match (mark, attached.minor) {
                ("sync.Mutex.Lock", ..=19) | ("sync.WaitGroup.Wait", ..=23) => "semacquire",
                _ => mark,
            };
            let line = programs::marked_line("blocked", "main.go", mark)?;
            let group = snapshot
                .groups
                .iter()
                .find(|group| {
                    group.status == Status::Waiting && attached.waits_in_main_at(group, mark == "IO wait") == Some(line)
                })
                .with_context(|| format!("{release}: no group waits at {mark}, line {line}"))?;
            let text = group
                .wait_reason
                .and_then(|reason| attached.source.reasons.text(reason));
            assert_eq!((text, group.count), (Some(reason), count), "{release} {mark}");
            let after = group.blocked_after.with_context(|| format!("{release} {mark}"))?;
            let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
            let now = u64::try_from(now.tv_sec)? * 1_000_000_000 + u64::try_from(now.tv_nsec)?;
            assert!(after < now && now - after < 120_000_000_000, "{after} {now}");
            let counted: u64 = census
                .groups
                .iter()
                .filter(|other| other.start == group.start && other.created_at == group.created_at)
                .map(|other| other.count)
                .sum();
            assert_eq!(counted, count, "{release} {mark}");
        }
        let syscalls = census.groups.iter().filter(|group| group.status == Status::Syscall);
        assert_eq!(syscalls.map(|group| group.count).sum::<u64>(), 1, "{release}");
    }
    Ok(())
}

impl Attached {
    fn waits_in_main_at(&self, group: &Group, below_libraries: bool) -> Option<u64> {
        let frame = if below_libraries {
            let mut frames = group.stack.iter().filter_map(|address| self.frame(*address));
            frames.find(|frame| frame.function.starts_with("main."))?
        } else {
            group.waits_at(self.table())?
        };
        frame.function.starts_with("main.").then_some(frame.line.into())
    }
}

#[test]
fn memory_alone_tells_the_layout() -> Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for release in toolchains::releases() {
        for form in FORMS {
            let attached = Attached::start(release, form, &[], directory.path())?;
            let calibration = Calibration::read(
                attached.process.memory(),
                attached.table(),
                attached.process.bias(),
                attached.source.list,
            )?;
            assert_eq!(
                calibration.settle(None),
                Ok(attached.source.layout),
                "{release} {form:?}"
            );
            assert_eq!(
                calibration.settle(Some(&attached.source.layout)),
                Ok(attached.source.layout)
            );
            // Every other layout is refused.
            let others = Layout::all().iter().map(|layout| layout.goroutine);
            let mut refused = 0;
            for other in others.filter(|other| *other != attached.source.layout) {
                let result = calibration.settle(Some(&other));
                assert!(
                    matches!(result, Err(CalibrationError::Contradiction { .. })),
                    "{release} {other:?} {result:?}"
                );
                refused += 1;
            }
            assert!(refused > 3);
        }
    }
    Ok(())
}

/// Builds a program that says that another release has built it.
fn disguise(release: &str, as_release: &str, form: Form, directory: &Path) -> Result<PathBuf> {
    assert_eq!(release.len(), as_release.len());
    let executable = toolchains::build("blocked", release, form, directory)?;
    let mut bytes = fs::read(&executable)?;
    let places: Vec<usize> = memchr::memmem::find_iter(&bytes, release).collect();
    assert!(!places.is_empty());
    for place in places {
        bytes[place..place + release.len()].copy_from_slice(as_release.as_bytes());
    }
    let disguised = directory.join(format!("{release}-as-{as_release}"));
    fs::write(&disguised, bytes)?;
    fs::set_permissions(&disguised, fs::metadata(&executable)?.permissions())?;
    Ok(disguised)
}

#[test]
fn an_unknown_release_is_learned() -> Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for (release, unknown) in [
        ("go1.19.13", "go1.94.13"),
        ("go1.24.13", "go1.94.13"),
        ("go1.27.3", "go1.97.3"),
    ] {
        let executable = disguise(release, unknown, Form::StrippedPie, directory.path())?;
        let (running, _) = run(&executable, &[])?;
        let mut process = GoProcess::attach(running.pid())?;
        assert_eq!(process.binary().version(), unknown);
        let goroutines = process.goroutines(GoroutineBounds::default())?;
        let minor = release.split('.').nth(1).context("minor")?.parse()?;
        let layout = Layout::of(minor).context("layout")?.goroutine;
        assert_eq!(
            (goroutines.source().origin, goroutines.source().layout),
            (LayoutOrigin::Learned, layout)
        );
        let snapshot = goroutines.snapshot()?;
        assert_eq!(snapshot.groups[0].count, 20);
        let reason = snapshot.groups[0]
            .wait_reason
            .and_then(|reason| goroutines.reason(reason));
        assert_eq!(reason, Some("chan receive"));
    }
    Ok(())
}

#[test]
fn a_layout_that_memory_contradicts_is_refused() -> Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for (release, wrong) in [
        ("go1.19.13", "go1.24.13"),
        ("go1.24.13", "go1.26.13"),
        ("go1.27.3", "go1.25.3"),
    ] {
        let executable = disguise(release, wrong, Form::Plain, directory.path())?;
        let (running, _) = run(&executable, &[])?;
        let mut process = GoProcess::attach(running.pid())?;
        match process.goroutines(GoroutineBounds::default()) {
            Err(NoGoroutines::Layout {
                version,
                source: CalibrationError::Contradiction { .. },
            }) => {
                assert_eq!(version, wrong);
            }
            other => panic!("{release} as {wrong}: {other:?}"),
        }
    }
    Ok(())
}

#[test]
fn a_running_goroutine_is_known_by_its_start() -> Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for release in toolchains::releases() {
        let attached = Attached::start(release, Form::Plain, &["-spin"], directory.path())?;
        // It may be waiting for its turn at any single moment.
        wait_until("a running goroutine", Duration::from_mins(3), || {
            let snapshot = attached.goroutines(GoroutineBounds::default()).snapshot()?;
            let running = snapshot.groups.iter().find(|group| group.status == Status::Running);
            Ok(running.map(|group| {
                assert_eq!(group.state, StackState::Unreadable);
                assert_eq!(
                    group
                        .stack
                        .iter()
                        .map(|address| attached.name(*address))
                        .collect::<Vec<_>>(),
                    ["main.spin"]
                );
                assert_eq!(attached.name(group.created_at), "main.main");
            }))
        })?;
    }
    Ok(())
}

/// What this thread has used of a processor.
fn processor_time() -> Result<Duration> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Ok(Duration::new(u64::try_from(now.tv_sec)?, u32::try_from(now.tv_nsec)?))
}

/// Reads again where the machine was too busy for one reading to end within its bound, as the daemon does.
fn in_time<T, E: std::error::Error + Send + Sync + 'static>(mut read: impl FnMut() -> Result<T, E>) -> Result<T> {
    wait_until("a reading to end within its bound", Duration::from_mins(5), || {
        let error = match read() {
            Ok(value) => return Ok(Some(value)),
            Err(error) => anyhow::Error::new(error),
        };
        let timed_out = |cause: &(dyn std::error::Error + 'static)| {
            matches!(cause.downcast_ref::<MemoryError>(), Some(MemoryError::TimedOut))
        };
        if error.chain().any(timed_out) {
            Ok(None)
        } else {
            Err(error)
        }
    })
}

#[test]
fn a_hundred_thousand_goroutines() -> Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for release in toolchains::releases() {
        let attached = Attached::start(release, Form::Plain, &["-many", "100000"], directory.path())?;
        let receive = |groups: &[CensusGroup]| {
            let group = groups
                .iter()
                .find(|group| attached.name(group.start + 1) == "main.receive");
            group.map(|group| group.count)
        };
        let all = attached.goroutines(GoroutineBounds::default());
        let before = processor_time()?;
        let census = in_time(|| all.census())?;
        let census_time = processor_time()?.saturating_sub(before);
        let before = processor_time()?;
        let snapshot = in_time(|| all.snapshot())?;
        let snapshot_time = processor_time()?.saturating_sub(before);
        println!(
            "{release}: census {census_time:?}, stacks {snapshot_time:?}, {} groups",
            snapshot.groups.len()
        );
        assert_eq!(receive(&census.groups), Some(100_000));
        let group = snapshot.groups.first().context("group")?;
        assert_eq!(
            (attached.name(group.start + 1).as_str(), group.count),
            ("main.receive", 100_000)
        );
        assert_eq!(snapshot.moving, 0);
        // Beyond the bound, a part tells the whole.
        let bounds = GoroutineBounds {
            goroutines: 10_000,
            ..GoroutineBounds::default()
        };
        let part = attached.goroutines(bounds);
        let census = in_time(|| part.census())?;
        let counted = receive(&census.groups).context("census")?;
        assert!(
            census.count <= 10_000 && census.stride == 11,
            "{} {}",
            census.count,
            census.stride
        );
        assert!((counted * census.stride).abs_diff(100_000) < 200, "{counted}");
        let snapshot = in_time(|| part.snapshot())?;
        assert!((snapshot.groups[0].count * snapshot.stride).abs_diff(100_000) < 200);
    }
    Ok(())
}
