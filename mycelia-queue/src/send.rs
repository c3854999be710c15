//! A sender that waits for room.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::channel::Channel;
use crate::error::SendError;

/// Sends an item as soon as there is room. Made by [`Channel::send`].
///
/// Waiting senders are served in the order of their first polls.
///
/// # Errors
/// [`SendError`], with the item, if the channel is or becomes closed before the item is in, or has a capacity of 0.
///
/// # Cancel safety
/// Dropping the future while it is in line leaves no trace: the item was never sent, and is dropped. But if it was let in
/// (of which the future may not have heard yet), the item is in the queue, and stays. [`cancel`](Self::cancel) tells which,
/// and gives the item back.
#[must_use = "nothing is sent until the future is polled"]
pub struct Send<'a, T> {
    channel: &'a Channel<T>,
    state: State<T>,
}

enum State<T> {
    New(T),
    Waiting(usize),
    Done,
}

// The item is moved, never pinned.
impl<T> Unpin for Send<'_, T> {}

impl<'a, T> Send<'a, T> {
    pub(crate) fn new(channel: &'a Channel<T>, item: T) -> Self {
        Self { channel, state: State::New(item) }
    }

    /// Gives up. The item comes back unless it is in the queue already (or was given back by an error).
    pub fn cancel(mut self) -> Option<T> {
        self.stop()
    }

    fn stop(&mut self) -> Option<T> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::New(item) => Some(item),
            State::Waiting(key) => self.channel.stop_sending(key),
            State::Done => None,
        }
    }
}

impl<T> Future for Send<'_, T> {
    type Output = Result<(), SendError<T>>;

    /// # Panics
    /// If it is polled after it was ready.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::New(item) => match self.channel.start_sending(item, cx) {
                Ok(None) => Poll::Ready(Ok(())),
                Err(error) => Poll::Ready(Err(error)),
                Ok(Some(key)) => {
                    self.state = State::Waiting(key);
                    Poll::Pending
                }
            },
            State::Waiting(key) => {
                let poll = self.channel.poll_sending(key, cx);
                if poll.is_pending() {
                    self.state = State::Waiting(key);
                }
                poll
            }
            State::Done => panic!("a send was polled after it was ready"),
        }
    }
}

impl<T> Drop for Send<'_, T> {
    fn drop(&mut self) {
        drop(self.stop());
    }
}

impl<T> fmt::Debug for Send<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::New(_) => "new",
            State::Waiting(_) => "waiting",
            State::Done => "done",
        };
        f.debug_struct("Send").field("state", &state).finish_non_exhaustive()
    }
}
