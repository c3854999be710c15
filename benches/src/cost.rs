//! What one operation cost.

/// What one operation cost, as far as the [pass](crate::meter::Pass) measured it; the rest is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Nanoseconds on the clock.
    pub ns: f64,
    /// Nanoseconds of processor time, of all threads together.
    pub cpu_ns: f64,
    /// Heap requests.
    pub allocations: f64,
}
