use mycelia_actors::prelude::*;

struct Counter;
impl Subsystem for Counter {}

struct Rename<'a>(&'a str);

impl<'a> Handler<Rename<'a>> for Counter {
    type Reply = ();
    async fn handle(&mut self, _: Rename<'a>, _: &mut Context<Self>) {}
}

fn main() {}
