//! Captures of real allocators in real processes, compared with what the programs themselves have counted. Needs root.

mod programs;
mod exact;
mod sampled;
mod accuracy;
mod cgo;
mod governor;
mod lifecycle;
mod verdicts;
mod growth;
mod usdt;
mod detach;
mod symbols;
