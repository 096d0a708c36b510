//! `cargo xtask`: the one front door for building, running, checking and testing leakwatch. One file per subcommand; what the
//! benchmarks and the demo need as well is in the library.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stderr,
    reason = "a command-line front door reports its progress there"
)]

mod run;
mod engines;
mod forward;
mod deny;
mod dist;
mod lint;
mod tidy;
mod vm;
mod fuzz;
mod minutes;
mod noop;
mod slow;
mod soak;
mod test;
mod goproc_layouts;

use clap::Parser;
use clap::Subcommand;
use xtask::build;
use xtask::build_ebpf;
use xtask::ui;

/// Builds, runs, checks and tests leakwatch.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the eBPF objects, which are committed at leakwatch/bpf-objects/ARCH
    BuildEbpf {
        /// Compare them with the committed ones instead of replacing these
        #[arg(long)]
        check: bool,
    },
    /// Build the web page, which is committed at ui/dist
    Ui,
    /// Build the daemon, eBPF object inside, to target/release/leakwatch
    Build,
    /// Build the daemon and run it on this host
    Run(run::Arguments),
    /// Make what is handed out: Debian package, static program, OCI image, hashes
    Dist(dist::Arguments),
    /// Show a leak, its verdict and its OOM kill on real processes
    Demo(forward::Arguments),
    /// Measure what the daemon costs
    Bench(forward::Arguments),
    /// Watch programs that come and go for a long time: what the daemon holds must not grow, and no kill may be lost
    Soak(forward::Arguments),
    /// Judge simulated services of minutes to weeks and write the scores
    Eval(forward::Arguments),
    /// Formatting, dependencies, clippy (host and bpf target) and documentation, warnings being errors
    Lint,
    /// Rules no compiler checks: edges and cycles of modules, records, names, sizes of files and documents
    Tidy,
    /// The probes on other kernels, in virtual machines: cgroup v2, real kills for a cgroup's and for the machine's memory
    VmTest(vm::Arguments),
    /// Everything a change must pass: lint, fuzz targets and all tests, the ones that need root and other kernels included
    Test(test::Arguments),
    /// Each fuzz target for a while
    Fuzz(fuzz::Arguments),
    /// Write the table of the Go runtime's layouts, from the debug information of each release
    GoprocLayouts(goproc_layouts::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::BuildEbpf { check: false } => build_ebpf::main(),
        Command::BuildEbpf { check: true } => build_ebpf::check(),
        Command::Ui => ui::main(),
        Command::Build => build::main().map(drop),
        Command::Run(arguments) => run::main(&arguments),
        Command::Dist(arguments) => dist::main(&arguments),
        Command::Demo(arguments) => forward::main("leakwatch-demo", &arguments),
        Command::Bench(arguments) => forward::main("leakwatch-bench", &arguments),
        Command::Soak(arguments) => soak::main(&arguments),
        Command::Eval(arguments) => forward::optimised("leakwatch-eval", &arguments),
        Command::Lint => lint::main(),
        Command::Tidy => tidy::main(),
        Command::VmTest(arguments) => vm::main(&arguments),
        Command::Test(arguments) => test::main(&arguments),
        Command::Fuzz(arguments) => fuzz::main(&arguments),
        Command::GoprocLayouts(arguments) => goproc_layouts::main(&arguments),
    }
}
