//! Patterns in the notations of other routers and brokers, which are literal text here.

/// What is probably meant, where segments of `pattern` look like parameters of other routers: `:id`, `<id>`, `*`, `*rest`.
pub(crate) fn instead_of(pattern: &str) -> Option<String> {
    let last = pattern.split('/').count() - 1;
    let segments = pattern.split('/').enumerate().map(|(index, text)| (text, parameter(text, index == last)));
    let meant: Vec<_> = segments.map(|(text, meant)| meant.unwrap_or_else(|| text.to_owned())).collect();
    Some(meant.join("/")).filter(|meant| meant != pattern)
}

/// The segment that is a wildcard for brokers, if there is one.
pub(crate) fn wildcard(pattern: &str) -> Option<&str> {
    pattern.split('/').find(|segment| matches!(*segment, "#" | "+" | "*" | "**" | ">"))
}

/// The parameter that a segment is elsewhere.
fn parameter(segment: &str, is_last: bool) -> Option<String> {
    let of = |name: &str, takes_rest: bool| match (is_name(name), takes_rest && is_last) {
        (false, _) => None,
        (true, true) => Some(format!("{{*{name}}}")),
        (true, false) => Some(format!("{{{name}}}")),
    };
    if let "*" | "**" = segment {
        return of(if is_last { "rest" } else { "name" }, true);
    }
    if let Some(name) = segment.strip_prefix('*') {
        return of(name, true);
    }
    if let Some(name) = segment.strip_prefix(':') {
        return of(name.trim_end_matches(['?', '*', '+']), name.ends_with(['*', '+']));
    }
    let inside = segment.strip_prefix('<')?.strip_suffix('>')?;
    // `<int:id>`, and `<path..>`.
    let name = inside.rsplit(':').next().unwrap_or(inside);
    of(name.trim_end_matches('.'), name.ends_with("..") || inside.starts_with("path:"))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_parameter_elsewhere_is_recognised() {
        for (pattern, meant) in [
            ("users/:id", "users/{id}"),
            (":a/b/:c?", "{a}/b/{c}"),
            ("files/:path*", "files/{*path}"),
            ("users/<id>", "users/{id}"),
            ("users/<int:id>/<name>", "users/{id}/{name}"),
            ("files/<path..>", "files/{*path}"),
            ("files/<path:file>", "files/{*file}"),
            ("files/*", "files/{*rest}"),
            ("*", "{*rest}"),
            ("a/*/b", "a/{name}/b"),
            ("files/*path", "files/{*path}"),
            ("users/:id/{x}", "users/{id}/{x}"),
        ] {
            assert_eq!(instead_of(pattern).as_deref(), Some(meant), "{pattern}");
        }
    }

    #[test]
    fn what_is_literal_everywhere_is_not() {
        for pattern in [
            "users/{id}",
            "a:b",
            ":",
            "<>",
            "a/:{id}",
            "<{a}>",
            "2*3",
            "v1:list",
            "a<b>",
            "{*rest}",
            ":a:b",
            "",
        ] {
            assert_eq!(instead_of(pattern), None, "{pattern}");
        }
    }
}
