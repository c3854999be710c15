//! A drain depends on no one tokio: that of a caller may rest, go away, or have no timers.
#![cfg(not(any(mycelia_loom, miri)))]

mod drains;
mod subsystems;

use std::time::Duration;

use drains::{Desk, Log, SECOND, With, Work, current, desk, in_time, lines, multi, pipe, with};
use mycelia_actors::prelude::*;
use tokio::runtime::{Builder, Runtime as Tokio};
use tokio::time::timeout;

const MOMENT: Duration = Duration::from_millis(20);
const SHORT: Duration = Duration::from_millis(100);

/// A runtime with a subsystem that has a pipe, on this tokio.
fn piped(tokio: &Tokio) -> (Runtime, Address<Desk>, Log) {
    tokio.block_on(async {
        let runtime = Runtime::new();
        let (desk, log) = desk();
        let one = runtime.spawn("one", desk).unwrap();
        pipe(&one, 10 * MOMENT, "paid").await;
        (runtime, one, log)
    })
}

fn stuck(tokio: &Tokio) -> (Runtime, Address<Desk>) {
    tokio.block_on(async {
        let runtime = Runtime::new();
        let one = runtime.spawn("one", desk().0).unwrap();
        one.tell(Work(3600 * SECOND)).unwrap();
        (runtime, one)
    })
}

/// Begins a shutdown on a tokio of its own, and gives it up.
fn begin(runtime: &Runtime) -> Tokio {
    let other = current();
    assert!(other.block_on(async { timeout(MOMENT, runtime.shutdown()).await }).is_err());
    other
}

#[test]
fn the_tokio_of_the_first_caller_rests() {
    in_time(|| {
        let main = multi();
        let (runtime, one) = stuck(&main);
        let rests = begin(&runtime);
        let error = main.block_on(runtime.shutdown_within(SHORT)).unwrap_err();
        assert_eq!(error.killed.len(), 1, "{error}");
        assert!(matches!(one.exit(), Some(Exit::Killed)));
        drop(rests);
    });
}

#[test]
fn the_tokio_of_the_first_caller_goes_and_nothing_is_lost() {
    in_time(|| {
        let main = multi();
        let (runtime, _, log) = piped(&main);
        drop(begin(&runtime));
        main.block_on(runtime.shutdown()).unwrap();
        assert_eq!(lines(&log), ["paid", "one stopped"]);
    });
}

#[test]
fn the_tokio_of_the_first_caller_goes_and_another_call_kills() {
    in_time(|| {
        let main = multi();
        let (runtime, one) = stuck(&main);
        drop(begin(&runtime));
        let error = main.block_on(runtime.shutdown_within(SHORT)).unwrap_err();
        assert!(matches!(one.exit(), Some(Exit::Killed)), "{error}");
    });
}

#[test]
fn the_tokio_of_the_subsystems_rests_and_the_caller_comes_back() {
    in_time(|| {
        let rests = current();
        let (runtime, one, _) = piped(&rests);
        let error = current().block_on(runtime.shutdown_within(SHORT)).unwrap_err();
        assert_eq!(error.left, [one.name().clone()], "{error}");
        // It hears of the kill when it runs again.
        assert!(matches!(rests.block_on(one.ended()), Exit::Killed));
    });
}

#[test]
fn the_tokio_of_the_caller_has_no_timers() {
    in_time(|| {
        let main = multi();
        let (runtime, _, log) = piped(&main);
        let other = Builder::new_current_thread().build().unwrap();
        other.block_on(runtime.shutdown()).unwrap();
        assert_eq!(lines(&log), ["paid", "one stopped"]);
        other.block_on(Runtime::new().shutdown()).unwrap();
    });
}

#[test]
fn the_tokio_from_which_a_parent_is_stopped_goes() {
    in_time(|| {
        let main = multi();
        let (_runtime, parent, log) = piped(&main);
        main.block_on(with(&parent, |cx| drop(cx.spawn(Desk::default()).unwrap())));
        current().block_on(async { parent.stop() });
        main.block_on(parent.ended());
        assert_eq!(lines(&log), ["paid", "one stopped"]);
    });
}

#[test]
fn two_callers_return_at_the_limit_with_the_same_result() {
    in_time(|| {
        let main = multi();
        let (runtime, one) = main.block_on(async {
            let runtime = Runtime::new();
            let one = runtime.configure("one").own_thread().spawn(desk().0).unwrap();
            (runtime, one)
        });
        let (go, until) = std::sync::mpsc::channel::<()>();
        main.block_on(async {
            // It blocks its thread, so it cannot be killed.
            one.tell(With(move |_: &Context<Desk>| _ = until.recv())).unwrap();
            while one.stats().in_hand == 0 {
                tokio::task::yield_now().await;
            }
            let (first, second) =
                tokio::join!(runtime.shutdown_within(SHORT), runtime.shutdown_within(SHORT));
            assert_eq!(first, second);
            assert_eq!(first.unwrap_err().left.len(), 1);
        });
        drop(go);
        main.block_on(one.ended());
        let now = main.block_on(runtime.shutdown()).unwrap_err();
        assert_eq!((now.left.len(), now.killed.len()), (0, 1), "what was left has ended since");
    });
}

#[test]
fn what_was_cut_off_is_told_whichever_tokio_comes_to_the_end_first() {
    in_time(|| {
        let main = multi();
        for _ in 0..20 {
            let runtime = main.block_on(async {
                let runtime = Runtime::new();
                let part = runtime.configure("part").stop_timeout(MOMENT).spawn(desk().0).unwrap();
                (0..3).for_each(|_| _ = part.tell(Work(3600 * SECOND)).unwrap());
                let other = runtime.spawn("other", desk().0).unwrap();
                pipe(&other, 2 * MOMENT, "done").await;
                runtime
            });
            let error = current().block_on(runtime.shutdown()).unwrap_err();
            let [cut_off] = &error.cut_off[..] else { panic!("{error}") };
            assert_eq!((cut_off.queued, cut_off.in_hand, cut_off.is_killed), (2, 1, true), "{error}");
        }
    });
}
