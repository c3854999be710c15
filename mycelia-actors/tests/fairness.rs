//! What is always ready lets others run: each await of this crate takes part in tokio's cooperative budget.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mycelia_actors::prelude::*;
use mycelia_actors::{AskFailure, DeadLetter};
use subsystems::{Add, Gated};

const TIMES: u32 = 10_000;

/// True if another task on the same thread gets its turns while `busy` runs, which never waits for it.
async fn lets_others_run(busy: impl Future) -> bool {
    let turns = Rc::new(Cell::new(0_u32));
    let counted = Rc::clone(&turns);
    let others = async move {
        loop {
            counted.set(counted.get() + 1);
            tokio::task::yield_now().await;
        }
    };
    let local = tokio::task::LocalSet::new();
    let other = local.spawn_local(others);
    let before = turns.get();
    local.run_until(busy).await;
    let got = turns.get() - before;
    other.abort();
    got >= TIMES / 512
}

fn roomy(runtime: &Runtime) -> Address<Gated> {
    let mailbox = Mailbox::bounded(2 * TIMES as usize);
    runtime.configure_unnamed().mailbox(mailbox).spawn(Gated::new().0).unwrap()
}

#[tokio::test]
async fn sends_that_find_room() {
    let runtime = Runtime::new();
    let address = roomy(&runtime);
    let busy = async {
        for n in 0..TIMES {
            address.send(Add(u64::from(n))).await.unwrap();
        }
    };
    assert!(lets_others_run(busy).await);
    address.kill();
}

#[tokio::test]
async fn sends_and_asks_that_are_refused() {
    let runtime = Runtime::new();
    let address = roomy(&runtime);
    address.kill();
    address.ended().await;
    let busy = async {
        for _ in 0..TIMES {
            address.send(Add(1)).await.unwrap_err();
        }
    };
    assert!(lets_others_run(busy).await, "sends");
    let busy = async {
        for _ in 0..TIMES {
            let error = address.ask(Add(1)).await.unwrap_err();
            assert!(matches!(error.failure, AskFailure::Refused(_)));
        }
    };
    assert!(lets_others_run(busy).await, "asks");
    let busy = async {
        for _ in 0..TIMES {
            assert!(runtime.send("nobody://a", ()).await.is_err());
            assert!(runtime.ask::<(), _>("nobody://a", ()).await.is_err());
        }
    };
    assert!(lets_others_run(busy).await, "by path");
    let busy = async {
        for _ in 0..TIMES {
            address.ended().await;
        }
    };
    assert!(lets_others_run(busy).await, "ends");
}

#[tokio::test]
async fn an_exhausted_pool() {
    let runtime = Runtime::builder().messages(MessagePool::capacity(1).fail_when_exhausted()).build();
    let address = roomy(&runtime);
    address.suspend();
    address.tell(Add(1)).unwrap();
    let busy = async {
        for _ in 0..TIMES {
            address.send(Add(1)).await.unwrap_err();
            address.ask(Add(1)).await.unwrap_err();
        }
    };
    assert!(lets_others_run(busy).await);
    let busy = async {
        for _ in 0..TIMES {
            address.ask_with(|_: ReplyTo<()>| Add(1)).await.unwrap_err();
        }
    };
    assert!(lets_others_run(busy).await, "asks with a reply of their own");
    address.kill();
}

#[tokio::test]
async fn a_handler_that_is_told_of_its_stop_again_and_again() {
    struct Busy(Arc<Runtime>, Arc<AtomicU32>);
    struct Go;
    impl Subsystem for Busy {}
    impl Handler<Go> for Busy {
        type Reply = [u32; 2];
        async fn handle(&mut self, _: Go, cx: &mut Context<Self>) -> [u32; 2] {
            cx.stop();
            let turns = || self.1.swap(0, Ordering::Relaxed);
            turns();
            for _ in 0..TIMES {
                cx.stopping().await;
            }
            let stopping = turns();
            for _ in 0..TIMES {
                self.0.shutdown().await.unwrap_err();
            }
            [stopping, turns()]
        }
    }
    let turns = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&turns);
    let others = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
        }
    });
    let runtime = Arc::new(Runtime::new());
    let busy = runtime.spawn_unnamed(Busy(Arc::clone(&runtime), turns)).unwrap();
    let turns = busy.ask(Go).await.unwrap();
    assert!(turns.iter().all(|turns| *turns >= TIMES / 512), "{turns:?}");
    others.abort();
}

#[tokio::test]
async fn events_and_letters_that_are_there() {
    let runtime = Runtime::new();
    let mut events = runtime.bus().subscribe::<u32>("{*all}", TIMES as usize).unwrap();
    let letters = runtime.dead_letters(TIMES as usize);
    let mut more = runtime.bus().subscribe::<DeadLetter>("{*all}", TIMES as usize).unwrap();
    let mailbox = Mailbox::bounded(1).overflow(OverflowPolicy::DropNewest);
    let address = runtime.configure("full").mailbox(mailbox).spawn(Gated::new().0).unwrap();
    address.suspend();
    for n in 0..TIMES {
        runtime.bus().publish("a", n).unwrap();
        address.tell(Add(1)).unwrap();
    }
    let busy = async {
        for n in 0..TIMES {
            assert_eq!(*events.recv().await.unwrap().event, n);
        }
    };
    assert!(lets_others_run(busy).await, "events");
    let busy = async {
        for _ in 0..TIMES - 1 {
            letters.recv().await.unwrap();
        }
    };
    assert!(lets_others_run(busy).await, "letters");
    let busy = async {
        for _ in 0..TIMES - 1 {
            std::future::poll_fn(|task| futures_core::Stream::poll_next(std::pin::Pin::new(&mut more), task))
                .await
                .unwrap();
        }
    };
    assert!(lets_others_run(busy).await, "as a stream");
    address.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_handler_that_sends_in_a_loop_can_be_killed() {
    struct Busy(Address<Gated>);
    struct Go;
    impl Subsystem for Busy {}
    impl Handler<Go> for Busy {
        type Reply = ();
        async fn handle(&mut self, _: Go, _: &mut Context<Self>) {
            loop {
                let _ = self.0.send(Add(1)).await;
            }
        }
    }
    let runtime = Runtime::new();
    let gone = runtime.spawn_unnamed(Gated::new().0).unwrap();
    gone.kill();
    gone.ended().await;
    let busy = runtime.spawn_unnamed(Busy(gone)).unwrap();
    busy.tell(Go).unwrap();
    while busy.stats().in_hand == 0 {
        tokio::task::yield_now().await;
    }
    busy.kill();
    let ended = tokio::time::timeout(Duration::from_secs(60), busy.ended()).await;
    assert!(matches!(ended, Ok(Exit::Killed)));
}
