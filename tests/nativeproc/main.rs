//! Native processes read from outside, as far as that needs no probes. Needs root.

mod hostile;
