//! What the kernel itself must show: the probes on real kills and exits, the samples of real cgroups. Needs root.

mod probes;
mod collect;
