//! The books: a row for each order that is paid.

use mycelia_actors::prelude::*;

use crate::database::Database;
use crate::order::{Order, Outcome};

/// Writes rows, one transaction for all that are queued. It blocks its thread, so it should have one of its own.
pub struct Books(Database);

impl Books {
    /// The books in this database.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self(database)
    }
}

impl Subsystem for Books {}

/// Books a paid order, and tells the client.
pub struct Book {
    /// The order, which has been charged.
    pub order: Order,
    /// The duty to reply, which came with the order.
    pub reply: ReplyTo<Outcome>,
}

impl Handler<Book> for Books {
    type Reply = ();
    const BATCH: usize = 64;

    async fn handle(&mut self, book: Book, cx: &mut Context<Self>) {
        self.handle_batch(vec![book], cx).await;
    }

    async fn handle_batch(&mut self, books: Vec<Book>, _: &mut Context<Self>) -> Vec<()> {
        let orders: Vec<_> = books.iter().map(|book| book.order).collect();
        let outcomes = self.0.write_all("orders", &orders);
        books.into_iter().zip(outcomes).map(|(book, outcome)| book.reply.reply(outcome)).collect()
    }
}
