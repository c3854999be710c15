//! `log_pipeline`, as its user runs it, on files of all sorts.

mod command;

use std::path::{Path, PathBuf};

use command::Outcome;

fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, content).unwrap();
    path
}

fn succeeded(content: &[u8], name: &str) -> String {
    let Outcome { code, printed, errors } = command::run("log_pipeline", &[file(name, content)]);
    assert_eq!((code, errors.as_str()), (Some(0), ""), "{printed}");
    assert!(printed.contains("lines read, parsed and tallied: the same number"), "{printed}");
    printed
}

/// The columns of the first row of this name.
fn row(printed: &str, name: &str) -> Vec<String> {
    let mut rows = printed.lines().map(|line| line.split_whitespace().map(str::to_owned));
    rows.find_map(|mut row| (row.next()? == name).then(|| row.collect())).unwrap_or_default()
}

#[test]
fn words_and_days_are_counted() {
    let log = b"2025-06-24 14:36:25 Install foo\n2025-06-25T09:00:00Z install bar\r\nno time here, foo";
    let printed = succeeded(log, "two_days.log");
    assert!(printed.starts_with("3 lines\n"), "{printed}");
    assert_eq!(row(&printed, "install")[0], "2");
    assert_eq!(row(&printed, "foo")[0], "2");
    assert_eq!(row(&printed, "2025-06-24")[0], "1");
    assert_eq!(row(&printed, "2025-06-25")[0], "1");
    assert!(printed.contains("lines without a timestamp: 1\n"), "{printed}");
    assert_eq!(row(&printed, "handled")[1..], ["3", "4"]);
}

#[test]
fn one_day_is_shown_by_the_hour() {
    let printed = succeeded(b"2025-06-24 09:00:00 a\n2025-06-24 10:00:00 b\n", "one_day.log");
    assert!(printed.contains("lines per hour"), "{printed}");
    assert_eq!(row(&printed, "2025-06-24"), ["09h", "1", &"#".repeat(40)]);
}

#[test]
fn bytes_that_are_not_utf8_are_counted_and_take_nothing_along() {
    let printed = succeeded(b"2025-06-24 09:00:00 before\xff\xfeafter\nclean\n\x80\n", "not_utf8.log");
    assert!(printed.contains("not UTF-8: 3, in lines: 2 "), "{printed}");
    for word in ["before", "after", "clean"] {
        assert_eq!(row(&printed, word)[0], "1", "{word}");
    }
    assert_eq!(row(&printed, "handled")[1..], ["3", "4"]);
}

#[test]
fn an_empty_file_has_no_lines() {
    let printed = succeeded(b"", "empty.log");
    assert!(printed.starts_with("0 lines\n"), "{printed}");
    assert_eq!(row(&printed, "handled"), ["1", "0", "1"]);
}

#[test]
fn more_lines_than_there_is_room_for_wait_their_turn() {
    let long = vec![b'x'; 5_000_000];
    let log = [b"word\n".repeat(50_000), long].concat();
    let printed = succeeded(&log, "long.log");
    assert_eq!(row(&printed, "word")[0], "50,000");
    assert_eq!(row(&printed, "handled")[1..], ["50,001", "50,002"]);
    assert!(printed.contains(&format!("  {}… ", "x".repeat(40))), "a long word is shortened: {printed}");
}

#[test]
fn what_cannot_be_read_is_named() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for path in [directory.join("missing.log"), directory.to_owned()] {
        let Outcome { code, printed, errors } = command::run("log_pipeline", &[&path]);
        assert_eq!((code, printed.as_str()), (Some(1), ""), "{errors}");
        assert!(errors.contains(&format!("`{}`: ", path.display())), "{errors}");
        assert!(!errors.contains("panicked"), "{errors}");
    }
}

#[test]
fn a_file_is_asked_for() {
    let Outcome { code, errors, .. } = command::run::<&str>("log_pipeline", &[]);
    assert_eq!(code, Some(2));
    assert!(errors.contains("usage: log_pipeline FILE"), "{errors}");
}
