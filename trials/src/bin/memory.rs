// what stays, or is too much.
use figures::{live, sleep_ms};
use mycelia_actors::prelude::*;
use std::hint::black_box;
use std::time::Duration;

struct Desk;
impl Subsystem for Desk {}
struct Note;
impl Handler<Note> for Desk {
    type Reply = ();
    async fn handle(&mut self, _: Note, _: &mut Context<Self>) {}
}
struct With<F>(F);
impl<F: FnOnce(&mut Context<Desk>) + Send + 'static> Handler<With<F>> for Desk {
    type Reply = ();
    async fn handle(&mut self, With(work): With<F>, cx: &mut Context<Self>) {
        work(cx)
    }
}
struct Large;
impl Handler<Large> for Desk {
    type Reply = ();
    async fn handle(&mut self, _: Large, _: &mut Context<Self>) {
        let buffer = black_box([0_u8; 65536]);
        tokio::task::yield_now().await;
        black_box(&buffer);
    }
}
const LONG: Duration = Duration::from_secs(9);
fn short() -> impl Future<Output = Note> + Send {
    async {
        let buffer = black_box([0_u8; 3500]);
        tokio::time::sleep(Duration::from_millis(10)).await;
        black_box(&buffer);
        Note
    }
}
async fn held(buffer: [u8; 4096]) -> Note {
    tokio::time::sleep(LONG).await;
    black_box(&buffer);
    Note
}
fn main() -> std::process::ExitCode {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
    let desk = runtime.spawn_with("desk", || Desk).unwrap();
    let ask = |desk: &Address<Desk>, work: fn(&mut Context<Desk>)| {
        desk.blocking_ask(With(work), LONG).unwrap_or_else(|_| panic!())
    };
    ask(&desk, |cx| drop(cx.pipe(async { Note })));
    let before = live();
    ask(&desk, |cx| (0..10_000).for_each(|_| drop(cx.pipe(short()))));
    sleep_ms(2000);
    println!("10 000 pipes of a future of {} B", size_of_val(&short()));
    // What the message pool keeps for half a minute, twice what was out at once, is 300 kB.
    given_back("10 000 pipes, all done: bytes each", (live() - before) / 10_000, 40);
    ask(&desk, |cx| (0..100_000).for_each(|_| drop(cx.send_after(Duration::from_millis(10), Note))));
    sleep_ms(2000);
    given_back("100 000 timers, all fired: bytes each", (live() - before) / 100_000, 8);
    ask(&desk, |cx| {
        let timers: Vec<_> = (0..100_000).map(|_| cx.send_after(LONG, Note)).collect();
        timers.iter().for_each(TaskHandle::cancel);
    });
    sleep_ms(1000);
    given_back("100 000 timers, all cancelled: bytes each", (live() - before) / 100_000, 8);
    desk.restart();
    sleep_ms(100);
    let before = live();
    ask(&desk, |cx| (0..100).for_each(|_| drop(cx.pipe(held([0; 4096])))));
    let (future, each) = (size_of_val(&held([0; 4096])) as i64, (live() - before) / 100);
    let right = format!("about {future}");
    figures::judge("bytes of a pipe", each, &right, each <= future * 3 / 2);
    let all: Vec<_> = (0..1000).map(|_| runtime.spawn_unnamed(Desk).unwrap()).collect();
    let each = |what: &str, before| {
        all.iter().for_each(|desk| desk.blocking_ask(Note, LONG).unwrap());
        runtime.trim();
        let slots = runtime.pool_stats().created as i64 * 144; // not theirs
        given_back(what, (live() - slots - before) / 1000, 1024);
    };
    let base = || {
        runtime.trim();
        live() - runtime.pool_stats().created as i64 * 144
    };
    each("1000 subsystems, one small message each: bytes each", base());
    let before = base();
    all.iter().for_each(|desk| desk.blocking_ask(Large, LONG).unwrap());
    each("each has handled one message over 64 KiB of locals: bytes each", before);
    let before = base();
    all.iter().for_each(|desk| (0..1000).for_each(|_| _ = desk.tell(Note).unwrap()));
    sleep_ms(100);
    each("each has had a burst of 1000 in its default mailbox, now empty: bytes each", before);
    let before = live();
    let mut events = runtime.bus().subscribe::<u64>("{*all}", 1_000_000).unwrap();
    (0..1_000_000_u64).for_each(|n| _ = runtime.bus().publish("a", n).unwrap());
    while events.try_recv().is_some() {}
    given_back("a subscription after a million events, now empty: bytes", live() - before, 65_536);
    figures::verdict()
}
fn given_back(what: &str, left: i64, at_most: i64) {
    figures::judge(what, left, &format!("given back (at most {at_most})"), left <= at_most);
}
