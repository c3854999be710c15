//! What an expression is: its text as one, what it depends on, and whether it is in the native subset.

use std::collections::{HashMap, HashSet};
use std::thread;

use foldhash::fast::RandomState;
use oxc_allocator::Allocator;
use oxc_ast::ast::{
    Expression as Tree, ImportExpression, Program, Statement, UnaryExpression, UnaryOperator, WithStatement,
};
use oxc_ast_visit::{Visit, walk};
use oxc_diagnostics::Diagnostics;
use oxc_parser::Parser;
use oxc_semantic::SemanticBuilder;
use oxc_span::{GetSpan, SourceType, Span};
use oxc_syntax::reference::ReferenceId;

use super::compile::compile;
use super::doubt::Doubt;
use super::error::{ExpressionError, ExpressionFault};
use super::names::{is_builtin, is_global};
use super::native::Code;

/// The longest expression, in bytes.
pub(crate) const LONGEST: usize = 64 * 1024;

/// The names of sources, and their indices.
pub(crate) type Aliases = HashMap<Box<str>, usize, RandomState>;

/// What is known of an expression before it is evaluated.
pub(crate) struct Analysis {
    /// The expression in parentheses, with a line break before the last: so that nothing in it reaches beyond, not even a comment.
    pub(crate) source: String,
    /// The aliases it reads, by their indices, in order.
    pub(crate) dependencies: Vec<usize>,
    /// Names it assigns to without having declared them.
    pub(crate) locals: Vec<String>,
    pub(crate) doubts: Vec<Doubt>,
    /// What is behind the last `//`.
    pub(crate) comment: Option<String>,
    /// If it is in the native subset.
    pub(crate) code: Option<Code>,
}

/// Reads an expression. The parser calls itself for every level of nesting, and 64 KiB can have as many levels as bytes: hence the stack.
/// What is not used of it takes no memory.
pub(crate) fn analyze_all<'t>(
    texts: impl Iterator<Item = &'t str> + Send,
    aliases: &Aliases,
) -> Vec<Result<Analysis, ExpressionError>> {
    let texts: Vec<&str> = texts.collect();
    let longest = texts.iter().map(|text| text.len().min(LONGEST)).max().unwrap_or(0);
    thread::scope(|scope| {
        let work = || texts.iter().map(|text| analyze(text, aliases)).collect();
        let stack = STACK + STACK_PER_BYTE * longest;
        thread::Builder::new()
            .stack_size(stack)
            .spawn_scoped(scope, work)
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .unwrap_or_else(|_| texts.iter().map(|_| Err(ExpressionFault::NoThread.at_start())).collect())
    })
}

const STACK: usize = 1 << 20;
/// Measured with the deepest texts of `tests/limits.rs`, not optimised: 1 KiB is too little, 2 are enough.
const STACK_PER_BYTE: usize = 8 * 1024;

fn analyze(text: &str, aliases: &Aliases) -> Result<Analysis, ExpressionError> {
    if text.len() > LONGEST {
        return Err(ExpressionFault::TooLong { length: text.len(), longest: LONGEST }.at_start());
    }
    if text.trim().is_empty() {
        return Err(ExpressionFault::Empty.at_start());
    }
    let source = format!("({text}\n)");
    let arena = Allocator::default();
    match read(&arena, &source) {
        Ok(program) => examine(&program, &source, text, aliases),
        Err(error) => {
            // A `;` at the end, say: what is before it.
            let alone = alone(text, error.map(|error| first_error(&error, text, 1)))?;
            let source = format!("({alone}\n)");
            let arena = Allocator::default();
            let program = read(&arena, &source).map_err(|_| ExpressionFault::Statement.at_start())?;
            examine(&program, &source, text, aliases)
        }
    }
}

/// A program that is one expression in parentheses. No error: it is one, but not all of it.
fn read<'a>(arena: &'a Allocator, source: &'a str) -> Result<Program<'a>, Option<Diagnostics>> {
    let parsed = Parser::new(arena, source, SourceType::script()).parse();
    if parsed.panicked || !parsed.diagnostics.is_empty() {
        return Err(Some(parsed.diagnostics));
    }
    match in_parentheses(&parsed.program) {
        Some(tree) if tree.1 == Span::new(0, source.len() as u32) => Ok(parsed.program),
        _ => Err(None),
    }
}

fn in_parentheses<'p, 'a>(program: &'p Program<'a>) -> Option<(&'p Tree<'a>, Span)> {
    match program.body.as_slice() {
        [Statement::ExpressionStatement(statement)] => match &statement.expression {
            Tree::ParenthesizedExpression(all) => Some((&all.expression, all.span)),
            _ => None,
        },
        _ => None,
    }
}

/// The one expression statement of a text, without what ends it.
fn alone(text: &str, error: Option<ExpressionError>) -> Result<&str, ExpressionError> {
    let arena = Allocator::default();
    let parsed = Parser::new(&arena, text, SourceType::script()).parse();
    if parsed.panicked || !parsed.diagnostics.is_empty() {
        return Err(error.unwrap_or_else(|| first_error(&parsed.diagnostics, text, 0)));
    }
    let span = match (parsed.program.directives.as_slice(), parsed.program.body.as_slice()) {
        ([], []) => return Err(ExpressionFault::Empty.at_start()),
        ([], [Statement::ExpressionStatement(statement)]) => statement.expression.span(),
        ([directive], []) => directive.expression.span,
        ([], [statement]) => return Err(ExpressionFault::Statement.at(text, statement.span().start)),
        ([_], [second, ..]) | ([], [_, second, ..]) => {
            return Err(ExpressionFault::Several.at(text, second.span().start));
        }
        ([_, second, ..], _) => return Err(ExpressionFault::Several.at(text, second.span.start)),
    };
    Ok(&text[span.start as usize..span.end as usize])
}

/// The first error, whose place is so much further than in the text.
fn first_error(errors: &Diagnostics, text: &str, further: u32) -> ExpressionError {
    let Some(error) = errors.iter().next() else { return ExpressionFault::Statement.at_start() };
    let at = error.labels.first().map_or(0, |label| label.offset()).saturating_sub(further);
    if at as usize >= text.trim_end().len() {
        return ExpressionFault::Incomplete.at(text, text.trim_end().len() as u32);
    }
    let first = text.trim_start().split(|c: char| !(c.is_alphanumeric() || "_$".contains(c))).next();
    if first.is_some_and(|word| STATEMENTS.contains(&word)) {
        return ExpressionFault::Statement.at_start();
    }
    let mut message = error.message.clone().into_owned();
    if text.get(..at as usize).is_some_and(|before| before.ends_with('#'))
        || text[at as usize..].starts_with('#')
    {
        message.push_str("; a comment begins with `//`");
    }
    ExpressionFault::Syntax { message }.at(text, at)
}

/// Words that statements begin with.
const STATEMENTS: [&str; 11] =
    ["return", "const", "let", "var", "if", "for", "while", "do", "switch", "try", "throw"];

fn examine(
    program: &Program<'_>,
    source: &str,
    text: &str,
    aliases: &Aliases,
) -> Result<Analysis, ExpressionError> {
    let (tree, _) = in_parentheses(program).expect("it was read as that");
    if matches!(tree.without_parentheses(), Tree::FunctionExpression(_)) {
        return Err(ExpressionFault::Function.at_start());
    }
    let built = SemanticBuilder::new().with_check_syntax_error(true).build(program);
    let mut seen = Seen::default();
    seen.visit_program(program);
    if let Some(span) = seen.import {
        return Err(ExpressionFault::Import.at(text, span.start.saturating_sub(1)));
    }
    if !built.diagnostics.is_empty() {
        return Err(first_error(&built.diagnostics, text, 1));
    }
    let scoping = built.semantic.scoping();
    let free = scoping.root_unresolved_references();
    let mut dependencies: Vec<_> =
        free.keys().filter_map(|name| aliases.get(name.as_str()).copied()).collect();
    dependencies.sort_unstable();
    let mut doubts = Vec::new();
    let mut locals = Vec::new();
    for (name, references) in free {
        let name = name.as_str();
        let is_assigned = references.iter().any(|&reference| scoping.get_reference(reference).is_write());
        match (is_assigned, aliases.contains_key(name)) {
            (true, true) => doubts.push(Doubt::Assignment(name.to_owned())),
            (true, false) if !is_builtin(name) => locals.push(name.to_owned()),
            (false, false) if !is_global(name) && !seen.may_be_missing(references) => {
                doubts.push(Doubt::UnknownName(name.to_owned()))
            }
            _ => {}
        }
    }
    doubts.sort_by_cached_key(ToString::to_string);
    doubts.truncate(MOST_DOUBTS);
    if matches!(tree.without_parentheses(), Tree::ArrowFunctionExpression(_)) {
        doubts.push(Doubt::Function);
    }
    Ok(Analysis {
        source: source.to_owned(),
        dependencies,
        locals,
        doubts,
        comment: program.comments.iter().rfind(|comment| comment.is_line()).map(|comment| {
            let span = comment.content_span();
            source[span.start as usize..span.end as usize].trim().to_owned()
        }),
        code: compile(tree, aliases),
    })
}

/// More are of no use to anybody.
const MOST_DOUBTS: usize = 10;

/// What matters before anything is evaluated.
#[derive(Default)]
struct Seen {
    import: Option<Span>,
    has_with: bool,
    /// Names below `typeof` and `delete`, which may be missing.
    asked_for: HashSet<ReferenceId>,
}

impl Seen {
    /// Whether a name may be nobody's all the same: it is asked for, or may be a field of what stands in a `with`.
    fn may_be_missing(&self, references: &[ReferenceId]) -> bool {
        self.has_with || references.iter().any(|reference| self.asked_for.contains(reference))
    }
}

impl<'a> Visit<'a> for Seen {
    fn visit_import_expression(&mut self, import: &ImportExpression<'a>) {
        self.import.get_or_insert(import.span);
        walk::walk_import_expression(self, import);
    }

    fn visit_with_statement(&mut self, with: &WithStatement<'a>) {
        self.has_with = true;
        walk::walk_with_statement(self, with);
    }

    fn visit_unary_expression(&mut self, unary: &UnaryExpression<'a>) {
        let asks = matches!(unary.operator, UnaryOperator::Typeof | UnaryOperator::Delete);
        if let (true, Tree::Identifier(name)) = (asks, unary.argument.without_parentheses()) {
            self.asked_for.extend(name.reference_id.get());
        }
        walk::walk_unary_expression(self, unary);
    }
}
