#![deny(unused_must_use)]
use mycelia_actors::prelude::*;

struct Counter;
impl Subsystem for Counter {}

struct Add(u64);

impl Handler<Add> for Counter {
    type Reply = u64;
    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        n
    }
}

fn ask(counter: &Address<Counter>) {
    counter.ask(Add(1));
    counter.send(Add(1));
    counter.tell(Add(1));
}

fn main() {}
