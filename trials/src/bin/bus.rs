// to subscribe (and to unsubscribe) costs as much as there are subscribers of the type.
use mycelia_actors::prelude::*;
use std::time::Instant;

#[tokio::main]
async fn main() -> std::process::ExitCode {
    let runtime = Runtime::new();
    let bus = runtime.bus();
    let mut each = [[std::time::Duration::MAX; 2]; 4];
    for (row, count) in [2_500, 5_000, 10_000, 20_000].into_iter().enumerate().cycle().take(12) {
        let since = Instant::now();
        let all: Vec<_> =
            (0..count).map(|n| bus.subscribe::<u64>(&format!("devices/{n}/state"), 10).unwrap()).collect();
        let (subscribed, since) = (since.elapsed(), Instant::now());
        drop(all);
        // right: twice as many take twice as long
        let dropped = since.elapsed();
        println!("{count}: subscribed in {subscribed:?}, dropped in {dropped:?}");
        each[row] = [each[row][0].min(subscribed / count), each[row][1].min(dropped / count)];
    }
    let [few, .., many] = each;
    // Where each looks at all others it is eight times as much; 20 000 do not fit into a cache.
    let holds = many[0] < 3 * few[0] && many[1] < 3 * few[1];
    figures::judge(
        "for each of 2 500, and each of 20 000, to subscribe and to drop",
        (few, many),
        "the same (less than three times as much)",
        holds,
    );
    figures::verdict()
}
