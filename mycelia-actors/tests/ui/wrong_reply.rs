use mycelia_actors::prelude::*;

struct Counter(u64);
impl Subsystem for Counter {}

#[derive(Debug)]
struct Add(u64);

impl Handler<Add> for Counter {
    type Reply = u64;
    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) -> u64 {
        self.0 += n;
        self.0
    }
}

async fn ask(counter: Address<Counter>) -> Result<(), Box<dyn std::error::Error>> {
    let _total: String = counter.ask(Add(1)).await?;
    Ok(())
}

fn main() {}
