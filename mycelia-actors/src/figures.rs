//! What a subsystem counts itself, for whoever looks at all of a runtime.

use std::fmt;
use std::sync::Arc;

use mycelia_core::contain;
use mycelia_core::sync::Mutex;

/// Numbers that a subsystem has beside its ledger: see [`Context::show`](crate::Context::show).
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
///
/// use mycelia_actors::prelude::*;
/// use mycelia_actors::{Figure, Figures};
///
/// #[derive(Default)]
/// struct Sold(AtomicU64);
///
/// impl Figures for Sold {
///     fn figures(&self) -> Vec<Figure> {
///         vec![Figure::counter("sold", self.0.load(Ordering::Relaxed) as f64)]
///     }
/// }
///
/// #[derive(Default)]
/// struct Shop {
///     sold: Arc<Sold>,
/// }
///
/// impl Subsystem for Shop {
///     async fn started(&mut self, cx: &mut Context<Self>) -> Result<(), BoxError> {
///         cx.show(Arc::clone(&self.sold));
///         Ok(())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let runtime = Runtime::new();
/// let shop = runtime.spawn("shop", Shop::default())?;
/// shop.started().await?;
/// let survey = runtime.inspector().survey();
/// assert_eq!(survey.subsystems[0].figures(), [Figure::counter("sold", 0.0)]);
/// # Ok(())
/// # }
/// ```
pub trait Figures: Send + Sync + 'static {
    /// The numbers as they are, each of another name. Called from any thread, by whoever looks: it must be quick. If it panics there are none.
    fn figures(&self) -> Vec<Figure>;
}

/// One number.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Figure {
    /// What it is called: lower case, words with `_` between them.
    pub name: &'static str,
    /// Whether it only rises, until the subsystem is started anew: a count, and no measurement.
    pub is_counter: bool,
    /// The number.
    pub value: f64,
}

impl Figure {
    /// A count.
    #[must_use]
    pub fn counter(name: &'static str, value: f64) -> Self {
        Self { name, is_counter: true, value }
    }

    /// A measurement.
    #[must_use]
    pub fn gauge(name: &'static str, value: f64) -> Self {
        Self { name, is_counter: false, value }
    }
}

/// The figures of a subsystem, if it has any.
#[derive(Default)]
pub(crate) struct Shown(Mutex<Option<Arc<dyn Figures>>>);

impl Shown {
    pub(crate) fn set(&self, figures: Arc<dyn Figures>) {
        let before = self.0.lock().replace(figures);
        // Theirs is dropped outside of the lock.
        drop(before);
    }

    pub(crate) fn get(&self) -> Option<Arc<dyn Figures>> {
        self.0.lock().clone()
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shown")
    }
}

/// The numbers, whatever the code does that makes them.
pub(crate) fn read(figures: &dyn Figures) -> Vec<Figure> {
    contain(|| figures.figures()).unwrap_or_else(|text| {
        tracing::error!(%text, "figures panicked");
        Vec::new()
    })
}
