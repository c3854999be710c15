//! [`Routes`]: what a type lists, what is wrong with a list, and what a runtime shows of all of them.
#![cfg(not(mycelia_loom))]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};

use mycelia_actors::prelude::*;
use mycelia_actors::{Policy, RouteError};
use serde::{Deserialize, Serialize};
use serde_json::json;

#[derive(Serialize, Deserialize)]
struct Get {
    id: u64,
}

#[derive(Serialize, Deserialize)]
struct Put {
    id: u64,
}

/// A subsystem that handles whatever these tests list.
macro_rules! listing {
    ($name:ident, $routes:ident => $list:block) => {
        struct $name;
        impl Subsystem for $name {
            fn routes($routes: &mut Routes<Self>) $list
        }
        impl Handler<Get> for $name {
            type Reply = Option<String>;
            async fn handle(&mut self, get: Get, _: &mut Context<Self>) -> Option<String> {
                Some(format!("get {}", get.id))
            }
        }
        impl Handler<Put> for $name {
            type Reply = Option<String>;
            async fn handle(&mut self, put: Put, _: &mut Context<Self>) -> Option<String> {
                Some(format!("put {}", put.id))
            }
        }
        impl Handler<Request> for $name {
            type Reply = String;
            async fn handle(&mut self, request: Request, _: &mut Context<Self>) -> String {
                request.path().to_owned()
            }
        }
    };
}

listing!(Users, routes => {
    routes.fallback().scope("any:thing");
    routes.on::<Put>("users").scope("users:write");
    routes.raw("users/{id}/{*file}");
    routes.on::<Get>("users/{id}");
    routes.on::<Get>("users/me");
});

listing!(Plain, routes => {
    let _ = routes;
});

#[tokio::test]
async fn a_runtime_lists_every_route_by_name_and_preference() {
    let runtime = Runtime::new();
    assert!(runtime.routes().is_empty());
    runtime.spawn("zoo", Users).unwrap();
    runtime.spawn("api", Users).unwrap();
    runtime.spawn("plain", Plain).unwrap();
    runtime.spawn_unnamed(Users).unwrap();
    let listed: Vec<_> = runtime
        .routes()
        .into_iter()
        .map(|route| {
            (route.subsystem, route.pattern.unwrap_or("(fallback)".to_owned()), route.message, route.scope)
        })
        .collect();
    let request = "mycelia_actors::request::Request";
    let of = |name: &str| {
        [
            ("users", "routes::Put", Some("users:write")),
            ("users/me", "routes::Get", None),
            ("users/{id}", "routes::Get", None),
            ("users/{id}/{*file}", request, None),
            ("(fallback)", request, Some("any:thing")),
        ]
        .map(|(pattern, message, scope)| {
            (name.to_owned(), pattern.to_owned(), message, scope.map(str::to_owned))
        })
    };
    assert_eq!(listed, [of("api"), of("zoo")].concat());
    assert_eq!(runtime.paths().routes(), runtime.routes());
}

#[tokio::test]
async fn the_list_can_be_written_as_json() {
    let runtime = Runtime::new();
    let users = runtime.spawn("api", Users).unwrap();
    let list = serde_json::to_value(runtime.routes()).unwrap();
    assert_eq!(
        list[0],
        json!({
            "subsystem": "api",
            "pattern": "users",
            "message": "routes::Put",
            "reply": "core::option::Option<alloc::string::String>",
            "scope": "users:write",
        })
    );
    assert_eq!(
        list[4],
        json!({
            "subsystem": "api",
            "pattern": null,
            "message": "mycelia_actors::request::Request",
            "reply": "alloc::string::String",
            "scope": "any:thing",
        })
    );
    users.stop();
    users.ended().await;
    assert!(runtime.routes().is_empty(), "of those that are there");
}

listing!(BadPattern, routes => {
    routes.on::<Get>("users/{id");
});
listing!(SlashFirst, routes => {
    routes.on::<Get>("/users/{id}");
});
listing!(Optional, routes => {
    routes.on::<Get>("users/{id?}");
});
listing!(ConflictOfSpelling, routes => {
    routes.on::<Get>("users/me");
    routes.on::<Put>("users/%6De");
});
listing!(Conflict, routes => {
    routes.on::<Get>("users/{id}");
    routes.on::<Put>("users/{name}");
});
listing!(ConflictOfRaw, routes => {
    routes.on::<Get>("users/{id}");
    routes.raw("users/{name}");
});
listing!(BadScope, routes => {
    routes.on::<Get>("users/{id}").scope("users write");
});
listing!(WildScope, routes => {
    routes.on::<Get>("users/{id}").scope("users:*");
});
listing!(TwoFallbacks, routes => {
    routes.fallback();
    routes.fallback();
});
listing!(BadFallback, routes => {
    routes.fallback().scope("");
});

fn refused<S: Subsystem>(make: fn() -> S) -> String {
    let runtime = Runtime::new();
    let first = runtime.spawn("api", make()).unwrap_err();
    assert!(matches!(first, SpawnError::BadRoute { .. }), "{first}");
    // It stays as it is.
    assert_eq!(runtime.spawn("api", make()).unwrap_err(), first);
    assert_eq!(runtime.configure("api").spawn_with(make).unwrap_err(), first);
    assert!(runtime.is_empty() && runtime.routes().is_empty());
    // No path leads to one without a name.
    runtime.spawn_unnamed(make()).unwrap();
    assert_eq!(runtime.len(), 1);
    first.to_string()
}

#[tokio::test]
async fn a_mistake_in_a_list_is_an_error_at_the_spawn_with_a_name() {
    assert_eq!(
        refused(|| BadPattern),
        "the routes of `routes::BadPattern`: bad pattern `users/{id`: `{` at byte 6 is never closed (a literal brace is \
         written twice)"
    );
    assert_eq!(
        refused(|| SlashFirst),
        "the routes of `routes::SlashFirst`: bad pattern `/users/{id}`: it begins with a slash: leave out the leading slash"
    );
    assert!(refused(|| Optional).ends_with("write the two patterns `users` and `users/{id}`"));
    assert!(
        refused(|| ConflictOfSpelling)
            .ends_with("`users/%6De` conflicts with `users/me`: both take the same paths")
    );
    assert_eq!(
        refused(|| Conflict),
        "the routes of `routes::Conflict`: pattern `users/{name}` conflicts with `users/{id}`: both take the same paths"
    );
    assert_eq!(
        refused(|| ConflictOfRaw),
        "the routes of `routes::ConflictOfRaw`: pattern `users/{name}` conflicts with `users/{id}`: both take the same paths"
    );
    assert_eq!(
        refused(|| BadScope),
        "the routes of `routes::BadScope`: `users write` is no scope: it must be parts of letters, digits, `_`, `-` and `.` \
         with `:` between, at most 256 bytes"
    );
    assert!(refused(|| WildScope).contains("`users:*` is no scope"));
    assert_eq!(refused(|| TwoFallbacks), "the routes of `routes::TwoFallbacks`: there is a second fallback");
    assert!(refused(|| BadFallback).contains("`` is no scope"));
}

#[tokio::test]
async fn a_policy_wants_a_scope_of_every_route_and_shares_the_list_with_runtimes_that_have_none() {
    let open = Runtime::new();
    let scoped = Runtime::builder().policy(Policy::Scoped).build();
    open.spawn("api", Users).unwrap();
    let error = scoped.spawn("api", Users).unwrap_err();
    let SpawnError::BadRoute { reason: RouteError::NoScope { pattern }, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(&**pattern, "users/me");
    scoped.spawn_unnamed(Users).unwrap();
    scoped.spawn("plain", Plain).unwrap();
}

listing!(OpenFallback, routes => {
    routes.on::<Get>("users/{id}").scope("users:read");
    routes.fallback();
});
listing!(Scoped, routes => {
    routes.on::<Get>("users/{id}").scope("users:read");
    routes.fallback().scope("any.thing");
});

#[tokio::test]
async fn a_policy_wants_a_scope_of_the_fallback_too() {
    let scoped = Runtime::builder().policy(Policy::Scoped).build();
    let error = scoped.spawn("api", OpenFallback).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the routes of `routes::OpenFallback`: `(fallback)` requires no scope, and the runtime's policy is that every route \
         does"
    );
    scoped.spawn("api", Scoped).unwrap();
}

#[tokio::test]
async fn a_list_is_made_once_for_a_type_whatever_the_runtime() {
    static LISTED: AtomicU32 = AtomicU32::new(0);
    struct Once<const N: usize>;
    impl<const N: usize> Subsystem for Once<N> {
        fn routes(_: &mut Routes<Self>) {
            LISTED.fetch_add(1, Ordering::Relaxed);
        }
    }
    for _ in 0..3 {
        let runtime = Runtime::new();
        runtime.spawn("a", Once::<1>).unwrap();
        runtime.configure("b").spawn_with(|| Once::<1>).unwrap();
        runtime.spawn_unnamed(Once::<1>).unwrap();
    }
    assert_eq!(LISTED.load(Ordering::Relaxed), 1);
    Runtime::new().spawn_unnamed(Once::<2>).unwrap();
    assert_eq!(LISTED.load(Ordering::Relaxed), 1, "nobody can ask for them");
    Runtime::new().spawn("a", Once::<2>).unwrap();
    assert_eq!(LISTED.load(Ordering::Relaxed), 2, "another type");
}

#[tokio::test]
async fn a_list_may_be_as_long_as_it_likes_and_its_order_does_not_matter() {
    struct Many;
    impl Subsystem for Many {
        fn routes(routes: &mut Routes<Self>) {
            for n in 0..500 {
                routes.on::<HashMap<String, String>>(Box::leak(format!("a/{n}/{{x}}").into_boxed_str()));
            }
            routes.on::<HashMap<String, String>>("a/{n}/{x}");
            routes.on::<HashMap<String, String>>("a/{n}/0");
        }
    }
    impl Handler<HashMap<String, String>> for Many {
        type Reply = usize;
        async fn handle(&mut self, params: HashMap<String, String>, _: &mut Context<Self>) -> usize {
            params.len()
        }
    }
    let runtime = Runtime::new();
    runtime.spawn("many", Many).unwrap();
    assert_eq!(runtime.ask::<usize, _>("many://a/499/1", ()).await.unwrap(), 1);
    assert_eq!(runtime.ask::<usize, _>("many://a/500/1", ()).await.unwrap(), 2);
    assert_eq!(runtime.ask::<usize, _>("many://a/500/0", ()).await.unwrap(), 1);
    assert_eq!(runtime.ask::<usize, _>("many://a/499/0", ()).await.unwrap(), 1);
    assert_eq!(runtime.routes().len(), 502);
}

#[tokio::test]
async fn a_list_that_panics_is_the_spawners_affair_and_is_tried_again() {
    static TRIES: AtomicU32 = AtomicU32::new(0);
    struct Shy;
    impl Subsystem for Shy {
        fn routes(_: &mut Routes<Self>) {
            assert!(TRIES.fetch_add(1, Ordering::Relaxed) > 0, "shy on purpose");
        }
    }
    let runtime = Runtime::new();
    let spawned = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.spawn("shy", Shy)));
    assert!(spawned.is_err() && runtime.is_empty());
    runtime.spawn("shy", Shy).unwrap();
}
