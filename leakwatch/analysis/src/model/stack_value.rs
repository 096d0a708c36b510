//! What one stack of a profile holds.

/// Values of one stack. For goroutine profiles only `inuse_objects` (the count) is set.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StackValue {
    /// Objects ever allocated (scaled up from the runtime's sample).
    pub alloc_objects: i64,
    /// Bytes ever allocated (scaled).
    pub alloc_space: i64,
    /// Objects live; for goroutine profiles the number of goroutines.
    pub inuse_objects: i64,
    /// Bytes live (scaled).
    pub inuse_space: i64,
    /// Sampling variance of `inuse_space` in bytes squared: 0 for an exact profile. The runtime samples an allocation of
    /// `size` bytes with probability `p = 1 - exp(-size/rate)`; n samples in use estimate n*size/p bytes with variance
    /// about n*(size/p)^2*(1-p).
    pub inuse_variance: f64,
}

impl StackValue {
    /// Adds the values of another sample of the same stack.
    pub fn add(&mut self, other: &Self) {
        self.alloc_objects = self.alloc_objects.saturating_add(other.alloc_objects);
        self.alloc_space = self.alloc_space.saturating_add(other.alloc_space);
        self.inuse_objects = self.inuse_objects.saturating_add(other.inuse_objects);
        self.inuse_space = self.inuse_space.saturating_add(other.inuse_space);
        self.inuse_variance += other.inuse_variance;
    }

    /// The same with the variance that sampling one of `rate` bytes leaves, as documented at [`Self::inuse_variance`]. The scaled count is
    /// `objects = n/p`, so that `n*(size/p)^2*(1-p)` is `objects*size^2*(1-p)/p`. Where the size is not known, the mean stands for it.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a variance is an estimate; 53 bits are more than it has"
    )]
    #[must_use]
    pub fn sampled(mut self, rate: i64, size: Option<i64>) -> Self {
        self.inuse_variance = 0.0;
        if rate > 1 && self.inuse_objects > 0 && self.inuse_space > 0 {
            let objects = self.inuse_objects as f64;
            let size = size.map_or(self.inuse_space as f64 / objects, |size| size as f64);
            let exponent = -size / rate as f64;
            self.inuse_variance = objects * size * size * exponent.exp() / -exponent.exp_m1();
        }
        self
    }
}
