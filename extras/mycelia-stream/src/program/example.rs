//! A configuration to begin with, and records for it.

use std::io::{self, BufWriter, Write};

use fastrand::Rng;
use mycelia_stream::Record;

use super::line;

pub(crate) const CONFIG: &str = include_str!("example.yaml");

/// Writes records of the three sources of [`CONFIG`]: in each ten five pressures (mean 1 013 hPa), four temperatures (mean 70 °F) and one
/// of whether it runs, a millisecond apart, with values that the seed draws. The same seed makes the same records.
pub(crate) fn generate(records: u64, seed: u64, out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    let mut chance = Rng::with_seed(seed);
    for number in 0..records {
        let hundredths =
            |chance: &mut Rng, from: i32, to: i32| (f64::from(chance.i32(from..to)) / 100.0).to_string();
        let (source, value) = match number % 10 {
            0 | 2 | 4 | 6 | 8 => ("press", hundredths(&mut chance, 98_000, 104_600)),
            9 => ("run", chance.bool().to_string()),
            _ => ("tempF", hundredths(&mut chance, 6_000, 8_000)),
        };
        let timestamp_ms = 1_700_000_000_000 + number;
        let payload = format!("{{\"value\":{value},\"timestamp_ms\":{timestamp_ms}}}");
        line::write(&mut out, &Record::new(format!("umh.v1.corpA.plant-A.aawd._raw.{source}"), payload))?;
    }
    out.flush()
}
