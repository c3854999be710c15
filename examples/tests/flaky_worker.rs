//! `flaky_worker`, as a newcomer watches it.

mod command;

#[test]
fn the_worker_fails_backs_off_recovers_and_escalates() {
    let run = command::run::<&str>("flaky_worker", &[]);
    assert_eq!((run.code, run.errors.as_str()), (Some(0), ""), "{}", run.printed);
    let mut rest = run.printed.as_str();
    for line in [
        "office: opens",
        "printer: panics: paper jam on page 3",
        "printer: page 5",
        "sent 5 = handled 2 + failed 3; restarts 3",
        "office: opens",
        "printer: panicked: paper jam on page 1",
        "sent 10 = handled 2 + failed 4 + undelivered 4",
        "sent 5 = handled 5; restarts 0",
        "sent 10 = handled 5 + failed 4 + undelivered 1",
        "office: panicked: its child `printer` panicked: paper jam on page 4",
        "the ledgers add up",
    ] {
        let Some(found) = rest.find(line) else { panic!("{line:?} is missing in {}", run.printed) };
        rest = &rest[found + line.len()..];
    }
}
