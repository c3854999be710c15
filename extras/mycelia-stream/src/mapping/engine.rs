//! QuickJS, for expressions beyond the native subset.
//!
//! One runtime with one closed world (`sandbox.js`): all that is in it is frozen before the first expression comes, so nothing that one
//! evaluation does can be seen by the next. An expression is compiled once, to an arrow function of its dependencies:
//!
//! ```text
//! (press, tF) => (<expression>
//! )
//! ```
//!
//! # Limits
//!
//! Time is looked at between steps of byte code and in regular expressions, every ten thousand of them; a built-in function is not
//! interrupted. Those that walk arrays or search texts are kept from long walks by `sandbox.js`. Memory and stack are limited by
//! QuickJS itself.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use rquickjs::context::{EvalOptions, intrinsic};
use rquickjs::function::Args;
use rquickjs::object::{Filter, Property};
use rquickjs::{Array, Context, Ctx, Error, Function, Runtime, Type, Value as Js};

use super::error::{EvaluationError, ExpressionError, ExpressionFault};
use super::meter::{Budget, Exceeded, Meter};
use super::value::{DEEPEST, Object, TOO_DEEP, Value};

/// What is said of a `null` that was thrown.
const NULL: &str = "null, or there is no memory to say what";
/// Jobs (of promises) that are done after an evaluation, before the whole engine is thrown away.
const JOBS: usize = 1000;
/// From then on an evaluation is called slow in the log.
const SLOW: Duration = Duration::from_millis(10);

/// What is in a world beside the language itself.
type Intrinsics = (
    intrinsic::Date,
    intrinsic::Eval,
    intrinsic::RegExpCompiler,
    intrinsic::RegExp,
    intrinsic::Json,
    intrinsic::MapSet,
    intrinsic::TypedArrays,
    intrinsic::Promise,
);

/// The functions of all expressions; those that were not needed yet are missing.
type Scripts<'js> = RefCell<Vec<Option<Function<'js>>>>;
/// What `sandbox.js` hands out: `looked`, `plain`, `well_formed`.
type Tools<'js> = Vec<Function<'js>>;

/// One closed world, and the expressions in it.
pub(crate) struct Engine {
    runtime: Runtime,
    context: Context,
    watch: Arc<Watch>,
    budget: Budget,
    stack: usize,
    /// Something was compiled since the memory limit was set.
    has_grown: bool,
    /// Bytes of the world and all expressions.
    used: usize,
    /// There are jobs left of an evaluation.
    is_spoilt: bool,
}

/// When an evaluation began, for the interrupt handler.
struct Watch {
    since: Instant,
    /// Nanoseconds since then; 0 before the first look: most evaluations end before it.
    began: AtomicU64,
    limit: Duration,
    has_expired: AtomicBool,
}

impl Watch {
    /// Relaxed, all of it: handler and evaluation run in one thread.
    fn start(&self) {
        self.began.store(0, Ordering::Relaxed);
        self.has_expired.store(false, Ordering::Relaxed);
    }

    fn look(&self) -> bool {
        let now = self.since.elapsed().as_nanos() as u64;
        let began = self.began.load(Ordering::Relaxed);
        if began == 0 {
            self.began.store(now.max(1), Ordering::Relaxed);
            return false;
        }
        let has_expired = now - began > self.limit.as_nanos() as u64;
        self.has_expired.fetch_or(has_expired, Ordering::Relaxed);
        has_expired
    }

    fn has_expired(&self) -> bool {
        self.has_expired.load(Ordering::Relaxed)
    }

    /// How long it took, if it was long enough for a look.
    fn took(&self) -> Option<Duration> {
        let began = self.began.load(Ordering::Relaxed);
        (began > 0).then(|| self.since.elapsed().saturating_sub(Duration::from_nanos(began)))
    }
}

impl Engine {
    pub(crate) fn new(budget: Budget, stack: usize) -> Result<Self, ExpressionError> {
        let refused = |error: Error| ExpressionFault::Engine { message: error.to_string() }.at_start();
        let runtime = Runtime::new().map_err(refused)?;
        runtime.set_max_stack_size(stack);
        let limit = budget.time;
        let watch = Arc::new(Watch {
            since: Instant::now(),
            began: AtomicU64::new(0),
            limit,
            has_expired: AtomicBool::new(false),
        });
        let context = Context::custom::<Intrinsics>(&runtime).map_err(refused)?;
        // As many as fit into the memory, if they are there.
        let longest = budget.memory / 16;
        context.with(|ctx| {
            let closed = || {
                let close: Function<'_> = ctx.eval_with_options(include_str!("sandbox.js"), script())?;
                let tools: Array<'_> = close.call((longest as f64,))?;
                tools.iter().collect::<Result<Tools<'_>, _>>()
            };
            let tools = closed()
                .map_err(|error| ExpressionFault::Engine { message: thrown(&ctx, error) }.at_start())?;
            let _ = ctx.store_userdata(tools);
            let _ = ctx.store_userdata(Scripts::default());
            Ok(())
        })?;
        // From now on: to close the world takes longer than the shortest limit.
        let looking = Arc::clone(&watch);
        runtime.set_interrupt_handler(Some(Box::new(move || looking.look())));
        Ok(Self { runtime, context, watch, budget, stack, has_grown: true, used: 0, is_spoilt: false })
    }

    /// Whether another engine has to be made for the next evaluation.
    pub(crate) fn is_spoilt(&self) -> bool {
        self.is_spoilt
    }

    /// Compiles an expression under its number, if that was not done yet.
    pub(crate) fn compile(
        &mut self,
        number: usize,
        source: &str,
        names: &[&str],
    ) -> Result<(), ExpressionError> {
        self.watch.start();
        let compiled = self.context.with(|ctx| {
            let scripts = ctx.userdata::<Scripts<'_>>().expect("stored at the start");
            let mut scripts = scripts.borrow_mut();
            if scripts.len() <= number {
                scripts.resize(number + 1, None);
            }
            if scripts[number].is_some() {
                return Ok(false);
            }
            let source = format!("({}) => {source}", names.join(","));
            let function = ctx.eval_with_options(source, script()).map_err(|error| {
                let text = thrown(&ctx, error);
                ExpressionFault::Engine { message: text }.at_start()
            })?;
            scripts[number] = Some(function);
            Ok(true)
        })?;
        if compiled && !self.has_grown {
            self.has_grown = true;
            self.runtime.set_memory_limit(0);
        }
        Ok(())
    }

    /// Evaluates a compiled expression; its text is for the log.
    pub(crate) fn evaluate<'v>(
        &mut self,
        number: usize,
        source: &str,
        values: impl ExactSizeIterator<Item = &'v Value> + Clone,
    ) -> Result<Value, EvaluationError> {
        if self.has_grown {
            self.has_grown = false;
            self.runtime.run_gc();
            self.used = usize::try_from(self.runtime.memory_usage().malloc_size).unwrap_or(0);
            self.runtime.set_memory_limit(self.used.saturating_add(self.budget.memory));
        }
        self.collect_early();
        self.watch.start();
        let (mut done, mut has_jobs) = self.run(number, values.clone());
        if done.as_ref().is_err_and(may_lack_memory) && !self.watch.has_expired() {
            // It may be taken up by earlier evaluations, whose objects hold one another.
            self.runtime.run_gc();
            (done, has_jobs) = self.run(number, values);
        }
        self.is_spoilt = has_jobs && self.runtime.is_job_pending();
        let done = if self.watch.has_expired() { Err(self.exceeded(Exceeded::Time)) } else { done };
        if let Some(took) = self.watch.took().filter(|took| *took >= SLOW) {
            tracing::warn!(?took, expression = source.trim(), "a slow expression");
        }
        done
    }

    /// Its result, and whether there are jobs left.
    fn run<'v>(
        &self,
        number: usize,
        values: impl ExactSizeIterator<Item = &'v Value>,
    ) -> (Result<Value, EvaluationError>, bool) {
        self.context.with(|ctx| {
            let done = self.call(&ctx, number, values);
            let has_jobs = (0..=JOBS).all(|_| !self.watch.has_expired() && ctx.execute_pending_job());
            (done, has_jobs || self.watch.has_expired())
        })
    }

    /// Lets the engine collect garbage, with the next object, when half of the memory is used up. By itself it waits, after each time,
    /// until half as much as there is, all expressions included, has been added.
    fn collect_early(&self) {
        self.runtime.set_gc_threshold(self.used.saturating_add(self.budget.memory / 2));
    }

    /// Whether the clock or chance was looked at since the last time this was asked.
    pub(crate) fn take_looked(&self) -> bool {
        self.watch.start();
        self.context.with(|ctx| tool(&ctx, 0).call(()).unwrap_or(true))
    }

    fn call<'js, 'v>(
        &self,
        ctx: &Ctx<'js>,
        number: usize,
        values: impl ExactSizeIterator<Item = &'v Value>,
    ) -> Result<Value, EvaluationError> {
        let called = || {
            let mut arguments = Args::new(ctx.clone(), values.len());
            // Two aliases of one topic are the same object, not two alike.
            let mut shared: Vec<(&Value, Js<'_>)> = Vec::new();
            for value in values {
                let same = shared.iter().find(|(earlier, _)| is_same_object(earlier, value));
                let argument = match same {
                    Some((_, argument)) => argument.clone(),
                    None => import(ctx, value)?,
                };
                if argument.is_object() {
                    shared.push((value, argument.clone()));
                }
                arguments.push_arg(argument)?;
            }
            let scripts = ctx.userdata::<Scripts<'_>>().expect("stored at the start");
            let function = scripts.borrow()[number].clone().expect("it was compiled before");
            function.call_arg::<Js<'_>>(arguments)
        };
        let result = called().map_err(|error| self.failed(ctx, error))?;
        let mut meter = Meter::new(self.budget);
        self.export(ctx, result, 0, &mut meter)
    }

    /// A value of theirs as one of ours.
    fn export<'js>(
        &self,
        ctx: &Ctx<'js>,
        value: Js<'js>,
        depth: usize,
        meter: &mut Meter,
    ) -> Result<Value, EvaluationError> {
        use EvaluationError::NotSerialisable;
        if depth > DEEPEST {
            return Err(NotSerialisable(TOO_DEEP));
        }
        meter.make(size_of::<Value>()).map_err(|exceeded| self.exceeded(exceeded))?;
        let fails = |error| self.failed(ctx, error);
        match value.type_of() {
            Type::Undefined | Type::Uninitialized => Ok(Value::Undefined),
            Type::Null => Ok(Value::Null),
            Type::Bool => Ok(value.as_bool().unwrap_or_default().into()),
            Type::Int | Type::Float => Ok(value.as_number().unwrap_or(f64::NAN).into()),
            Type::String => {
                let text = self.text(ctx, value).map_err(fails)?;
                meter.make(text.len()).map_err(|exceeded| self.exceeded(exceeded))?;
                Ok(Value::String(text.into()))
            }
            Type::Function | Type::Constructor => Err(NotSerialisable("a function")),
            Type::Symbol => Err(NotSerialisable("a symbol")),
            Type::BigInt => Err(NotSerialisable("a BigInt")),
            Type::Promise => Err(NotSerialisable("a promise")),
            Type::Array => {
                let array = value.into_array().expect("it is one");
                // What is not in it counts too, and lengths go beyond what the engine's own iteration can do.
                let length: f64 = array.as_object().get("length").map_err(fails)?;
                if length > (self.budget.memory / size_of::<Value>()).min(i32::MAX as usize) as f64 {
                    return Err(self.exceeded(Exceeded::Memory));
                }
                let item =
                    |item: Result<Js<'js>, _>| self.export(ctx, item.map_err(fails)?, depth + 1, meter);
                Ok(Value::Array(array.iter().map(item).collect::<Result<_, _>>()?))
            }
            _ => {
                let Some(object) = value.as_object() else {
                    return Err(NotSerialisable("of an unknown kind"));
                };
                let plain: Js<'js> =
                    tool(ctx, 1).call((object.clone(),)).map_err(|error| match self.failed(ctx, error) {
                        EvaluationError::Thrown(_) => {
                            NotSerialisable("an object that cannot be read, such as an invalid date")
                        }
                        other => other,
                    })?;
                if plain != value {
                    return self.export(ctx, plain, depth + 1, meter);
                }
                let mut fields = Object::with_hasher(RandomState::default());
                // Keys as texts of theirs: as ours they would end at the first U+0000, and could have halves of surrogate pairs.
                let keys = Filter::new().string().enum_only();
                for field in object.own_props::<rquickjs::String<'js>, Js<'js>>(keys) {
                    let (key, value) = field.map_err(fails)?;
                    let key = self.text(ctx, key.into_value()).map_err(fails)?;
                    meter.make(key.len()).map_err(|exceeded| self.exceeded(exceeded))?;
                    fields.insert(key.into(), self.export(ctx, value, depth + 1, meter)?);
                }
                Ok(Value::Object(fields.into()))
            }
        }
    }

    /// A text, whose halves of surrogate pairs are replaced.
    fn text<'js>(&self, ctx: &Ctx<'js>, value: Js<'js>) -> Result<String, Error> {
        let text = value.into_string().ok_or(Error::Unknown)?;
        text.to_string().or_else(|_| tool(ctx, 2).call::<_, rquickjs::String<'_>>((text,))?.to_string())
    }

    fn exceeded(&self, exceeded: Exceeded) -> EvaluationError {
        match exceeded {
            Exceeded::Time => EvaluationError::Time { milliseconds: self.budget.time.as_millis() as u64 },
            Exceeded::Memory => EvaluationError::Memory { bytes: self.budget.memory },
        }
    }

    fn failed(&self, ctx: &Ctx<'_>, error: Error) -> EvaluationError {
        let text = thrown(ctx, error);
        if self.watch.has_expired() {
            return self.exceeded(Exceeded::Time);
        }
        match &*text {
            // The engine throws it itself where it has no memory left for an error.
            "null" => EvaluationError::Thrown(NULL.to_owned()),
            "InternalError: out of memory" | "InternalError: string too long" => {
                self.exceeded(Exceeded::Memory)
            }
            "RangeError: Maximum call stack size exceeded" => EvaluationError::Stack { bytes: self.stack },
            _ => EvaluationError::Thrown(text),
        }
    }
}

fn is_same_object(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Array(a), Value::Array(b)) => Arc::ptr_eq(a, b),
        (Value::Object(a), Value::Object(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}

fn script() -> EvalOptions {
    let mut options = EvalOptions::default();
    options.strict = false;
    options
}

fn tool<'js>(ctx: &Ctx<'js>, number: usize) -> Function<'js> {
    ctx.userdata::<Tools<'_>>().expect("stored at the start")[number].clone()
}

/// A value of ours as one of theirs.
fn import<'js>(ctx: &Ctx<'js>, value: &Value) -> Result<Js<'js>, Error> {
    Ok(match value {
        Value::Undefined => Js::new_undefined(ctx.clone()),
        Value::Null => Js::new_null(ctx.clone()),
        Value::Bool(truth) => Js::new_bool(ctx.clone(), *truth),
        // `new_number` would make 0 of -0.
        Value::Number(number) => Js::new_float(ctx.clone(), *number),
        Value::String(text) => rquickjs::String::from_str(ctx.clone(), text)?.into_value(),
        Value::Array(items) => {
            let array = Array::new(ctx.clone())?;
            for (index, item) in items.iter().enumerate() {
                array.set(index, import(ctx, item)?)?;
            }
            array.into_value()
        }
        Value::Object(fields) => {
            let object = rquickjs::Object::new(ctx.clone())?;
            for (key, value) in &**fields {
                // Defined, not set: `__proto__` is a key like all others.
                let property = Property::from(import(ctx, value)?).writable().enumerable().configurable();
                object.prop(rquickjs::String::from_str(ctx.clone(), key)?, property)?;
            }
            object.into_value()
        }
    })
}

/// Whether an evaluation failed as they do where there is no memory.
fn may_lack_memory(error: &EvaluationError) -> bool {
    match error {
        EvaluationError::Memory { .. } => true,
        EvaluationError::Thrown(text) => text == NULL,
        _ => false,
    }
}

/// The text of what was thrown.
fn thrown(ctx: &Ctx<'_>, error: Error) -> String {
    if !matches!(error, Error::Exception) {
        return error.to_string();
    }
    let value = ctx.catch();
    let text = |value: Js<'_>| value.into_string().and_then(|text| text.to_string().ok());
    let mut text = match value.as_object() {
        Some(object) => {
            let field = |name: &str| object.get(name).ok().and_then(text);
            match (field("name"), field("message")) {
                (Some(name), Some(message)) if !message.is_empty() => format!("{name}: {message}"),
                (Some(name), _) => name,
                (None, message) => message.unwrap_or_else(|| "something was thrown".to_owned()),
            }
        }
        None => match value.type_of() {
            Type::String => text(value).unwrap_or_default(),
            Type::Null => "null".to_owned(),
            _ => value
                .get::<rquickjs::Coerced<String>>()
                .map_or_else(|_| "something".to_owned(), |text| text.0),
        },
    };
    if let Some((end, _)) = text.char_indices().nth(LONGEST_TEXT) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Characters of an error's text.
const LONGEST_TEXT: usize = 200;
