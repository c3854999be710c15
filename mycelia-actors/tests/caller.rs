//! Who asks, and what that allows: scopes, policies, and rights that only become fewer on the way.
#![cfg(not(mycelia_loom))]

mod subsystems;

use mycelia_actors::prelude::*;
use mycelia_actors::{PathAskFailure, Policy};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use subsystems::accounted;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Read;
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Write;

/// Replies with who was let in.
struct Vault;
impl Subsystem for Vault {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Read>("read").scope("vault:read");
        routes.on::<Read>("read/{what}").scope("vault:read:some");
        routes.on::<Write>("write").scope("vault:write");
        routes.raw("raw").scope("vault:raw");
        routes.on::<Read>("door");
        routes.fallback().scope("vault:rest");
    }
}

fn who(cx: &Context<Vault>) -> String {
    let metadata = cx.metadata();
    let caller = metadata.as_ref().and_then(Metadata::caller);
    caller.map_or("nobody".to_owned(), |caller| {
        format!("{caller} {:?}", caller.rights().collect::<Vec<_>>()).replace('"', "")
    })
}

impl Handler<Read> for Vault {
    type Reply = String;
    async fn handle(&mut self, _: Read, cx: &mut Context<Self>) -> String {
        who(cx)
    }
}

impl Handler<Write> for Vault {
    type Reply = String;
    async fn handle(&mut self, _: Write, cx: &mut Context<Self>) -> String {
        who(cx)
    }
}

impl Handler<Request> for Vault {
    type Reply = String;
    async fn handle(&mut self, _: Request, cx: &mut Context<Self>) -> String {
        who(cx)
    }
}

fn vault() -> (Runtime, Address<Vault>) {
    let runtime = Runtime::new();
    let address = runtime.spawn("vault", Vault).unwrap();
    (runtime, address)
}

fn principal(name: &str, rights: &[&str]) -> Principal {
    Principal::new(name, rights).unwrap()
}

fn called_by(name: &str, rights: &[&str]) -> Metadata {
    Metadata::new().with_caller(principal(name, rights))
}

/// Who was let in by this path, or why nobody was.
async fn ask_as(runtime: &Runtime, caller: &Metadata, path: &str) -> Result<String, String> {
    let ask = caller.in_scope(|| runtime.ask::<String, _>(path, ()));
    ask.await.map_err(|error| error.failure.to_string())
}

#[tokio::test]
async fn who_holds_the_right_is_let_in() {
    let (runtime, _) = vault();
    for (rights, path) in [
        (&["vault:read"][..], "vault://read"),
        (&["x:y", "vault:read", "vault:write"], "vault://write"),
        (&["vault:*"], "vault://read"),
        (&["vault:*"], "vault://read/some"),
        (&["vault:read:*"], "vault://read/some"),
        (&["*"], "vault://raw"),
        (&["vault:rest"], "vault://anything/else"),
        (&[], "vault://door"),
    ] {
        let entered = ask_as(&runtime, &called_by("ada", rights), path).await.unwrap();
        assert!(entered.starts_with("ada ["), "{entered}");
    }
    assert_eq!(runtime.path_stats().denied, 0);
}

#[tokio::test]
async fn who_does_not_is_not_and_neither_is_nobody() {
    let (runtime, address) = vault();
    for (rights, path, scope) in [
        (&["vault:write"][..], "vault://read", "vault:read"),
        (&["vault:read"], "vault://read/some", "vault:read:some"),
        (&["vault:read:*"], "vault://read", "vault:read"),
        (&["vault"], "vault://read", "vault:read"),
        (&["va:*", "vaul:*", "vault:r"], "vault://read", "vault:read"),
        (&[], "vault://raw", "vault:raw"),
        (&["vault:read"], "vault://anything/else", "vault:rest"),
    ] {
        let text = ask_as(&runtime, &called_by("eve", rights), path).await.unwrap_err();
        assert!(text.ends_with(&format!("requires the scope `{scope}`, which eve does not hold")), "{text}");
    }
    let nobody = "`read` requires the scope `vault:read`, and it is not said who asks";
    assert_eq!(ask_as(&runtime, &Metadata::new(), "vault://read").await.unwrap_err(), nobody);
    let error = runtime.ask::<String, _>("vault://read", ()).await.unwrap_err();
    assert_eq!(error.failure.to_string(), nobody);
    assert_eq!((runtime.path_stats().denied, address.stats().sent), (9, 0));
}

#[tokio::test]
async fn every_verb_asks_for_the_right_and_gives_the_body_back() {
    let (runtime, address) = vault();
    let (eve, ada) = (called_by("eve", &["vault:write"]), called_by("ada", &["vault:read"]));
    let route = ada.in_scope(|| runtime.route("vault://read").unwrap());
    let is_denied = |failure: &PathFailure| matches!(failure, PathFailure::Denied(denied) if denied.principal.as_deref() == Some("eve"));
    eve.in_scope(|| {
        let error = runtime.tell("vault://read", Read).unwrap_err();
        assert!(error.body == Read && is_denied(&error.failure));
        let error = route.tell(Read).unwrap_err();
        assert!(error.body == Read && is_denied(&error.failure));
        let error = runtime.paths().tell("vault://read", json!(null)).unwrap_err();
        assert!(error.body == Value::Null && is_denied(&error.failure));
        assert!(is_denied(&runtime.route("vault://read").unwrap_err().failure));
    });
    let sends = eve.in_scope(|| [runtime.send("vault://read", Read), route.send(Read)]);
    for send in sends {
        let error = send.await.unwrap_err();
        assert!(error.body == Read && is_denied(&error.failure));
    }
    let asks = eve.in_scope(|| [runtime.ask::<String, _>("vault://read", Read), route.ask(Read)]);
    for ask in asks {
        let error = ask.await.unwrap_err();
        assert_eq!(error.body, Some(Read));
        let PathAskFailure::Path(failure) = &error.failure else { panic!("{error}") };
        assert!(is_denied(failure));
    }
    assert_eq!((runtime.path_stats().denied, address.stats().sent), (7, 0), "a route is no message");
    // The right is looked at when the verb is called, not when the future is polled.
    let ask = ada.in_scope(|| route.ask::<String, _>(Read));
    assert_eq!(ask.await.unwrap(), "ada [vault:read]");
    assert!(route.tell(Read).is_err(), "nobody");
}

#[tokio::test]
async fn who_has_an_address_has_the_right() {
    let (_runtime, address) = vault();
    assert_eq!(address.ask(Read).await.unwrap(), "nobody");
    let eve = called_by("eve", &[]);
    assert_eq!(eve.in_scope(|| address.ask(Write)).await.unwrap(), "eve []");
    eve.in_scope(|| address.recipient().tell(Write)).unwrap();
}

#[tokio::test]
async fn under_a_policy_the_same_rights_count() {
    struct Safe;
    impl Subsystem for Safe {
        fn routes(routes: &mut Routes<Self>) {
            routes.on::<Read>("read").scope("vault:read");
        }
    }
    impl Handler<Read> for Safe {
        type Reply = ();
        async fn handle(&mut self, _: Read, _: &mut Context<Self>) {}
    }
    let runtime = Runtime::builder().policy(Policy::Scoped).build();
    assert!(matches!(runtime.spawn("vault", Vault), Err(SpawnError::BadRoute { .. })), "`door` is open");
    let safe = runtime.spawn("safe", Safe).unwrap();
    assert!(runtime.tell("safe://read", ()).is_err());
    called_by("ada", &["vault:read"]).in_scope(|| runtime.tell("safe://read", ())).unwrap();
    safe.ask(Read).await.unwrap();
    assert_eq!(safe.stats().handled, 2);
}

/// What a handler does for whoever called it.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Errand {
    /// Asks the vault for this.
    Ask(String),
    /// The same, in the name of somebody with these rights.
    Claim(Vec<String>, Box<Errand>),
    /// The same, after a while.
    Later(Box<Errand>),
    /// The same, through the route to the vault's writing that it was spawned with.
    ByRoute,
    /// Gives the errand to another subsystem, by path or by address.
    Pass(Vec<String>, Box<Errand>),
    PassByAddress(Box<Errand>),
    /// Keeps the metadata that it was called with.
    Keep,
    /// Does it with the metadata kept.
    AsKept(Box<Errand>),
    /// Does it in a task of its own.
    Spawn(Box<Errand>),
}

struct Runner {
    route: Option<Route>,
    friend: Option<Address<Runner>>,
    kept: Option<Metadata>,
}

impl Subsystem for Runner {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Errand>("run");
    }
}

impl Handler<Errand> for Runner {
    type Reply = Result<String, String>;
    async fn handle(&mut self, errand: Errand, cx: &mut Context<Self>) -> Self::Reply {
        self.run(errand, cx.paths(), cx.metadata()).await
    }
}

type Outcome<'a> = std::pin::Pin<Box<dyn Future<Output = Result<String, String>> + Send + 'a>>;

impl Runner {
    fn run(&mut self, errand: Errand, paths: mycelia_actors::Paths, called: Option<Metadata>) -> Outcome<'_> {
        Box::pin(async move {
            match errand {
                Errand::Ask(path) => ask(&paths, &path).await,
                Errand::Claim(rights, errand) => {
                    let claim = Metadata::new().with_caller(Principal::new("root", rights).unwrap());
                    within(claim, self.run(*errand, paths, called)).await
                }
                Errand::Later(errand) => {
                    tokio::task::yield_now().await;
                    self.run(*errand, paths, called).await
                }
                Errand::ByRoute => {
                    let route = self.route.as_ref().unwrap();
                    route.ask(Write).await.map_err(|error| error.failure.to_string())
                }
                Errand::Pass(names, errand) => {
                    let path = format!("{}://run", names[0]);
                    let errand = match &names[1..] {
                        [] => *errand,
                        rest => Errand::Pass(rest.to_vec(), errand),
                    };
                    let ask = paths.ask::<Result<String, String>, _>(&path, errand);
                    ask.await.map_err(|error| error.failure.to_string())?
                }
                Errand::PassByAddress(errand) => {
                    let friend = self.friend.as_ref().unwrap();
                    friend.ask(*errand).await.map_err(|error| error.failure.to_string())?
                }
                Errand::Keep => {
                    self.kept = called;
                    Ok("kept".to_owned())
                }
                Errand::AsKept(errand) => {
                    let kept = self.kept.clone().unwrap();
                    within(kept, self.run(*errand, paths, called)).await
                }
                Errand::Spawn(errand) => {
                    let task = tokio::spawn(async move {
                        Runner { route: None, friend: None, kept: None }.run(*errand, paths, None).await
                    });
                    task.await.unwrap()
                }
            }
        })
    }
}

async fn ask(paths: &mycelia_actors::Paths, path: &str) -> Result<String, String> {
    let ask = paths.ask::<String, _>(path, ());
    ask.await.map_err(|error| error.failure.to_string())
}

/// Polls the future inside the scope.
async fn within<F: Future + Unpin>(metadata: Metadata, mut future: F) -> F::Output {
    std::future::poll_fn(|task| metadata.in_scope(|| std::pin::Pin::new(&mut future).poll(task))).await
}

/// Three runners, which know one another, and the vault.
fn runners() -> Runtime {
    let (runtime, _) = vault();
    let root = called_by("root", &["*"]);
    let mut friend = None;
    for name in ["one", "two", "three"] {
        let route = Some(root.in_scope(|| runtime.route("vault://write").unwrap()));
        friend = Some(runtime.spawn(name, Runner { route, friend, kept: None }).unwrap());
    }
    runtime
}

fn read() -> Errand {
    Errand::Ask("vault://read".to_owned())
}

fn write() -> Errand {
    Errand::Ask("vault://write".to_owned())
}

fn claim(errand: Errand) -> Errand {
    Errand::Claim(vec!["*".to_owned()], Box::new(errand))
}

fn pass(names: &[&str], errand: Errand) -> Errand {
    Errand::Pass(names.iter().map(|name| (*name).to_owned()).collect(), Box::new(errand))
}

/// What comes of an errand that the runner `three` is sent on by somebody who may read.
async fn errand(runtime: &Runtime, errand: Errand) -> Result<String, String> {
    let ask = called_by("eve", &["vault:read"]).in_scope(|| runtime.ask("three://run", errand));
    ask.await.unwrap()
}

#[tokio::test]
async fn a_handler_has_the_rights_of_its_caller() {
    let runtime = runners();
    assert_eq!(errand(&runtime, read()).await.unwrap(), "eve [vault:read]");
    assert!(errand(&runtime, write()).await.is_err());
    assert_eq!(errand(&runtime, Errand::Later(Box::new(read()))).await.unwrap(), "eve [vault:read]");
    assert!(errand(&runtime, Errand::Later(Box::new(write()))).await.is_err());
    let far = pass(&["two", "one"], Errand::Later(Box::new(read())));
    assert_eq!(errand(&runtime, far).await.unwrap(), "eve [vault:read]");
    let by_address = Errand::PassByAddress(Box::new(Errand::PassByAddress(Box::new(read()))));
    assert_eq!(errand(&runtime, by_address).await.unwrap(), "eve [vault:read]");
}

#[tokio::test]
async fn no_handler_hands_on_more_than_it_was_called_with() {
    let runtime = runners();
    for attempt in [
        claim(write()),
        claim(claim(write())),
        Errand::Later(Box::new(claim(Errand::Later(Box::new(write()))))),
        claim(Errand::Later(Box::new(write()))),
        Errand::ByRoute,
        claim(Errand::ByRoute),
        pass(&["two"], claim(write())),
        claim(pass(&["two", "one"], write())),
        claim(pass(&["two", "one"], claim(write()))),
        Errand::PassByAddress(Box::new(claim(write()))),
        claim(Errand::PassByAddress(Box::new(write()))),
        claim(Errand::PassByAddress(Box::new(Errand::PassByAddress(Box::new(claim(Errand::ByRoute)))))),
        Errand::Claim(vec!["vault:*".to_owned()], Box::new(claim(write()))),
    ] {
        let text = errand(&runtime, attempt.clone()).await.expect_err(&format!("{attempt:?}"));
        assert!(text.starts_with("`write` requires the scope `vault:write`"), "{text}");
    }
    assert_eq!(runtime.path_stats().denied, 13);
}

#[tokio::test]
async fn what_was_kept_of_a_mightier_caller_gives_no_right_to_a_weaker_one() {
    let runtime = runners();
    let root = called_by("root", &["*"]);
    let kept = root.in_scope(|| runtime.ask::<Result<String, String>, _>("three://run", Errand::Keep));
    assert_eq!(kept.await.unwrap().unwrap(), "kept");
    assert!(errand(&runtime, Errand::AsKept(Box::new(write()))).await.is_err());
    assert!(errand(&runtime, Errand::AsKept(Box::new(pass(&["two"], write())))).await.is_err());
    let entered = errand(&runtime, Errand::AsKept(Box::new(read()))).await.unwrap();
    assert_eq!(entered, "eve as root [vault:read]");
}

#[tokio::test]
async fn a_handler_may_hand_on_less() {
    let runtime = runners();
    let less = Errand::Claim(vec!["vault:write".to_owned()], Box::new(read()));
    let text = errand(&runtime, less.clone()).await.unwrap_err();
    assert_eq!(text, "`read` requires the scope `vault:read`, which eve as root does not hold");
    // And nobody further down gets it back.
    let less = Errand::Claim(vec!["x:y".to_owned()], Box::new(pass(&["two"], claim(read()))));
    assert!(errand(&runtime, less).await.is_err());
    let part = Errand::Claim(vec!["vault:*".to_owned()], Box::new(Errand::Ask("vault://door".to_owned())));
    assert_eq!(errand(&runtime, part).await.unwrap(), "eve as root [vault:read]");
}

#[tokio::test]
async fn scopes_inside_one_another_narrow_in_either_order() {
    let (runtime, _) = vault();
    let (root, eve) = (called_by("root", &["*"]), called_by("eve", &["vault:read", "x:*"]));
    let inside = root.in_scope(|| eve.in_scope(|| runtime.ask::<String, _>("vault://door", ())));
    assert_eq!(inside.await.unwrap(), "root as eve [vault:read, x:*]");
    let outside = eve.in_scope(|| root.in_scope(|| runtime.ask::<String, _>("vault://door", ())));
    assert_eq!(outside.await.unwrap(), "eve as root [vault:read, x:*]");
    assert!(eve.in_scope(|| root.in_scope(|| runtime.tell("vault://write", ()))).is_err());
    assert!(runtime.tell("vault://read", ()).is_err(), "and are over afterwards");
}

#[tokio::test]
async fn a_spawned_task_is_nobody_until_it_says_otherwise() {
    let runtime = runners();
    let spawned = errand(&runtime, Errand::Spawn(Box::new(read()))).await;
    assert_eq!(spawned.unwrap_err(), "`read` requires the scope `vault:read`, and it is not said who asks");
    // A limit, and said to be one: in a task of its own, code may claim what it likes.
    let spawned = errand(&runtime, Errand::Spawn(Box::new(claim(write())))).await;
    assert_eq!(spawned.unwrap(), "root [*]");
}

#[tokio::test]
async fn a_handler_that_nobody_called_acts_for_itself() {
    let runtime = runners();
    let outcome: Result<String, String> = runtime.ask("three://run", read()).await.unwrap();
    assert!(outcome.is_err());
    let outcome: Result<String, String> = runtime.ask("three://run", claim(read())).await.unwrap();
    assert_eq!(outcome.unwrap(), "root [*]");
}

/// Takes its messages in batches, and claims to be root.
struct Clerk;
impl Subsystem for Clerk {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Read>("file");
    }
}

impl Handler<Read> for Clerk {
    type Reply = bool;
    const BATCH: usize = 8;

    async fn handle(&mut self, read: Read, cx: &mut Context<Self>) -> bool {
        self.handle_batch(vec![read], cx).await[0]
    }

    async fn handle_batch(&mut self, batch: Vec<Read>, cx: &mut Context<Self>) -> Vec<bool> {
        let paths = cx.paths();
        let written = called_by("root", &["*"]).in_scope(|| paths.tell("vault://write", ())).is_ok();
        vec![written; batch.len()]
    }
}

#[tokio::test]
async fn batches_hand_on_no_more_than_their_callers_hold() {
    let (runtime, vault) = vault();
    runtime.spawn("clerk", Clerk).unwrap();
    let eve = called_by("eve", &["vault:read"]);
    let one = eve.in_scope(|| runtime.ask::<bool, _>("clerk://file", ()));
    assert!(!one.await.unwrap(), "a batch of one");
    let (first, second) = eve.in_scope(|| {
        (runtime.ask::<bool, _>("clerk://file", ()), runtime.ask::<bool, _>("clerk://file", ()))
    });
    let (first, second) = tokio::join!(first, second);
    assert!(!first.unwrap() && !second.unwrap(), "a batch of two");
    assert_eq!(vault.stats().sent, 0);
    accounted(&vault);
}

#[tokio::test]
async fn a_name_does_not_grow_with_every_hop() {
    let (runtime, _) = vault();
    fn deep(runtime: &Runtime, hops: usize) -> mycelia_actors::PathAsk<'static, (), String> {
        let name = ["one", "two"][hops % 2];
        called_by(name, &["*"]).in_scope(|| match hops {
            0 => runtime.ask("vault://door", ()),
            _ => deep(runtime, hops - 1),
        })
    }
    let entered = deep(&runtime, 50).await.unwrap();
    assert!(entered.len() < 300, "{entered}");
}

struct Users;
impl Subsystem for Users {
    fn routes(routes: &mut Routes<Self>) {
        routes.on::<Read>("users/me").scope("me");
        routes.on::<Read>("files/a b").scope("me");
        routes.on::<User>("users/{id}");
        routes.on::<User>("files/{id}");
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct User {
    id: String,
}

impl Handler<Read> for Users {
    type Reply = String;
    async fn handle(&mut self, _: Read, _: &mut Context<Self>) -> String {
        "me".to_owned()
    }
}

impl Handler<User> for Users {
    type Reply = String;
    async fn handle(&mut self, user: User, _: &mut Context<Self>) -> String {
        user.id
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_goes_round_the_scope_that_it_requires() {
    let runtime = Runtime::new();
    let users = runtime.spawn("api", Users).unwrap();
    let spellings = [
        "users/me",
        "users/%6De",
        "users/m%65",
        "%75sers/%6d%65",
        "files/a b",
        "files/a%20b",
        "files/%61%20b",
    ];
    for path in spellings.map(|path| format!("api://{path}")) {
        assert!(matches!(runtime.tell(&path, ()).unwrap_err().failure, PathFailure::Denied(_)), "{path}");
        assert!(
            matches!(runtime.send(&path, ()).await.unwrap_err().failure, PathFailure::Denied(_)),
            "{path}"
        );
        assert!(matches!(runtime.route(&path).unwrap_err().failure, PathFailure::Denied(_)), "{path}");
        let asked = runtime.ask::<String, _>(&path, ()).await.unwrap_err();
        assert!(matches!(asked.failure, PathAskFailure::Path(PathFailure::Denied(_))), "{path}");
        let me = Metadata::new().with_caller(Principal::new("ada", ["me"]).unwrap());
        let allowed = me.in_scope(|| runtime.ask::<String, _>(&path, ()));
        assert_eq!(allowed.await.unwrap(), "me");
    }
    // What is not `me` when it is decoded is another user.
    for (path, id) in
        [("users/%4De", "Me"), ("users/%256De", "%6De"), ("users/me%2F", "me/"), ("files/a%2Bb", "a+b")]
    {
        assert_eq!(runtime.ask::<String, _>(&format!("api://{path}"), ()).await.unwrap(), id);
        let route = runtime.route(&format!("api://{path}")).unwrap();
        assert_eq!(route.ask::<String, _>(()).await.unwrap(), id);
    }
    accounted(&users);
}

#[tokio::test]
async fn any_text_can_be_a_segment_and_comes_back() {
    let runtime = Runtime::new();
    runtime.spawn("api", Users).unwrap();
    for text in ["ada", "a/b", "50% of it", "../x", "é日", "%6De", "{id}", "a?b#c", "+ &"] {
        let path = format!("api://users/{}", mycelia_actors::encode_segment(text));
        assert_eq!(runtime.ask::<String, _>(&path, ()).await.unwrap(), text);
    }
}
