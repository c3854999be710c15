//! Ends that are not quiet: second signals, and limits.

use crate::books;
use crate::client::Client;
use crate::process::{Service, folder};

/// Charges that take five minutes: 300 s, for the id below.
const FOR_EVER: [&str; 2] = ["--charge-ms", "300000"];
const ID: i64 = 4;

#[test]
fn a_second_signal_ends_at_once_and_names_what_was_cut_off() {
    let database = folder("second").join("books.sqlite");
    let mut service = Service::start(&database, &FOR_EVER);
    let mut client = Client::connect(service.address).unwrap();
    client.send(ID, 300).unwrap();
    books::wait_for_a_charge(&database);
    // It still waits for its answer, and so does the server.
    service.signal("TERM");
    service.wait_for_line("stopping; a second signal ends at once");
    service.signal("INT");
    let outcome = service.end();
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.errors.contains("`orders`: "), "{outcome:?}");
    assert!(outcome.errors.contains("pipe of mycelia_sigterm::orders::Paid"), "{outcome:?}");
    assert!(outcome.errors.contains("`bank`: 1 in hand, killed"), "{outcome:?}");
    assert_eq!(outcome.errors.lines().count(), 1, "{outcome:?}");
    assert!(!outcome.printed.contains("requests are answered"), "{outcome:?}");

    // The client sends its order again: it is not charged again, and booked.
    assert!(books::read(&database).orders.is_empty());
    let service = Service::start(&database, &["--charge-ms", "0"]);
    let answer = Client::connect(service.address).unwrap().order(ID, 300).unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (201, r#"{"id":4,"cents":300}"#));
    let tables = books::read(&database);
    assert_eq!((tables.charges.len(), &tables.orders), (1, &tables.charges));
    service.signal("TERM");
    assert_eq!(service.end().code, Some(0));
}

#[test]
fn a_second_signal_while_the_subsystems_end() {
    let database = folder("second_inside").join("books.sqlite");
    let mut service = Service::start(&database, &FOR_EVER);
    let mut client = Client::connect(service.address).unwrap();
    client.send(ID, 300).unwrap();
    books::wait_for_a_charge(&database);
    // The client goes, so that the server has nothing to wait for; but the order is charged.
    drop(client);
    service.signal("INT");
    service.wait_for_line("requests are answered");
    service.signal("TERM");
    let outcome = service.end();
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.errors.contains("pipe of mycelia_sigterm::orders::Paid"), "{outcome:?}");
    assert!(outcome.errors.contains("`bank`: 1 in hand, killed"), "{outcome:?}");
}

#[test]
fn a_second_signal_with_nothing_to_cut_off() {
    let mut service = Service::start(&folder("second_idle").join("books.sqlite"), &[]);
    let mut client = Client::connect(service.address).unwrap();
    client.begin();
    service.signal("TERM");
    service.wait_for_line("stopping; a second signal ends at once");
    service.signal("TERM");
    let outcome = service.end();
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    // Not that nothing was cut off: an idle thread may need longer to wake up than the runtime waits.
    assert_eq!(outcome.errors.lines().count(), 1, "{outcome:?}");
    let lost = ["queued", "in hand", "pipe"].iter().any(|word| outcome.errors.contains(word));
    assert!(!lost, "{outcome:?}");
}

#[test]
fn what_the_limit_cuts_off_is_named() {
    let database = folder("limit").join("books.sqlite");
    let service = Service::start(&database, &[&FOR_EVER[..], &["--limit", "0.2"]].concat());
    let mut client = Client::connect(service.address).unwrap();
    client.send(ID, 300).unwrap();
    books::wait_for_a_charge(&database);
    service.signal("TERM");
    let outcome = service.end();
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.printed.contains("\nnot all requests are answered"), "{outcome:?}");
    assert!(outcome.errors.contains("pipe of mycelia_sigterm::orders::Paid"), "{outcome:?}");
    assert!(outcome.errors.contains("`bank`: 1 in hand, killed"), "{outcome:?}");
}

#[test]
fn half_a_request_does_not_hold_the_end_up() {
    let database = folder("half").join("books.sqlite");
    let service = Service::start(&database, &["--limit", "0.4"]);
    let mut client = Client::connect(service.address).unwrap();
    assert_eq!(client.order(1, 1).unwrap().status, 201);
    client.begin();
    service.signal("TERM");
    let outcome = service.end();
    assert_eq!((outcome.code, outcome.errors.as_str()), (Some(0), ""), "{outcome:?}");
    assert!(outcome.printed.contains("\nnot all requests are answered"), "{outcome:?}");
    assert_eq!(books::read(&database).orders.len(), 1);
}
