//! Two or three threads, two or three steps, every order in which they can meet. Run by `cargo loom`.
#![cfg(mycelia_loom)]

use std::future::poll_fn;
use std::task::{Context, Waker};

use loom::future::block_on;
use loom::sync::Arc;
use loom::thread;
use mycelia_actors::AskFailure;
use mycelia_actors::model::{Pacing, Pool, Woken, are_quiet, family, mailbox, neighbours};
use mycelia_core::Counter;
use mycelia_core::seeded::scene_fails_with;

/// Every schedule in which threads are interrupted at most three times where they need not be: loom's own advice for
/// more than two threads. Without the bound the scenes with a sweeper take hours.
fn explore(story: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(story);
}

fn noop() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

// A pool that is dropped with a slot out, or with one given back twice, fails every scene below.

#[test]
fn a_reply_beside_a_dropped_ask_frees_the_slot_once() {
    explore(|| {
        let pool = Pool::new();
        let (answer, asking) = pool.ask();
        let thread = thread::spawn(move || answer.reply(7));
        drop(asking);
        thread.join().unwrap();
    });
}

#[test]
fn twin_an_ask_ended_without_an_exchange_leaks_the_slot() {
    assert!(scene_fails_with(
        "an ask ended without an exchange",
        "a_reply_beside_a_dropped_ask_frees_the_slot_once"
    ));
}

#[test]
fn a_reply_beside_its_deadline_is_one_or_the_other() {
    explore(|| {
        let pool = Pool::new();
        let (answer, asking) = pool.ask();
        let sweeper = pool.clone();
        let replying = thread::spawn(move || answer.reply(7));
        let sweeping = thread::spawn(move || sweeper.expire());
        match block_on(asking) {
            Ok(reply) => assert_eq!(reply, 7),
            Err(failure) => assert!(matches!(failure, AskFailure::Deadline(_))),
        }
        replying.join().unwrap();
        sweeping.join().unwrap();
    });
}

#[test]
fn twin_an_envelope_that_leaves_without_looking_frees_the_slot_twice() {
    assert!(scene_fails_with(
        "the envelope leaves without looking",
        "a_reply_beside_its_deadline_is_one_or_the_other"
    ));
}

#[test]
fn an_evicted_ask_is_told_and_its_slot_serves_the_next_at_once() {
    explore(|| {
        let pool = Pool::new();
        let (message, asking) = pool.message(Box::new(1));
        let evicting = thread::spawn(move || message.evict());
        assert!(matches!(block_on(asking), Err(AskFailure::Evicted)));
        // The slot is free while the evictor may still be waking: it must not look into it any more.
        let (answer, asking) = pool.ask();
        answer.reply(8);
        assert_eq!(block_on(asking).unwrap(), 8);
        evicting.join().unwrap();
    });
}

#[test]
fn twin_a_waker_taken_after_publishing_is_somebody_elses() {
    assert!(scene_fails_with(
        "the waker taken after publishing",
        "an_evicted_ask_is_told_and_its_slot_serves_the_next_at_once"
    ));
}

#[test]
fn an_asker_that_changes_its_waker_beside_the_reply_is_woken() {
    explore(|| {
        let pool = Pool::new();
        let (answer, asking) = pool.ask();
        let replying = thread::spawn(move || answer.reply(7));
        // The ask has a waker that does nothing; this poll brings another one.
        assert_eq!(block_on(asking).unwrap(), 7);
        replying.join().unwrap();
    });
}

#[test]
fn twin_a_waker_changed_in_place_loses_the_wake_up() {
    assert!(scene_fails_with(
        "the waker changed in place",
        "an_asker_that_changes_its_waker_beside_the_reply_is_woken"
    ));
}

#[test]
fn an_asker_that_changes_its_waker_beside_its_deadline_is_told() {
    explore(|| {
        let pool = Pool::new();
        let (answer, asking) = pool.ask();
        let sweeper = pool.clone();
        let sweeping = thread::spawn(move || sweeper.expire());
        // The sweeper looks once.
        assert!(matches!(block_on(asking).unwrap_err(), AskFailure::Deadline(_)));
        sweeping.join().unwrap();
        drop(answer);
    });
}

#[test]
fn twin_a_sweeper_that_tries_once_leaves_the_asker_waiting() {
    assert!(scene_fails_with(
        "one try is enough for the sweeper",
        "an_asker_that_changes_its_waker_beside_its_deadline_is_told"
    ));
}

#[test]
fn a_dropped_answer_is_told_beside_a_new_waker_and_a_deadline() {
    explore(|| {
        let pool = Pool::new();
        let (answer, asking) = pool.ask();
        let sweeper = pool.clone();
        let dropping = thread::spawn(move || drop(answer));
        let sweeping = thread::spawn(move || sweeper.expire());
        let failure = block_on(asking).unwrap_err();
        assert!(matches!(failure, AskFailure::Unanswered | AskFailure::Deadline(_)));
        dropping.join().unwrap();
        sweeping.join().unwrap();
    });
}

#[test]
fn twin_a_dropped_answer_and_a_deadline_that_both_end_the_ask() {
    assert!(scene_fails_with(
        "an ask ended without an exchange",
        "a_dropped_answer_is_told_beside_a_new_waker_and_a_deadline"
    ));
}

#[test]
fn a_run_loop_that_goes_idle_hears_a_request() {
    explore(|| {
        let (outside, mut inbox) = mailbox();
        let thread = thread::spawn(move || outside.kill());
        let woken = block_on(poll_fn(|task| {
            inbox.register(task);
            inbox.poll(task)
        }));
        assert_eq!(woken, Woken::Request);
        thread.join().unwrap();
    });
}

#[test]
fn twin_a_request_that_wakes_nobody_is_not_heard() {
    assert!(scene_fails_with("a request that wakes nobody", "a_run_loop_that_goes_idle_hears_a_request"));
}

#[test]
fn a_run_loop_that_goes_idle_hears_the_end() {
    explore(|| {
        let (outside, mut inbox) = mailbox();
        let thread = thread::spawn(move || outside.stop());
        assert_eq!(block_on(poll_fn(|task| inbox.poll(task))), Woken::Closed);
        thread.join().unwrap();
    });
}

#[test]
fn twin_a_close_that_wakes_nobody_is_not_heard() {
    assert!(scene_fails_with("a close that wakes nobody", "a_run_loop_that_goes_idle_hears_the_end"));
}

#[test]
fn of_two_that_begin_to_wait_for_one_another_one_finds_out() {
    explore(|| {
        let [(one, _one), (other, _other)] = neighbours();
        let (from, to) = (one.clone(), other.clone());
        let thread = thread::spawn(move || from.begin_to_ask(&to));
        let (_message, _asking, found) = other.begin_to_ask(&one);
        let (_theirs, _asks, found_by_the_other) = thread.join().unwrap();
        assert!(found || found_by_the_other);
    });
}

#[test]
fn twin_without_a_fence_neither_finds_out() {
    assert!(scene_fails_with(
        "no fence between the own word and the look at others",
        "of_two_that_begin_to_wait_for_one_another_one_finds_out"
    ));
}

#[test]
fn a_child_that_asks_a_parent_which_ends_it_is_found_by_one_of_them() {
    explore(|| {
        let [(parent, _parent), (child, _child)] = family();
        let (from, to) = (child.clone(), parent.clone());
        let thread = thread::spawn(move || from.begin_to_ask(&to));
        let (_message, asking, found) = parent.end_child(&child, || thread.join().unwrap());
        assert!(asking.was_a_circle() || found);
    });
}

#[test]
fn twin_without_a_fence_parent_and_child_wait_for_one_another() {
    assert!(scene_fails_with(
        "no fence between the own word and the look at others",
        "a_child_that_asks_a_parent_which_ends_it_is_found_by_one_of_them"
    ));
}

#[test]
fn a_reply_that_the_asker_has_not_heard_of_makes_no_circle() {
    explore(|| {
        let [(one, _one), (other, _other)] = neighbours();
        let (message, asking, found) = one.begin_to_ask(&other);
        assert!(!found);
        let to = one.clone();
        let thread = thread::spawn(move || {
            message.evict();
            let (_message, _asking, found) = other.begin_to_ask(&to);
            assert!(!found, "the other one is free");
        });
        assert!(matches!(block_on(asking), Err(AskFailure::Evicted)));
        one.end_asking();
        thread.join().unwrap();
    });
}

#[test]
fn twin_an_old_word_makes_a_circle() {
    assert!(scene_fails_with(
        "an old word makes a circle",
        "a_reply_that_the_asker_has_not_heard_of_makes_no_circle"
    ));
}

#[test]
fn a_suspended_run_loop_hears_that_it_may_go_on_or_is_to_end() {
    for resumes in [true, false] {
        explore(move || {
            let (outside, mut inbox) = mailbox();
            outside.suspend();
            let thread = thread::spawn(move || if resumes { outside.resume() } else { outside.stop() });
            block_on(poll_fn(|task| {
                inbox.register(task);
                inbox.poll_resumed()
            }));
            thread.join().unwrap();
        });
    }
}

#[test]
fn twin_a_resume_that_wakes_nobody_is_not_heard() {
    assert!(scene_fails_with(
        "a resume that wakes nobody",
        "a_suspended_run_loop_hears_that_it_may_go_on_or_is_to_end"
    ));
}

#[test]
fn what_is_called_quiet_has_nothing_left_to_do() {
    explore(|| {
        // The third tells the second, which tells the first: against the order in which they are looked at.
        let [(first, mut first_inbox), (second, mut second_inbox), (third, mut third_inbox)] = neighbours();
        let all = [first.clone(), second.clone(), third.clone()];
        for inbox in [&mut first_inbox, &mut second_inbox, &mut third_inbox] {
            assert!(inbox.poll(&mut noop()).is_pending());
        }
        assert!(third.tell());
        let handling = thread::spawn(move || {
            third_inbox.handle(&mut noop(), || assert!(second.tell()));
            assert!(third_inbox.poll(&mut noop()).is_pending());
        });
        let passing_on = thread::spawn(move || {
            second_inbox.handle(&mut noop(), || assert!(first.tell()));
            let is_idle = second_inbox.poll(&mut noop()).is_pending();
            (second_inbox, is_idle)
        });
        let is_quiet = are_quiet(&[&all[0], &all[1], &all[2]]);
        handling.join().unwrap();
        let (mut second_inbox, is_idle) = passing_on.join().unwrap();
        if is_quiet {
            assert!(
                is_idle
                    && second_inbox.poll(&mut noop()).is_pending()
                    && first_inbox.poll(&mut noop()).is_pending()
            );
        }
    });
}

#[test]
fn twin_a_look_at_what_has_begun_first_calls_it_quiet_too_early() {
    assert!(scene_fails_with("what has begun is read first", "what_is_called_quiet_has_nothing_left_to_do"));
}

#[test]
fn what_is_spawned_between_the_looks_is_not_missed() {
    explore(|| {
        let (first, mut inbox) = mailbox();
        assert!(inbox.poll(&mut noop()).is_pending());
        assert!(first.tell());
        let thread = thread::spawn(move || {
            let spawn = inbox.spawns();
            let mut next = None;
            inbox.handle(&mut noop(), || {
                let (address, inbox) = spawn();
                assert!(address.tell());
                next = Some(inbox);
            });
            assert!(inbox.poll(&mut noop()).is_pending());
            next
        });
        assert!(!first.is_all_quiet(), "the next has a message, which is not handled");
        drop(thread.join().unwrap());
    });
}

#[test]
fn twin_spawns_between_the_looks_that_are_missed_make_it_quiet_too_early() {
    assert!(scene_fails_with(
        "spawns between the looks are missed",
        "what_is_spawned_between_the_looks_is_not_missed"
    ));
}

#[test]
fn what_came_before_a_published_count_is_seen() {
    loom::model(|| {
        let counts: Arc<[Counter; 2]> = Arc::default();
        let reader = Arc::clone(&counts);
        let thread = thread::spawn(move || {
            // Settled first, then begun.
            let settled = reader[1].get_after();
            assert!(reader[0].get() >= settled);
        });
        counts[0].add(1);
        counts[1].publish_owned(1);
        thread.join().unwrap();
    });
}

#[test]
fn twin_a_count_that_publishes_nothing_is_seen_too_early() {
    assert!(scene_fails_with("a count that publishes nothing", "what_came_before_a_published_count_is_seen"));
}

#[test]
fn a_thread_that_knows_a_sweeper_looks_often_is_right() {
    // A sweep finds a longer ask than the one that is asked beside it, and its period was longer still; or shorter than both.
    for (period, found, wanted) in
        [(100, 50, 4), (u64::MAX, 50, 4), (4, 50, 4), (4, u64::MAX, 4), (50, 100, 4)]
    {
        loom::model(move || {
            let pacing = Arc::new(Pacing::new(period));
            let sweeper = Arc::clone(&pacing);
            let sweeping = thread::spawn(move || sweeper.adapt(found));
            let known = pacing.hurry(wanted);
            sweeping.join().unwrap();
            assert!(pacing.keeps(&known), "the next ask hurries nobody, and the sweeper sleeps");
        });
    }
}

#[test]
fn twin_a_found_period_that_overwrites_a_hurry_makes_a_thread_wrong() {
    assert!(scene_fails_with(
        "a found period that overwrites a hurry",
        "a_thread_that_knows_a_sweeper_looks_often_is_right"
    ));
}

#[test]
fn twin_a_rise_that_is_not_told_makes_a_thread_wrong() {
    assert!(scene_fails_with(
        "a rise that is not told",
        "a_thread_that_knows_a_sweeper_looks_often_is_right"
    ));
}

#[test]
fn a_sweeper_that_leaves_beside_an_ask_is_started_again_once() {
    loom::model(|| {
        let pacing = Arc::new(Pacing::new(u64::MAX));
        let sweeper = Arc::clone(&pacing);
        let leaving = thread::spawn(move || sweeper.leave());
        let _known = pacing.hurry(4);
        let starts = pacing.start();
        assert_eq!(leaving.join().unwrap(), starts);
    });
}

#[test]
fn twin_a_sweeper_that_leaves_without_a_look_back_leaves_an_ask_alone() {
    assert!(scene_fails_with(
        "a sweeper that leaves without a look back",
        "a_sweeper_that_leaves_beside_an_ask_is_started_again_once"
    ));
}
