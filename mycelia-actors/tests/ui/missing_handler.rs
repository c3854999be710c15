use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct GetUser {
    id: u64,
}

struct Users;

impl Subsystem for Users {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<GetUser>("users/{id}");
        routes.raw("files/{*path}");
    }
}

fn main() {}
