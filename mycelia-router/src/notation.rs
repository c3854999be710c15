//! Parameters in the notations of other routers, and what to write here.

/// What to write where `pattern` has the parameter `name` at byte `at`, if that is another router's notation: optional (`{id?}`),
/// of one segment or more (`{id+}`), or of any number (`{id...}`, `{...id}`).
pub(crate) fn instead_of(pattern: &str, name: &str, at: usize) -> Option<String> {
    let (stem, takes) = read(name).filter(|(stem, _)| !stem.is_empty())?;
    let brace = pattern[..at].rfind('{')?;
    let (before, behind) = (&pattern[..brace], &pattern[at + name.len() + 1..]);
    let is_rest = pattern[brace + 1..at].starts_with('*');
    let without = without(before, behind);
    if !is_rest && takes == Takes::OneOrNone {
        let with = format!("{before}{{{stem}}}{behind}");
        return Some(match without {
            Some(without) => format!("write the two patterns `{without}` and `{with}`"),
            None => format!("write `{with}`; no pattern takes the empty path"),
        });
    }
    if !behind.is_empty() {
        return Some(format!(
            "only `{{*{stem}}}` takes several segments, and only at the end; write a pattern for each number of segments"
        ));
    }
    let with = format!("{before}{{*{stem}}}");
    Some(match without {
        Some(without) if takes == Takes::OneOrMore => {
            format!("write `{with}`, or, if there may be none, the two patterns `{without}` and `{with}`")
        }
        Some(without) => format!("write the two patterns `{without}` and `{with}`"),
        None => format!("write `{with}`; no pattern takes the empty path"),
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    OneOrNone,
    OneOrMore,
    Any,
}

/// The name in another notation, and what a parameter takes there.
fn read(name: &str) -> Option<(&str, Takes)> {
    let any = || {
        let stem = name.trim_start_matches('.').trim_end_matches('.');
        (name.starts_with("..") || name.ends_with("..")).then_some((stem, Takes::Any))
    };
    let of = |sign, takes| Some((name.strip_suffix(sign)?, takes));
    of('?', Takes::OneOrNone).or_else(|| of('+', Takes::OneOrMore)).or_else(any)
}

/// The pattern without the parameter between these two, and without its segment where nothing is left of that; none if nothing
/// is left at all.
fn without(before: &str, behind: &str) -> Option<String> {
    let is_segment =
        (before.is_empty() || before.ends_with('/')) && (behind.is_empty() || behind.starts_with('/'));
    let without = match (is_segment, before, behind) {
        (false, ..) => format!("{before}{behind}"),
        (true, "/", "") => "/".to_owned(),
        (true, _, "") => before.strip_suffix('/')?.to_owned(),
        (true, ..) => format!("{before}{}", &behind[1..]),
    };
    Some(without)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instead(pattern: &str) -> Option<String> {
        let brace = pattern.find('{')? + 1;
        let at = brace + usize::from(pattern[brace..].starts_with('*'));
        instead_of(pattern, &pattern[at..pattern.find('}')?], at)
    }

    #[test]
    fn the_patterns_to_write_are_whole() {
        for (pattern, expected) in [
            ("users/{id?}", "write the two patterns `users` and `users/{id}`"),
            ("users/{id?}/files", "write the two patterns `users/files` and `users/{id}/files`"),
            ("{lang?}/users", "write the two patterns `users` and `{lang}/users`"),
            ("users/v{id?}", "write the two patterns `users/v` and `users/v{id}`"),
            ("{id?}.json", "write the two patterns `.json` and `{id}.json`"),
            ("{id?}", "write `{id}`; no pattern takes the empty path"),
            ("/{id?}", "write the two patterns `/` and `/{id}`"),
            ("/users/{id?}", "write the two patterns `/users` and `/users/{id}`"),
            ("files/{path...}", "write the two patterns `files` and `files/{*path}`"),
            ("files/{path..}", "write the two patterns `files` and `files/{*path}`"),
            ("files/{...path}", "write the two patterns `files` and `files/{*path}`"),
            ("files/{*path?}", "write the two patterns `files` and `files/{*path}`"),
            ("files/{*path...}", "write the two patterns `files` and `files/{*path}`"),
            (
                "files/{path+}",
                "write `files/{*path}`, or, if there may be none, the two patterns `files` and `files/{*path}`",
            ),
            ("{path+}", "write `{*path}`; no pattern takes the empty path"),
            ("v{path+}", "write `v{*path}`, or, if there may be none, the two patterns `v` and `v{*path}`"),
            (
                "a/{path+}/b",
                "only `{*path}` takes several segments, and only at the end; write a pattern for each number of segments",
            ),
        ] {
            assert_eq!(instead(pattern).as_deref(), Some(expected), "{pattern}");
        }
    }

    #[test]
    fn other_names_are_names() {
        for pattern in ["{id}", "{a.b}", "{.}", "{..}", "{...}", "{?}", "{+}", "{a?b}", "{.a}", "{a.}"] {
            assert_eq!(instead(pattern), None, "{pattern}");
        }
    }
}
