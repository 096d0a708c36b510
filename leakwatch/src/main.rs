//! The command line of leakwatch.
#![forbid(unsafe_code)]

use std::process::ExitCode;

// All of it is in the library, so that the program is linked and not compiled a second time.
fn main() -> ExitCode {
    leakwatch::cli::main()
}
