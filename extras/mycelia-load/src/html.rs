//! A report as one page that needs nothing else.

use std::fmt::{Display, Write};

use crate::chart::{Mark, Scale, Series, chart};
use crate::judge::Verdict;
use crate::latency::Latency;
use crate::report::{Report, Sample};
use crate::text::{figure, limit, phase, quantiles, reasons, thousands};

pub(crate) fn page(report: &Report) -> String {
    let Report { scenario, machine, figures, .. } = report;
    let (name, about) = (escaped(&scenario.name), escaped(&scenario.about));
    let verdict = if report.passed { "passed" } else { "failed" };
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{name}: {verdict}</title><style>{STYLE}</style>\
         <header><h1>{name} <span class=\"{verdict}\">{verdict}</span></h1><p>{about}</p>"
    );
    // A `String` takes all.
    for reason in reasons(report) {
        let _ = write!(html, "<p class=\"failed\">{}</p>", escaped(&reason));
    }
    let _ = write!(
        html,
        "<p class=\"small\"><code>run {}</code></p><p class=\"small\">{} messages in {:.1} s · seed {} · scale {} · {} cores, {} · {} · mycelia-load {}</p></header><main>",
        escaped(&report.command),
        thousands(report.ledger.sent),
        report.seconds,
        scenario.seed,
        report.scale,
        machine.cores,
        escaped(&machine.system),
        date(report.at),
        escaped(&report.version),
    );
    let tiles = [
        ("messages/s", figure(Some(figures.throughput))),
        ("p95, ms", figure(Some(report.latency.p95))),
        ("p99, ms", figure(Some(report.latency.p99))),
        ("lost, %", figure(Some(figures.loss * 100.0))),
        ("memory, MB", figure(Some(figures.memory_mb[1]))),
        ("CPU, %", figure(figures.cpu_percent)),
    ];
    html.push_str("<section class=\"tiles\">");
    for (what, value) in tiles {
        let _ = write!(html, "<div><b>{value}</b>{what}</div>");
    }
    html.push_str("</section><section class=\"charts\">");
    html.push_str(&charts(report));
    html.push_str("</section><section class=\"tables\">");
    html.push_str(&judgements(report));
    html.push_str(&latencies(report));
    html.push_str(&ledger(report));
    html.push_str("</section></main></html>\n");
    html
}

fn charts(report: &Report) -> String {
    let samples = &report.samples;
    let of = |name, value: fn(&Sample) -> f64| Series {
        name,
        points: samples.iter().map(|sample| (sample.at, value(sample))).collect(),
    };
    let end = samples.last().map_or(0.0, |sample| sample.at);
    let marks: Vec<Mark> = (0..=4)
        .map(|quarter| f64::from(quarter) * end / 4.0)
        .map(|at| (at, format!("{} s", figure(Some(at)))))
        .collect();
    let due = of("due", |sample| sample.due.unwrap_or(f64::NAN) / sample.seconds);
    let lost = of("lost", |sample| sample.lost as f64 / sample.seconds);
    let latency = [
        of("p50", |sample| sample.latency.p50),
        of("p95", |sample| sample.latency.p95),
        of("p99", |sample| sample.latency.p99),
        of("longest", |sample| sample.latency.max),
    ];
    // As far as the nines go: 0, 0.9, 0.99, … at equal distances.
    let nines = |quantile: f64| -(1.0 - quantile).log10();
    let points: Vec<_> = report.curve.iter().map(|&(quantile, millis)| (nines(quantile), millis)).collect();
    let furthest = points.last().map_or(0.0, |point| point.0);
    let quantiles = ["0", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %", "99.9999 %"];
    let quantiles = quantiles.into_iter().enumerate().map(|(nines, label)| (nines as f64, label.to_owned()));
    let quantiles: Vec<Mark> = quantiles.take_while(|(nines, _)| *nines <= furthest).collect();
    [
        chart("Messages a second", Scale::Linear, &[of("handled", Sample::throughput), due, lost], &marks),
        chart("Latency, ms", Scale::Logarithmic, &latency, &marks),
        chart("Latency by percentile, ms", Scale::Logarithmic, &[Series { name: "all", points }], &quantiles),
        chart("Queued messages", Scale::Linear, &[of("queued", |sample| sample.queued as f64)], &marks),
        chart("Memory, MB", Scale::Linear, &[of("resident", |sample| sample.memory_mb)], &marks),
        chart("CPU, % of a core", Scale::Linear, &[of("CPU", |sample| sample.cpu_percent)], &marks),
    ]
    .concat()
}

fn judgements(report: &Report) -> String {
    let rows = report.judgements.iter().map(|one| {
        let class = match one.verdict {
            Verdict::Passed => "passed",
            Verdict::Failed => "failed",
            Verdict::TooShort | Verdict::Unknown => "small",
        };
        let verdict = format!("<span class=\"{class}\">{}</span>", one.verdict.as_str());
        [one.criterion.clone(), limit(one), figure(one.value), verdict]
    });
    table("Criteria", ["", "limit", "measured", ""], rows)
}

fn latencies(report: &Report) -> String {
    let row = |what: String, times: &Latency| {
        let [p50, p90, p95, p99, p999, max] = quantiles(times);
        [what, p50, p90, p95, p99, p999, max]
    };
    let mut rows =
        vec![row("handled".to_owned(), &report.latency), row("handed over".to_owned(), &report.late)];
    if report.phases.len() > 1 {
        rows.extend(
            report.phases.iter().enumerate().map(|(number, one)| row(phase(number, one), &one.latency)),
        );
    }
    table("Milliseconds after messages were due", ["", "p50", "p90", "p95", "p99", "p99.9", "max"], rows)
}

fn ledger(report: &Report) -> String {
    let fates = report.ledger.fates().into_iter().filter(|(_, count)| *count > 0);
    let sent = [("sent", report.ledger.sent)].into_iter();
    let rows = sent.chain(fates).map(|(fate, count)| [fate.to_owned(), thousands(count)]);
    let checks = report.checks.iter().map(|check| {
        let sign = if check.holds() {
            "<span class=\"passed\">holds</span>"
        } else {
            "<span class=\"failed\">does not hold</span>"
        };
        [escaped(&check.what), thousands(check.counts[0]), thousands(check.counts[1]), sign.to_owned()]
    });
    table("Ledger", ["fate", "messages"], rows) + &table("Checks of the ledger", ["", "", "", ""], checks)
}

fn table<const COLUMNS: usize>(
    title: &str,
    heads: [&str; COLUMNS],
    rows: impl IntoIterator<Item = [String; COLUMNS]>,
) -> String {
    let cells = |tag: &str, cells: &[&str]| {
        cells.iter().map(|cell| format!("<{tag}>{cell}</{tag}>")).collect::<String>()
    };
    let rows =
        rows.into_iter().map(|row| format!("<tr>{}</tr>", cells("td", &row.each_ref().map(|cell| &**cell))));
    let rows: String = rows.collect();
    if rows.is_empty() {
        return String::new();
    }
    format!("<div><h2>{title}</h2><table><tr>{}</tr>{rows}</table></div>", cells("th", &heads))
}

/// Text of a file may hold anything.
fn escaped(text: &impl Display) -> String {
    let text = text.to_string();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn date(at: u64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at);
    humantime::format_rfc3339_seconds(at).to_string().replace('T', " ").replace('Z', " UTC")
}

const STYLE: &str = include_str!("report.css");

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::judge::judge;
    use crate::report::{Figures, Machine, PhaseReport};
    use crate::scenario::Scenario;
    use mycelia_actors::Stats;

    /// That of a minute in which all went well.
    pub(crate) fn report() -> Report {
        let scenario = Scenario::find("sustained", &[]).unwrap();
        let latency =
            Latency { count: 60_000, mean: 0.1, p50: 0.1, p90: 0.2, p95: 0.2, p99: 0.4, p999: 1.0, max: 3.0 };
        let sample = |second: u32| Sample {
            at: f64::from(second) + 1.0,
            seconds: 1.0,
            phase: 0,
            due: Some(1000.0),
            offered: 1000,
            handled: 1000,
            lost: 0,
            queued: 0,
            latency,
            memory_mb: 20.0,
            cpu_percent: 5.0,
        };
        let figures = Figures {
            throughput: 1000.0,
            cpu_percent: Some(5.0),
            steadiness: Some(0.0),
            ..Figures::default()
        };
        Report {
            version: "1".to_owned(),
            machine: Machine { system: "linux".to_owned(), cores: 2, profile: "release".to_owned() },
            at: 1_800_000_000,
            judgements: judge(&scenario.pass, Some(1.0), 60.0, &figures, &latency),
            scenario,
            command: "sustained --scale 0.2".to_owned(),
            scale: 0.2,
            cut_short: None,
            has_dashboard: false,
            seconds: 60.0,
            figures,
            latency,
            late: latency,
            curve: vec![(0.0, 0.1), (0.9, 0.2), (0.99, 0.4)],
            phases: vec![PhaseReport { rate: Some(1000.0), messages: 60_000, latency }],
            ledger: Stats { sent: 60_000, handled: 60_000, ..Stats::default() },
            checks: Vec::new(),
            passed: true,
            samples: (0..60).map(sample).collect(),
        }
    }

    #[test]
    fn a_page_has_all_charts_and_nothing_from_elsewhere() {
        let page = page(&report());
        assert_eq!(page.matches("<svg").count(), 6);
        for elsewhere in ["http:", "https:", "src=", "<script", "url(", "@import"] {
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
        assert!(page.contains("60 000 messages in 60.0 s") && page.contains("2027-01-15 08:00:00 UTC"));
    }

    #[test]
    fn names_from_files_are_escaped() {
        let mut report = report();
        report.scenario.name = "<script>alert(1)</script>".to_owned();
        report.scenario.about = "\"><img onerror=x>".to_owned();
        let page = page(&report);
        assert!(!page.contains("<script") && !page.contains("<img"));
    }
}
