//! Futures that run in a scope of some metadata, or of none.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as Task, Poll};

use crate::ambient::Ambient;
use crate::current;
use crate::messages_in_hand::MessagesInHand;
use crate::metadata::Metadata;

pin_project_lite::pin_project! {
    /// A future that runs, and is dropped, in the scope of some metadata, or of none. Made by [`Metadata::scope`] and
    /// [`Metadata::empty_scope`].
    pub struct Scoped<F> {
        metadata: Option<Metadata>,
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Scoped<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            within(this.metadata.as_ref(), || this.future.set(None));
        }
    }
}

impl<F> Scoped<F> {
    pub(crate) fn new(metadata: Option<Metadata>, future: F) -> Self {
        Self { metadata, future: Some(future) }
    }
}

fn within<T>(metadata: Option<&Metadata>, run: impl FnOnce() -> T) -> T {
    match metadata {
        Some(metadata) => metadata.in_scope(run),
        None => Metadata::in_empty_scope(run),
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        match this.future.as_mut().as_pin_mut() {
            Some(future) => within(this.metadata.as_ref(), || future.poll(task)),
            None => Poll::Pending,
        }
    }
}

impl<F> fmt::Debug for Scoped<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scoped").field("metadata", &self.metadata).finish_non_exhaustive()
    }
}

/// The messages of a batch that are handled one after another, each with its own metadata, deadline and span. Nothing, if no
/// message has any of these.
pub(crate) struct Turns(Option<Arc<MessagesInHand>>);

impl Turns {
    /// Of the batch in hand, if it is one of so many messages.
    pub(crate) fn of_batch(messages: usize) -> Self {
        Self(current::batch().filter(|in_hand| in_hand.each().len() == messages))
    }

    /// Runs the handler of the message at this place.
    pub(crate) fn run<F: Future>(&self, index: usize, handler: F) -> Turn<F> {
        let in_hand = self.0.as_ref().map(|in_hand| (Arc::clone(in_hand), index));
        Turn { in_hand, handler: Some(handler) }
    }
}

pin_project_lite::pin_project! {
    /// The handler of one message of a batch.
    pub(crate) struct Turn<F> {
        in_hand: Option<(Arc<MessagesInHand>, usize)>,
        #[pin]
        handler: Option<F>,
    }

    impl<F> PinnedDrop for Turn<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            on_turn(this.in_hand.as_ref(), || this.handler.set(None));
        }
    }
}

fn on_turn<T>(in_hand: Option<&(Arc<MessagesInHand>, usize)>, run: impl FnOnce() -> T) -> T {
    let Some((in_hand, index)) = in_hand else { return run() };
    let _with = current::with_ambient(Some(Ambient::OneOf(Arc::clone(in_hand), *index)));
    match &in_hand.each()[*index].span {
        Some(span) => span.in_scope(run),
        None => run(),
    }
}

impl<F: Future> Future for Turn<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        match this.handler.as_mut().as_pin_mut() {
            Some(handler) => on_turn(this.in_hand.as_ref(), || handler.poll(task)),
            None => Poll::Pending,
        }
    }
}
