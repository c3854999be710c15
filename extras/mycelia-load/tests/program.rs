//! The program as its users run it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_mycelia-load"))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A file of this test's own.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn scenario(name: &str, text: &str) -> PathBuf {
    let file = file(name);
    fs::write(&file, text).unwrap();
    file
}

fn interrupt(run: &Child) {
    assert!(Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap().success());
}

/// What a run writes with `--json`.
fn json(name: &str, arguments: &[&str]) -> (Output, Value) {
    let file = file(name);
    let output = program().arg("run").args(arguments).arg("--json").arg(&file).output().unwrap();
    let json = serde_json::from_str(&fs::read_to_string(&file).unwrap_or_default()).unwrap_or_default();
    (output, json)
}

#[test]
fn each_scenario_adds_up() {
    for name in ["sustained", "burst", "memory", "many", "storm"] {
        let (output, report) = json(&format!("{name}.json"), &[name, "--scale", "0.001"]);
        assert!(output.status.success(), "{}", text(&output));
        assert!(text(&output).contains("11 of 11 hold"), "{}", text(&output));
        let ledger = |fate: &str| report["ledger"][fate].as_u64().unwrap();
        let expected =
            [("sustained", 300), ("burst", 1218), ("memory", 9000), ("many", 3000), ("storm", 1000)];
        assert!(expected.contains(&(name, ledger("sent"))), "{name}: {}", ledger("sent"));
        let lost =
            ["failed", "evicted", "discarded", "returned"].iter().map(|fate| ledger(fate)).sum::<u64>();
        assert_eq!(ledger("handled"), ledger("sent") - lost);
        assert_eq!(report["latency"]["count"], report["ledger"]["handled"]);
        for phase in report["phases"].as_array().unwrap() {
            let handled = phase["latency"]["count"].as_u64().unwrap();
            assert!(name == "storm" || handled == phase["messages"].as_u64().unwrap(), "{phase}");
        }
    }
}

const FAILING: &str = "name = 'failing'\nabout = 'handlers that panic'\nsubsystems = { count = 3, capacity = 8, policies = ['wait'] }\n\
     handlers = { fail = 0.1 }\n[[phases]]\nmessages = 5000\n[pass]\nloss = 0.01\n";

#[test]
fn a_run_that_does_not_pass_says_why_and_exits_with_1() {
    let file = scenario("failing.toml", FAILING);
    let html = file.with_extension("html");
    let output = program().arg("run").arg(&file).arg("--html").arg(&html).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("FAILED\n  loss, share: 0."), "{}", text(&output));
    assert!(!text(&output).contains("panicked"), "panics on purpose are not printed");
    assert!(fs::read_to_string(html).unwrap().contains("failed"));
}

#[test]
fn the_same_seed_fails_the_same_messages() {
    let file = scenario("seeded.toml", FAILING);
    let failed = |seed: &str| {
        let (_, report) = json(&format!("seeded-{seed}.json"), &[file.to_str().unwrap(), "--seed", seed]);
        report["ledger"]["failed"].as_u64().unwrap()
    };
    let counts = ["1", "1", "2", "3"].map(failed);
    assert_eq!(counts[0], counts[1]);
    assert!(
        counts[0].abs_diff(500) < 100 && (counts[0] != counts[2] || counts[0] != counts[3]),
        "{counts:?}"
    );
}

#[test]
fn what_cannot_be_played_is_refused_with_the_reason_and_2() {
    let malformed = scenario("malformed.toml", "name = 'x'\nabuot = ''\n");
    let refused = [
        (vec!["nothing-of-this-name"], "there is no scenario `nothing-of-this-name`"),
        (vec![malformed.to_str().unwrap()], "unknown field `abuot`"),
        (vec!["many", "--scale", "0"], "`--scale` must be above 0"),
        (vec!["storm", "--duration", "3s"], "has no duration"),
        (vec!["many", "--duration", "3 weks"], "invalid value"),
        (vec!["many", "--dashboard=0.0.0.0:0"], "token"),
    ];
    for (arguments, reason) in refused {
        let output = program().arg("run").args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {}", text(&output));
        assert!(text(&output).contains(reason), "{arguments:?}: {}", text(&output));
    }
}

#[test]
fn two_runs_can_be_compared() {
    let arguments = ["sustained", "--scale", "0.01", "--rate", "200"];
    for name in ["a.json", "b.json"] {
        assert!(json(name, &arguments).0.status.success());
    }
    let compared = program().arg("compare").arg(file("a.json")).arg(file("b.json")).output().unwrap();
    let shown = text(&compared);
    assert!(compared.status.success() && shown.contains("throughput, messages/s"), "{shown}");
    assert!(!shown.contains("not the same load"), "{shown}");
    let nothing = program().arg("compare").arg(file("a.json")).arg(file("nothing.json")).output().unwrap();
    assert_eq!(nothing.status.code(), Some(2));
}

#[test]
fn a_run_has_a_dashboard_and_an_interrupt_ends_it_with_its_report() {
    let arguments = ["run", "sustained", "--dashboard=127.0.0.1:0"];
    let mut run = program().args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(run.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("dashboard") {
        line.clear();
        assert!(errors.read_line(&mut line).unwrap() > 0, "no dashboard");
    }
    let address = line.trim().strip_prefix("dashboard: http://").unwrap_or_else(|| panic!("{line}"));
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /api/snapshot HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("worker-5"), "{answer}");

    interrupt(&run);
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output);
    assert!(shown.contains("11 of 11 hold") && shown.contains("FAILED\n  it was interrupted"), "{shown}");
}

#[test]
fn a_second_interrupt_ends_what_hangs() {
    let file = scenario(
        "hanging.toml",
        "name = 'hanging'\nabout = ''\nsubsystems = { count = 1, capacity = 1, policies = ['wait'] }\n\
         handlers = { slow = 1.0, slow_ms = 3600000 }\n[[phases]]\nmessages = 100\n",
    );
    let mut command = program();
    command.arg("run").arg(file).arg("--dashboard=127.0.0.1:0").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut run = command.spawn().unwrap();
    let mut errors = BufReader::new(run.stderr.take().unwrap());
    errors.read_line(&mut String::new()).unwrap();
    while run.try_wait().unwrap().is_none() {
        interrupt(&run);
    }
    let output = run.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("FAILED\n  it was interrupted"), "{}", text(&output));
    assert!(!text(&output).contains("does not add up"), "{}", text(&output));
}
