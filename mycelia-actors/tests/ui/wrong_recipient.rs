use mycelia_actors::prelude::*;

struct Counter(u64);
impl Subsystem for Counter {}

struct Add(u64);
struct Total;
struct Line(String);

impl Handler<Add> for Counter {
    type Reply = ();
    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) {
        self.0 += n;
    }
}

impl Handler<Total> for Counter {
    type Reply = u64;
    async fn handle(&mut self, _: Total, _: &mut Context<Self>) -> u64 {
        self.0
    }
}

fn everybody(counter: &Address<Counter>) {
    let _lines: Recipient<Line> = counter.recipient();
    let adders: Recipient<Add> = counter.recipient();
    let _ = adders.tell(Total);
    let _totals: Recipient<Total> = adders;
}

fn main() {}
