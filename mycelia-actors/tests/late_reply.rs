//! `ask_with`: a reply from somewhere else, and what the asker hears when there is none.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::task::{Context as Task, Wake, Waker};
use std::time::Duration;

use mycelia_actors::AskFailure;
use mycelia_actors::prelude::*;
use subsystems::{Add, Gate, Gated, accounted};

const LONG: Duration = Duration::from_secs(3600);

/// Replies at once, or does as it is told.
struct Query(ReplyTo<u32>);
impl Handler<Query> for Gated {
    type Reply = ();
    async fn handle(&mut self, query: Query, _: &mut Context<Self>) {
        query.0.reply(1);
    }
}

#[expect(dead_code, reason = "it is only held")]
struct Panics(ReplyTo<u32>);
impl Handler<Panics> for Gated {
    type Reply = ();
    async fn handle(&mut self, _query: Panics, _: &mut Context<Self>) {
        panic!("with the duty to reply");
    }
}

/// Gives the duty to somebody else, and panics.
struct Forwards(ReplyTo<u32>, mpsc::Sender<ReplyTo<u32>>);
impl Handler<Forwards> for Gated {
    type Reply = ();
    async fn handle(&mut self, query: Forwards, _: &mut Context<Self>) {
        query.1.send(query.0).unwrap();
        panic!("without it");
    }
}

/// Gives the duty to another.
struct Lends(ReplyTo<u32>, mpsc::Sender<ReplyTo<u32>>);
impl Handler<Lends> for Gated {
    type Reply = ();
    async fn handle(&mut self, query: Lends, _: &mut Context<Self>) {
        query.1.send(query.0).unwrap();
    }
}

struct AsksItself;
impl Handler<AsksItself> for Gated {
    type Reply = Option<AskFailure>;
    async fn handle(&mut self, _: AsksItself, cx: &mut Context<Self>) -> Option<AskFailure> {
        let me = cx.address().clone();
        me.ask_with(Query).await.err().map(|error| error.failure)
    }
}

fn small(runtime: &Runtime, policy: OverflowPolicy) -> (Address<Gated>, subsystems::Gate) {
    let (gated, gate) = Gated::new();
    let mailbox = Mailbox::bounded(1).overflow(policy);
    (runtime.configure_unnamed().mailbox(mailbox).spawn(gated).unwrap(), gate)
}

#[tokio::test(start_paused = true)]
async fn the_message_comes_back_if_it_never_got_in() {
    let runtime = Runtime::new();
    let (address, gate) = small(&runtime, OverflowPolicy::Error);
    gate.wait_until_busy(&address).await;
    address.tell(Add(1)).unwrap();
    let within = Duration::from_millis(30);
    let error = address.ask_with_within(within, Query).await.unwrap_err();
    assert_eq!(error.failure, AskFailure::Deadline(within));
    assert!(error.message.is_some());
    assert_eq!(address.stats().returned, 1);
}

#[tokio::test]
async fn the_asker_hears_what_became_of_its_message() {
    for subscribed in [false, true] {
        let runtime = Runtime::new();
        // A letter holds the message, and with it the duty to reply.
        let letters = subscribed.then(|| runtime.dead_letters(8));
        let (address, gate) = small(&runtime, OverflowPolicy::DropOldest);
        gate.wait_until_busy(&address).await;
        let ask = || {
            let address = address.clone();
            tokio::spawn(async move { address.ask_with_within(LONG, Query).await.unwrap_err().failure })
        };
        let evicted = ask();
        while address.stats().queued == 0 {
            tokio::task::yield_now().await;
        }
        address.tell(Add(1)).unwrap();
        assert_eq!(evicted.await.unwrap(), AskFailure::Evicted);
        gate.open();
        address.ask(Add(2)).await.unwrap();

        let (address, gate) = small(&runtime, OverflowPolicy::Error);
        gate.wait_until_busy(&address).await;
        let other = address.clone();
        let undelivered =
            tokio::spawn(async move { other.ask_with_within(LONG, Query).await.unwrap_err().failure });
        while address.stats().queued == 0 {
            tokio::task::yield_now().await;
        }
        address.kill();
        assert_eq!(undelivered.await.unwrap(), AskFailure::Undelivered);
        accounted(&address);
        drop(letters);
    }
}

#[tokio::test]
async fn a_panic_is_told_unless_somebody_else_can_still_reply() {
    let runtime = Runtime::new();
    let address = runtime.configure_unnamed().spawn_with(|| Gated::new().0).unwrap();
    let error = address.ask_with(Panics).await.unwrap_err();
    assert_eq!(error.failure, AskFailure::Panicked);
    for replies in [true, false] {
        let (forward, forwarded) = mpsc::channel();
        let other = address.clone();
        let asking = tokio::spawn(async move { other.ask_with(|reply| Forwards(reply, forward)).await });
        while address.stats().failed < if replies { 2 } else { 3 } {
            tokio::task::yield_now().await;
        }
        let reply: ReplyTo<u32> = forwarded.recv().unwrap();
        if replies {
            reply.reply(7);
            assert_eq!(asking.await.unwrap().unwrap(), 7);
        } else {
            drop(reply);
            assert_eq!(asking.await.unwrap().unwrap_err().failure, AskFailure::Panicked);
        }
    }
}

#[tokio::test]
async fn asking_oneself_is_a_cycle() {
    let runtime = Runtime::new();
    let address = runtime.spawn_unnamed(Gated::new().0).unwrap();
    assert!(matches!(address.ask(AsksItself).await.unwrap(), Some(AskFailure::Cycle(_))));
}

#[derive(Default)]
struct Bell(AtomicBool);
impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_deadline_comes_also_when_tokio_goes_first() {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
    let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
    let address = runtime.spawn_unnamed(Gated::new().0).unwrap();
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(Arc::clone(&bell));
    let mut within = Duration::from_millis(1);
    let (mut asking, reply) = loop {
        let (forward, forwarded) = mpsc::channel();
        let mut asking = Box::pin(address.ask_with_within(within, |reply| Lends(reply, forward)));
        let is_out = asking.as_mut().poll(&mut Task::from_waker(&waker)).is_pending();
        // A slow machine may need longer to begin with the message than it may take.
        match forwarded.recv() {
            Ok(reply) if is_out && !reply.is_over() => break (asking, reply),
            _ => within *= 2,
        }
    };
    drop(tokio);
    // Deadlines depend on no tokio.
    while asking.as_mut().poll(&mut Task::from_waker(&waker)).is_pending() {
        while !bell.0.swap(false, Ordering::SeqCst) {
            std::thread::yield_now();
        }
    }
    assert!(reply.is_over());
}

#[test]
fn a_sweeper_that_never_ran_is_replaced() {
    let runtime = Runtime::new();
    let tokio =
        || tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    tokio().block_on(async {
        let address = runtime.spawn_unnamed(Gated::new().0).unwrap();
        let mut ask = pin!(address.ask(Add(1)).within(LONG));
        assert!(ask.as_mut().poll(&mut Task::from_waker(Waker::noop())).is_pending());
    });
    tokio().block_on(async {
        let address = runtime.spawn_unnamed(Gated::new().0).unwrap();
        let within = Duration::from_millis(50);
        let asked = tokio::time::timeout(LONG, address.ask(Add(1)).within(within)).await;
        assert_eq!(asked.expect("swept").unwrap_err().failure, AskFailure::Deadline(within));
    });
}

/// Goes from one subsystem to the next, and the duty to reply with it; the last does with it as it is told.
struct Hop {
    reply: ReplyTo<u32>,
    /// In reverse.
    next: Vec<Address<Gated>>,
    last: Last,
    gate: Gate,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Last {
    Replies,
    /// When its gate is opened.
    RepliesLater,
    /// From another task.
    RepliesElsewhere,
    Drops,
    Panics,
    /// When its gate is opened.
    PanicsLater,
}

impl Handler<Hop> for Gated {
    type Reply = ();
    async fn handle(&mut self, mut hop: Hop, _: &mut Context<Self>) {
        if let Some(next) = hop.next.pop() {
            // A message that is refused is dropped, and with it the duty.
            let _ = next.tell(hop);
            return;
        }
        match hop.last {
            Last::Replies => hop.reply.reply(3),
            Last::RepliesLater => {
                hop.gate.pass().await;
                hop.reply.reply(3);
            }
            Last::RepliesElsewhere => drop(tokio::spawn(async { hop.reply.reply(3) })),
            Last::Drops => {}
            Last::Panics => panic!("with the duty to reply"),
            Last::PanicsLater => {
                hop.gate.pass().await;
                panic!("with the duty to reply");
            }
        }
    }
}

/// Waits at the gate, and panics.
struct Crash(Gate);
impl Handler<Crash> for Gated {
    type Reply = ();
    async fn handle(&mut self, Crash(gate): Crash, _: &mut Context<Self>) {
        gate.pass().await;
        panic!("before the duty came to its turn");
    }
}

/// How the duty finds the last in the chain.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Finds {
    Idle,
    /// So the duty is queued.
    Busy,
    /// The same, and what it is at will panic when the gate is opened.
    Crashes,
    /// Busy, with a full mailbox.
    Full,
    Ended,
}

/// What happens when the duty is there, before the gate is opened.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Nothing,
    Kill,
    Stop,
    StopNow,
    Restart,
    /// A newer message pushes it out.
    Evict,
    /// Not the last in the chain, but the one that was asked.
    KillFirst,
    /// Those between.
    KillMiddle,
}

#[rustfmt::skip]
const CHAINS: [(Finds, Last, Then, Result<u32, AskFailure>); 26] = {
    use AskFailure::{Killed, Panicked, Unanswered};
    use Finds::*;
    use Last::*;
    use Then::*;
    [
        (Idle,    Replies,          Nothing,    Ok(3)),
        (Idle,    RepliesLater,     Nothing,    Ok(3)),
        (Idle,    RepliesElsewhere, Nothing,    Ok(3)),
        (Idle,    Drops,            Nothing,    Err(Unanswered)),
        (Idle,    Panics,           Nothing,    Err(Panicked)),
        (Idle,    PanicsLater,      Nothing,    Err(Panicked)),
        // In hand. It is not the one that was asked who is killed.
        (Idle,    RepliesLater,     Kill,       Err(Unanswered)),
        (Idle,    RepliesLater,     Stop,       Ok(3)),
        (Idle,    RepliesLater,     StopNow,    Ok(3)),
        (Idle,    RepliesLater,     Restart,    Ok(3)),
        (Idle,    RepliesLater,     KillFirst,  Ok(3)),
        (Idle,    RepliesLater,     KillMiddle, Ok(3)),
        // Queued.
        (Busy,    Replies,          Nothing,    Ok(3)),
        (Busy,    Drops,            Nothing,    Err(Unanswered)),
        (Busy,    Panics,           Nothing,    Err(Panicked)),
        (Busy,    Replies,          Kill,       Err(Unanswered)),
        (Busy,    Replies,          Stop,       Ok(3)),
        (Busy,    Replies,          StopNow,    Err(Unanswered)),
        (Busy,    Replies,          Restart,    Ok(3)),
        (Busy,    Replies,          Evict,      Err(Unanswered)),
        (Busy,    Replies,          KillFirst,  Ok(3)),
        (Busy,    Drops,            KillFirst,  Err(Killed)),
        (Busy,    Replies,          KillMiddle, Ok(3)),
        (Crashes, Replies,          Nothing,    Err(Unanswered)),
        // Refused.
        (Full,    Replies,          Nothing,    Err(Unanswered)),
        (Ended,   Replies,          Nothing,    Err(Unanswered)),
    ]
};

/// Lets every task run that can.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[cfg_attr(miri, ignore = "takes many minutes there")]
#[tokio::test(start_paused = true)]
async fn the_asker_hears_however_far_the_duty_was_forwarded() {
    for (finds, last, then, expected) in CHAINS {
        for length in [2, 3, 5] {
            for subscribed in [false, true] {
                let runtime = Runtime::new();
                let letters = subscribed.then(|| runtime.dead_letters(8));
                let (gated, gate) = Gated::new();
                // A capacity of 1, so that the loop takes one at a time.
                let policy =
                    if then == Then::Evict { OverflowPolicy::DropOldest } else { OverflowPolicy::Error };
                let mailbox = Mailbox::bounded(1).overflow(policy);
                let end = runtime.configure("end").mailbox(mailbox).spawn(gated).unwrap();
                let before: Vec<_> =
                    (1..length).map(|_| runtime.spawn_unnamed(Gated::new().0).unwrap()).collect();
                match finds {
                    Finds::Idle => settle().await,
                    Finds::Busy | Finds::Full => gate.wait_until_busy(&end).await,
                    Finds::Crashes => drop(end.tell(Crash(gate.clone())).unwrap()),
                    Finds::Ended => {
                        end.stop();
                        end.ended().await;
                    }
                }
                if finds == Finds::Full {
                    end.tell(Add(0)).unwrap();
                }
                settle().await;
                let [first, middle @ ..] = &before[..] else { unreachable!("at least two") };
                let (asked, hop_gate) = (first.clone(), gate.clone());
                let next = [&end].into_iter().chain(middle).cloned().collect();
                let asking = tokio::spawn(async move {
                    asked.ask_with(|reply| Hop { reply, next, last, gate: hop_gate }).await
                });
                settle().await;
                match then {
                    Then::Nothing => {}
                    Then::Kill => end.kill(),
                    Then::Stop => end.stop(),
                    Then::StopNow => end.stop_now(),
                    Then::Restart => end.restart(),
                    Then::Evict => assert_eq!(end.tell(Add(0)).unwrap(), Told::Evicted),
                    Then::KillFirst => first.kill(),
                    Then::KillMiddle => middle.iter().for_each(Address::kill),
                }
                settle().await;
                gate.open();
                settle().await;
                // A letter has the message, and with it the duty.
                drop(letters);
                let heard = asking.await.unwrap().map_err(|error| error.failure);
                assert_eq!(heard, expected, "{finds:?}, {last:?}, {then:?}, {length}, {subscribed}");
                for address in before.iter().chain([&end]) {
                    address.stop();
                    address.ended().await;
                    accounted(address);
                }
                assert_eq!(runtime.pool_stats().in_use, 0);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_keeps_the_duty_and_its_reader_may_do_it() {
    for replies in [true, false] {
        let runtime = Runtime::new();
        let letters = runtime.dead_letters(8);
        let (address, gate) = small(&runtime, OverflowPolicy::Error);
        gate.wait_until_busy(&address).await;
        let first = runtime.spawn_unnamed(Gated::new().0).unwrap();
        let (asked, next) = (first.clone(), vec![address.clone()]);
        let asking = tokio::spawn(async move {
            asked.ask_with(|reply| Hop { reply, next, last: Last::Replies, gate: Gate::default() }).await
        });
        settle().await;
        address.kill();
        address.ended().await;
        settle().await;
        assert!(!asking.is_finished());
        // The first is of the message in hand.
        assert_eq!(letters.blocking_recv().unwrap().reason(), mycelia_actors::Reason::Failed);
        let letter = letters.blocking_recv().unwrap();
        let hop = letter.take_message::<Hop>().unwrap();
        if replies {
            hop.reply.reply(8);
            assert_eq!(asking.await.unwrap().unwrap(), 8);
        } else {
            drop(hop);
            assert_eq!(asking.await.unwrap().unwrap_err().failure, AskFailure::Unanswered);
        }
        accounted(&address);
    }
}
