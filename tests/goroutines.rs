//! Goroutines of running programs, read from outside, judged by the programs' own `/debug/pprof/goroutine`.

use anyhow::Context as _;
use anyhow::Result;
use leakwatch_goproc::goroutines::GoroutineBounds;
use leakwatch_goproc::goroutines::GoroutineLayout;
use leakwatch_goproc::goroutines::Goroutines;
use leakwatch_goproc::goroutines::ListAddress;
use leakwatch_goproc::goroutines::Snapshot;
use leakwatch_goproc::goroutines::StackState;
use leakwatch_goproc::goroutines::WaitReasons;
use leakwatch_goproc::image::Image;
use leakwatch_goproc::memory::ReadMemory as _;
use leakwatch_goproc::os::FileBytes;
use leakwatch_goproc::os::ProcessMemory;
use leakwatch_goproc::os::entry_point;
use leakwatch_goproc::pclntab::Pclntab;
use leakwatch_test_support::http::Client;
use leakwatch_test_support::process::Running;
use leakwatch_test_support::toolchains;
use leakwatch_test_support::toolchains::Form;
use leakwatch_test_support::wait::wait_until;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

/// A running program and what reading it needs.
struct Attached {
    running: Running,
    client: Client,
    memory: ProcessMemory,
    table: Pclntab<Vec<u8>>,
    bias: u64,
    layout: GoroutineLayout,
    list: ListAddress,
    reasons: WaitReasons,
}

impl Attached {
    fn start(release: &str, form: Form, arguments: &[&str], directory: &Path) -> Result<Self> {
        let executable = toolchains::build("blocked", release, form, directory)?;
        let mut command = Command::new(executable);
        command.args(arguments);
        let running = Running::start(command, &directory.join(format!("{release}-{form:?}.log")))?;
        let address = wait_until("the program to listen", Duration::from_secs(60), || {
            Ok(running
                .output()
                .lines()
                .find_map(|line| line.strip_prefix("listening ").map(str::to_owned)))
        })?;
        let pid = running.pid();
        let memory = ProcessMemory::open(pid)?;
        let file = FileBytes::executable(pid)?;
        let image = Image::parse(&file)?;
        let bias = entry_point(pid)?.context("entry")?.wrapping_sub(image.entry());
        let names = [
            "runtime.pclntab",
            "runtime.text",
            "go.func.*",
            "go:func.*",
            "runtime.allgptr",
            "runtime.allglen",
            "runtime.data",
            "runtime.edata",
        ];
        let symbols = image.symbols(&file, &names)?;
        let from = |address: u64| -> Result<Vec<u8>> {
            let segment = image
                .segments()
                .iter()
                .find(|segment| segment.file_backed().contains(&address))
                .context("segment")?;
            let length = usize::try_from(segment.file_backed().end - address)?;
            Ok(file.read_vec(segment.file_offset + (address - segment.address), length)?)
        };
        let symbol = |index: usize| symbols[index].context(names[index]);
        let table = Pclntab::parse(from(symbol(0)?)?, symbol(1)?)?.with_inline_trees(from(symbol(2).or(symbol(3))?)?);
        let minor: u32 = release.split('.').nth(1).context("minor")?.parse()?;
        let reasons = WaitReasons::find(&memory, symbol(6)? + bias..symbol(7)? + bias)?;
        Ok(Self {
            running,
            client: Client::new(format!("http://{address}")),
            memory,
            table,
            bias,
            layout: GoroutineLayout::of_release(minor).context("layout")?,
            list: ListAddress {
                array: symbol(4)? + bias,
                length: symbol(5)? + bias,
            },
            reasons: reasons.context("wait reasons")?,
        })
    }

    fn goroutines(&self) -> Goroutines<'_, ProcessMemory, Vec<u8>> {
        Goroutines::new(
            &self.memory,
            &self.table,
            self.bias,
            self.layout,
            self.list,
            GoroutineBounds::default(),
        )
    }
}

type Stacks = BTreeMap<Vec<u64>, u64>;

/// Stacks of `/debug/pprof/goroutine?debug=1`: `COUNT @ ADDRESS ...`.
fn theirs(attached: &Attached) -> Result<Stacks> {
    let text = String::from_utf8(attached.client.bytes("/debug/pprof/goroutine?debug=1")?)?;
    let mut stacks = Stacks::new();
    for line in text.lines() {
        let Some((count, addresses)) = line.split_once(" @ ") else {
            continue;
        };
        let stack = addresses
            .split_whitespace()
            .map(|address| Ok(u64::from_str_radix(address.trim_start_matches("0x"), 16)?))
            .collect::<Result<Vec<u64>>>()?;
        *stacks.entry(stack).or_default() += count.trim().parse::<u64>()?;
    }
    Ok(stacks)
}

fn ours(attached: &Attached, snapshot: &Snapshot) -> Stacks {
    let mut stacks = Stacks::new();
    for group in &snapshot.groups {
        let stack = group.stack.iter().map(|pc| pc + attached.bias).collect();
        *stacks.entry(stack).or_default() += group.count;
    }
    stacks
}

#[test]
fn stacks_are_those_of_the_program_itself() -> Result<()> {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    for release in toolchains::releases() {
        for form in [Form::Plain, Form::Pie] {
            let attached = Attached::start(release, form, &[], directory.path())?;
            let before = Instant::now();
            let snapshot = attached.goroutines().snapshot()?;
            let elapsed = before.elapsed();
            println!("{elapsed:?} {}", attached.running.pid());
            let ours = ours(&attached, &snapshot);
            let theirs = theirs(&attached)?;
            let show = |stack: &[u64]| {
                for pc in stack {
                    let pc = pc - attached.bias - 1;
                    let function = attached.table.function_at(pc).map(|f| {
                        let c = attached.table.innermost(&f, pc);
                        attached.table.frame(&f, &c)
                    });
                    println!("      {pc:#x} {function:?}");
                }
            };
            for (stack, count) in &ours {
                if theirs.get(stack) != Some(count) {
                    println!("  ours {count} {:?}", theirs.get(stack));
                    show(stack);
                }
            }
            for (stack, count) in &theirs {
                if ours.get(stack) != Some(count) {
                    println!("  theirs {count} {:?}", ours.get(stack));
                    show(stack);
                }
            }
            println!(
                "{release} {form:?} count {} partial {} listed {} moving {}",
                snapshot.count,
                snapshot
                    .groups
                    .iter()
                    .filter(|g| g.state == StackState::Partial)
                    .count(),
                snapshot.listed,
                snapshot.moving
            );
            for group in &snapshot.groups {
                print!(
                    "{:?}:{} ",
                    group.wait_reason.and_then(|r| attached.reasons.text(r)),
                    group.count
                );
            }
            println!();
        }
    }
    Ok(())
}
