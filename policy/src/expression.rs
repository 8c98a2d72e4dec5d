//! A compiled expression: parsed, its names checked, ready to be evaluated any number of times.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, LazyLock};
use std::thread;

use cel::common::ast::IdedExpr;
use cel::common::types::CelBool;
use cel::common::value::CowVal;
use cel::{Context, Env, ParseErrors, Value, extensions};

use crate::check;
use crate::error::EvaluationError;
use crate::facts::Facts;
use crate::vocabulary::Scope;

/// Standard functions and macros, and the strings extension. Without optional values: what is absent is null here.
static ENVIRONMENT: LazyLock<Arc<Env>> = LazyLock::new(|| {
    let mut environment = Env::stdlib().with_optional_support(false);
    extensions::strings(&mut environment).expect("the extension and the standard functions differ in name");
    Arc::new(environment)
});

/// Built once: making a root context costs twenty evaluations.
pub(crate) static ROOT: LazyLock<Root> = LazyLock::new(root);

/// The functions that an expression may call.
pub(crate) type Root = Context<'static, 'static>;

/// The functions that every expression may call.
pub(crate) fn root() -> Root {
    Context::with_env(Arc::clone(&ENVIRONMENT))
}

/// The parser recurses for every bracket and operator, with large frames: on the stack of its caller a dozen brackets may end the
/// process. On this one all that is not [`LONGEST`] is read to its end or to the parser's own limit.
const STACK: usize = 64 << 20;
const LONGEST: usize = 10_000;

/// What is wrong in an expression; `at` counts characters of its text.
#[derive(Debug)]
pub(crate) struct Fault {
    pub at: Range<usize>,
    pub message: String,
    /// What the words of `known` are called, what was found instead, and the words.
    pub known: Option<(&'static str, String, Vec<&'static str>)>,
    pub help: Option<String>,
}

impl Fault {
    pub fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), known: None, help: None }
    }
}

/// What an expression reads, as far as it matters before it is evaluated.
#[derive(Debug, Default, Clone)]
pub(crate) struct Reads {
    pub variables: BTreeSet<&'static str>,
    /// Sources named by `account("…")`.
    pub sources: BTreeSet<String>,
    /// Whether it reads values of unknown type, so that a trial says nothing about its types.
    pub free: bool,
}

#[derive(Debug)]
pub(crate) struct Expression {
    text: String,
    tree: IdedExpr,
    reads: Reads,
}

impl Expression {
    /// Compiles `text` and reports every name in it that means nothing in `scope`.
    pub fn parse(text: &str, scope: Scope) -> Result<Self, Vec<Fault>> {
        let length = text.chars().count();
        if text.trim().is_empty() {
            return Err(vec![Fault::new(0..length, "the expression is empty")]);
        }
        if length > LONGEST {
            return Err(vec![Fault::new(0..length, format!("the expression is longer than {LONGEST} characters"))]);
        }
        let compiled = thread::scope(|scoped| {
            let parser = thread::Builder::new().stack_size(STACK);
            parser.spawn_scoped(scoped, || Self::compile(text, scope)).ok()?.join().ok()
        });
        compiled.unwrap_or_else(|| Err(vec![Fault::new(0..length, "the parser gave up on the expression")]))
    }

    fn compile(text: &str, scope: Scope) -> Result<Self, Vec<Fault>> {
        let program = ENVIRONMENT.compile(text).map_err(|errors| vec![syntax(text, &errors)])?;
        let mut tree = program.expression().clone();
        let reads = check::names(text, program.source_info(), &mut tree, scope)?;
        Ok(Self { text: text.to_owned(), tree, reads })
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    pub fn tree(&self) -> &IdedExpr {
        &self.tree
    }

    /// Evaluates to true or false.
    pub fn holds(&self, facts: &Facts<'_>) -> Result<bool, EvaluationError> {
        evaluate(&self.tree, facts, |value| {
            value
                .downcast_ref::<CelBool>()
                .map(|bool| *bool.inner())
                .ok_or_else(|| EvaluationError::wrong_result(value.get_type(), "true or false"))
        })
    }
}

/// Evaluates a tree, or a part of one, and hands the value to `read` while the facts that it may borrow are in scope.
pub(crate) fn evaluate<T>(
    tree: &IdedExpr,
    facts: &Facts<'_>,
    read: impl FnOnce(&CowVal<'_, '_>) -> Result<T, EvaluationError>,
) -> Result<T, EvaluationError> {
    evaluate_with(&ROOT, tree, facts, read)
}

/// As [`evaluate`], with functions of the caller's.
pub(crate) fn evaluate_with<T>(
    root: &Root,
    tree: &IdedExpr,
    facts: &Facts<'_>,
    read: impl FnOnce(&CowVal<'_, '_>) -> Result<T, EvaluationError>,
) -> Result<T, EvaluationError> {
    let root: &Context<'_, '_> = root;
    let mut scope = root.new_inner_scope();
    scope.set_variable_resolver(facts);
    let value = Value::resolve_val(tree, &scope)?;
    read(&value)
}

/// The first syntax error; those after it are mostly its echo.
fn syntax(text: &str, errors: &ParseErrors) -> Fault {
    let Some(error) = errors.errors.first() else { return Fault::new(0..1, "the expression cannot be read") };
    let (line, column) = (usize::try_from(error.pos.0).unwrap_or(0), usize::try_from(error.pos.1).unwrap_or(0));
    let line_start: usize =
        text.split_inclusive('\n').take(line.saturating_sub(1)).map(|line| line.chars().count()).sum();
    let start = (line_start + column.saturating_sub(1)).min(text.chars().count());
    if error.msg.contains("Recursion limit") {
        return check::too_deep(text);
    }
    let message = error.msg.strip_prefix("Syntax error: ").unwrap_or(&error.msg);
    // What could have followed is a list of the grammar's tokens: the word that was found says more.
    let message = message.split(" expecting ").next().unwrap_or(message);
    if message.contains("'<EOF>'") {
        let message = match message.strip_prefix("missing ").and_then(|rest| rest.split(" at ").next()) {
            Some(token) => format!("`{}` is missing at the end", token.trim_matches('\'')),
            None => "the expression ends too early".to_owned(),
        };
        return Fault::new(start..start + 1, message);
    }
    let found = message.split_once('\'').and_then(|(_, rest)| rest.strip_suffix('\''));
    let unexpected =
        ["token recognition error at: ", "extraneous input ", "mismatched input ", "no viable alternative at input "];
    let (Some(found), true) = (found.map(str::trim), unexpected.iter().any(|prefix| message.starts_with(prefix)))
    else {
        let message = match message {
            "invalid argument to has() macro" => "`has` takes one field, as in `has(event.data.risk)`".to_owned(),
            _ => message.replace('\'', "`"),
        };
        return Fault::new(start..start + 1, message);
    };
    let found = found.lines().next().unwrap_or(found);
    let help = match found {
        "=" => Some("compare with `==`"),
        "and" | "AND" | "&" => Some("write `&&`"),
        "or" | "OR" | "|" => Some("write `||`"),
        "not" | "NOT" => Some("write `!`"),
        _ => None,
    };
    let mut fault = Fault::new(start..start + found.chars().count(), format!("unexpected `{found}`"));
    if found.starts_with(['\'', '"']) {
        fault.message = "this quote is not closed".to_owned();
    }
    fault.help = help.map(str::to_owned);
    fault
}
