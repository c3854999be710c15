use mycelia_actors::prelude::*;

struct Counter(u64);
impl Subsystem for Counter {}

struct Add(u64);
struct Subtract(u64);

impl Handler<Add> for Counter {
    type Reply = ();
    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) {
        self.0 += n;
    }
}

fn send(counter: Address<Counter>) {
    // With one handler rustc takes its message for the one that is meant.
    let _ = counter.tell(Subtract(1));
}

fn main() {}
