use mycelia_actors::prelude::*;

struct Counter(u64);
impl Subsystem for Counter {}

struct Add(u64);

impl Handler<Add> for Counter {
    type Reply = u64;
    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> String {
        self.0 += n;
        self.0.to_string()
    }
}

struct Reset;

impl Handler<Reset> for Counter {
    type Reply = u64;
    async fn handle(&mut self, _: Reset, _: &mut Context<Self>) {
        self.0 = 0;
    }
}

fn main() {}
