//! The figures in print: tables for readers, lines of JSON for programs.

use std::fmt::Write;

use mycelia_benches::versions::version_of;

use crate::contenders::Entry;
use crate::race::Row;
use crate::stage::Stage;

/// One table of figures of one kind, with the fastest as the measure.
pub(crate) fn table(title: &str, rows: &[Row]) -> String {
    let fastest = rows.iter().map(|row| row.ns.median).fold(f64::INFINITY, f64::min);
    let mut text = format!("{title}\n\n");
    let head = ["contender", "version", "median", "min", "max", "allocs/op", "to fastest"];
    let [contender, version, median, min, max, allocations, ratio] = head;
    line(
        &mut text,
        format_args!(
            "{contender:<16} {version:>8} {median:>11} {min:>11} {max:>11} {allocations:>10} {ratio:>11}"
        ),
    );
    for Row { contender, ns, allocations } in rows {
        let (version, ratio) = (version_of(contender), ns.median / fastest);
        line(
            &mut text,
            format_args!(
                "{contender:<16} {version:>8} {:>11.1} {:>11.1} {:>11.1} {allocations:>10.2} {ratio:>10.2}x",
                ns.median, ns.min, ns.max
            ),
        );
    }
    text
}

/// One scene with growing tables: medians, and how often the smallest table's they are.
pub(crate) fn growth(title: &str, sizes: &[usize], tables: &[Vec<Row>]) -> String {
    let mut text = format!("{title}\n\n");
    let mut head = format!("{:<16} {:>8}", "contender", "version");
    for (place, size) in sizes.iter().enumerate() {
        write!(head, " {size:>11}").expect("a string takes everything");
        if place > 0 {
            write!(head, " {:>9}", format!("to {}", sizes[0])).expect("a string takes everything");
        }
    }
    line(&mut text, format_args!("{head}"));
    for (number, Row { contender, ns: smallest, .. }) in tables[0].iter().enumerate() {
        let mut row = format!("{contender:<16} {:>8}", version_of(contender));
        for (place, rows) in tables.iter().enumerate() {
            let median = rows[number].ns.median;
            write!(row, " {median:>11.1}").expect("a string takes everything");
            if place > 0 {
                write!(row, " {:>8.2}x", median / smallest.median).expect("a string takes everything");
            }
        }
        line(&mut text, format_args!("{row}"));
    }
    text
}

/// What is visited, and what is not.
pub(crate) fn paths(stage: &Stage) -> String {
    let Stage { table, routes, paths: [literal, parameter, missing], left_out, .. } = stage;
    let mut text = format!(
        "{table}, {routes} routes: {literal} literal paths, {parameter} with parameters, {missing} misses; \
         {} resolved otherwise by somebody and left out for all\n",
        left_out.len()
    );
    for one in left_out.iter().take(5) {
        line(&mut text, format_args!("{one}"));
    }
    text
}

/// What must be known of the contenders.
pub(crate) fn notes(entries: &[Entry]) -> String {
    let mut text = "notes\n\n".to_owned();
    for Entry { name, note, .. } in entries {
        line(&mut text, format_args!("{name}: {note}."));
    }
    text
}

/// A line of JSON for each row. Names and versions need no escaping: they are fixed words and come from `Cargo.lock`.
pub(crate) fn json(part: &str, table: &str, routes: usize, scene: &str, rows: &[Row]) -> String {
    let mut text = String::new();
    for Row { contender, ns, allocations } in rows {
        let version = version_of(contender);
        writeln!(
            text,
            r#"{{"part":"{part}","table":"{table}","routes":{routes},"scene":"{scene}","contender":"{contender}","version":"{version}","median_ns":{:.1},"min_ns":{:.1},"max_ns":{:.1},"allocs_per_op":{allocations:.2}}}"#,
            ns.median, ns.min, ns.max
        )
        .expect("a string takes everything");
    }
    text
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "  {content}").expect("a string takes everything");
}
