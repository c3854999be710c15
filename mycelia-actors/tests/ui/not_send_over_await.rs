use std::rc::Rc;
use std::sync::{Arc, Mutex};

use mycelia_actors::prelude::*;

struct Counter(Arc<Mutex<u64>>);
impl Subsystem for Counter {}

struct Add(u64);

impl Handler<Add> for Counter {
    type Reply = u64;
    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        let mut total = self.0.lock().unwrap();
        *total += n;
        tokio::task::yield_now().await;
        *total
    }
}

struct Label;

impl Handler<Label> for Counter {
    type Reply = String;
    async fn handle(&mut self, _: Label, _: &mut Context<Self>) -> String {
        let label = Rc::new(String::from("total"));
        tokio::task::yield_now().await;
        label.to_string()
    }
}

fn main() {}
