//! What a subsystem shows of itself.
#![cfg(not(mycelia_loom))]

use std::sync::Arc;

use mycelia_actors::prelude::*;
use mycelia_actors::{Figure, Figures};

struct Fixed(f64);

impl Figures for Fixed {
    fn figures(&self) -> Vec<Figure> {
        assert!(self.0 >= 0.0, "on purpose");
        vec![Figure::counter("made", self.0), Figure::gauge("level", -self.0)]
    }
}

/// Shows how often it was started.
struct Counted {
    starts: f64,
}

impl Subsystem for Counted {
    async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
        cx.show(Arc::new(Fixed(self.starts)));
        Ok(())
    }
}

struct Show(f64);

impl Handler<Show> for Counted {
    type Reply = ();
    async fn handle(&mut self, Show(value): Show, cx: &mut Context<Self>) {
        cx.show(Arc::new(Fixed(value)));
    }
}

struct Nothing;

impl Handler<Nothing> for Counted {
    type Reply = ();
    async fn handle(&mut self, Nothing: Nothing, _cx: &mut Context<Self>) {}
}

struct Fail;

impl Handler<Fail> for Counted {
    type Reply = ();
    async fn handle(&mut self, Fail: Fail, _cx: &mut Context<Self>) {
        panic!("on purpose");
    }
}

fn shown(runtime: &Runtime) -> Vec<Vec<Figure>> {
    runtime.inspector().survey().subsystems.iter().map(|one| one.figures()).collect()
}

fn fixed(value: f64) -> Vec<Figure> {
    vec![Figure::counter("made", value), Figure::gauge("level", -value)]
}

#[tokio::test(start_paused = true)]
async fn the_latest_figures_are_seen_across_restarts() {
    let runtime = Runtime::new();
    let mut starts = 0.0;
    let starts = move || {
        starts += 1.0;
        starts
    };
    let starts = std::sync::Mutex::new(starts);
    let counted = move || Counted { starts: (starts.lock().unwrap())() };
    let counted = runtime.spawn_with("counted", counted).unwrap();
    counted.started().await.unwrap();
    assert_eq!(shown(&runtime), [fixed(1.0)]);
    counted.ask(Show(7.0)).await.unwrap();
    assert_eq!(shown(&runtime), [fixed(7.0)]);
    assert!(counted.ask(Fail).await.is_err());
    // The next is handled after the restart, whose `started` shows again.
    counted.ask(Nothing).await.unwrap();
    assert_eq!(shown(&runtime), [fixed(2.0)]);
    // What panics shows nothing, and hurts nobody.
    counted.ask(Show(-1.0)).await.unwrap();
    assert_eq!(shown(&runtime), [vec![]]);
    runtime.shutdown().await.unwrap();
    assert!(shown(&runtime).is_empty());
}
