//! Why an expression is refused, and why an evaluation has no value.

use std::fmt;

/// Why an expression cannot be part of a configuration, and where in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionError {
    /// What is wrong.
    pub fault: ExpressionFault,
    /// In the expression's own text, from 1.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
}

impl fmt::Display for ExpressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, line, column } = self;
        if (*line, *column) == (1, 1) {
            fault.fmt(f)
        } else {
            write!(f, "{fault} (at {line}:{column} of it)")
        }
    }
}

impl std::error::Error for ExpressionError {}

/// What can be wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpressionFault {
    /// There is nothing but white space and comments.
    #[error("the expression is empty")]
    Empty,
    /// It is longer than it may be.
    #[error("the expression has {length} bytes; {longest} are allowed")]
    TooLong {
        /// Its bytes.
        length: usize,
        /// How many it may have.
        longest: usize,
    },
    /// It is not JavaScript.
    #[error("syntax error: {message}")]
    Syntax {
        /// What the parser says.
        message: String,
    },
    /// It ends in the middle.
    #[error("syntax error: the expression ends before it is complete")]
    Incomplete,
    /// It is one statement, but no expression.
    #[error(
        "a statement is no expression; statements go into a function that is called: `(() => {{ … }})()`"
    )]
    Statement,
    /// There is more than one statement.
    #[error("there is more than one statement; they go into a function that is called: `(() => {{ … }})()`")]
    Several,
    /// It is a function that nobody calls.
    #[error("a function is no value; call it: `(function () {{ … }})()`")]
    Function,
    /// It loads code.
    #[error("`import()` is not allowed")]
    Import,
    /// It is not in the native subset, and the crate was built without its feature `quickjs`.
    #[error("the expression needs the feature `quickjs`, which this program was built without")]
    NeedsEngine,
    /// The same, for it has a name that nobody knows, such as a slip of the finger.
    #[error("`{name}` is neither a source nor a name that expressions have without the feature `quickjs`")]
    UnknownName {
        /// The name.
        name: String,
    },
    /// The engine does not take it.
    #[error("syntax error: {message}")]
    Engine {
        /// What it says.
        message: String,
    },
    /// There is no thread to read it in.
    #[error("no thread could be started to read the expression in")]
    NoThread,
}

impl ExpressionFault {
    pub(crate) fn at_start(self) -> ExpressionError {
        ExpressionError { fault: self, line: 1, column: 1 }
    }

    /// At a byte of the text.
    pub(crate) fn at(self, text: &str, byte: u32) -> ExpressionError {
        let mut end = (byte as usize).min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let before = &text[..end];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        ExpressionError {
            fault: self,
            line: 1 + before.matches('\n').count() as u32,
            column: 1 + before[line_start..].chars().count() as u32,
        }
    }
}

/// Why an expression has no value this time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvaluationError {
    /// The expression threw something; this is its text.
    #[error("{0}")]
    Thrown(String),
    /// It took longer than it may.
    #[error("the evaluation took longer than its limit of {milliseconds} ms")]
    Time {
        /// The limit.
        milliseconds: u64,
    },
    /// It took more memory than it may.
    #[error("the evaluation took more memory than its limit of {bytes} bytes")]
    Memory {
        /// The limit.
        bytes: usize,
    },
    /// It calls itself too often.
    #[error("the evaluation took more stack than its limit of {bytes} bytes")]
    Stack {
        /// The limit.
        bytes: usize,
    },
    /// It results in `null` or `undefined`.
    #[error("the result is {0}, which is no value")]
    NoValue(&'static str),
    /// It results in something that JSON cannot say.
    #[error("the result is {0}, which JSON cannot say")]
    NotSerialisable(&'static str),
    /// It was given a value for something that is no alias.
    #[error("`{0}` is no alias of a source")]
    UnknownVariable(String),
    /// It was compiled by another evaluator.
    #[error("the expression belongs to another evaluator")]
    AnotherEvaluator,
    /// A rare case of the language that the native evaluator leaves to QuickJS, which this program was built without.
    #[error("this case needs the feature `quickjs`, which this program was built without")]
    NeedsEngine,
}

impl EvaluationError {
    /// Whether it came to a result, if one that cannot be sent.
    pub(crate) fn is_of_result(&self) -> bool {
        matches!(self, Self::NotSerialisable(_))
    }
}
