//! Routes as the documentation tells them, without cleverness: each pattern is held against the path, and of those that fit
//! the most preferred is taken. The model test and the fuzz targets hold the router against this.
#![allow(dead_code, reason = "each user takes some of it")]

use std::cmp::Ordering;

/// Values by pattern, in order of insertion.
#[derive(Clone, Default)]
pub(crate) struct Naive {
    routes: Vec<(Pattern, u32)>,
}

/// A pattern, read.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    pub(crate) text: String,
    parts: Vec<Part>,
    names: Vec<String>,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(String),
    /// What stands before and behind.
    Param(String, String),
    Rest,
}

/// Why a pattern was refused.
#[derive(Debug, PartialEq)]
pub(crate) enum Refused {
    NoPattern,
    Conflict(String),
}

/// A route found: its pattern, its value, names and values of its parameters.
pub(crate) type Hit<'r, 'p> = (&'r str, u32, Vec<(&'r str, &'p str)>);

impl Naive {
    pub(crate) fn insert(&mut self, text: &str, value: u32) -> Result<(), Refused> {
        let pattern = Pattern::read(text).ok_or(Refused::NoPattern)?;
        match self.routes.iter().find(|(other, _)| other.parts == pattern.parts) {
            Some((other, _)) => Err(Refused::Conflict(other.text.clone())),
            None => {
                self.routes.push((pattern, value));
                Ok(())
            }
        }
    }

    pub(crate) fn replace(&mut self, text: &str, value: u32) -> Result<Option<u32>, Refused> {
        let pattern = Pattern::read(text).ok_or(Refused::NoPattern)?;
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

    pub(crate) fn at<'r, 'p>(&'r self, path: &'p str) -> Option<Hit<'r, 'p>> {
        let segments = cut(path)?;
        let fitting = self.routes.iter().filter_map(|route| Some((route, route.0.fit(path, &segments)?)));
        let ((pattern, value), values) = fitting.min_by(|(one, _), (other, _)| one.0.before(&other.0))?;
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
        let (mut parts, mut names) = (Vec::new(), Vec::<String>::new());
        for segment in cut(text)? {
            if parts.contains(&Part::Rest) {
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
            let Some(name) = name else {
                parts.push(Part::Literal(before));
                continue;
            };
            let (part, name) = match name.strip_prefix('*') {
                Some(name) if before.is_empty() && behind.is_empty() => (Part::Rest, name.to_owned()),
                Some(_) => return None,
                None => (Part::Param(before, behind), name),
            };
            if name.is_empty() || name.contains(['{', '*', ':']) || names.contains(&name) {
                return None;
            }
            parts.push(part);
            names.push(name);
        }
        Some(Self { text: text.to_owned(), parts, names })
    }

    /// A path, with `values` in place of its parameters (which it takes where those are not empty).
    pub(crate) fn path(&self, values: &[String]) -> String {
        let mut values = values.iter().cycle();
        let mut value = || values.next().map_or("", String::as_str);
        let segments = self.parts.iter().map(|part| match part {
            Part::Literal(text) => text.clone(),
            Part::Param(before, behind) => format!("{before}{}{behind}", value()),
            Part::Rest => value().to_owned(),
        });
        segments.collect::<Vec<_>>().join("/")
    }

    /// The values of its parameters, if it takes the path.
    fn fit<'p>(&self, path: &'p str, segments: &[&'p str]) -> Option<Vec<&'p str>> {
        let mut values = Vec::new();
        for (index, part) in self.parts.iter().enumerate() {
            let segment = segments.get(index)?;
            match part {
                Part::Literal(text) if text == segment => {}
                Part::Literal(_) => return None,
                Part::Param(before, behind) => {
                    let value = segment.strip_prefix(&**before)?.strip_suffix(&**behind)?;
                    values.push((!value.is_empty()).then_some(value)?);
                }
                Part::Rest => {
                    let gone: usize = segments[..index].iter().map(|segment| segment.len() + 1).sum();
                    values.push(&path[gone..]);
                    return Some(values);
                }
            }
        }
        (segments.len() == self.parts.len()).then_some(values)
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
    fn before(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Literal(one), Self::Literal(other)) => one.cmp(other),
            (Self::Literal(_), _) | (Self::Param(..), Self::Rest) => Ordering::Less,
            (_, Self::Literal(_)) | (Self::Rest, Self::Param(..)) => Ordering::Greater,
            (Self::Rest, Self::Rest) => Ordering::Equal,
            (Self::Param(a, z), Self::Param(other_a, other_z)) => {
                let longer = other_a.len().cmp(&a.len()).then(other_z.len().cmp(&z.len()));
                longer.then_with(|| (a, z).cmp(&(other_a, other_z)))
            }
        }
    }
}

/// The segments of a path that breaks no rule.
fn cut(path: &str) -> Option<Vec<&str>> {
    let segments: Vec<_> = path.split('/').collect();
    let lawful = path.len() <= 2048
        && segments.len() <= 32
        && !segments.contains(&"")
        && !segments.contains(&"..")
        && !path.chars().any(char::is_control);
    lawful.then_some(segments)
}
