//! Hand-made files of both formats, and hostile ones.
