//! Checks the names in an expression before it runs: the interpreter would find a misspelt field only when it gets there.

use std::ops::Range;

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, SelectExpr, SourceInfo};

use crate::expression::{Fault, Reads};
use crate::facts::account_variable;
use crate::tokens::Tokens;
use crate::vocabulary::{Kind, Scope, TYPES};

/// Reports every unknown name in `tree`, and turns each `account("source")` into the variable that holds the account.
pub(crate) fn names(text: &str, info: &SourceInfo, tree: &mut IdedExpr, scope: Scope) -> Result<Reads, Vec<Fault>> {
    let tokens = Tokens::new(text, info);
    let mut check =
        Check { text, tokens, depth: 0, scope, locals: Vec::new(), reads: Reads::default(), faults: Vec::new() };
    check.value(tree);
    if check.faults.is_empty() { Ok(check.reads) } else { Err(check.faults) }
}

/// Evaluation recurses too, and on the stack of whoever decides.
const DEEPEST: usize = 32;

pub(crate) fn too_deep(text: &str) -> Fault {
    Fault::new(0..text.chars().count(), format!("the expression nests deeper than {DEEPEST} operators"))
}

pub(crate) struct Check<'t> {
    text: &'t str,
    pub(crate) tokens: Tokens<'t>,
    /// How many expressions are around this one.
    depth: usize,
    pub(crate) scope: Scope,
    /// Variables of the macros around, innermost last.
    locals: Vec<(String, Kind)>,
    reads: Reads,
    pub(crate) faults: Vec<Fault>,
}

impl Check<'_> {
    /// Visits an expression whose value is used as it is.
    pub(crate) fn value(&mut self, node: &mut IdedExpr) -> Kind {
        let at = self.tokens.of(node.id);
        let kind = self.visit(node);
        if kind == Kind::Account {
            // Never null, so that comparing it with null would be a trap.
            let mut fault = Fault::new(self.tokens.before(at.start, "account"), "an account is read by its fields");
            fault.help =
                Some("name one, as in `account(\"source\").id`; it is null where there is no such account".to_owned());
            fault.known = Some(("field", String::new(), names_of(Kind::Account)));
            self.faults.push(fault);
        }
        kind
    }

    pub(crate) fn visit(&mut self, node: &mut IdedExpr) -> Kind {
        if self.depth == DEEPEST {
            // Said once is enough; nothing below is looked at.
            self.faults = vec![too_deep(self.text)];
            return Kind::Free;
        }
        self.depth += 1;
        let kind = self.kind(node);
        self.depth -= 1;
        kind
    }

    fn kind(&mut self, node: &mut IdedExpr) -> Kind {
        let id = node.id;
        match &mut node.expr {
            Expr::Unspecified | Expr::Literal(_) => Kind::Computed,
            Expr::Ident(name) => self.variable(id, name),
            Expr::Select(select) => self.select(id, select),
            Expr::Call(call) if call.func_name == "account" => match source_of(call) {
                Some(source) => {
                    node.expr = Expr::Ident(account_variable(&source));
                    self.reads.variables.insert("identity");
                    self.reads.sources.insert(source);
                    Kind::Account
                }
                None => {
                    let at = self.tokens.before(self.tokens.of(id).start, "account");
                    let message = "account takes the name of a source in quotes: account(\"corp\")";
                    self.faults.push(Fault::new(at, message));
                    Kind::Free
                }
            },
            Expr::Call(call) => self.call(id, call),
            Expr::List(list) => {
                for element in &mut list.elements {
                    self.value(element);
                }
                Kind::Computed
            }
            Expr::Map(map) => {
                for entry in &mut map.entries {
                    self.entry(&mut entry.expr);
                }
                Kind::Computed
            }
            Expr::Struct(record) => {
                let message = format!("there is no type `{}`", record.type_name);
                self.faults.push(Fault::new(self.tokens.of(id), message));
                for entry in &mut record.entries {
                    self.entry(&mut entry.expr);
                }
                Kind::Free
            }
            Expr::Comprehension(comprehension) => {
                let item = match self.value(&mut comprehension.iter_range) {
                    Kind::WordList(words) => Kind::Word(words),
                    Kind::Free => Kind::Free,
                    _ => Kind::Computed,
                };
                self.value(&mut comprehension.accu_init);
                let outer = self.locals.len();
                self.locals.push((comprehension.iter_var.clone(), item));
                self.locals.extend(comprehension.iter_var2.clone().map(|name| (name, Kind::Free)));
                self.locals.push((comprehension.accu_var.clone(), Kind::Computed));
                for part in [&mut comprehension.loop_cond, &mut comprehension.loop_step, &mut comprehension.result] {
                    self.value(part);
                }
                self.locals.truncate(outer);
                Kind::Computed
            }
        }
    }

    fn entry(&mut self, entry: &mut EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => {
                self.value(&mut field.value);
            }
            EntryExpr::MapEntry(entry) => {
                self.value(&mut entry.key);
                self.value(&mut entry.value);
            }
        }
    }

    fn variable(&mut self, id: u64, name: &str) -> Kind {
        if let Some((_, kind)) = self.locals.iter().rev().find(|(local, _)| local == name) {
            return *kind;
        }
        if let Some(kind) = self.scope.variable(name) {
            self.reads.variables.extend(self.scope.variables().into_iter().find(|known| *known == name));
            self.reads.free |= kind == Kind::Free;
            return kind;
        }
        if !TYPES.contains(&name) {
            let words = [self.scope.variables(), vec!["account(\"…\")"]].concat();
            let known = ("variable", name.to_owned(), words);
            self.fault(self.tokens.of(id), format!("there is no variable `{name}`"), known);
        }
        Kind::Computed
    }

    fn select(&mut self, id: u64, select: &mut SelectExpr) -> Kind {
        let at = self.tokens.field(id, select);
        let owner = describe(&select.operand);
        let kind = self.visit(&mut select.operand);
        if select.test && kind.fields().is_some_and(|fields| fields.iter().any(|(name, _)| *name == select.field)) {
            let mut fault = Fault::new(at, format!("`has` is always true of `{owner}.{}`", select.field));
            fault.help = Some(format!("a value that is absent is null: write `{owner}.{} != null`", select.field));
            self.faults.push(fault);
            return Kind::Computed;
        }
        self.member(kind, &owner, &select.field, at)
    }

    /// The kind of a field of something of this kind.
    pub(crate) fn member(&mut self, of: Kind, owner: &str, field: &str, at: Range<usize>) -> Kind {
        let Some(fields) = of.fields() else {
            if matches!(of, Kind::Plain | Kind::Word(_) | Kind::WordList(_)) {
                self.faults.push(Fault::new(at, format!("`{owner}` has no fields")));
            }
            return if of == Kind::Free { Kind::Free } else { Kind::Computed };
        };
        match fields.iter().find(|(name, _)| *name == field) {
            Some((_, kind)) => {
                self.reads.free |= *kind == Kind::Free;
                *kind
            }
            None => {
                let known = ("field", field.to_owned(), names_of(of));
                self.fault(at, format!("`{owner}` has no field `{field}`"), known);
                Kind::Computed
            }
        }
    }

    pub(crate) fn fault(
        &mut self,
        at: Range<usize>,
        message: String,
        known: (&'static str, String, Vec<&'static str>),
    ) {
        self.faults.push(Fault { known: Some(known), ..Fault::new(at, message) });
    }
}

fn names_of(kind: Kind) -> Vec<&'static str> {
    kind.fields().unwrap_or_default().iter().map(|(name, _)| *name).collect()
}

pub(crate) fn literal(node: &IdedExpr) -> Option<&str> {
    match &node.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

fn source_of(call: &CallExpr) -> Option<String> {
    match (&call.target, call.args.as_slice()) {
        (None, [name]) => literal(name).filter(|name| !name.is_empty()).map(str::to_owned),
        _ => None,
    }
}

/// How an expression is called in a message.
pub(crate) fn describe(node: &IdedExpr) -> String {
    match &node.expr {
        Expr::Ident(name) => name.clone(),
        Expr::Select(select) => format!("{}.{}", describe(&select.operand), select.field),
        Expr::Call(call) => match source_of(call).filter(|_| call.func_name == "account") {
            Some(source) => format!("account(\"{source}\")"),
            None => "this value".to_owned(),
        },
        _ => "this value".to_owned(),
    }
}
