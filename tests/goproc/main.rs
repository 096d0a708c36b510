//! Go processes read from outside and through their own endpoints: the two must be equal.

mod buildinfo;
mod pclntab;
mod goroutines;
mod refusals;
mod pprof;
mod oracle;
mod stacks;
mod heap;
mod forms;
mod wakers;
mod daemons;
