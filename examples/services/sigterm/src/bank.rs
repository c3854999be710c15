//! The bank: takes the money, and takes its time.

use std::time::Duration;

use mycelia_actors::prelude::*;
use tokio::time::sleep;

use crate::database::Database;
use crate::order::{Order, Outcome};

/// Charges orders. It stands for a company elsewhere: each answer is a while on its way.
pub struct Bank {
    database: Database,
    longest: Duration,
}

impl Bank {
    /// A bank whose answers take a fifth of `longest` at least.
    #[must_use]
    pub fn new(database: Database, longest: Duration) -> Self {
        Self { database, longest }
    }
}

impl Subsystem for Bank {}

/// Charges an order, once.
pub struct Charge(pub Order);

impl Handler<Charge> for Bank {
    type Reply = Outcome;
    const BATCH: usize = 64;

    async fn handle(&mut self, charge: Charge, cx: &mut Context<Self>) -> Outcome {
        self.handle_batch(vec![charge], cx).await.remove(0)
    }

    async fn handle_batch(&mut self, charges: Vec<Charge>, _: &mut Context<Self>) -> Vec<Outcome> {
        let orders: Vec<_> = charges.into_iter().map(|Charge(order)| order).collect();
        let outcomes = self.database.write_all("charges", &orders);
        // From now on the money is gone, and nobody else knows.
        let fifths = 1 + orders[0].id.rem_euclid(5);
        sleep(self.longest * fifths as u32 / 5).await;
        outcomes
    }
}
