//! A probe records in order, and says what did not come.

use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_testkit::{Expectation, Probe, Received};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);

// Time is paused: it passes when everybody waits.
#[tokio::test(start_paused = true)]
async fn messages_are_expected_in_their_order() {
    let runtime = Runtime::new();
    let mut probe = Probe::new(&runtime).unwrap();
    let to = probe.recipient();
    (1..=9).for_each(|number| drop(to.tell(number)));
    assert_eq!(probe.expect(SECOND).await.unwrap(), 1);
    assert_eq!(probe.expect_that(SECOND, |number| *number == 2).await.unwrap(), 2);
    let found = probe.expect_among(SECOND, |number| *number > 4).await.unwrap();
    assert_eq!(found, Received { found: 5, before: vec![3, 4] });
    assert_eq!(probe.expect_many(SECOND, 4).await.unwrap(), [6, 7, 8, 9]);
    probe.expect_nothing(SECOND).await.unwrap();
    assert_eq!((probe.stats().sent, probe.stats().handled), (9, 9));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_come_is_an_error_when_the_time_is_up() {
    let runtime = Runtime::new();
    let mut probe = Probe::<u32>::new(&runtime).unwrap();
    let began = Instant::now();
    let nothing = Expectation::Nothing { within: SECOND, came: 0 };
    assert_eq!(probe.expect(SECOND).await, Err(nothing.clone()));
    assert_eq!(probe.expect_many(SECOND, 2).await, Err(nothing.clone()));
    assert_eq!(probe.expect_among(SECOND, |_| true).await, Err(nothing.clone()));
    assert_eq!(probe.expect_that(SECOND, |_| true).await, Err(nothing));
    for number in [1, 2] {
        probe.recipient().tell(number).unwrap();
    }
    let others = Expectation::Nothing { within: SECOND, came: 2 };
    assert_eq!(probe.expect_among(SECOND, |&number| number == 3).await, Err(others));
    probe.recipient().tell(1).unwrap();
    let error = probe.expect_many(SECOND, 2).await.unwrap_err();
    assert_eq!(error.to_string(), "what was expected did not come within 1s; messages that did: 1");
    assert!(began.elapsed() >= 6 * SECOND && began.elapsed() < 7 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_comes_unexpectedly_is_inside_the_error() {
    let runtime = Runtime::new();
    let mut probe = Probe::new(&runtime).unwrap();
    probe.recipient().tell(7).unwrap();
    assert_eq!(probe.expect_nothing(SECOND).await, Err(Expectation::Unexpected { message: 7 }));
    probe.recipient().tell(8).unwrap();
    let error = probe.expect_that(SECOND, |number| *number == 9).await.unwrap_err();
    assert_eq!(error.to_string(), "a `i32` came that was not expected");
    assert_eq!(error, Expectation::Unexpected { message: 8 });
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_takes_nothing_more() {
    let runtime = Runtime::new();
    let probe = Probe::new(&runtime).unwrap();
    let to = probe.recipient();
    drop(probe);
    to.tell(1).unwrap();
    while to.tell(2).is_ok() {
        tokio::task::yield_now().await;
    }
    while !runtime.is_empty() {
        tokio::task::yield_now().await;
    }
}
