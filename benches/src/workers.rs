//! The tokio runtime under every contender but actix, which brings its own.

use std::future::Future;

use tokio::runtime::Builder;

/// Runs a future on a new runtime of this thread alone, and ends the runtime.
///
/// The future is spawned, as below.
pub fn run_on_one_thread<F, T>(future: F) -> T
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let runtime = Builder::new_current_thread().enable_time().build().expect("a thread can be had");
    runtime.block_on(runtime.spawn(future)).expect("the scene does not panic")
}

/// Runs a future on a new runtime of two workers, and ends the runtime.
///
/// The future is spawned, so that it runs on a worker like every other task: `block_on` alone would leave it on
/// a third thread.
pub fn run_on_two_workers<F, T>(future: F) -> T
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_time().build();
    let runtime = runtime.expect("two threads can be had");
    runtime.block_on(runtime.spawn(future)).expect("the scene does not panic")
}
