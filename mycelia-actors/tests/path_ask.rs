//! Asking by path.
#![cfg(not(mycelia_loom))]

use mycelia_actors::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

#[derive(Serialize, Deserialize)]
struct GetUser {
    id: u64,
}

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
struct PutUser {
    id: u64,
    name: String,
}

struct Users;

impl Handler<GetUser> for Users {
    type Reply = Option<PutUser>;
    async fn handle(&mut self, GetUser { id }: GetUser, _cx: &mut Context<Self>) -> Option<PutUser> {
        Some(PutUser { id, name: "Ada".to_owned() })
    }
}

impl Handler<PutUser> for Users {
    type Reply = PutUser;
    async fn handle(&mut self, user: PutUser, _cx: &mut Context<Self>) -> PutUser {
        user
    }
}

impl Subsystem for Users {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<GetUser>("users/{id}");
        routes.on::<PutUser>("users");
        routes.on::<PutUser>("users/{id}/name");
    }
}

#[tokio::test]
async fn parameters_and_bodies_make_messages_and_replies_come_in_three_forms() {
    let runtime = Runtime::new();
    runtime.spawn("api", Users).unwrap();
    let ada = PutUser { id: 7, name: "Ada".to_owned() };
    let user: Option<PutUser> = runtime.ask("api://users/7", ()).await.unwrap();
    assert_eq!(user, Some(ada.clone()));
    let user: Value = runtime.ask("api://users/7", ()).await.unwrap();
    assert_eq!(user, json!({"id": 7, "name": "Ada"}));
    let user: RawBody = runtime.ask("api://users/7", ()).await.unwrap();
    assert_eq!(user, RawBody::json(r#"{"id":7,"name":"Ada"}"#));

    let user: PutUser = runtime.ask("api://users", ada.clone()).await.unwrap();
    assert_eq!(user, ada);
    let user: PutUser = runtime.ask("api://users", json!({"id": 7, "name": "Ada"})).await.unwrap();
    assert_eq!(user, ada);
    let user: PutUser = runtime.ask("api://users/7/name", json!({"name": "Ada"})).await.unwrap();
    assert_eq!(user, ada);
    let body = RawBody::json(r#"{"name": "Ada"}"#);
    let user: PutUser = runtime.ask("api://users/7/name", body).await.unwrap();
    assert_eq!(user, ada);
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let runtime = Runtime::new();
    runtime.spawn("api", Users).unwrap();
    let text = async |path: &str, body: Value| {
        let error = runtime.ask::<PutUser, _>(path, body.clone()).await.unwrap_err();
        assert_eq!(error.body, Some(body), "{error}");
        error.to_string()
    };
    for (path, body, expected) in [
        ("users", json!(null), "`users` did not reply: it names no subsystem: a path reads `name://path`"),
        ("apo://users", json!(null), "there is no subsystem `apo`"),
        ("api://user", json!(null), "no route for `user`; the nearest pattern is `users`"),
        ("api://users//", json!(null), "has an empty segment"),
        (
            "api://users",
            json!({"id": "x", "name": 1}),
            "route `users`: field `id`: invalid type: string \"x\", expected u64",
        ),
        ("api://users", json!({"id": 1}), "route `users`: missing field `name`"),
        (
            "api://users/x/name",
            json!({"name": "Ada"}),
            "route `users/{id}/name`: parameter `id` is `x`, which is no u64",
        ),
        (
            "api://users/7/name",
            json!({"name": 5}),
            "field `name`: invalid type: integer `5`, expected a string",
        ),
        ("api://users/7/name", json!({"id": 8, "name": "x"}), "`id` is in the path and in the body, too"),
        ("api://users/7/name", json!([1]), "the body must be an object"),
        (
            "api://users/7",
            json!(null),
            "replies with a `core::option::Option<path_ask::PutUser>`, or that as JSON; a `path_ask::PutUser` was asked for",
        ),
    ] {
        let text = text(path, body).await;
        assert!(text.contains(expected), "{text}\n{expected}");
    }
    let ada = PutUser { id: 7, name: "Ada".to_owned() };
    let error = runtime.ask::<PutUser, _>("api://users/7/name", ada.clone()).await.unwrap_err();
    assert_eq!(error.body.as_ref(), Some(&ada));
    assert!(error.to_string().contains("the body is a `path_ask::PutUser`"), "{error}");
}
