//! Lines for people, and for what started the process. A service must not end because nobody reads them any more, as `println!` would.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};

/// Says something on standard output, at once.
pub(crate) fn say(line: impl Display) {
    let mut out = stdout().lock();
    _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Says what is wrong on standard error.
pub(crate) fn say_error(line: impl Display) {
    _ = writeln!(stderr(), "sigterm: {line}");
}
