use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct GetUser {
    id: u64,
}

struct User;

struct Users;

impl Handler<GetUser> for Users {
    type Reply = User;
    async fn handle(&mut self, _: GetUser, _: &mut Context<Self>) -> User {
        User
    }
}

impl Subsystem for Users {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<GetUser>("users/{id}");
    }
}

async fn ask(runtime: Runtime) {
    let _user: User = runtime.ask("api://users/7", ()).await.unwrap();
}

fn main() {}
