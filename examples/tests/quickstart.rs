//! `quickstart`, as its user runs it.

mod command;

#[test]
fn every_message_is_handled() {
    let run = command::run("quickstart", &["20_000"]);
    assert_eq!((run.code, run.errors.as_str()), (Some(0), ""), "{}", run.printed);
    assert!(run.printed.starts_with("20,000 messages in "), "{}", run.printed);
    assert!(run.printed.contains("every message was handled"), "{}", run.printed);
    assert!(!run.printed.contains('\u{1b}'), "no terminal, no escapes");
}

#[test]
fn a_bad_argument_is_quoted() {
    let run = command::run("quickstart", &["plenty"]);
    assert_eq!((run.code, run.printed.as_str()), (Some(2), ""));
    assert!(run.errors.contains("`plenty` is no number of messages"), "{}", run.errors);
}
