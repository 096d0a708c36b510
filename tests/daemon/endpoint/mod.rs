//! The endpoint collector against real Go programs and against servers that misbehave in every way we could think of.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod harness;
mod hostile;
mod real;
