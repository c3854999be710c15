//! What is no error in an expression, and hardly meant.

/// Something in an expression that will hardly do what was meant; it is compiled all the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Doubt {
    /// A free name that nobody knows: an evaluation that comes to it throws.
    #[error("`{0}` is neither a source nor a name that expressions have")]
    UnknownName(String),
    /// An alias is assigned to. No other evaluation sees it.
    #[error("it assigns to the source `{0}`, which nothing else will see; `===` compares")]
    Assignment(String),
    /// It comes to a function, which is no value.
    #[error("a function is no value; call it: `(() => {{ … }})()`")]
    Function,
}
