//! `cargo xtask bench`: what the daemon costs, and what the programs lose that it watches. One file or folder per benchmark; the
//! helpers that do the measured work in a process of their own are in `examples/`.
#![forbid(unsafe_code)]

mod example;
mod peers;
mod statistics;
mod idle;
mod native;
mod growth;
mod captures;
mod goproc;
mod servers;
mod contention;
mod final_heap;
mod whole;
mod page;
mod store;
mod analysis;
mod soak;

use clap::Parser;

/// Measures what the daemon costs.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask bench")]
enum Bench {
    /// Processor time and memory of the daemon beside many sleeping processes
    Idle(idle::Arguments),
    /// What a pair of malloc and free costs with probes attached, beside libbpf-tools' memleak
    Native(native::Arguments),
    /// What page faults and system calls cost while what makes memory grow is captured
    Growth(growth::Arguments),
    /// What the daemon keeps of captures that have ended: memory, eBPF maps, threads
    Captures(captures::Arguments),
    /// Reading Go processes from outside, beside their own endpoint
    Goproc(goproc::Arguments),
    /// What throughput and latency of real servers lose while they are watched
    Servers(servers::Arguments),
    /// How late a round shows and how long requests take while many readers render large profiles
    Contention(contention::Arguments),
    /// What is left of programs that are killed for their memory, and how much later they are gone for it
    #[command(name = "deaths")]
    FinalHeap(final_heap::Arguments),
    /// Whether live profiles of very many buckets are what the program's own endpoint says
    Whole(whole::Arguments),
    /// Bytes, writes and processor time of the history on disk, over simulated days
    Store(store::Arguments),
    /// Processor time of judging, by the number of targets and by how much is remembered of them
    Analysis(analysis::Arguments),
    /// What the daemon holds after a long time among programs that come and go, and whether kills were lost
    Soak(soak::Arguments),
    /// First paint of the web page, and its main thread's milliseconds per frame
    Page,
}

fn main() -> anyhow::Result<()> {
    match Bench::parse() {
        Bench::Idle(arguments) => idle::main(&arguments),
        Bench::Native(arguments) => native::main(&arguments),
        Bench::Growth(arguments) => growth::main(&arguments),
        Bench::Captures(arguments) => captures::main(&arguments),
        Bench::Goproc(arguments) => goproc::main(&arguments),
        Bench::Servers(arguments) => servers::main(&arguments),
        Bench::Contention(arguments) => contention::main(&arguments),
        Bench::FinalHeap(arguments) => final_heap::main(&arguments),
        Bench::Whole(arguments) => whole::main(&arguments),
        Bench::Store(arguments) => store::main(&arguments),
        Bench::Analysis(arguments) => analysis::main(&arguments),
        Bench::Soak(arguments) => soak::main(&arguments),
        Bench::Page => page::main(),
    }
}
