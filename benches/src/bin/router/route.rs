//! A route: a pattern in the tables' own syntax, taken apart, to be spelled as each contender wants it.

/// What a pattern says about one segment of a path.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Segment {
    /// This text, and no other.
    Literal(String),
    /// `{name}`: any one segment.
    Parameter(String),
    /// `{*name}`: all that is left, at least one segment.
    Rest(String),
}

/// A pattern: segments without a leading slash.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Route {
    pub(crate) segments: Vec<Segment>,
}

impl Route {
    /// Reads `repos/{owner}/{repo}/contents/{*path}`.
    pub(crate) fn parse(pattern: &str) -> Self {
        let segment = |text: &str| match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            None => Segment::Literal(text.to_owned()),
            Some(name) => match name.strip_prefix('*') {
                None => Segment::Parameter(name.to_owned()),
                Some(name) => Segment::Rest(name.to_owned()),
            },
        };
        Self { segments: pattern.split('/').map(segment).collect() }
    }

    /// Writes the pattern, after `start`, with parameters and the rest as they are given.
    pub(crate) fn spell(
        &self,
        start: &str,
        parameter: impl Fn(&str) -> String,
        rest: impl Fn(&str) -> String,
    ) -> String {
        let segment = |segment: &Segment| match segment {
            Segment::Literal(text) => text.clone(),
            Segment::Parameter(name) => parameter(name),
            Segment::Rest(name) => rest(name),
        };
        start.to_owned() + &self.segments.iter().map(segment).collect::<Vec<_>>().join("/")
    }

    /// Writes the pattern as it is read, after `start`.
    pub(crate) fn canonical(&self, start: &str) -> String {
        self.spell(start, |name| format!("{{{name}}}"), |name| format!("{{*{name}}}"))
    }

    /// The pattern without its parameters' names: two routes of one shape would be one.
    pub(crate) fn shape(&self) -> String {
        self.spell("", |_| "{}".to_owned(), |_| "{*}".to_owned())
    }

    /// The parameters' names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Parameter(name) | Segment::Rest(name) => Some(name.as_str()),
        })
    }

    /// Whether it matches a path.
    pub(crate) fn matches(&self, path: &str) -> bool {
        let mut texts = path.split('/');
        for segment in &self.segments {
            match (segment, texts.next()) {
                (Segment::Literal(literal), Some(text)) if literal == text => {}
                (Segment::Parameter(_), Some(text)) if !text.is_empty() => {}
                (Segment::Rest(_), Some(_)) => return true,
                _ => return false,
            }
        }
        texts.next().is_none()
    }

    /// How specific it is, segment by segment: the greater wins where several routes match.
    pub(crate) fn specificity(&self) -> Vec<u8> {
        let rank = |segment: &Segment| match segment {
            Segment::Literal(_) => 2,
            Segment::Parameter(_) => 1,
            Segment::Rest(_) => 0,
        };
        self.segments.iter().map(rank).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Route;

    #[test]
    fn a_route_reads_what_it_writes() {
        let text = "repos/{owner}/{repo}/contents/{*path}";
        let route = Route::parse(text);
        assert_eq!(route.canonical(""), text);
        assert_eq!(route.shape(), "repos/{}/{}/contents/{*}");
        assert_eq!(route.names().collect::<Vec<_>>(), ["owner", "repo", "path"]);
        assert_eq!(
            route.spell("/", |name| format!(":{name}"), |name| format!("*{name}")),
            "/repos/:owner/:repo/contents/*path"
        );
        assert_eq!(Route::parse("user/repos").names().next(), None);
    }

    #[test]
    fn a_route_matches_segment_by_segment() {
        let route = Route::parse("users/{id}/files/{*path}");
        assert!(route.matches("users/7/files/a") && route.matches("users/7/files/a/b"));
        assert!(!route.matches("users/7/files") && !route.matches("users/7/file/a"));
        assert!(!Route::parse("users/{id}").matches("users/7/files"));
        assert!(Route::parse("a/b").specificity() > Route::parse("a/{x}").specificity());
        assert!(Route::parse("a/{x}/{y}").specificity() > Route::parse("a/{*x}").specificity());
    }
}
