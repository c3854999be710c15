//! What a route costs to insert: a whole table is filled, from patterns that lie ready.

use std::time::Instant;

use mycelia_benches::allocations;
use mycelia_benches::statistics::Spread;

use crate::contender::Pattern;
use crate::contenders::Entry;
use crate::race::Row;
use crate::table::Table;

/// Fills a router over and over, everyone in turn.
pub(crate) fn insert(table: &Table, entries: &[Entry], rounds: usize) -> Result<Vec<Row>, String> {
    let patterns: Vec<Vec<Pattern>> = entries.iter().map(|entry| (entry.patterns)(&table.routes)).collect();
    let routes = table.routes.len() as f64;
    let mut requests = Vec::new();
    for (entry, patterns) in entries.iter().zip(&patterns) {
        allocations::start_counting();
        let router = (entry.build)(patterns);
        requests.push(allocations::stop_counting() as f64 / routes);
        drop(router?);
    }
    let mut costs = vec![Vec::new(); entries.len()];
    for _ in 0..rounds {
        for ((entry, patterns), costs) in entries.iter().zip(&patterns).zip(&mut costs) {
            let began = Instant::now();
            let router = (entry.build)(patterns);
            costs.push(began.elapsed().as_nanos() as f64 / routes);
            drop(router?);
        }
    }
    let row = |((entry, allocations), costs): ((&Entry, f64), Vec<f64>)| Row {
        contender: entry.name,
        ns: Spread::of(costs),
        allocations,
    };
    Ok(entries.iter().zip(requests).zip(costs).map(row).collect())
}
