use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Rename<'a> {
    id: u64,
    name: &'a str,
}

struct Users;

impl Handler<Rename<'static>> for Users {
    type Reply = ();
    async fn handle(&mut self, _: Rename<'static>, _: &mut Context<Self>) {}
}

impl Subsystem for Users {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Rename>("users/{id}/{name}");
    }
}

fn main() {}
