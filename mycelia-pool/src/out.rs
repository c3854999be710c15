//! In debug builds: which values are out, and where they were acquired.

use std::fmt;
use std::panic::Location;

/// A value that is out: what [`Pool::out`](crate::Pool::out) lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Out {
    /// Where it was acquired.
    pub acquired_at: &'static Location<'static>,
    /// What its holder has said it is for, see [`Guard::label`](crate::Guard::label).
    pub label: Option<&'static str>,
}

impl fmt::Display for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}", self.label.unwrap_or("a value"), self.acquired_at)
    }
}

#[cfg(all(debug_assertions, not(mycelia_loom)))]
pub(crate) use listed::Outs;
#[cfg(not(all(debug_assertions, not(mycelia_loom))))]
pub(crate) use unlisted::Outs;

#[cfg(all(debug_assertions, not(mycelia_loom)))]
mod listed {
    use std::collections::HashMap;
    use std::hash::{BuildHasherDefault, Hasher};
    use std::panic::Location;

    use mycelia_core::sync::Mutex;

    use super::Out;

    /// By the addresses of their slots. Beside the slots, so that these are as large as in other builds.
    pub(crate) struct Outs(Mutex<HashMap<usize, Out, BuildHasherDefault<Address>>>);

    /// The hash of an address: one multiplication, for this is done twice for each value that is acquired.
    #[derive(Default)]
    pub(crate) struct Address(u64);

    impl Hasher for Address {
        fn finish(&self) -> u64 {
            self.0
        }

        fn write(&mut self, bytes: &[u8]) {
            bytes.iter().for_each(|byte| self.write_usize(usize::from(*byte)));
        }

        fn write_usize(&mut self, address: usize) {
            self.0 = (self.0 ^ address as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    impl Outs {
        pub(crate) fn new() -> Self {
            Self(Mutex::default())
        }

        #[track_caller]
        pub(crate) fn add(&self, slot: usize) {
            let out = Out { acquired_at: Location::caller(), label: None };
            self.0.lock().insert(slot, out);
        }

        pub(crate) fn label(&self, slot: usize, label: &'static str) {
            if let Some(out) = self.0.lock().get_mut(&slot) {
                out.label = Some(label);
            }
        }

        pub(crate) fn remove(&self, slot: usize) {
            self.0.lock().remove(&slot);
        }

        pub(crate) fn list(&self) -> Vec<Out> {
            let mut all: Vec<_> = self.0.lock().values().copied().collect();
            all.sort_unstable_by_key(|out| (out.acquired_at.file(), out.acquired_at.line(), out.label));
            all
        }

        /// What a burst has needed.
        pub(crate) fn shrink(&self) {
            let mut all = self.0.lock();
            if all.len() < all.capacity() / 8 {
                let twice = all.len() * 2;
                all.shrink_to(twice);
            }
        }
    }
}

#[cfg(not(all(debug_assertions, not(mycelia_loom))))]
mod unlisted {
    use super::Out;

    pub(crate) struct Outs;

    impl Outs {
        pub(crate) fn new() -> Self {
            Self
        }
        #[inline(always)]
        pub(crate) fn add(&self, _: usize) {}
        #[inline(always)]
        pub(crate) fn label(&self, _: usize, _: &'static str) {}
        #[inline(always)]
        pub(crate) fn remove(&self, _: usize) {}
        pub(crate) fn list(&self) -> Vec<Out> {
            Vec::new()
        }
        pub(crate) fn shrink(&self) {}
    }
}
