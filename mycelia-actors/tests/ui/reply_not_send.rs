use std::rc::Rc;

use mycelia_actors::prelude::*;

struct Counter;
impl Subsystem for Counter {}

struct Label;

impl Handler<Label> for Counter {
    type Reply = Rc<str>;
    async fn handle(&mut self, _: Label, _: &mut Context<Self>) -> Rc<str> {
        "counter".into()
    }
}

fn main() {}
