//! A sender that waits for room.

use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::channel::Channel;
use crate::error::SendError;

/// Sends an item as soon as there is room. Made by [`Channel::send`], or by [`Send::to`] for a channel inside something
/// shared, which `C` then is.
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
pub struct Send<C: Deref<Target = Channel<T>>, T> {
    channel: C,
    state: State<T>,
}

enum State<T> {
    New(T),
    /// From inside of a channel that is closed to outside.
    Inside(T),
    Waiting(usize),
    Done,
}

// The item is moved, never pinned.
impl<C: Deref<Target = Channel<T>>, T> Unpin for Send<C, T> {}

impl<C: Deref<Target = Channel<T>>, T> Send<C, T> {
    /// Sends to a channel that is not borrowed: an `Arc`, or whatever leads to one. It must lead to the same channel each time:
    /// otherwise items of others come back from it.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use mycelia_queue::{Channel, OverflowPolicy, Send};
    ///
    /// # async fn example() -> Result<(), mycelia_queue::SendError<u32>> {
    /// let channel = Arc::new(Channel::new(1, OverflowPolicy::Error));
    /// let send = Send::to(Arc::clone(&channel), 7); // owes nobody a lifetime
    /// send.await
    /// # }
    /// ```
    pub fn to(channel: C, item: T) -> Self {
        Self { channel, state: State::New(item) }
    }

    /// Sends an item from inside of a channel that may be [closed to outside](Channel::close_to_outside). Otherwise as
    /// [`to`](Self::to). An item that was refused before is another one for [`Channel::stats`], as for [`Channel::push_inside`].
    pub fn to_inside(channel: C, item: T) -> Self {
        Self { channel, state: State::Inside(item) }
    }

    /// Gives up. The item comes back unless it is in the queue already (or was given back by an error).
    pub fn cancel(mut self) -> Option<T> {
        self.withdraw()
    }

    /// Where it is sent.
    pub fn channel(&self) -> &C {
        &self.channel
    }

    /// The item, if this has not been polled. It must not be polled afterwards.
    #[inline]
    pub fn take_item(&mut self) -> Option<T> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::New(item) => Some(item),
            other => {
                self.state = other;
                None
            }
        }
    }

    /// The place in line, if this has been polled and waits: for [`Channel::is_waiting`].
    pub fn place(&self) -> Option<usize> {
        if let State::Waiting(key) = self.state { Some(key) } else { None }
    }

    /// As [`cancel`](Self::cancel). It must not be polled afterwards.
    pub fn withdraw(&mut self) -> Option<T> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::New(item) | State::Inside(item) => Some(item),
            State::Waiting(key) => self.channel.stop_sending(key),
            State::Done => None,
        }
    }
}

impl<C: Deref<Target = Channel<T>>, T> Future for Send<C, T> {
    type Output = Result<(), SendError<T>>;

    /// # Panics
    /// If it is polled after it was ready.
    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.place().is_none() && self.channel.sent.is_over(cx) {
            return Poll::Pending;
        }
        let (item, inside) = match std::mem::replace(&mut self.state, State::Done) {
            State::New(item) => (item, false),
            State::Inside(item) => (item, true),
            State::Waiting(key) => {
                let poll = self.channel.poll_sending(key, cx);
                if poll.is_pending() {
                    self.state = State::Waiting(key);
                }
                return poll;
            }
            State::Done => panic!("a send was polled after it was ready"),
        };
        let started = self.channel.start_sending(item, inside, cx);
        self.channel.sent.count(!matches!(started, Ok(Some(_))));
        match started {
            Ok(None) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(error)),
            Ok(Some(key)) => {
                self.state = State::Waiting(key);
                Poll::Pending
            }
        }
    }
}

impl<C: Deref<Target = Channel<T>>, T> Drop for Send<C, T> {
    fn drop(&mut self) {
        drop(self.withdraw());
    }
}

impl<C: Deref<Target = Channel<T>>, T> fmt::Debug for Send<C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::New(_) | State::Inside(_) => "new",
            State::Waiting(_) => "waiting",
            State::Done => "done",
        };
        f.debug_struct("Send").field("state", &state).finish_non_exhaustive()
    }
}
