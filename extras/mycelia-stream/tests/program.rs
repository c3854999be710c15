//! The program, as people run it.
#![cfg(feature = "program")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mycelia-stream");

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A file that is never there with half of its content, for another test may read it at that moment.
fn file(name: &str, content: &[u8]) -> PathBuf {
    static WRITTEN: AtomicU32 = AtomicU32::new(0);
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    // Relaxed: only that it is another each time.
    let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
    let written = folder.join(format!("{name}.{}.{number}", std::process::id()));
    std::fs::write(&written, content).unwrap();
    let path = folder.join(name);
    std::fs::rename(written, &path).unwrap();
    path
}

fn example() -> PathBuf {
    let printed = program(&["--example"]).output().unwrap();
    assert!(printed.status.success());
    file("example.yaml", &printed.stdout)
}

/// Runs it on some lines.
fn run(config: &Path, lines: &str) -> Output {
    let mut child = program(&["--config", config.to_str().unwrap()]).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn count(summary: &str, name: &str) -> u64 {
    let line =
        summary.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {summary}"));
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn the_example_is_explained() {
    let config = example();
    let checked = program(&["--config", config.to_str().unwrap(), "--check"]).output().unwrap();
    assert!(checked.status.success(), "{}", text(&checked.stderr));
    let explained = text(&checked.stdout);
    for part in [
        "serialNumber\n  \"SN-P42-008\"\n  static: always \"SN-P42-008\"\n  native\n",
        "report\n  `${press.toFixed(1)} hPa at ${tF} °F`\n  dynamic: for every message of press, tF,",
        "to umh.v1.corpA.plant-A.aawd._pump_v1.motor.rpm\n",
        "the configuration is fine: 6 mappings\n",
    ] {
        assert!(explained.contains(part), "{explained}");
    }
}

#[test]
#[cfg(feature = "quickjs")]
fn what_needs_the_engine_and_what_fails_is_explained() {
    let config = "{ model: { name: m, version: v1 }, output_topic: out, sources: { a: in.a }, mapping: { x: 'a.map(n => n)', bad: nothing_there, now: Date.now() } }";
    let config = file("engine.yaml", config.as_bytes());
    let checked = program(&["--config", config.to_str().unwrap(), "--check"]).output().unwrap();
    let explained = text(&checked.stdout);
    for part in [
        "x\n  a.map(n => n)\n  dynamic: for every message of a\n  QuickJS\n",
        "static: evaluated for every message, for it looks at the clock or at chance",
        "bad\n  nothing_there\n  static: fails for every message\n",
        "engine.yaml: mapping.bad (line 1, column 113): `nothing_there` is neither a source nor a name that expressions have\n",
        "the configuration can be used: 3 mappings, 1 warning\n",
    ] {
        assert!(explained.contains(part), "{explained}");
    }
}

#[test]
fn records_become_records() {
    let lines = "{\"topic\":\"umh.v1.corpA.plant-A.aawd._raw.press\",\"payload\":\"{\\\"value\\\":5,\\\"timestamp_ms\\\":1}\",\"metadata\":{\"id\":\"ü\"}}\n\
                 no record\n\n{\"batch_end\":true}\n{\"topic\":\"other\",\"payload\":\"{\\\"value\\\":5,\\\"timestamp_ms\\\":1}\"}\n\
                 {\"payload\":\"\"}\n{\"topic\":\"umh.v1.corpA.plant-A.aawd._raw.run\",\"payload\":\"{}\"}";
    let ran = run(&example(), lines);
    assert!(ran.status.success());
    let expected = [("serialNumber", "\\\"SN-P42-008\\\""), ("pressure", "9.00001"), ("motor.rpm", "1.25")].map(|(path, value)| {
        format!(
            "{{\"topic\":\"umh.v1.corpA.plant-A.aawd._pump_v1.{path}\",\"payload\":\"{{\\\"value\\\":{value},\\\"timestamp_ms\\\":1}}\",\
             \"metadata\":{{\"id\":\"ü\"}}}}\n"
        )
    });
    assert_eq!(text(&ran.stdout), expected.concat());
    let summary = text(&ran.stderr);
    assert!(summary.contains("line 2 is no record: "), "{summary}");
    for (name, times) in [
        ("messages_processed", 1),
        ("messages_dropped", 2),
        ("messages_errored", 1),
        ("outputs_generated", 3),
        ("malformed_lines", 1),
    ] {
        assert_eq!(count(summary, name), times, "{summary}");
    }
}

#[test]
fn what_is_refused_is_told_with_its_line() {
    let record = |payload: &str| {
        format!("{{\"topic\":\"umh.v1.corpA.plant-A.aawd._raw.press\",\"payload\":\"{payload}\"}}\n")
    };
    let good = record("{\\\"value\\\":\\\"x\\\",\\\"timestamp_ms\\\":1}");
    let late = record("{\\\"value\\\":1,\\\"timestamp_ms\\\":1.5}");
    // A mark of UTF-8 before all, a list, metadata that are none.
    let lines = format!(
        "\u{feff}{good}[null, \"x\"]\n{}{late}{}{}",
        good.replace("}\n", ",\"metadata\":null}\n"),
        "{\"topic\":\"umh.v1.corpA.plant-A.aawd._raw.press\",\"payload\":{}}\n\
         {\"payload\":\"\",\"metadata\":{\"a\":1}}\n{\n{\"topic\":\"other\",\"payload\":\"{\\\"value\\\":1,\\\"timestamp_ms\\\":1}\"}\n",
        record("{}").repeat(20)
    );
    let ran = run(&example(), &lines);
    let told = text(&ran.stderr);
    for part in [
        "line 2 is no record: it is no JSON object, which begins with `{`\n",
        "line 5 is no record: payload: invalid type: map, expected a string at column 58; it is JSON as a text: \"{\\\"value",
        "line 6 is no record: metadata.a: invalid type: integer `1`, expected a string at column",
        "line 7 is no record: EOF while parsing an object at column 1\n",
        "line 8: no source has the topic `other`; its records are dropped\n",
        "line 4: the payload is refused: invalid type: floating point `1.5`, expected `timestamp_ms` as an integer",
        "line 17: the payload is refused: missing field `value`",
        "more payloads are refused; they are only counted\n",
    ] {
        assert_eq!(told.matches(part).count(), 1, "{part}: {told}");
    }
    assert!(!told.contains("line 18"), "{told}");
    assert_eq!((count(told, "messages_processed"), count(told, "invalid_data_type")), (2, 21), "{told}");
}

#[test]
fn a_mapping_that_fails_is_told_at_once() {
    let config = "{ model: { name: m, version: v1 }, output_topic: out, sources: { a: in.a }, mapping: { x: a.b.c, y: a } }";
    let config = file("fails.yaml", config.as_bytes());
    let mut child = program(&["--config", config.to_str().unwrap()]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input
        .write_all(b"{\"topic\":\"in.a\",\"payload\":\"{\\\"value\\\":1,\\\"timestamp_ms\\\":1}\"}\n")
        .unwrap();
    let mut told = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut told).unwrap();
    assert!(told.starts_with("mapping x fails: TypeError: "), "{told}");
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
#[cfg(target_os = "linux")]
fn files_are_named_in_errors() {
    let config = example();
    let config = config.to_str().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut unwritable = program(&["--example"]);
    unwritable.stdout(full);
    for (mut command, expected) in [
        (program(&["--config", config, "--input", "/"]), "mycelia-stream: /: Is a directory"),
        (program(&["--config", config, "--input", "/nowhere"]), "mycelia-stream: /nowhere: No such file"),
        (program(&["--config", "/"]), "mycelia-stream: /: Is a directory"),
        (program(&["--config", "/dev/zero"]), "mycelia-stream: /dev/zero: it is longer than 67108864 bytes"),
        (unwritable, "mycelia-stream: standard output: No space left"),
    ] {
        let ran = command.output().unwrap();
        assert_eq!(ran.status.code(), Some(1));
        assert!(text(&ran.stderr).contains(expected), "{expected}: {}", text(&ran.stderr));
    }
}

#[test]
fn a_file_of_generated_records_is_processed_to_its_end() {
    let made = program(&["--generate", "20000", "--seed", "7"]).output().unwrap();
    let again = program(&["--generate", "20000", "--seed", "7"]).output().unwrap();
    let other = program(&["--generate", "20000", "--seed", "8"]).output().unwrap();
    assert!(made.stdout == again.stdout && made.stdout != other.stdout);
    let records = file("records.ndjson", &made.stdout);
    let config = example();
    let ran = program(&["--config", config.to_str().unwrap(), "--input", records.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(ran.status.success());
    let summary = text(&ran.stderr);
    assert_eq!(
        (count(summary, "messages_processed"), count(summary, "messages_dropped")),
        (20_000, 0),
        "{summary}"
    );
    assert_eq!(count(summary, "outputs_generated"), text(&ran.stdout).lines().count() as u64);
}

#[test]
fn a_configuration_that_is_refused_is_told_with_its_place() {
    let bad = file(
        "bad.yaml",
        b"model: { name: a, version: b }\noutput_topic: o\nsources: { p: q }\nmapping:\n  x: p +\n",
    );
    let refused = program(&["--config", bad.to_str().unwrap(), "--check"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let told = text(&refused.stderr);
    assert!(
        told.contains("mapping.x (line 5, column 9)") && told.contains("before it is complete"),
        "{told}"
    );
    let missing = program(&["--config", "nowhere.yaml"]).output().unwrap();
    assert_eq!(
        (missing.status.code(), text(&missing.stderr).starts_with("mycelia-stream: nowhere.yaml: ")),
        (Some(1), true)
    );
    assert_eq!(program(&[]).output().unwrap().status.code(), Some(2));
}

/// One record for each, so that it has to be processed before the next is known.
#[test]
fn outputs_come_before_the_next_record() {
    let mut child = program(&["--config", example().to_str().unwrap()]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut outputs = BufReader::new(child.stdout.take().unwrap());
    for number in 0..3 {
        let payload = format!("{{\\\"value\\\":{number},\\\"timestamp_ms\\\":1}}");
        writeln!(input, "{{\"topic\":\"umh.v1.corpA.plant-A.aawd._raw.press\",\"payload\":\"{payload}\"}}")
            .unwrap();
        let mut line = String::new();
        for _ in 0..3 {
            outputs.read_line(&mut line).unwrap();
        }
        assert_eq!(line.lines().count(), 3, "{line}");
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

/// A full batch, and behind it what is no record: that must not wait for more with the outputs in hand.
#[test]
fn outputs_do_not_wait_behind_a_line_that_is_no_record() {
    let mut child = program(&["--config", example().to_str().unwrap()]).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let line = "{\"topic\":\"umh.v1.corpA.plant-A.aawd._raw.press\",\"payload\":\"{\\\"value\\\":1,\\\"timestamp_ms\\\":1}\"}\n";
    input.write_all((line.repeat(100) + "no record\n").as_bytes()).unwrap();
    let mut outputs = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..300 {
        assert!(outputs.read_line(&mut String::new()).unwrap() > 0);
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[test]
#[cfg(unix)]
fn whoever_has_read_enough_and_whoever_interrupts_gets_the_summary() {
    let config = example();
    let mut child = program(&["--config", config.to_str().unwrap()]).spawn().unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    let line = b"{\"topic\":\"umh.v1.corpA.plant-A.aawd._raw.press\",\"payload\":\"{\\\"value\\\":1,\\\"timestamp_ms\\\":1}\"}\n";
    while input.write_all(line).is_ok() {}
    let ended = child.wait_with_output().unwrap();
    assert!(
        ended.status.success() && count(text(&ended.stderr), "messages_processed") > 0,
        "{}",
        text(&ended.stderr)
    );

    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let mut child = program(&["--config", config.to_str().unwrap()]).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(line).unwrap();
        let mut outputs = BufReader::new(child.stdout.take().unwrap());
        outputs.read_line(&mut String::new()).unwrap();
        let asked = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        assert!(asked.success());
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(code));
        let told = text(&ended.stderr);
        assert!(told.starts_with("ending; once more to end at once\n"), "{told}");
        assert_eq!(count(told, "messages_processed"), 1);
        drop(input);
    }
}
