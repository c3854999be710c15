//! SIGTERM under load: no charge without its row, and no answer without its row.

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use crate::books;
use crate::client::Client;
use crate::process::{Service, folder};

const CLIENTS: i64 = 32;

/// What the clients do when the service is told to end.
#[derive(Clone, Copy, Debug)]
enum Clients {
    /// Wait for their answers.
    Stay,
    /// Go away just before. So the server has nothing to wait for, but the orders of that moment were accepted.
    HaveGone,
    /// Go away just after.
    Go,
}

/// Sends orders until the service takes no more.
fn send_orders(client: i64, mut connection: Client, booked: &Sender<(i64, u32)>) {
    for number in 1.. {
        let (id, cents) = (client * 1_000_000 + number, 100 + number as u32);
        // A connection that ends without an answer says nothing: the client would send the order again.
        let Ok(answer) = connection.order(id, cents) else { return };
        if answer.status == 503 {
            assert!(answer.head.contains("\r\nretry-after: 1\r\n"), "{answer:?}");
            return;
        }
        assert_eq!(answer.status, 201, "{answer:?}");
        booked.send((id, cents)).expect("the test waits for the end of its clients");
    }
}

/// Ends the service after so many answers. How many charges and rows there are, and how many of the rows no client was told of.
fn run(clients: Clients, answers: usize) -> [usize; 3] {
    let database = folder("load").join("books.sqlite");
    let service = Service::start(&database, &[]);
    let (tell_booked, booked) = channel();
    let mut told = BTreeMap::new();
    let outcome = thread::scope(|scope| {
        let hang_up: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let connection = Client::connect(service.address).unwrap();
                let (hang_up, tell_booked) = (connection.hang_up(), tell_booked.clone());
                scope.spawn(move || send_orders(client, connection, &tell_booked));
                hang_up
            })
            .collect();
        drop(tell_booked);
        told.extend(booked.iter().take(answers));
        let hang_up = || hang_up.iter().for_each(|hang_up| hang_up());
        match clients {
            Clients::Stay => service.signal("TERM"),
            Clients::HaveGone => {
                hang_up();
                service.signal("TERM");
            }
            Clients::Go => {
                service.signal("TERM");
                hang_up();
            }
        }
        told.extend(booked.iter());
        service.end()
    });
    assert_eq!((outcome.code, outcome.errors.as_str()), (Some(0), ""), "{outcome:?}");
    assert!(told.len() >= answers, "{} answers", told.len());

    let tables = books::read(&database);
    assert_eq!(tables.charges, tables.orders, "a charge without its row, or a row without its charge");
    for (id, cents) in &told {
        assert_eq!(tables.orders.get(id), Some(cents), "order {id} was answered");
    }
    [tables.charges.len(), tables.orders.len(), tables.orders.len() - told.len()]
}

#[test]
fn no_charge_without_its_row() {
    let runs =
        std::env::var("SIGTERM_RUNS").map_or(3, |runs| runs.parse().expect("SIGTERM_RUNS is a number"));
    let mut sums = [0; 3];
    for number in 0..runs {
        let clients = [Clients::HaveGone, Clients::Stay, Clients::Go][number % 3];
        // At another moment in each run.
        let in_run = run(clients, 20 + number * 37 % 200);
        sums.iter_mut().zip(in_run).for_each(|(sum, count)| *sum += count);
    }
    let [charges, rows, untold] = sums;
    println!("{runs} runs: {charges} charges, {rows} rows ({untold} of them for clients that had gone)");
}
