//! Which names are whose.

use oxc_allocator::Allocator;
use oxc_ast::ast::Expression;
use oxc_parser::Parser;
use oxc_span::SourceType;

/// Whether JavaScript takes this as the name of a variable.
pub(crate) fn is_identifier(name: &str) -> bool {
    // Short, so that the parser does not go deep.
    name.len() <= LONGEST_NAME
        && matches!(
            Parser::new(&Allocator::default(), name, SourceType::script()).parse_expression(),
            Ok(Expression::Identifier(identifier)) if identifier.name.as_str() == name
        )
}

/// In bytes.
const LONGEST_NAME: usize = 1000;

/// Names that are never those of sources.
pub(crate) fn is_builtin(name: &str) -> bool {
    BUILTIN.contains(&name)
}

const BUILTIN: [&str; 43] = [
    "undefined",
    "null",
    "true",
    "false",
    "Infinity",
    "NaN",
    "eval",
    "parseInt",
    "parseFloat",
    "isNaN",
    "isFinite",
    "decodeURI",
    "decodeURIComponent",
    "encodeURI",
    "encodeURIComponent",
    "escape",
    "unescape",
    "Object",
    "Function",
    "Array",
    "String",
    "Boolean",
    "Number",
    "Date",
    "RegExp",
    "Error",
    "EvalError",
    "RangeError",
    "ReferenceError",
    "SyntaxError",
    "TypeError",
    "URIError",
    "Math",
    "JSON",
    "Map",
    "Set",
    "WeakMap",
    "WeakSet",
    "Promise",
    "Symbol",
    "Proxy",
    "Reflect",
    "console",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_those_of_scripts() {
        for name in ["press", "$", "_1", "tF", "größe", "let", "yield", "process", "arguments", "of"] {
            assert!(is_identifier(name), "{name}");
        }
        for name in [
            "", " a", "a b", "1a", "a-b", "a.b", "(a)", "a;", "a//", "this", "null", "class", "new",
            "\\u0061",
        ] {
            assert!(!is_identifier(name), "{name}");
        }
    }
}
