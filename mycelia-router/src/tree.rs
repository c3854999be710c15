//! The tree of segments: which route a path takes.
//!
//! ```text
//!   users/{id}         node 0 ──"users"──▶ node 1 ── param ──▶ node 2 (route 0) ──"files"──▶ node 3
//!   users/{id}/files                                            (route 1) ◀──────────────────┘
//! ```
//!
//! One node for each prefix of segments that some pattern has; names of parameters play no part. The edges over literal text
//! of all nodes are in one hash table.

use std::collections::HashMap;
use std::ops::Range;

use foldhash::fast::RandomState;

use crate::edge::{Edge, Kind, walk};
use crate::path::{Blocks, Cursor, Segments, Text};
use crate::pattern::{Pattern, Segment};
use crate::steps::step;

/// No node, or no route.
const NONE: u32 = u32::MAX;
/// Where paths begin that have no slash at their beginning.
const START: u32 = 0;

#[derive(Clone)]
pub(crate) struct Tree {
    /// A plain vector, for a lookup goes from one to the next: 32 bytes each, and nothing to check but the bound.
    nodes: Vec<Node>,
    /// Nodes that are in use no more.
    free: Vec<u32>,
    edges: HashMap<Edge, u32, RandomState>,
    /// Where the patterns begin: at the start, or, in a rooted table, at a node of their own.
    root: u32,
}

#[derive(Clone)]
struct Node {
    /// The route whose pattern ends here.
    route: u32,
    /// The route whose pattern takes all the rest.
    rest: u32,
    /// Where a segment of any text leads.
    param: u32,
    /// How many literal segments lead on.
    literals: u32,
    /// How many edges leave, of all kinds.
    edges: u32,
    /// How many more segments there may be: bit n for n + 1. Removal clears no bits: they only save looking where nothing can
    /// be.
    lengths: u32,
    /// The segments with text around a parameter, or before the rest. In a box, for few nodes have any.
    mixed: Option<Box<Mixed>>,
}

/// Segments with text and a parameter in them.
#[derive(Clone, Default)]
struct Mixed {
    params: Shapes,
    rests: Shapes,
}

/// The lengths of text, the most specific first. Sorted: those with more text before first, of these those with more behind.
#[derive(Clone, Default)]
struct Shapes(Vec<Shape>);

/// Segments with as much literal text before and behind the parameter.
#[derive(Clone)]
struct Shape {
    before: usize,
    behind: usize,
    /// How many there are.
    count: u32,
}

/// One step from a node to the next, of those that a pattern takes.
#[derive(Clone, Copy)]
struct Step {
    from: u32,
    by: Link,
    to: u32,
}

#[derive(Clone, Copy)]
enum Link {
    Param,
    Edge(Edge),
}

/// What an edge counts as, for the node where its segment begins.
#[derive(Clone, Copy)]
enum Counts {
    Nothing,
    Literal,
    Param(usize, usize),
    Rest(usize),
}

impl Node {
    const EMPTY: Self =
        Self { route: NONE, rest: NONE, param: NONE, literals: 0, edges: 0, lengths: 0, mixed: None };

    fn is_empty(&self) -> bool {
        self.route == NONE && self.rest == NONE && self.param == NONE && self.edges == 0
    }

    /// The place for a route whose pattern ends here, or takes all the rest from here.
    fn end(&mut self, rest: bool) -> &mut u32 {
        if rest { &mut self.rest } else { &mut self.route }
    }

    fn count(&mut self, what: Counts) {
        match what {
            Counts::Nothing => {}
            Counts::Literal => self.literals += 1,
            Counts::Param(before, behind) => self.mixed.get_or_insert_default().params.count(before, behind),
            Counts::Rest(before) => self.mixed.get_or_insert_default().rests.count(before, 0),
        }
    }

    fn uncount(&mut self, what: Counts) {
        let mixed = self.mixed.as_deref_mut();
        match (what, mixed) {
            (Counts::Literal, _) => self.literals -= 1,
            (Counts::Param(before, behind), Some(mixed)) => mixed.params.uncount(before, behind),
            (Counts::Rest(before), Some(mixed)) => mixed.rests.uncount(before, 0),
            _ => {}
        }
        self.mixed.take_if(|mixed| mixed.params.0.is_empty() && mixed.rests.0.is_empty());
    }
}

impl Shapes {
    fn count(&mut self, before: usize, behind: usize) {
        match self.place(before, behind) {
            Ok(place) => self.0[place].count += 1,
            Err(place) => self.0.insert(place, Shape { before, behind, count: 1 }),
        }
    }

    fn uncount(&mut self, before: usize, behind: usize) {
        let Ok(place) = self.place(before, behind) else { return };
        self.0[place].count -= 1;
        if self.0[place].count == 0 {
            self.0.remove(place);
        }
    }

    /// Where a shape is among others, or belongs.
    fn place(&self, before: usize, behind: usize) -> Result<usize, usize> {
        self.0.binary_search_by(|shape| (before, behind).cmp(&(shape.before, shape.behind)))
    }
}

impl Tree {
    pub(crate) fn new(rooted: bool) -> Self {
        let root = u32::from(rooted);
        let nodes = (0..=root).map(|_| Node::EMPTY).collect();
        Self { nodes, free: Vec::new(), edges: HashMap::default(), root }
    }

    /// The route that takes `path`, if no slash stands before it. Allocates nothing; a node is visited once at most, however the
    /// patterns overlap.
    #[inline]
    pub(crate) fn at(&self, path: &str, segments: &Segments) -> Option<usize> {
        self.at_from(START, path, segments)
    }

    /// The same; in a rooted table, for a path without the slash before it.
    pub(crate) fn at_root(&self, path: &str, segments: &Segments) -> Option<usize> {
        self.at_from(self.root, path, segments)
    }

    #[inline]
    fn at_from(&self, from: u32, path: &str, segments: &Segments) -> Option<usize> {
        let text = Text::new(path);
        let route = match text.is_long() {
            false => self.below(from, segments.count(), segments.cursor(), &text),
            true => self.at_long(from, text, segments),
        };
        (route != NONE).then_some(route as usize)
    }

    #[cold]
    fn at_long(&self, from: u32, text: Text<'_>, segments: &Segments) -> u32 {
        let mut blocks = Blocks::default();
        self.below(from, segments.count(), segments.cursor(), &text.with_blocks(&mut blocks))
    }

    /// The most specific route for the last `left` segments, which come next, below `from`. Calls itself where a node has more
    /// than one way on, so at most 32 deep.
    fn below(&self, from: u32, mut left: usize, mut cursor: Cursor, path: &Text<'_>) -> u32 {
        let mut at = from;
        while left > 0 {
            step();
            let node = &self.nodes[at as usize];
            left -= 1;
            if node.lengths >> left & 1 == 0 {
                return NONE;
            }
            let segment = cursor.next(path);
            if node.literals > 0 {
                let next = |edge: Edge| self.edges.get(&edge).copied();
                if let Some(child) = walk(path.bytes, segment.clone(), Kind::Whole, at, next) {
                    if node.param == NONE && node.rest == NONE && node.mixed.is_none() {
                        at = child;
                        continue;
                    }
                    let found = self.below(child, left, cursor, path);
                    if found != NONE {
                        return found;
                    }
                }
            }
            if let Some(mixed) = &node.mixed {
                return self.below_mixed(mixed, at, segment, left, cursor, path);
            }
            if node.param == NONE {
                return node.rest;
            }
            if node.rest == NONE {
                at = node.param;
                continue;
            }
            let found = self.below(node.param, left, cursor, path);
            return if found == NONE { node.rest } else { found };
        }
        step();
        self.nodes[at as usize].route
    }

    /// The same, by way of all but a literal, below a node where `segment` may have text beside a parameter.
    #[inline(never)]
    fn below_mixed(
        &self,
        mixed: &Mixed,
        from: u32,
        segment: Range<usize>,
        left: usize,
        cursor: Cursor,
        path: &Text<'_>,
    ) -> u32 {
        let next = |edge: Edge| self.edges.get(&edge).copied();
        for shape in &mixed.params.0 {
            step();
            if segment.len() <= shape.before + shape.behind {
                continue;
            }
            let (before, behind) = (segment.start + shape.before, segment.end - shape.behind);
            let child = walk(path.bytes, segment.start..before, Kind::Prefix, from, next)
                .and_then(|middle| walk(path.bytes, behind..segment.end, Kind::Suffix, middle, next));
            if let Some(child) = child {
                let found = self.below(child, left, cursor, path);
                if found != NONE {
                    return found;
                }
            }
        }
        let node = &self.nodes[from as usize];
        if node.param != NONE {
            let found = self.below(node.param, left, cursor, path);
            if found != NONE {
                return found;
            }
        }
        for shape in &mixed.rests.0 {
            step();
            if segment.len() <= shape.before {
                continue;
            }
            let before = segment.start..segment.start + shape.before;
            if let Some(child) = walk(path.bytes, before, Kind::Rest, from, next) {
                return self.nodes[child as usize].rest;
            }
        }
        node.rest
    }

    /// The route of exactly this pattern, whatever its parameters are called.
    pub(crate) fn find(&self, pattern: &Pattern) -> Option<usize> {
        let (last, rest) = follow(self.root, pattern, |from, link, _| self.next(from, link))?;
        let node = &self.nodes[last as usize];
        let route = if rest { node.rest } else { node.route };
        (route != NONE).then_some(route as usize)
    }

    /// Lets `pattern` lead to `route`.
    pub(crate) fn insert(&mut self, pattern: &Pattern, route: usize) {
        let takes_rest = pattern.takes_rest();
        let mut at = self.root;
        for (segment, left) in pattern.segments().iter().zip((0..pattern.segments().len()).rev()) {
            self.nodes[at as usize].lengths |= if takes_rest { !0 << left } else { 1 << left };
            let open = |from, link, counts| Some(self.open(from, link, counts));
            at = follow_segment(segment, at, open).expect("every step was opened");
        }
        *self.nodes[at as usize].end(takes_rest) = index(route);
    }

    /// Takes `pattern`, which is there, out again, and with it all that only it needed.
    pub(crate) fn remove(&mut self, pattern: &Pattern) {
        let mut steps = Vec::new();
        let end = follow(self.root, pattern, |from, link, counts| {
            let to = self.next(from, link)?;
            steps.push((Step { from, by: link, to }, counts));
            Some(to)
        });
        let Some((last, rest)) = end else { return };
        *self.nodes[last as usize].end(rest) = NONE;
        while let Some((step, (owner, counts))) = steps.pop() {
            if !self.nodes[step.to as usize].is_empty() {
                break;
            }
            self.nodes[step.to as usize] = Node::EMPTY;
            self.free.push(step.to);
            match step.by {
                Link::Param => self.nodes[step.from as usize].param = NONE,
                Link::Edge(edge) => {
                    self.edges.remove(&edge);
                    self.nodes[step.from as usize].edges -= 1;
                }
            }
            self.nodes[owner as usize].uncount(counts);
        }
    }

    /// True if most of the room for nodes is free.
    pub(crate) fn is_sparse(&self) -> bool {
        is_sparse(self.nodes.len() - self.free.len(), self.nodes.len())
    }

    fn next(&self, from: u32, link: Link) -> Option<u32> {
        match link {
            Link::Edge(edge) => self.edges.get(&edge).copied(),
            Link::Param => Some(self.nodes[from as usize].param).filter(|to| *to != NONE),
        }
    }

    fn open(&mut self, from: u32, link: Link, (owner, counts): (u32, Counts)) -> u32 {
        if let Some(to) = self.next(from, link) {
            return to;
        }
        let to = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(Node::EMPTY);
            index(self.nodes.len() - 1)
        });
        match link {
            Link::Param => self.nodes[from as usize].param = to,
            Link::Edge(edge) => {
                self.edges.insert(edge, to);
                self.nodes[from as usize].edges += 1;
            }
        }
        self.nodes[owner as usize].count(counts);
        to
    }
}

/// Takes the steps of `pattern` from `root` on; `next` says where each leads. Gives the last node, and whether the pattern
/// takes all the rest from there.
fn follow(
    root: u32,
    pattern: &Pattern,
    mut next: impl FnMut(u32, Link, (u32, Counts)) -> Option<u32>,
) -> Option<(u32, bool)> {
    let mut segments = pattern.segments().iter();
    let last = segments.try_fold(root, |at, segment| follow_segment(segment, at, &mut next))?;
    Some((last, pattern.takes_rest()))
}

/// The steps of one segment. All the rest, without text before it, is no step.
fn follow_segment(
    segment: &Segment,
    at: u32,
    mut next: impl FnMut(u32, Link, (u32, Counts)) -> Option<u32>,
) -> Option<u32> {
    let mut spell = |text: &str, kind, from, counts| {
        walk(text.as_bytes(), 0..text.len(), kind, from, |edge| {
            let counts = if edge.is_last() { counts } else { Counts::Nothing };
            next(edge.from(), Link::Edge(edge), (at, counts))
        })
    };
    match segment {
        Segment::Literal(text) => spell(text, Kind::Whole, at, Counts::Literal),
        Segment::Param { prefix, suffix } if prefix.is_empty() && suffix.is_empty() => {
            next(at, Link::Param, (at, Counts::Nothing))
        }
        Segment::Param { prefix, suffix } => {
            let middle = spell(prefix, Kind::Prefix, at, Counts::Nothing)?;
            spell(suffix, Kind::Suffix, middle, Counts::Param(prefix.len(), suffix.len()))
        }
        Segment::Rest { prefix } if prefix.is_empty() => Some(at),
        Segment::Rest { prefix } => spell(prefix, Kind::Rest, at, Counts::Rest(prefix.len())),
    }
}

/// True if so little of the room is used that all is to be made anew. As room grows by doubling, at least as much was taken out
/// before as is left.
pub(crate) fn is_sparse(used: usize, room: usize) -> bool {
    room > 64 && used <= room / 4
}

fn index(of: usize) -> u32 {
    u32::try_from(of).ok().filter(|index| *index != NONE).expect("fewer than 2^32 - 1 nodes and routes")
}

#[cfg(test)]
mod bounds;
