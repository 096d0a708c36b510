//! The eBPF programs of leakwatch.
fn main() {}
