use std::rc::Rc;

use mycelia_actors::prelude::*;

struct Counter;
impl Subsystem for Counter {}

struct Rename(Rc<str>);

impl Handler<Rename> for Counter {
    type Reply = ();
    async fn handle(&mut self, _: Rename, _: &mut Context<Self>) {}
}

fn tell(counter: &Address<Counter>) {
    let _ = counter.tell(Rename("new".into()));
}

fn main() {}
