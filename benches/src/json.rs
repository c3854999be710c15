//! The figures as a program wants them: one line for each scene and contender.

use std::fmt;

use crate::scene::Scene;
use crate::series::{Figures, Row, Times};

/// Reads a number out of a line of JSON, by the name of its field. `None` if there is none, or a `null`.
pub fn number(line: &str, field: &str) -> Option<f64> {
    let (_, rest) = line.split_once(&format!("\"{field}\":"))?;
    rest.split([',', '}']).next()?.parse().ok()
}

/// One line of JSON. Names and versions need no escaping: they are fixed words and come from `Cargo.lock`.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a>(pub Scene, pub &'a Row);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(scene, Row { contender, version, figures }) = self;
        write!(f, r#"{{"scene":"{}","contender":"{contender}","version":"{version}","#, scene.name())?;
        match figures {
            Figures::Cost { times: Times { ns, cpu_ns }, beside, allocations } => {
                write!(
                    f,
                    r#""median_ns":{:.1},"min_ns":{:.1},"max_ns":{:.1},"allocs_per_op":{allocations:.2},"bytes":null"#,
                    ns.median, ns.min, ns.max
                )?;
                write!(f, r#","median_cpu_ns":{:.1},"min_cpu_ns":{:.1}"#, cpu_ns.median, cpu_ns.min)?;
                if let Some(Times { ns, cpu_ns }) = beside {
                    write!(f, r#","beside_median_ns":{:.1},"beside_min_ns":{:.1}"#, ns.median, ns.min)?;
                    let (median, min) = (cpu_ns.median, cpu_ns.min);
                    write!(f, r#","beside_median_cpu_ns":{median:.1},"beside_min_cpu_ns":{min:.1}"#)?;
                }
                f.write_str("}")
            }
            Figures::Memory { idle, .. } => write!(
                f,
                r#""median_ns":null,"min_ns":null,"max_ns":null,"allocs_per_op":null,"bytes":{:.0}}}"#,
                idle.median
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_found_by_their_fields() {
        let line = r#"{"scene":"ask","median_ns":502.5,"min_ns":490.0,"bytes":null}"#;
        assert_eq!(number(line, "median_ns"), Some(502.5));
        assert_eq!(number(line, "bytes"), None);
        assert_eq!(number(line, "max_ns"), None);
    }
}
