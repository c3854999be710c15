use mycelia_actors::prelude::*;

struct Counter(u64);
impl Subsystem for Counter {}

struct Add(u64);
struct Total;
struct Subtract(u64);

impl Handler<Add> for Counter {
    type Reply = ();
    async fn handle(&mut self, Add(n): Add, _: &mut Context<Self>) {
        self.0 += n;
    }
}

impl Handler<Total> for Counter {
    type Reply = u64;
    async fn handle(&mut self, _: Total, _: &mut Context<Self>) -> u64 {
        self.0
    }
}

async fn send(counter: Address<Counter>) -> Result<(), Box<dyn std::error::Error>> {
    counter.tell(Subtract(1))?;
    let _ = counter.ask(Subtract(1)).await?;
    // The field of the message instead of the message.
    counter.tell(1)?;
    // A reference to it.
    counter.tell(&Total)?;
    Ok(())
}

fn main() {}
