#![doc = include_str!("../README.md")]
//!
//! # Map
//!
//! [`Router`] holds values by [`Pattern`]; [`Router::at`] finds the one for a path and gives a [`Match`] with its
//! [`Params`], or a [`Miss`]. [`Scope`] is a right that a pattern may require, [`Principal`] who holds some.
//! [`encode_segment`] writes a text as one segment of a path, [`normalize`] a path as routers read it.
//! How it works is on the page [`design`].
#![forbid(unsafe_code)]

#[doc = include_str!("../DESIGN.md")]
pub mod design {}

mod router;

mod matched;
mod miss;
mod params;
mod pattern;

mod principal;
mod scope;

mod encoding;
mod error;
mod notation;
mod path;

mod edge;
mod nearest;
mod short;
mod sieve;
mod steps;
mod tree;

pub use encoding::{encode_segment, normalize};
pub use error::{
    AtError, DecodeError, InsertError, ParamError, PathError, PatternError, PatternErrorKind, Refusal,
};
pub use matched::Match;
pub use miss::Miss;
pub use params::{OwnedParams, Params, ParamsIter, decode};
pub use path::{MAX_BYTES, MAX_SEGMENTS};
pub use pattern::Pattern;
pub use principal::{Denied, Principal, WidenError};
pub use router::{Policy, Router};
pub use scope::{Scope, ScopeError};
