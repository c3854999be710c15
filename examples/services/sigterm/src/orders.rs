//! The orders: from the client to the bank, and from the bank to the books.

use std::time::Duration;

use mycelia_actors::prelude::*;

use crate::bank::{Bank, Charge};
use crate::books::{Book, Books};
use crate::order::{Order, Outcome, Refused};

/// Orders that wait for the bank at a time, at the most.
const MOST_UNPAID: usize = 1000;

/// Takes orders, has them charged, and then booked.
pub struct Orders {
    bank: Address<Bank>,
    books: Address<Books>,
    unpaid: usize,
}

impl Orders {
    /// Takes orders for this bank and these books.
    #[must_use]
    pub fn new(bank: Address<Bank>, books: Address<Books>) -> Self {
        Self { bank, books, unpaid: 0 }
    }
}

impl Subsystem for Orders {}

/// Places an order. The reply comes when the order is booked.
pub struct Place {
    /// The order.
    pub order: Order,
    /// The duty to reply.
    pub reply: ReplyTo<Outcome>,
}

impl Handler<Place> for Orders {
    type Reply = ();

    async fn handle(&mut self, Place { order, reply }: Place, cx: &mut Context<Self>) {
        if self.unpaid == MOST_UNPAID {
            return reply.reply(Err(Refused::Busy));
        }
        self.unpaid += 1;
        let bank = self.bank.clone();
        // A pipe, and not `tokio::spawn`: the shutdown waits for pipes. And without a deadline: a charge whose answer nobody awaits
        // would have no row. The client may go away meanwhile; the order is booked all the same.
        cx.pipe(async move {
            let charged = bank.ask(Charge(order)).within(Duration::MAX).await;
            Paid { order, reply, charged: charged.unwrap_or_else(unavailable) }
        });
    }
}

/// The bank has answered.
struct Paid {
    order: Order,
    reply: ReplyTo<Outcome>,
    charged: Outcome,
}

impl Handler<Paid> for Orders {
    type Reply = ();

    async fn handle(&mut self, Paid { order, reply, charged }: Paid, _: &mut Context<Self>) {
        self.unpaid -= 1;
        if charged.is_err() {
            return reply.reply(charged);
        }
        // Waits if the books are behind. They reply to the client.
        if let Err(error) = self.books.send(Book { order, reply }).await {
            let text = error.to_string();
            error.message.reply.reply(Err(Refused::Unavailable(text)));
        }
    }
}

fn unavailable(error: AskError<Charge>) -> Outcome {
    Err(Refused::Unavailable(error.to_string()))
}
