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

/// Those that an alias cannot have.
#[rustfmt::skip]
pub(crate) const BUILTIN: [&str; 43] = [
    "undefined", "null", "true", "false", "Infinity", "NaN", "eval", "parseInt", "parseFloat", "isNaN", "isFinite",
    "decodeURI", "decodeURIComponent", "encodeURI", "encodeURIComponent", "escape", "unescape", "Object", "Function",
    "Array", "String", "Boolean", "Number", "Date", "RegExp", "Error", "EvalError", "RangeError", "ReferenceError",
    "SyntaxError", "TypeError", "URIError", "Math", "JSON", "Map", "Set", "WeakMap", "WeakSet", "Promise", "Symbol",
    "Proxy", "Reflect", "console",
];

/// Whether expressions have this name without an alias.
pub(crate) fn is_global(name: &str) -> bool {
    is_builtin(name) || OTHERS.contains(&name)
}

/// The other names of the engine, those that only throw among them; `tests/agreement.rs` reads them from it. And `arguments`, which
/// functions have.
#[rustfmt::skip]
const OTHERS: [&str; 47] = [
    "arguments", "InternalError", "AggregateError", "SuppressedError", "DisposableStack", "AsyncDisposableStack",
    "globalThis", "BigInt", "ArrayBuffer", "Uint8ClampedArray", "Int8Array", "Uint8Array", "Int16Array", "Uint16Array",
    "Int32Array", "Uint32Array", "BigInt64Array", "BigUint64Array", "Float16Array", "Float32Array", "Float64Array",
    "DataView", "require", "module", "exports", "__dirname", "__filename", "global", "process", "setTimeout",
    "setInterval", "setImmediate", "clearTimeout", "clearInterval", "clearImmediate", "__proto__", "__defineGetter__",
    "__defineSetter__", "__lookupGetter__", "__lookupSetter__", "constructor", "import", "importScripts",
    "defineProperty", "getOwnPropertyDescriptor", "getPrototypeOf", "setPrototypeOf",
];

/// Whether numbers, truths, texts, arrays or objects have this from their prototypes (`length` is their own).
pub(crate) fn is_inherited(key: &str) -> bool {
    INHERITED.binary_search(&key).is_ok()
}

/// The names on the prototypes of Object, Array, String, Number and Boolean, in order; `tests/agreement.rs` reads them from the engine.
#[rustfmt::skip]
const INHERITED: [&str; 93] = [
    "__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__", "__proto__", "anchor", "at",
    "big", "blink", "bold", "charAt", "charCodeAt", "codePointAt", "concat", "constructor", "copyWithin", "endsWith",
    "entries", "every", "fill", "filter", "find", "findIndex", "findLast", "findLastIndex", "fixed", "flat",
    "flatMap", "fontcolor", "fontsize", "forEach", "hasOwnProperty", "includes", "indexOf", "isPrototypeOf",
    "isWellFormed", "italics", "join", "keys", "lastIndexOf", "link", "localeCompare", "map", "match", "matchAll",
    "normalize", "padEnd", "padStart", "pop", "propertyIsEnumerable", "push", "reduce", "reduceRight", "repeat",
    "replace", "replaceAll", "reverse", "search", "shift", "slice", "small", "some", "sort", "splice", "split",
    "startsWith", "strike", "sub", "substr", "substring", "sup", "toExponential", "toFixed", "toLocaleLowerCase",
    "toLocaleString", "toLocaleUpperCase", "toLowerCase", "toPrecision", "toReversed", "toSorted", "toSpliced",
    "toString", "toUpperCase", "toWellFormed", "trim", "trimEnd", "trimLeft", "trimRight", "trimStart", "unshift",
    "valueOf", "values", "with",
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
