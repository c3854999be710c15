// `blocking_ask(.., 100 ms)` blocks for ever.
use mycelia_actors::prelude::*;
use std::time::{Duration, Instant};

struct Silent;
impl Subsystem for Silent {}
struct Question;
impl Handler<Question> for Silent {
    type Reply = ();
    async fn handle(&mut self, _: Question, _: &mut Context<Self>) {
        std::future::pending().await
    }
}
fn main() {
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(3));
        figures::judge(
            "still waiting after 3 s",
            true,
            "`Deadline(100ms)` after 100 ms, or an error at once",
            false,
        );
        figures::end();
    });
    let blocked = std::env::args().nth(1).is_some_and(|mode| mode == "blocked");
    let tokio = if blocked { figures::multi(2) } else { figures::single() };
    let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
    let silent = tokio.block_on(async { runtime.spawn("silent", Silent).unwrap() });
    let inside = std::env::args().nth(1).is_some_and(|mode| mode == "inside"); // both hang
    if blocked {
        // Every worker, and for as long as this process lives.
        for _ in 0..2 {
            tokio.spawn(async { std::thread::sleep(Duration::from_secs(60)) });
        }
        figures::sleep_ms(50);
    }
    let limit = Duration::from_millis(100);
    let took = figures::best_of_three(|| {
        let since = Instant::now();
        let ask = || silent.blocking_ask(Question, limit);
        let answer = if inside { tokio.block_on(async { ask() }) } else { ask() };
        let took = since.elapsed();
        println!("{answer:?} after {took:?}");
        let early = took < limit && answer.as_ref().is_err_and(|error| error.to_string().contains("100ms"));
        figures::judge(
            "ends with an error, and no deadline is early",
            (answer.is_err(), early),
            "(true, false)",
            answer.is_err() && !early,
        );
        took
    });
    figures::judge(
        "the quickest of three",
        took,
        "100 to 110 ms, or at once",
        took <= limit + figures::lateness(limit),
    );
    figures::end();
}
