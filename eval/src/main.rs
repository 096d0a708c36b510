//! `cargo xtask eval`: prints the scores as a table in Markdown.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use clap::Parser;

/// Judges simulated services of minutes to weeks and prints the scores.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask eval")]
struct Arguments {
    /// Seed of the first service
    #[arg(long, default_value_t = 100_000)]
    first_seed: u64,
    /// How many services
    #[arg(long, default_value_t = 6000)]
    services: u64,
    /// Length of the longest in days
    #[arg(long, default_value_t = 14.0)]
    longest_days: f64,
    /// Processors to use
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Print the runs that were judged wrong instead
    #[arg(long)]
    misses: bool,
    /// Print the course of the answers about the runs of the kinds whose names begin so instead
    #[arg(long)]
    courses: Option<String>,
}

fn main() {
    let arguments = Arguments::parse();
    let setup = leakwatch_eval::Setup {
        first_seed: arguments.first_seed,
        services: arguments.services,
        longest_seconds: arguments.longest_days * 86_400.0,
        threads: arguments.threads,
    };
    if arguments.misses || arguments.courses.is_some() {
        for course in leakwatch_eval::courses(&setup, arguments.courses.as_deref()) {
            println!("{course}");
        }
        return;
    }
    println!("| score | value |\n|---|---|");
    for (what, value) in leakwatch_eval::evaluate(&setup) {
        println!("| {what} | {value} |");
    }
}
