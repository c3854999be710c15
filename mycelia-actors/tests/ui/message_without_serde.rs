use mycelia_actors::prelude::*;

struct GetUser {
    id: u64,
}

struct Users;

impl Handler<GetUser> for Users {
    type Reply = u64;
    async fn handle(&mut self, user: GetUser, _: &mut Context<Self>) -> u64 {
        user.id
    }
}

impl Subsystem for Users {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<GetUser>("users/{id}");
    }
}

fn main() {}
