use mycelia_actors::prelude::*;

struct Counter(u64);
impl Subsystem for Counter {}

impl Counter {
    fn open(text: &str) -> Result<Self, std::num::ParseIntError> {
        text.parse().map(Self)
    }
}

fn spawn(runtime: &Runtime) {
    let _ = runtime.spawn("counter", Counter::open("7"));
    let _ = runtime.configure("counter").spawn_with(|| Counter::open("7"));
}

fn main() {}
