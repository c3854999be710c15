//! What was counted in one scene.

use std::fmt;

/// One row of the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    /// The name of the scene.
    pub(crate) name: String,
    /// How often the operation was repeated.
    pub(crate) operations: u64,
    /// Instructions of the thread that plays the scene.
    pub(crate) instructions: u64,
    /// Heap requests of the whole program.
    pub(crate) requests: u64,
}

impl Figure {
    /// Instructions of one operation.
    pub(crate) fn per_operation(&self) -> f64 {
        self.instructions as f64 / self.operations as f64
    }

    fn requests_per_operation(&self) -> f64 {
        self.requests as f64 / self.operations as f64
    }

    /// Returns the figure as one line of JSON.
    pub(crate) fn json(&self) -> String {
        format!(
            r#"{{"scene":"{}","operations":{},"instructions":{},"heap_requests":{},"instructions_per_op":{:.1},"heap_requests_per_op":{:.2}}}"#,
            self.name,
            self.operations,
            self.instructions,
            self.requests,
            self.per_operation(),
            self.requests_per_operation()
        )
    }

    /// Reads a row of the table.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let (_, _) = (words.next()?, words.next()?);
        let mut number = || words.next()?.parse().ok();
        Some(Self { name, operations: number()?, instructions: number()?, requests: number()? })
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, operations, instructions, requests } = self;
        let (each, heap) = (self.per_operation(), self.requests_per_operation());
        write!(f, "{name:<10} {each:>14.1} {heap:>14.2} {operations:>12} {instructions:>14} {requests:>10}")
    }
}
