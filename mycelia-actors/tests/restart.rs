//! What is between two states of a subsystem: nothing of the old one reaches the next unless it should.
#![cfg(not(mycelia_loom))]

mod subsystems;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mycelia_actors::Reason;
use mycelia_actors::prelude::*;
use subsystems::accounted;
use tokio::time::{Instant, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// Its number, and what came to it: with the number of the state that it was for.
struct Reader {
    number: u64,
    got: Arc<Mutex<Vec<(u64, u64)>>>,
    across: bool,
}

impl Subsystem for Reader {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        let number = self.number;
        let timer = cx.send_after(SECOND, Row(number));
        if self.across {
            timer.across_restarts();
        }
        Ok(())
    }
}

struct Row(u64);
impl Handler<Row> for Reader {
    type Reply = ();
    async fn handle(&mut self, Row(of): Row, _: &mut Context<Self>) {
        self.got.lock().unwrap().push((of, self.number));
    }
}

/// Blocks the mailbox for so long, and fails then if asked to.
struct Work(Duration, bool);
impl Handler<Work> for Reader {
    type Reply = ();
    async fn handle(&mut self, Work(time, fails): Work, _: &mut Context<Self>) {
        sleep(time).await;
        assert!(!fails, "on purpose");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_of_side_tasks_of_an_old_state_expire_unless_they_are_kept() {
    for across in [false, true] {
        let runtime = Runtime::new();
        let letters = runtime.dead_letters(8);
        let (got, made) = (Arc::<Mutex<Vec<_>>>::default(), AtomicU64::new(0));
        let to = Arc::clone(&got);
        let make = move || Reader { number: made.fetch_add(1, SeqCst), got: Arc::clone(&to), across };
        let reader = runtime.spawn_with("reader", make).unwrap();
        // Its timer fires while a message is in hand that then fails. What is told by address stays.
        reader.tell(Work(2 * SECOND, true)).unwrap();
        sleep(SECOND * 3 / 2).await;
        reader.tell(Row(99)).unwrap();
        sleep(SECOND).await;
        let expected = if across { vec![(0, 1), (99, 1)] } else { vec![(99, 1)] };
        assert_eq!(*got.lock().unwrap(), expected);
        assert_eq!(reader.stats().expired, u64::from(!across));
        let reasons: Vec<_> = letters.drain().map(|letter| letter.reason()).collect();
        let expected = if across { vec![Reason::Failed] } else { vec![Reason::Failed, Reason::OldState] };
        assert_eq!(reasons, expected);
        accounted(&reader);
    }
}

/// Says when it is dropped.
struct Bound(Arc<AtomicBool>);
impl Bound {
    fn bind(port: &Arc<AtomicBool>) -> Self {
        assert!(!port.swap(true, SeqCst), "the port is taken");
        Self(Arc::clone(port))
    }
}
impl Drop for Bound {
    fn drop(&mut self) {
        self.0.store(false, SeqCst);
    }
}

#[tokio::test]
async fn side_tasks_and_children_and_the_old_state_go_before_the_factory_runs() {
    struct Server {
        ports: [Arc<AtomicBool>; 3],
        _bound: Bound,
    }
    struct Child(#[expect(dead_code, reason = "held")] Bound);
    impl Subsystem for Child {}
    impl Subsystem for Server {
        async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
            let port = Bound::bind(&self.ports[1]);
            cx.pipe(async move {
                let _port = port;
                std::future::pending::<Work>().await
            });
            cx.spawn(Child(Bound::bind(&self.ports[2])))?;
            Ok(())
        }
    }
    impl Handler<Work> for Server {
        type Reply = ();
        async fn handle(&mut self, _: Work, _: &mut Context<Self>) {
            panic!("on purpose");
        }
    }
    let runtime = Runtime::new();
    let ports: [Arc<AtomicBool>; 3] = Default::default();
    let mine = ports.clone();
    let make = move || {
        assert!(mine[1..].iter().all(|port| !port.load(SeqCst)), "what it started is gone");
        Server { _bound: Bound::bind(&mine[0]), ports: mine.clone() }
    };
    let server = runtime
        .configure("server")
        .restart(Restart::one_for_one().at_most(100, SECOND))
        .spawn_with(make)
        .unwrap();
    for round in 1..=50 {
        server.tell(Work(Duration::ZERO, true)).unwrap();
        if round % 2 == 0 {
            server.restart();
        }
        while server.stats().restarts < round + round / 2 {
            tokio::task::yield_now().await;
        }
        assert!(server.exit().is_none(), "{:?}", server.exit());
    }
    assert!(ports.iter().all(|port| port.load(SeqCst)));
    server.stop();
    server.ended().await;
    assert!(ports.iter().all(|port| !port.load(SeqCst)), "gone when the end is told");
    let side_tasks = server.side_tasks();
    assert_eq!((side_tasks.started, side_tasks.abandoned), (76, 76), "{side_tasks:?}");
}

#[tokio::test(start_paused = true)]
async fn a_factory_that_fails_is_a_failed_start_and_there_is_no_state_meanwhile() {
    struct One(Arc<AtomicU64>);
    impl Subsystem for One {
        async fn stopped(&mut self, _: &Exit, _: &mut Context<Self>) {
            self.0.store(999, SeqCst);
        }
    }
    struct Fail;
    impl Handler<Fail> for One {
        type Reply = ();
        async fn handle(&mut self, _: Fail, _: &mut Context<Self>) {
            panic!("in hand");
        }
    }
    for (good_from, ends) in [(3, false), (99, true)] {
        let runtime = Runtime::new();
        let calls = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&calls);
        let make = move || {
            let call = count.fetch_add(1, SeqCst);
            assert!(call == 0 || call >= good_from, "no state");
            One(Arc::clone(&count))
        };
        let restart = Restart::one_for_one().at_most(3, SECOND).backoff(SECOND, SECOND);
        let one = runtime.configure("one").restart(restart).spawn_with(make).unwrap();
        one.tell(Fail).unwrap();
        sleep(60 * SECOND).await;
        assert_eq!(one.exit().is_some(), ends);
        assert_eq!(calls.load(SeqCst), 4, "three tries, and no `stopped` of a state that is not there");
        accounted(&one);
    }
}

#[tokio::test(start_paused = true)]
async fn a_restart_waits_a_second_for_a_side_task_that_blocks_and_then_abandons_it() {
    struct One;
    impl Subsystem for One {
        async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
            // Never ends by itself, and cannot be told to: it holds its thread, as far as this can be seen.
            cx.pipe(Stubborn);
            Ok(())
        }
    }
    struct Row;
    impl Handler<Row> for One {
        type Reply = ();
        async fn handle(&mut self, _: Row, _: &mut Context<Self>) {}
    }
    /// Takes two seconds to drop.
    struct Stubborn;
    impl Future for Stubborn {
        type Output = Row;
        fn poll(self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<Row> {
            std::task::Poll::Pending
        }
    }
    let runtime = Runtime::new();
    let one = runtime.spawn_with("one", || One).unwrap();
    one.started().await.unwrap();
    let began = Instant::now();
    one.restart();
    one.ask(Row).await.unwrap();
    assert!(began.elapsed() <= SECOND, "{:?}", began.elapsed());
    assert_eq!((one.side_tasks().abandoned, one.stats().restarts), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn pauses_as_long_as_the_window_still_grow_and_end() {
    struct Down(Arc<Mutex<Vec<Duration>>>, Instant);
    impl Subsystem for Down {
        async fn started(&mut self, _: &mut Context<Self>) -> Result<(), BoxError> {
            self.0.lock().unwrap().push(self.1.elapsed());
            panic!("down")
        }
    }
    let runtime = Runtime::builder().seed(1).build();
    let (log, epoch) = (Arc::<Mutex<Vec<_>>>::default(), Instant::now());
    let to = Arc::clone(&log);
    let restart = Restart::one_for_one().at_most(6, 5 * SECOND).backoff(10 * SECOND, 60 * SECOND);
    let down =
        runtime.configure("down").restart(restart).spawn_with(move || Down(Arc::clone(&to), epoch)).unwrap();
    down.ended().await;
    let log = log.lock().unwrap();
    assert_eq!(log.len(), 7, "the seventh failure is one too many");
    let pauses: Vec<_> = log.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    let full = [0.0, 10.0, 20.0, 40.0, 60.0, 60.0];
    for (pause, full) in pauses.iter().zip(full) {
        assert!(*pause >= full / 2.0 - 0.01 && *pause <= full + 0.01, "{pauses:?}");
    }
}
