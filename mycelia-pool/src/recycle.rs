//! How a pooled value is made clean for its next user.

/// How a value is made clean when it goes back to its pool.
///
/// The point of pooling a value is what survives: a `Vec` is emptied but keeps its buffer.
///
/// Called by the guard's drop, on the thread that drops it. If it panics, the value goes back to the pool as it is
/// and the panic goes on.
///
/// ```
/// use mycelia_pool::{Pool, Recycle};
///
/// #[derive(Default)]
/// struct Parser {
///     line: String,
///     lines: u64,
/// }
///
/// impl Recycle for Parser {
///     fn recycle(&mut self) {
///         self.line.clear(); // keeps the buffer
///         self.lines = 0;
///     }
/// }
///
/// let pool = Pool::<Parser>::new();
/// let mut parser = pool.acquire()?;
/// parser.line.push_str("GET /");
/// # Ok::<(), mycelia_pool::Exhausted>(())
/// ```
pub trait Recycle {
    /// False for values that need no cleaning: then [`recycle`](Self::recycle) is never called.
    const RECYCLES: bool = true;

    /// Makes the value clean. Cheap: it runs at every release.
    fn recycle(&mut self);
}

impl<T> Recycle for Vec<T> {
    /// Empties it and keeps the capacity.
    fn recycle(&mut self) {
        self.clear();
    }
}

impl Recycle for String {
    /// Empties it and keeps the capacity.
    fn recycle(&mut self) {
        self.clear();
    }
}
