use mycelia_actors::prelude::*;

async fn ask(runtime: Runtime) -> Result<(), Box<dyn std::error::Error>> {
    runtime.ask("api://users/7", ()).await?;
    Ok(())
}

fn main() {}
