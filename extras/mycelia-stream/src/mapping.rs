//! Expressions: read, analysed, compiled, evaluated.

mod tree;

mod evaluator;

mod analyze;
mod compile;
mod doubt;
mod error;
mod names;

mod function;
mod meter;
mod method;
mod native;
mod value;

#[cfg(feature = "quickjs")]
mod engine;

pub use doubt::Doubt;
pub use error::{EvaluationError, ExpressionError, ExpressionFault};
pub use evaluator::{Evaluator, Expression};
pub(crate) use names::{BUILTIN, is_builtin, is_identifier};
pub(crate) use tree::{Leaf, leaves};
pub use tree::{Node, Tree};
pub use value::{Object, Value};
