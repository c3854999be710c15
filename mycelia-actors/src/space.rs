//! Room for handler futures, reused from message to message.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::marker::PhantomData;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

use mycelia_core::Patience;

/// A buffer that holds one future at a time. It grows to the largest future it has held, and allocates only for that.
///
/// One that is far too large gives its memory back when it is to hold a future that needs less than an eighth of it, or nothing; if
/// large futures come again and again, only after many such moments.
///
/// [`place`](Self::place) borrows the space for as long as the future lives, so the borrow checker sees to it that
/// there is one future at a time, and that it does not outlive what it borrows.
pub(crate) struct Space {
    memory: NonNull<u8>,
    /// What was allocated; 0 before the first allocation. (No future is larger than 4 GiB.)
    size: u32,
    /// The power of two that it is aligned to.
    align: u8,
    patience: Patience,
}

/// A space up to this size keeps it.
const LARGE: usize = 1024;

// SAFETY: a space without a future in it is plain memory, and `Placed` borrows it while there is one.
unsafe impl Send for Space {}

impl Space {
    pub(crate) const fn new() -> Self {
        Self { memory: NonNull::dangling(), size: 0, align: 0, patience: Patience::new() }
    }

    /// Moves a future in. Its type stays known, for a first poll without indirection.
    #[inline]
    pub(crate) fn place<'a, F: Future<Output = ()> + Send + 'a>(&'a mut self, future: F) -> Placed<'a, F> {
        let needed = Layout::new::<F>();
        let most = const { if size_of::<F>() < LARGE / 8 { LARGE } else { size_of::<F>() * 8 } };
        let spare = (self.size as usize).wrapping_sub(needed.size());
        // One comparison says both that it fits and that it is not far too large.
        if spare > most - needed.size() || needed.align().trailing_zeros() > u32::from(self.align) {
            self.refit(needed);
        }
        let place = self.memory.cast::<F>();
        // SAFETY: the memory is large and aligned enough, and empty: an earlier `Placed` has dropped its future (or was
        // forgotten, and then nobody looks at it again).
        unsafe { place.write(future) };
        Placed { future: place, space: PhantomData }
    }

    /// The loop has nothing to do.
    #[inline]
    pub(crate) fn idle(&mut self) {
        if self.size as usize > LARGE {
            self.refit(Layout::new::<()>());
        }
    }

    /// The space does not fit, or is far too large.
    #[cold]
    fn refit(&mut self, needed: Layout) {
        let (size, align) = (self.size as usize, needed.align().max(1 << self.align));
        if needed.size() > size || needed.align() > 1 << self.align {
            if needed.size() > LARGE {
                self.patience.grow();
            }
            return self.allocate(needed.size().max(size).max(1), align);
        }
        if self.patience.little() {
            self.allocate(needed.size(), needed.align());
        }
    }

    fn allocate(&mut self, size: usize, align: usize) {
        self.free();
        // Before the allocation, which may be none.
        (self.memory, self.size, self.align) = (NonNull::dangling(), 0, 0);
        if size == 0 {
            return;
        }
        let (Ok(layout), Ok(size)) = (Layout::from_size_align(size, align), u32::try_from(size)) else {
            unreachable!("the size and alignment of types that exist")
        };
        // SAFETY: the size is at least 1.
        let memory = unsafe { alloc(layout) };
        self.memory = NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout));
        (self.size, self.align) = (size, align.trailing_zeros() as u8);
    }

    /// Leaves the pointer dangling: an allocation or the end comes next.
    fn free(&mut self) {
        if self.size > 0 {
            // SAFETY: these made a layout in `allocate`, with which the memory was allocated.
            unsafe {
                let layout = Layout::from_size_align_unchecked(self.size as usize, 1 << self.align);
                dealloc(self.memory.as_ptr(), layout);
            }
        }
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.free();
    }
}

/// A future in a space. Dropped in place, whether it has finished or not.
pub(crate) struct Placed<'a, F: ?Sized + Send + 'a> {
    future: NonNull<F>,
    /// Owns an `F`, and borrows the space that it is in.
    space: PhantomData<(&'a mut Space, Box<F>)>,
}

/// A future whose type is forgotten.
pub(crate) type PlacedDyn<'a> = Placed<'a, dyn Future<Output = ()> + Send + 'a>;

// SAFETY: owns an `F`, which is `Send`.
unsafe impl<F: ?Sized + Send> Send for Placed<'_, F> {}

impl<'a, F: ?Sized + Future<Output = ()> + Send + 'a> Placed<'a, F> {
    /// The future, which stays where it is until it is dropped.
    #[inline]
    pub(crate) fn as_mut(&mut self) -> Pin<&mut F> {
        // SAFETY: valid and exclusively ours. Pinned, because nothing moves it: the space cannot be reached while this
        // borrows it, and `drop` drops it in place.
        unsafe { Pin::new_unchecked(self.future.as_mut()) }
    }
}

impl<'a, F: Future<Output = ()> + Send + 'a> Placed<'a, F> {
    /// Polls it for the first time. `None` if it was done then; else its type is forgotten.
    #[inline]
    pub(crate) fn start(mut self, task: &mut Context<'_>) -> Option<PlacedDyn<'a>> {
        match self.as_mut().poll(task) {
            Poll::Ready(()) => None,
            Poll::Pending => Some(self.erase()),
        }
    }

    /// Forgets the type.
    #[inline]
    pub(crate) fn erase(self) -> PlacedDyn<'a> {
        let future = std::mem::ManuallyDrop::new(self).future;
        Placed { future: future as NonNull<dyn Future<Output = ()> + Send + 'a>, space: PhantomData }
    }
}

impl<'a, F: ?Sized + Send + 'a> Drop for Placed<'a, F> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: holds a future that was written by `place` and is dropped once, here.
        unsafe { self.future.drop_in_place() };
    }
}

#[cfg(all(test, not(mycelia_loom)))]
mod tests {
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use super::Space;

    async fn yields(times: usize) {
        for _ in 0..times {
            let mut yielded = false;
            std::future::poll_fn(|_| {
                if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
    }

    #[test]
    fn a_future_may_be_dropped_at_every_await() {
        let mut space = Space::new();
        let held = Arc::new(());
        let mut borrowed = 0;
        for polls in 0..=4 {
            let (mine, counter) = (Arc::clone(&held), &mut borrowed);
            let mut placed = space
                .place(async move {
                    let guard = mine;
                    for _ in 0..3 {
                        *counter += 1;
                        yields(1).await;
                    }
                    drop(guard);
                })
                .erase();
            let cx = &mut Context::from_waker(Waker::noop());
            let ready = (0..polls).any(|_| placed.as_mut().poll(cx).is_ready());
            assert_eq!(ready, polls == 4);
            drop(placed);
            assert_eq!(Arc::strong_count(&held), 1, "dropped after {polls} polls");
        }
        assert_eq!(borrowed, 1 + 2 + 3 + 3);
    }

    #[test]
    fn space_grows_in_size_and_alignment_and_is_reused() {
        #[repr(align(64))]
        struct Aligned(u8);
        let mut space = Space::new();
        let cx = &mut Context::from_waker(Waker::noop());
        for round in 0..3_u8 {
            let large = [round; 300];
            let aligned = Aligned(round);
            let mut placed = space.place(async move {
                yields(1).await;
                assert_eq!((&raw const aligned).addr() % 64, 0);
                assert!(large.iter().all(|&byte| byte == aligned.0));
            });
            assert!(placed.as_mut().poll(cx).is_pending());
            assert!(placed.as_mut().poll(cx).is_ready());
            drop(placed);
            let memory = space.memory;
            assert!(space.place(async {}).as_mut().poll(cx).is_ready());
            assert_eq!(space.memory, memory);
        }
    }

    #[test]
    fn the_room_of_a_large_future_is_given_back_unless_such_come_again_and_again() {
        async fn large() {
            let buffer = std::hint::black_box([0_u8; 60_000]);
            yields(1).await;
            std::hint::black_box(&buffer);
        }
        let mut space = Space::new();
        let has_room = |space: &Space| space.size >= 60_000;
        drop(space.place(large()));
        assert!(has_room(&space));
        drop(space.place(async {}));
        assert!(!has_room(&space), "given back to the first small one");
        let mut grown = 0;
        for _ in 0..10_000 {
            grown += u32::from(!has_room(&space));
            drop(space.place(large()));
            drop(space.place(async {}));
        }
        assert!(grown < 200, "{grown} of 10 000");
        // Nothing comes any more.
        (0..128).for_each(|_| space.idle());
        assert_eq!(space.size, 0);
    }

    #[test]
    fn a_panic_in_a_future_leaves_the_space_usable() {
        let mut space = Space::new();
        let held = Arc::new(());
        let mine = Arc::clone(&held);
        let mut placed = space.place(async move {
            let _guard = mine;
            yields(1).await;
            panic!("in the future");
        });
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(placed.as_mut().poll(cx).is_pending());
        let poll = std::panic::AssertUnwindSafe(|| placed.as_mut().poll(cx).is_ready());
        std::panic::catch_unwind(poll).unwrap_err();
        drop(placed);
        assert_eq!(Arc::strong_count(&held), 1);
        assert!(space.place(async {}).as_mut().poll(cx).is_ready());
    }
}
