//! The one doorway to atomics, locks and cells.
//!
//! Lock-free code in Mycelia imports from here and nowhere else. Ordinarily these are std's types. Under
//! `--cfg mycelia_loom` (run by `cargo loom`) they are loom's, which explore every order in which threads can meet.
//! The cfg has a name of its own because parts of tokio do not compile under the plain `cfg(loom)`.

use std::sync::TryLockError;

/// A box made on first use. In a model it stays the library's own: loom trusts it.
pub use once_cell::race::OnceBox;

#[cfg(mycelia_loom)]
pub use self::model::*;
#[cfg(not(mycelia_loom))]
pub use self::native::*;

/// How long a contended lock is left alone, in spin hints of some 10 to 50 ns each.
const SHORTEST_PAUSE: u32 = 64;
const LONGEST_PAUSE: u32 = 256;

/// A lock that does not poison.
///
/// No code of a user runs while one of Mycelia's locks is held, so a panic cannot leave broken state behind it,
/// and a poisoned lock would only turn one failure into many.
#[derive(Debug, Default)]
pub struct Mutex<T>(MutexInner<T>);

impl<T> Mutex<T> {
    /// A lock around `value`.
    #[cfg(not(mycelia_loom))]
    pub const fn new(value: T) -> Self {
        Self(MutexInner::new(value))
    }

    /// A lock around `value`.
    #[cfg(mycelia_loom)]
    pub fn new(value: T) -> Self {
        Self(MutexInner::new(value))
    }

    /// Waits for the lock. Blocks the thread: hold it for a few instructions, never across an await.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.try_lock().unwrap_or_else(|| self.lock_contended())
    }

    #[inline]
    fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        match self.0.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Keeps away from the lock for some microseconds, so that its holder gets through a few more operations while its
    /// core has the cache lines; then for twice as long, and again; then blocks.
    #[cold]
    fn lock_contended(&self) -> MutexGuard<'_, T> {
        let mut pauses = SHORTEST_PAUSE;
        while !cfg!(mycelia_loom) && pauses <= LONGEST_PAUSE {
            for _ in 0..pauses {
                hint::spin_loop();
            }
            if let Some(guard) = self.try_lock() {
                return guard;
            }
            pauses *= 2;
        }
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The value, reached without locking because nobody else can.
    #[cfg(not(mycelia_loom))]
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(not(mycelia_loom))]
mod native {
    pub(super) use std::sync::Mutex as MutexInner;
    pub use std::sync::{Arc, MutexGuard, Weak, atomic};

    pub use std::{hint, thread, thread_local};

    /// `std::cell::UnsafeCell` behind loom's interface: the pointer is lent to a closure.
    #[derive(Debug, Default)]
    #[repr(transparent)]
    pub struct UnsafeCell<T>(std::cell::UnsafeCell<T>);

    impl<T> UnsafeCell<T> {
        /// A cell around `value`.
        pub const fn new(value: T) -> Self {
            Self(std::cell::UnsafeCell::new(value))
        }

        /// Lends a pointer for reading. The caller must see to it that nobody writes meanwhile.
        #[inline(always)]
        pub fn with<R>(&self, read: impl FnOnce(*const T) -> R) -> R {
            read(self.0.get())
        }

        /// Lends a pointer for writing. The caller must see to it that nobody else reads or writes meanwhile.
        #[inline(always)]
        pub fn with_mut<R>(&self, write: impl FnOnce(*mut T) -> R) -> R {
            write(self.0.get())
        }
    }
}

#[cfg(mycelia_loom)]
mod model {
    pub use loom::cell::UnsafeCell;
    pub(super) use loom::sync::Mutex as MutexInner;
    pub use loom::sync::{Arc, MutexGuard, atomic};
    pub use loom::{hint, lazy_static, thread, thread_local};
}
