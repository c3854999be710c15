//! The pattern that is most like a path, for the text of an error.

use strsim::normalized_levenshtein;

use crate::path::MAX_SEGMENTS;
use crate::pattern::{Pattern, Segment};

/// How much of a segment is compared: texts longer than this are nobody's slip of the finger.
const COMPARED: usize = 64;

/// How like a literal a segment must be to count as meant for it.
const ALIKE: f64 = 0.5;

/// The pattern most like `path`, decoded and without a slash at its beginning, if any literal of it is. Cost: one comparison of
/// texts for each pattern and segment.
pub(crate) fn nearest<'r>(patterns: impl Iterator<Item = &'r Pattern>, path: &str) -> Option<&'r Pattern> {
    // One more than a path has, lest a path that is none be copied, however long it is.
    let segments = path.split('/').take(MAX_SEGMENTS + 1);
    let segments: Vec<String> = segments.map(|segment| segment.chars().take(COMPARED).collect()).collect();
    patterns
        .filter_map(|pattern| Some((likeness(pattern, &segments)?, pattern)))
        .max_by(|(one, a), (other, b)| one.total_cmp(other).then_with(|| b.by_preference(a)))
        .map(|(_, pattern)| pattern)
}

/// How like a path is to a pattern, where any literal of it is: one for each segment that fits, less for one that nearly does, and
/// minus one for each that only one of them has.
fn likeness(pattern: &Pattern, path: &[String]) -> Option<f64> {
    let (mut alike, mut literal) = (0.0, false);
    for (segment, text) in pattern.segments().iter().zip(path) {
        alike += match segment {
            Segment::Literal(expected) => {
                let expected: String = expected.chars().take(COMPARED).collect();
                let likeness = normalized_levenshtein(&expected, text);
                literal |= likeness >= ALIKE;
                likeness
            }
            Segment::Param { prefix, suffix } if text.starts_with(&**prefix) && text.ends_with(&**suffix) => {
                0.9
            }
            Segment::Param { .. } => 0.0,
            Segment::Rest { prefix } if text.starts_with(&**prefix) => 0.1,
            Segment::Rest { .. } => 0.0,
        };
    }
    let rest = pattern.takes_rest();
    let unpaired = match path.len().cmp(&pattern.segments().len()) {
        std::cmp::Ordering::Greater if rest => 0,
        _ => path.len().abs_diff(pattern.segments().len()),
    };
    literal.then_some(alike - unpaired as f64)
}
