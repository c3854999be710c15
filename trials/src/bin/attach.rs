// a stream that is always ready keeps its subsystem from running (default mailbox), survives `cancel` and restarts (roomy one).
use mycelia_actors::prelude::*;
use std::time::{Duration, Instant};

struct Frame(u64);
/// Frames that take a while to decode, and no await.
fn frames(state: u64, each: Duration) -> impl futures::Stream<Item = Frame> {
    futures::stream::iter(std::iter::repeat_with(move || {
        let since = Instant::now();
        while since.elapsed() < each {}
        Frame(state)
    }))
}
struct Player {
    state: u64,
    each: Duration,
    got: [u64; 3],
}
impl Subsystem for Player {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        cx.attach(frames(self.state, self.each));
        Ok(())
    }
}
impl Handler<Frame> for Player {
    type Reply = ();
    async fn handle(&mut self, Frame(state): Frame, _: &mut Context<Self>) {
        self.got[state as usize] += 1;
    }
}
struct Got;
impl Handler<Got> for Player {
    type Reply = [u64; 3];
    async fn handle(&mut self, _: Got, _: &mut Context<Self>) -> [u64; 3] {
        self.got
    }
}
fn main() {
    let tokio = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let runtime = Runtime::builder().tokio(tokio.handle().clone()).build();
    let second = Duration::from_secs(1);
    // 1. Everything by default, two idle workers, 1 ms a frame.
    let ms = Duration::from_millis(1);
    let player = runtime.spawn("player", Player { state: 0, each: ms, got: [0; 3] }).unwrap();
    std::thread::sleep(second / 2);
    // right: some ms, hundreds handled. (tokio's own mpsc would yield after 128 items)
    let handled = player.stats().handled;
    figures::judge("handled after 500 ms", handled, "hundreds", handled >= 100);
    let asked = player.blocking_ask(Got, second / 4).map_err(|e| e.to_string());
    figures::judge("an ask within 250 ms", &asked, "Ok", asked.is_ok());
    player.kill();
    // 2. A mailbox that does not fill.
    let made = std::sync::atomic::AtomicU64::new(0);
    let state = move || made.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let each = Duration::from_micros(5);
    let roomy = runtime.configure("roomy").own_thread().mailbox(Mailbox::bounded(1 << 20));
    let roomy = roomy.spawn_with(move || Player { state: state(), each, got: [0; 3] }).unwrap();
    for _ in 0..2 {
        std::thread::sleep(second / 5);
        roomy.restart();
    }
    std::thread::sleep(second / 5);
    // right: [0, 0, n]: the streams of states 0 and 1 ended with them
    let got = roomy.blocking_ask(Got, second).map_err(|e| e.to_string());
    figures::judge(
        "state 2 got frames of states 0, 1, 2",
        &got,
        "Ok([0, 0, n])",
        matches!(got, Ok([0, 0, n]) if n > 0),
    );
    let (sender, receiver) = std::sync::mpsc::channel();
    tokio.spawn(async move { sender.send(()) });
    let other = receiver.recv_timeout(second);
    figures::judge("another task of that tokio", other, "Ok(())", other.is_ok());
    figures::end();
}
