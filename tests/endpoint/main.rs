//! The endpoint collector against real Go programs and against servers that misbehave in every way we could think of.

mod harness;
mod hostile;
mod real;

#[path = "../support/go.rs"]
mod go;
