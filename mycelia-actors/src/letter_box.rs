//! The queue between those who lose messages and one subscriber to dead letters, who may read in several tasks and threads.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll, Waker};

use mycelia_core::sync::Mutex;
use mycelia_core::{contain, drop_waker, wake_all};
use slab::Slab;

use crate::awaited::Awaited;
use crate::budget::within_budget;
use crate::dead_letters::DeadLetter;

/// A bounded queue of letters.
pub(crate) struct LetterBox {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    letters: VecDeque<DeadLetter>,
    /// Readers that wait. The waker is taken when the reader is woken.
    readers: Slab<Option<Waker>>,
    closed: bool,
}

/// Room for more letters, or readers, than this is given back when there are none.
const LARGE: usize = 64;

impl LetterBox {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { capacity, state: Mutex::default() }
    }

    /// Puts a letter in. False if it found no room: there are as many as fit, and no reader waits for it. (A reader that is being
    /// woken for one counts as waiting until it has that.)
    pub(crate) fn put(&self, letter: &DeadLetter) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return true;
        }
        if state.letters.len() >= self.capacity.max(state.readers.len()) {
            return false;
        }
        state.letters.push_back(letter.clone());
        let readers: Vec<_> = state.readers.iter_mut().filter_map(|(_, waker)| waker.take()).collect();
        drop(state);
        wake_all(readers);
        true
    }

    pub(crate) fn take(&self) -> Option<DeadLetter> {
        self.state.lock().take()
    }

    pub(crate) fn len(&self) -> usize {
        self.state.lock().letters.len()
    }

    /// Ready with the next letter; `None` if there will be no more.
    pub(crate) fn recv(&self) -> Recv<'_> {
        Recv { letters: self, place: None }
    }

    /// There will be no more letters.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let readers: Vec<_> = state.readers.iter_mut().filter_map(|(_, waker)| waker.take()).collect();
        drop(state);
        wake_all(readers);
    }
}

/// A letter, for side tasks that wait for it.
impl Awaited for LetterBox {
    fn is_awaited(&self) -> bool {
        let state = self.state.lock();
        state.letters.is_empty() && !state.closed
    }
}

impl State {
    fn take(&mut self) -> Option<DeadLetter> {
        let letter = self.letters.pop_front();
        if self.letters.is_empty() && self.letters.capacity() > LARGE {
            self.letters = VecDeque::new();
        }
        letter
    }
}

/// A reader that waits.
pub(crate) struct Recv<'a> {
    letters: &'a LetterBox,
    /// Among those that wait.
    place: Option<usize>,
}

impl Future for Recv<'_> {
    type Output = Option<DeadLetter>;

    fn poll(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<Self::Output> {
        within_budget(task, |task| self.look(task))
    }
}

impl Recv<'_> {
    fn look(&mut self, task: &mut Task<'_>) -> Poll<Option<DeadLetter>> {
        // Made outside of the lock: it is the user's code.
        let waker = task.waker().clone();
        let mut state = self.letters.state.lock();
        let letter = state.take();
        if letter.is_some() || state.closed {
            drop(state);
            return Poll::Ready(letter);
        }
        let old = match self.place {
            Some(place) => state.readers[place].replace(waker),
            None => {
                self.place = Some(state.readers.insert(Some(waker)));
                None
            }
        };
        drop(state);
        drop_waker(old);
        Poll::Pending
    }
}

impl Drop for Recv<'_> {
    fn drop(&mut self) {
        let Some(place) = self.place else { return };
        let mut state = self.letters.state.lock();
        let old = state.readers.remove(place);
        if state.readers.is_empty() && state.readers.capacity() > LARGE {
            state.readers = Slab::new();
        }
        drop(state);
        drop_waker(old);
    }
}

/// The end of a subscription: what is left is dropped, and not under a lock.
pub(crate) fn end(letters: &Arc<LetterBox>) {
    let mut state = letters.state.lock();
    state.closed = true;
    let left = std::mem::take(&mut state.letters);
    drop(state);
    // One by one, for a second panic while the first unwinds would end the process.
    left.into_iter().for_each(|letter| _ = contain(|| drop(letter)));
}
