//! Tokio's cooperative budget, for futures that can be ready at once.

use std::task::{Context as Task, Poll, ready};

use tokio::task::coop::poll_proceed;

/// Polls something as a part of the task's budget: a task in which everything is always ready lets others run after 128 polls.
///
/// Outside of tokio there is no such budget, and this only polls.
#[inline]
pub(crate) fn within_budget<T>(task: &mut Task<'_>, poll: impl FnOnce(&mut Task<'_>) -> Poll<T>) -> Poll<T> {
    let budget = ready!(poll_proceed(task));
    let poll = poll(task);
    if poll.is_ready() {
        budget.made_progress();
    }
    poll
}

/// Spends a unit of the task's budget, before something that is ready at once.
pub(crate) fn spend(task: &mut Task<'_>) -> Poll<()> {
    within_budget(task, |_| Poll::Ready(()))
}
