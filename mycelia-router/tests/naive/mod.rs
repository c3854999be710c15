//! Routes as the documentation tells them, without cleverness: each pattern is held against the path, and of those that fit
//! the most preferred is taken. The model test and the fuzz targets hold the router against this.
#![allow(dead_code, reason = "each user takes some of it")]

use std::cmp::{Ordering, Reverse};

/// Values by pattern, in order of insertion.
#[derive(Clone, Default)]
pub(crate) struct Naive {
    routes: Vec<(Pattern, u32)>,
}

/// A pattern, read.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) text: String,
    pub(crate) rooted: bool,
    parts: Vec<Part>,
    names: Vec<String>,
}

/// One segment of a pattern, decoded.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(String),
    /// What stands before and behind.
    Param(String, String),
    /// What stands before.
    Rest(String),
}

/// Why a pattern was refused.
#[derive(Debug, PartialEq)]
pub(crate) enum Refused {
    NoPattern,
    Conflict(String),
}

/// A route found: its pattern, its value, names and decoded values of its parameters.
pub(crate) type Hit<'r> = (&'r str, u32, Vec<(&'r str, String)>);

impl Naive {
    pub(crate) fn insert(&mut self, text: &str, value: u32) -> Result<(), Refused> {
        let pattern = Pattern::read(text).filter(|read| !read.rooted).ok_or(Refused::NoPattern)?;
        match self.routes.iter().find(|(other, _)| other.parts == pattern.parts) {
            Some((other, _)) => Err(Refused::Conflict(other.text.clone())),
            None => {
                self.routes.push((pattern, value));
                Ok(())
            }
        }
    }

    pub(crate) fn replace(&mut self, text: &str, value: u32) -> Result<Option<u32>, Refused> {
        let pattern = Pattern::read(text).filter(|read| !read.rooted).ok_or(Refused::NoPattern)?;
        match self.routes.iter_mut().find(|(other, _)| other.parts == pattern.parts) {
            Some(route) => Ok(Some(std::mem::replace(route, (pattern, value)).1)),
            None => {
                self.routes.push((pattern, value));
                Ok(None)
            }
        }
    }

    pub(crate) fn remove(&mut self, text: &str) -> Option<u32> {
        let place = self.routes.iter().position(|(pattern, _)| pattern.text == text)?;
        Some(self.routes.remove(place).1)
    }

    pub(crate) fn get(&self, text: &str) -> Option<u32> {
        self.routes.iter().find(|(pattern, _)| pattern.text == text).map(|(_, value)| *value)
    }

    /// The route of a path, which has no slash at its beginning.
    pub(crate) fn at(&self, path: &str) -> Option<Hit<'_>> {
        let segments = cut(path)?;
        let fitting = self.routes.iter().filter_map(|route| Some((route, route.0.fit(&segments)?)));
        let ((pattern, value), fit) = fitting.min_by(|(one, _), (other, _)| one.0.before(&other.0))?;
        // The most specific pattern is asked, and no other after it.
        let values = fit?;
        Some((&pattern.text, *value, pattern.names.iter().map(String::as_str).zip(values).collect()))
    }

    /// In order of preference.
    pub(crate) fn in_order(&self) -> Vec<(&str, u32)> {
        let mut routes: Vec<_> = self.routes.iter().collect();
        routes.sort_by(|one, other| one.0.before(&other.0));
        routes.into_iter().map(|(pattern, value)| (&*pattern.text, *value)).collect()
    }

    pub(crate) fn patterns(&self) -> Vec<&Pattern> {
        self.routes.iter().map(|(pattern, _)| pattern).collect()
    }
}

impl Pattern {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let rooted = text.starts_with('/');
        let (mut parts, mut names) = (Vec::new(), Vec::<String>::new());
        let segments = if text == "/" { Vec::new() } else { pieces(text.strip_prefix('/').unwrap_or(text))? };
        if text.len() > 2048 || text.chars().any(char::is_control) {
            return None;
        }
        for segment in segments {
            if matches!(parts.last(), Some(Part::Rest(_))) {
                return None;
            }
            let (mut before, mut behind, mut name) = (String::new(), String::new(), None::<String>);
            let mut chars = segment.chars().peekable();
            while let Some(char) = chars.next() {
                let literal = if name.is_none() { &mut before } else { &mut behind };
                match char {
                    '{' | '}' if chars.next_if_eq(&char).is_some() => literal.push(char),
                    '}' => return None,
                    '{' if name.is_some() => return None,
                    '{' => {
                        let mut inside = String::new();
                        while let Some(char) = chars.next_if(|char| *char != '}') {
                            inside.push(char);
                        }
                        chars.next()?;
                        name = Some(inside);
                    }
                    _ => literal.push(char),
                }
            }
            let (before, behind) = (decoded(&before)?, decoded(&behind)?);
            let Some(name) = name else {
                parts.push(Part::Literal((!is_step(&before)).then_some(before)?));
                continue;
            };
            let (part, name) = match name.strip_prefix('*') {
                Some(name) if behind.is_empty() => (Part::Rest(before), name.to_owned()),
                Some(_) => return None,
                None => (Part::Param(before, behind), name),
            };
            let bad = name.is_empty() || name.contains(['{', '*', ':', '?', '+']) || names.contains(&name);
            let dotted = name.starts_with("..") || name.ends_with("..");
            if bad || dotted && !name.trim_matches('.').is_empty() {
                return None;
            }
            parts.push(part);
            names.push(name);
        }
        Some(Self { text: text.to_owned(), rooted, parts, names })
    }

    /// A path, with `values` in place of its parameters (which it takes where those are not empty).
    pub(crate) fn path(&self, values: &[String]) -> String {
        let mut values = values.iter().cycle();
        let mut value = || values.next().map_or("", String::as_str);
        let encoded = |text: &str| text.replace('%', "%25").replace('/', "%2F");
        let segments = self.parts.iter().map(|part| match part {
            Part::Literal(text) => encoded(text),
            Part::Param(before, behind) => format!("{}{}{}", encoded(before), value(), encoded(behind)),
            Part::Rest(before) => format!("{}{}", encoded(before), value()),
        });
        let relative = segments.collect::<Vec<_>>().join("/");
        if self.rooted { format!("/{relative}") } else { relative }
    }

    /// The values of its parameters, if it takes the path; `Some(None)` if it is refused all the same, for the rest has a slash
    /// that is data.
    fn fit(&self, segments: &[String]) -> Option<Option<Vec<String>>> {
        let mut values = Vec::new();
        for (index, part) in self.parts.iter().enumerate() {
            let segment = segments.get(index)?;
            match part {
                Part::Literal(text) if text == segment => {}
                Part::Literal(_) => return None,
                Part::Param(before, behind) => {
                    let value = segment.strip_prefix(&**before)?.strip_suffix(&**behind)?;
                    values.push((!value.is_empty()).then(|| value.to_owned())?);
                }
                Part::Rest(before) => {
                    let first = segment.strip_prefix(&**before).filter(|first| !first.is_empty())?;
                    let mut rest = vec![first];
                    rest.extend(segments[index + 1..].iter().map(String::as_str));
                    let refused = rest.iter().any(|segment| segment.contains('/'));
                    values.push(rest.join("/"));
                    return Some((!refused).then_some(values));
                }
            }
        }
        (segments.len() == self.parts.len()).then_some(Some(values))
    }

    fn before(&self, other: &Self) -> Ordering {
        for (one, other) in self.parts.iter().zip(&other.parts) {
            match one.before(other) {
                Ordering::Equal => {}
                decided => return decided,
            }
        }
        self.parts.len().cmp(&other.parts.len())
    }
}

impl Part {
    /// Literals by text, then parameters, then the rest; of two of these that with more text before, then behind, then by text.
    /// (A slash that is data comes first of all characters.)
    fn before(&self, other: &Self) -> Ordering {
        let rank = |part: &Self| match part {
            Self::Literal(text) => (0, Reverse(0), Reverse(0), text.replace('/', "\u{1}"), String::new()),
            Self::Param(a, z) => {
                (1, Reverse(a.len()), Reverse(z.len()), a.replace('/', "\u{1}"), z.replace('/', "\u{1}"))
            }
            Self::Rest(a) => (2, Reverse(a.len()), Reverse(0), a.replace('/', "\u{1}"), String::new()),
        };
        rank(self).cmp(&rank(other))
    }
}

/// The decoded segments of a path that breaks no rule.
fn cut(path: &str) -> Option<Vec<String>> {
    let segments: Vec<_> = pieces(path)?.into_iter().map(decoded).collect::<Option<_>>()?;
    let lawful = path.len() <= 2048 && !segments.iter().any(|segment| is_step(segment));
    lawful.then_some(segments)
}

/// What stands between slashes.
fn pieces(text: &str) -> Option<Vec<&str>> {
    let pieces: Vec<_> = text.split('/').collect();
    (pieces.len() <= 32 && !pieces.contains(&"")).then_some(pieces)
}

fn is_step(segment: &str) -> bool {
    matches!(segment, "." | "..")
}

/// What a text with `%XX` in it stands for.
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, behind) = part.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(behind.bytes());
    }
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}
