//! Expressions compiled and evaluated: natively where that is possible, else by the engine.

use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::fast::RandomState;

use super::analyze::{Aliases, Analysis, analyze_all};
use super::doubt::Doubt;
#[cfg(feature = "quickjs")]
use super::engine::Engine;
use super::error::{EvaluationError, ExpressionError};
use super::meter::{Budget, Exceeded, Meter};
use super::names::is_builtin;
use super::native::{Code, Fault, Scope};
use super::value::Value;
use crate::limits::Limits;

/// Compiles expressions over the values of some aliases, and evaluates them.
///
/// What the processor works with; on its own it is a calculator. Evaluations cannot see one another, whatever they do.
///
/// ```
/// use mycelia_stream::{Evaluator, Limits, Value};
///
/// let mut evaluator = Evaluator::new(["press", "temp"], Limits::default());
/// let ratio = evaluator.compile("Math.round(press / temp * 100)")?;
/// assert!(ratio.is_native());
/// let value = evaluator.evaluate_with(&ratio, [("press", 25.5.into()), ("temp", 68.0.into())])?;
/// assert_eq!(value, Value::Number(38.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Evaluator {
    /// Its own among all that were ever made.
    id: u64,
    aliases: Aliases,
    names: Vec<Box<str>>,
    limits: Limits,
    budget: Budget,
    /// Expressions compiled so far.
    count: usize,
    /// Space for texts.
    text: String,
    #[cfg(feature = "quickjs")]
    engine: Option<Engine>,
}

/// Evaluators made so far.
static MADE: AtomicU64 = AtomicU64::new(0);

/// A compiled expression. It belongs to its evaluator: another one refuses it.
#[derive(Debug)]
pub struct Expression {
    /// Its evaluator.
    owner: u64,
    dependencies: Box<[usize]>,
    doubts: Box<[Doubt]>,
    comment: Option<Box<str>>,
    code: Option<Code>,
    #[cfg_attr(not(feature = "quickjs"), allow(dead_code, reason = "there is no engine"))]
    script: Script,
}

/// What the engine needs of an expression.
#[derive(Debug)]
#[cfg_attr(not(feature = "quickjs"), allow(dead_code, reason = "there is no engine"))]
struct Script {
    number: usize,
    source: Box<str>,
    locals: Box<[String]>,
}

impl Expression {
    /// The aliases it depends on, by the places they were given in.
    #[must_use]
    pub fn dependencies(&self) -> &[usize] {
        &self.dependencies
    }

    /// What in it will hardly do what was meant.
    #[must_use]
    pub fn doubts(&self) -> &[Doubt] {
        &self.doubts
    }

    /// What is behind the last `//`.
    pub(crate) fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// Whether it depends on none.
    #[must_use]
    pub fn is_static(&self) -> bool {
        self.dependencies.is_empty()
    }

    /// Whether it is evaluated without QuickJS (but for rare cases of the language, such as half a surrogate pair).
    #[must_use]
    pub fn is_native(&self) -> bool {
        self.code.is_some()
    }
}

impl Evaluator {
    /// An evaluator for expressions over these. The name of a built-in stays the built-in.
    pub fn new<A: Into<Box<str>>>(aliases: impl IntoIterator<Item = A>, limits: Limits) -> Self {
        let names: Vec<Box<str>> = aliases.into_iter().map(Into::into).collect();
        let mut aliases = Aliases::with_capacity_and_hasher(names.len(), RandomState::default());
        let variables = names.iter().enumerate().filter(|(_, name)| !is_builtin(name));
        aliases.extend(variables.map(|(index, name)| (name.clone(), index)));
        let budget = Budget { time: limits.time(), memory: limits.memory_bytes };
        Self {
            // Relaxed: only that it is another each time.
            id: MADE.fetch_add(1, Ordering::Relaxed),
            aliases,
            names,
            limits,
            budget,
            count: 0,
            text: String::new(),
            #[cfg(feature = "quickjs")]
            engine: None,
        }
    }

    /// Compiles an expression. Costs a thread, as its text may be nested deeply; and what QuickJS compiles of it is kept for as long as the
    /// evaluator lives.
    ///
    /// # Errors
    /// If it is no expression, or does what is refused: see [`ExpressionFault`](crate::ExpressionFault).
    pub fn compile(&mut self, text: &str) -> Result<Expression, ExpressionError> {
        self.compile_all(std::iter::once(text)).pop().expect("one for one")
    }

    /// Compiles many, in one thread.
    pub(crate) fn compile_all<'t>(
        &mut self,
        texts: impl Iterator<Item = &'t str> + Send,
    ) -> Vec<Result<Expression, ExpressionError>> {
        let analyses = analyze_all(texts, &self.aliases);
        analyses.into_iter().map(|analysis| self.finish(analysis?)).collect()
    }

    fn finish(&mut self, analysis: Analysis) -> Result<Expression, ExpressionError> {
        let Analysis { source, dependencies, locals, doubts, comment, code } = analysis;
        let script = Script { number: self.count, source: source.into(), locals: locals.into() };
        let expression = Expression {
            owner: self.id,
            dependencies: dependencies.into(),
            doubts: doubts.into(),
            comment: comment.map(Into::into),
            code,
            script,
        };
        if !expression.is_native() {
            self.compile_script(&expression)?;
        }
        self.count += 1;
        Ok(expression)
    }

    /// Evaluates an expression over the values of all aliases, by their places.
    ///
    /// # Errors
    /// If it throws, hits a limit, or results in what is no value: see [`EvaluationError`].
    pub(crate) fn evaluate(
        &mut self,
        expression: &Expression,
        values: &[Value],
    ) -> Result<Value, EvaluationError> {
        let value = match &expression.code {
            Some(code) => {
                let mut scope = Scope { values, meter: Meter::new(self.budget), text: &mut self.text };
                match code.evaluate(&mut scope) {
                    Ok(value) => value,
                    Err(Fault::Thrown(text)) => {
                        return Err(EvaluationError::Thrown(format!("TypeError: {text}")));
                    }
                    Err(Fault::Exceeded(exceeded)) => return Err(self.exceeded(exceeded)),
                    Err(Fault::Beyond | Fault::Short) => self.evaluate_script(expression, values)?,
                }
            }
            None => self.evaluate_script(expression, values)?,
        };
        match value {
            Value::Undefined => Err(EvaluationError::NoValue("undefined")),
            Value::Null => Err(EvaluationError::NoValue("null")),
            value => match value.unserialisable(0) {
                Some(what) => Err(EvaluationError::NotSerialisable(what)),
                None => Ok(value),
            },
        }
    }

    /// Evaluates an expression over the values of some aliases; the others are undefined.
    ///
    /// # Errors
    /// If a name is no alias, or the expression another evaluator's, nothing is evaluated. Else if it throws, hits a limit, or results in
    /// what is no value: see [`EvaluationError`].
    pub fn evaluate_with<'n>(
        &mut self,
        expression: &Expression,
        values: impl IntoIterator<Item = (&'n str, Value)>,
    ) -> Result<Value, EvaluationError> {
        if expression.owner != self.id {
            return Err(EvaluationError::AnotherEvaluator);
        }
        let mut all = vec![Value::Undefined; self.names.len()];
        for (name, value) in values {
            let index = self.aliases.get(name);
            let index = *index.ok_or_else(|| EvaluationError::UnknownVariable(name.to_owned()))?;
            all[index] = value;
        }
        self.evaluate(expression, &all)
    }

    fn exceeded(&self, exceeded: Exceeded) -> EvaluationError {
        match exceeded {
            Exceeded::Time => EvaluationError::Time { milliseconds: self.limits.time_ms },
            Exceeded::Memory => EvaluationError::Memory { bytes: self.limits.memory_bytes },
        }
    }
}

#[cfg(feature = "quickjs")]
impl Evaluator {
    /// Whether the clock or chance was looked at since the last time this was asked.
    pub(crate) fn take_looked(&self) -> bool {
        self.engine.as_ref().is_some_and(Engine::take_looked)
    }

    fn compile_script(&mut self, expression: &Expression) -> Result<(), ExpressionError> {
        if self.engine.as_ref().is_none_or(Engine::is_spoilt) {
            // What an engine had compiled, another compiles when it is needed.
            self.engine = None;
            self.engine = Some(Engine::new(self.budget, self.limits.stack_bytes)?);
        }
        let dependencies = expression.dependencies.iter().map(|&index| &*self.names[index]);
        // What it assigns to is its own, and gone after each evaluation.
        let names: Vec<&str> =
            dependencies.chain(expression.script.locals.iter().map(String::as_str)).collect();
        let engine = self.engine.as_mut().expect("it was made");
        engine.compile(expression.script.number, &expression.script.source, &names)
    }

    #[cold]
    fn evaluate_script(
        &mut self,
        expression: &Expression,
        values: &[Value],
    ) -> Result<Value, EvaluationError> {
        self.compile_script(expression).map_err(|error| EvaluationError::Thrown(error.to_string()))?;
        let engine = self.engine.as_mut().expect("it compiled the script");
        let Script { number, source, .. } = &expression.script;
        engine.evaluate(*number, source, expression.dependencies.iter().map(|&index| &values[index]))
    }
}

#[cfg(not(feature = "quickjs"))]
impl Evaluator {
    pub(crate) fn take_looked(&self) -> bool {
        false
    }

    fn compile_script(&mut self, expression: &Expression) -> Result<(), ExpressionError> {
        use super::error::ExpressionFault::{NeedsEngine, UnknownName};

        let unknown = expression.doubts.iter().find_map(|doubt| match doubt {
            Doubt::UnknownName(name) => Some(UnknownName { name: name.clone() }),
            _ => None,
        });
        Err(unknown.unwrap_or(NeedsEngine).at_start())
    }

    fn evaluate_script(&mut self, _: &Expression, _: &[Value]) -> Result<Value, EvaluationError> {
        Err(EvaluationError::NeedsEngine)
    }
}
