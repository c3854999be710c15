//! A path is matched as it is handed over: decoded.
use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};
use std::process::ExitCode;

struct Api;
#[derive(Serialize, Deserialize)]
struct Me;
#[derive(Serialize, Deserialize)]
struct User {
    id: String,
}
#[derive(Serialize, Deserialize)]
struct File {
    rest: String,
}
impl Subsystem for Api {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Me>("users/me").scope("users:me");
        routes.on::<User>("users/{id}");
        routes.on::<File>("files/{*rest}");
    }
}
impl Handler<Me> for Api {
    type Reply = String;
    async fn handle(&mut self, _: Me, _: &mut Context<Self>) -> String {
        "the guarded one".into()
    }
}
impl Handler<User> for Api {
    type Reply = String;
    async fn handle(&mut self, user: User, _: &mut Context<Self>) -> String {
        user.id
    }
}
impl Handler<File> for Api {
    type Reply = String;
    async fn handle(&mut self, file: File, _: &mut Context<Self>) -> String {
        file.rest
    }
}
#[tokio::main]
async fn main() -> ExitCode {
    let runtime = Runtime::new();
    let _api = runtime.spawn("api", Api).unwrap();
    let ask = async |path: &str| runtime.ask::<String, _>(path, ()).await.map_err(|error| error.to_string());
    for path in ["api://users/me", "api://users/%6De", "api://users/%6d%65"] {
        let seen = ask(path).await;
        figures::judge(path, &seen, "refused for want of the scope", seen.is_err());
    }
    for path in [
        "files/x/%2e%2e/admin",
        "files/x/%2E/admin",
        "files/x/../admin",
        "files/x%2F..%2Fadmin",
        "users/%00",
        "users/%ff",
    ] {
        let seen = ask(&format!("api://{path}")).await;
        figures::judge(path, &seen, "refused", seen.is_err());
    }
    for (path, right) in [
        ("users/%7Eann", "~ann"),
        ("users/a%2Fb", "a/b"),
        ("users/%C3%A9", "é"),
        ("files/a/b.txt", "a/b.txt"),
    ] {
        let seen = ask(&format!("api://{path}")).await;
        figures::judge(path, &seen, &format!("Ok({right:?})"), seen.as_deref() == Ok(right));
    }
    figures::verdict()
}
