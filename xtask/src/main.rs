//! `cargo xtask`: the one front door for building, running, checking and testing leakwatch. One file per subcommand; what
//! several of them need (programs of the toolchain, the cache, running a command) is in `tools`.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stderr,
    reason = "a command-line front door reports its progress there"
)]

mod tools;
mod elf;
mod build_ebpf;
mod build;
mod run;
mod go;
mod engines;
mod demo;
mod bench_idle;
mod peers;
mod bench_native;
mod bench_growth;
mod bench_goproc;
mod bench_servers;
mod lint;
mod tidy;
mod vm_test;
mod test;
mod goproc_layouts;

use clap::Parser;
use clap::Subcommand;

/// Builds, runs, checks and tests leakwatch.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the eBPF objects to target/bpf/ARCH
    BuildEbpf,
    /// Build the daemon, eBPF object inside, to target/release/leakwatch
    Build,
    /// Build the daemon and run it on this host
    Run(run::Arguments),
    /// Show a leak, its verdict and its OOM kill on real processes
    Demo(demo::Arguments),
    /// Measure what the daemon costs
    #[command(subcommand)]
    Bench(Bench),
    /// Formatting, clippy (host and bpf target) and documentation, warnings being errors
    Lint,
    /// Rules no compiler checks: module edges, file sizes, module documentation
    Tidy,
    /// The probes on other kernels, in virtual machines: cgroup v2, real kills for a cgroup's and for the machine's memory
    VmTest,
    /// All tests, the ones that need root and a real kernel included
    Test(test::Arguments),
    /// Write the table of the Go runtime's layouts, from the debug information of each release
    GoprocLayouts(goproc_layouts::Arguments),
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Processor time and memory of the daemon beside many sleeping processes
    Idle(bench_idle::Arguments),
    /// What a pair of malloc and free costs with probes attached, beside libbpf-tools' memleak
    Native(bench_native::Arguments),
    /// What page faults and system calls cost while what makes memory grow is captured
    Growth(bench_growth::Arguments),
    /// Reading Go processes from outside, beside their own endpoint
    Goproc(bench_goproc::Arguments),
    /// What throughput and latency of real servers lose while they are watched
    Servers(bench_servers::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::BuildEbpf => build_ebpf::main(),
        Command::Build => build::main().map(drop),
        Command::Run(arguments) => run::main(&arguments),
        Command::Demo(arguments) => demo::main(&arguments),
        Command::Bench(Bench::Idle(arguments)) => bench_idle::main(&arguments),
        Command::Bench(Bench::Native(arguments)) => bench_native::main(&arguments),
        Command::Bench(Bench::Growth(arguments)) => bench_growth::main(&arguments),
        Command::Bench(Bench::Goproc(arguments)) => bench_goproc::main(&arguments),
        Command::Bench(Bench::Servers(arguments)) => bench_servers::main(&arguments),
        Command::Lint => lint::main(),
        Command::Tidy => tidy::main(),
        Command::VmTest => vm_test::main(),
        Command::Test(arguments) => test::main(&arguments),
        Command::GoprocLayouts(arguments) => goproc_layouts::main(&arguments),
    }
}
