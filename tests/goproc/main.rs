//! Go processes read from outside and through their own endpoints: the two must be equal.

mod oracle;
mod stacks;
mod heap;
mod forms;
mod daemons;
