//! Scenes of subsystems, on one current-thread tokio.

use std::future::Future;

use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

/// Adds up the numbers it is sent.
#[derive(Default)]
struct Counter {
    handled: u64,
    sum: u64,
}

impl Counter {
    fn add(&mut self, number: u64) {
        self.handled += 1;
        self.sum = self.sum.wrapping_add(number);
    }
}

/// The typed body of a route without parameters.
#[derive(Serialize, Deserialize)]
struct Put(u64);

/// The message of a route with one parameter.
#[derive(Serialize, Deserialize)]
struct Get {
    id: u64,
}

/// Asks a counter what it has handled.
struct Report;

impl Subsystem for Counter {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Put>("users");
        routes.on::<Get>("users/{id}");
    }
}

impl Handler<u64> for Counter {
    type Reply = u64;

    async fn handle(&mut self, number: u64, _: &mut Context<Self>) -> u64 {
        self.add(number);
        self.sum
    }
}

impl Handler<Put> for Counter {
    type Reply = ();

    async fn handle(&mut self, Put(number): Put, _: &mut Context<Self>) {
        self.add(number);
    }
}

impl Handler<Get> for Counter {
    type Reply = ();

    async fn handle(&mut self, Get { id }: Get, _: &mut Context<Self>) {
        self.add(id);
    }
}

impl Handler<Report> for Counter {
    type Reply = (u64, u64);

    async fn handle(&mut self, _: Report, _: &mut Context<Self>) -> (u64, u64) {
        (self.handled, self.sum)
    }
}

/// One of a ring: hands the token, a number of hops that are left, to the next.
struct Link {
    next: Option<Address<Link>>,
    hops: u64,
    done: Option<oneshot::Sender<()>>,
}

impl Subsystem for Link {}

/// Tells a link who comes next.
struct Next(Address<Link>);

impl Handler<Next> for Link {
    type Reply = ();

    async fn handle(&mut self, Next(next): Next, _: &mut Context<Self>) {
        self.next = Some(next);
    }
}

impl Handler<u64> for Link {
    type Reply = ();

    async fn handle(&mut self, left: u64, _: &mut Context<Self>) {
        self.hops += 1;
        match (left.checked_sub(1), &self.next) {
            (Some(left), Some(next)) => next.send(left).await.expect("the next one lives"),
            _ => drop(self.done.take().map(|done| done.send(()))),
        }
    }
}

/// Asks a link how many hops it has seen, and gives it what tells the scene of the end.
struct Hops(Option<oneshot::Sender<()>>);

impl Handler<Hops> for Link {
    type Reply = u64;

    async fn handle(&mut self, Hops(done): Hops, _: &mut Context<Self>) -> u64 {
        self.done = done;
        self.hops
    }
}

/// Runs a scene in a task, as the code of a user is, and ends the runtime.
fn run<F>(scene: fn(Runtime, u64) -> F, operations: u64) -> Result<(), String>
where
    F: Future<Output = Result<(), String>> + Send + 'static,
{
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let tokio = tokio.expect("a current-thread tokio can be built");
    let task = tokio.spawn(async move {
        let runtime = Runtime::new();
        scene(runtime.clone(), operations).await?;
        runtime.shutdown().await.map_err(|error| error.to_string())
    });
    tokio.block_on(task).expect("the scene does not panic")
}

/// Fails unless the counter has handled the numbers `0..sent`, and its ledger says the same.
async fn verify(counter: &Address<Counter>, sent: u64) -> Result<(), String> {
    let handled = counter.ask(Report).await.map_err(|error| error.to_string())?;
    let stats = counter.stats();
    let lost = stats.sent - stats.handled - stats.queued - stats.in_hand;
    if handled == (sent, (0..sent).sum()) && stats.sent == sent + 1 && lost == 0 {
        return Ok(());
    }
    Err(format!("sent {sent} messages, handled {} with the sum {}; {stats}", handled.0, handled.1))
}

/// Plays `send(m).await` in a loop.
pub(crate) fn tell(operations: u64) -> Result<(), String> {
    run(
        |runtime, operations| async move {
            let counter = runtime.spawn_unnamed(Counter::default()).expect("spawned");
            for number in 0..operations {
                counter.send(number).await.expect("the counter lives");
            }
            verify(&counter, operations).await
        },
        operations,
    )
}

/// Plays `tell_many` of 64 messages. One operation is one message.
pub(crate) fn tell_many(operations: u64) -> Result<(), String> {
    run(
        |runtime, operations| async move {
            let counter = runtime.spawn_unnamed(Counter::default()).expect("spawned");
            for first in (0..operations).step_by(64) {
                counter.tell_many(first..operations.min(first + 64)).expect("there is capacity");
                // The next batch follows when this one is handled.
                tokio::task::yield_now().await;
            }
            verify(&counter, operations).await
        },
        operations,
    )
}

/// Plays `Route::send` in a loop, with the message as the body.
pub(crate) fn route(operations: u64) -> Result<(), String> {
    run(
        |runtime, operations| async move {
            let counter = runtime.spawn("api", Counter::default()).expect("spawned");
            let route = runtime.route("api://users").expect("the path has a route");
            for number in 0..operations {
                route.send(Put(number)).await.expect("the counter lives");
            }
            verify(&counter, operations).await
        },
        operations,
    )
}

/// Plays `Runtime::send` in a loop, by a path with one parameter. The texts of the paths are made beforehand.
pub(crate) fn path(operations: u64) -> Result<(), String> {
    const PATHS: u64 = 100;
    run(
        |runtime, operations| async move {
            let counter = runtime.spawn("api", Counter::default()).expect("spawned");
            let paths: Vec<_> = (0..PATHS).map(|id| format!("api://users/{}", 10_000 + id)).collect();
            let mut sum = 0;
            for number in 0..operations {
                let id = number % PATHS;
                sum += 10_000 + id;
                runtime.send(&paths[id as usize], ()).await.expect("the path leads to the counter");
            }
            let handled = counter.ask(Report).await.map_err(|error| error.to_string())?;
            if handled == (operations, sum) {
                Ok(())
            } else {
                Err(format!("{handled:?}, not {:?}", (operations, sum)))
            }
        },
        operations,
    )
}

/// Plays one ask after another.
pub(crate) fn ask(operations: u64) -> Result<(), String> {
    run(
        |runtime, operations| async move {
            let counter = runtime.spawn_unnamed(Counter::default()).expect("spawned");
            let mut sum = 0;
            for number in 0..operations {
                sum += number;
                let reply = counter.ask(number).await.expect("the counter answers");
                if reply != sum {
                    return Err(format!("the reply was {reply}, not {sum}"));
                }
            }
            verify(&counter, operations).await
        },
        operations,
    )
}

/// Plays a token that goes round a ring of 101 subsystems. One operation is one hop.
pub(crate) fn hop(operations: u64) -> Result<(), String> {
    run(
        |runtime, operations| async move {
            let spawn = |_| runtime.spawn_unnamed(Link { next: None, hops: 0, done: None }).expect("spawned");
            let links: Vec<_> = (0..101).map(spawn).collect();
            for (link, next) in links.iter().zip(links.iter().cycle().skip(1)) {
                link.ask(Next(next.clone())).await.expect("the link answers");
            }
            let (done, ended) = oneshot::channel();
            let last = (operations - 1) as usize % links.len();
            links[last].ask(Hops(Some(done))).await.expect("the link answers");
            links[0].send(operations - 1).await.expect("the link lives");
            ended.await.map_err(|_| "the token was lost")?;
            let mut hops = 0;
            for link in &links {
                hops += link.ask(Hops(None)).await.expect("the link answers");
            }
            if hops == operations { Ok(()) } else { Err(format!("{hops} hops, not {operations}")) }
        },
        operations,
    )
}

/// Plays subsystems that are spawned, handle one message, and end, one after another.
pub(crate) fn spawn(operations: u64) -> Result<(), String> {
    run(
        |runtime, operations| async move {
            let mut handled = 0;
            for number in 0..operations {
                let counter = runtime.spawn_unnamed(Counter::default()).expect("spawned");
                counter.send(number).await.expect("the counter lives");
                counter.stop();
                counter.ended().await;
                handled += counter.stats().handled;
            }
            if handled == operations { Ok(()) } else { Err(format!("{handled} handled, not {operations}")) }
        },
        operations,
    )
}

/// Plays subsystems that are spawned, handle one message, and all live until the runtime is shut down.
pub(crate) fn crowd(operations: u64) -> Result<(), String> {
    run(
        |runtime, operations| async move {
            let mut all = Vec::with_capacity(operations as usize);
            for number in 0..operations {
                let counter = runtime.spawn_unnamed(Counter::default()).expect("spawned");
                counter.send(number).await.expect("the counter lives");
                all.push(counter);
            }
            runtime.shutdown().await.map_err(|error| error.to_string())?;
            let handled: u64 = all.iter().map(|counter| counter.stats().handled).sum();
            if handled == operations { Ok(()) } else { Err(format!("{handled} handled, not {operations}")) }
        },
        operations,
    )
}
