//! A service that cannot begin says why in one line, and leaves everything as it is.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use rusqlite::Connection;

use crate::process::{folder, run};

/// It ends with code 2, and one line that has these words.
#[track_caller]
fn refuses(database: &Path, arguments: &[&str], words: &[&str]) {
    let outcome = run(database, arguments);
    assert_eq!((outcome.code, outcome.printed.as_str()), (Some(2), ""), "{outcome:?}");
    assert_eq!(outcome.errors.lines().count(), 1, "{outcome:?}");
    for word in words {
        assert!(outcome.errors.contains(word), "no {word:?} in {outcome:?}");
    }
}

#[test]
fn a_port_in_use() {
    let database = folder("port").join("books.sqlite");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    refuses(&database, &["--port", &port], &[&port, "in use", "choose another with --port"]);
    assert!(!database.exists(), "nothing was begun");
}

#[test]
fn a_folder_that_cannot_be_written_to() {
    let folder = folder("folder");
    fs::write(folder.join("file"), "").unwrap();
    // Also for root, whom no permission binds.
    for database in
        [folder.join("file/books.sqlite"), folder.join("none/books.sqlite"), "/proc/books.sqlite".into()]
    {
        refuses(&database, &["--port", "0"], &[&format!("{database:?}"), "name a file in a folder"]);
    }
    refuses(&folder, &["--port", "0"], &["name a file in a folder"]);
    refuses(Path::new("a\nb/books.sqlite"), &["--port", "0"], &[r#""a\nb/books.sqlite""#]);
}

#[test]
fn a_file_that_is_no_database() {
    let file = folder("text").join("notes.txt");
    let text = "Notes, of which there are enough to fill a header of a database.\n".repeat(20);
    fs::write(&file, &text).unwrap();
    refuses(&file, &["--port", "0"], &["is not an SQLite database", "--database"]);
    assert_eq!(fs::read_to_string(file).unwrap(), text);
}

#[test]
fn a_database_of_another_shape() {
    let folder = folder("shape");
    let others = [
        (
            "columns",
            "CREATE TABLE charges (id, cents); CREATE TABLE orders (id, cents, currency)",
            "orders.currency",
        ),
        ("missing", "CREATE TABLE orders (id INTEGER PRIMARY KEY, cents INTEGER)", "orders.cents"),
        ("other", "CREATE TABLE users (name TEXT)", "users.name"),
        (
            "more",
            "CREATE TABLE charges (id, cents); CREATE TABLE orders (id, cents); CREATE TABLE x (y)",
            "x.y",
        ),
        ("lines", "CREATE TABLE \"a\nb\" (\"c\nd\")", r"a\nb.c\nd"),
    ];
    for (name, create, word) in others {
        let database = folder.join(name);
        Connection::open(&database).unwrap().execute_batch(create).unwrap();
        let before = fs::read(&database).unwrap();
        refuses(&database, &["--port", "0"], &["another shape", word, "--database"]);
        assert_eq!(fs::read(&database).unwrap(), before, "{name} is as it was");
    }
}

#[test]
fn a_bad_argument() {
    let database = folder("argument").join("books.sqlite");
    refuses(&database, &["--port", "many"], &["--port cannot be \"many\"", "usage: sigterm"]);
    refuses(&database, &["--limits", "1"], &["unknown argument \"--limits\"", "usage: sigterm"]);
    let outcome = run(&database, &["--help"]);
    assert_eq!((outcome.code, outcome.errors.as_str()), (Some(0), ""));
    assert!(outcome.printed.starts_with("usage: sigterm "), "{outcome:?}");
    assert!(!database.exists());
}
