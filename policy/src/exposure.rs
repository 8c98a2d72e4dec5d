//! What of a person an expression would show: everything that it reads, except inside `hmac(…)`.

use std::collections::BTreeSet;
use std::fmt;

use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedExpr, operators};

use crate::check::literal;
use crate::facts::source_of_variable;
use crate::vocabulary::HMAC;

/// A value of a person, such as `identity.email` or `account("corp").attributes.uid`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Read {
    /// Of the account at this source; else of the identity.
    source: Option<String>,
    /// Empty where the whole record is read.
    fields: Vec<String>,
}

impl Read {
    /// Whether the value says nothing to somebody who does not have the source's or Leaver's own tables.
    pub fn is_opaque(&self, personal_id: &dyn Fn(&str) -> bool) -> bool {
        match (&self.source, self.fields.first().map(String::as_str)) {
            (Some(source), Some("id")) => !personal_id(source),
            (None, Some("id")) => true,
            (None, _) => self.is_of_many(),
            _ => false,
        }
    }

    /// Whether it is one of a few words or small numbers, so that it tells nobody from another.
    pub fn is_of_many(&self) -> bool {
        self.source.is_none()
            && self.fields.first().is_some_and(|field| matches!(field.as_str(), "state" | "kind" | "generation"))
    }
}

impl fmt::Display for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => write!(f, "account(\"{source}\")")?,
            None => f.write_str("identity")?,
        }
        self.fields.iter().try_for_each(|field| write!(f, ".{field}"))
    }
}

/// What an expression reads of a person.
#[derive(Debug, Default)]
pub(crate) struct Exposure {
    pub shown: BTreeSet<Read>,
    /// Inside `hmac(…)`.
    pub hidden: BTreeSet<Read>,
    pub hmac: bool,
}

impl Exposure {
    pub fn of(tree: &IdedExpr) -> Self {
        let mut walk = Walk::default();
        walk.visit(tree);
        walk.found
    }
}

#[derive(Default)]
struct Walk {
    found: Exposure,
    /// How many calls of `hmac` are around.
    hiding: usize,
    /// Variables of the macros around, innermost last, and whether each was used outside `hmac(…)`.
    locals: Vec<(String, bool)>,
}

impl Walk {
    fn visit(&mut self, node: &IdedExpr) {
        if let Some(read) = self.read(node) {
            let found = if self.hiding > 0 { &mut self.found.hidden } else { &mut self.found.shown };
            found.insert(read);
            return;
        }
        match &node.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => {
                if let Some((_, shown)) = self.locals.iter_mut().rev().find(|(local, _)| local == name) {
                    *shown |= self.hiding == 0;
                }
            }
            Expr::Select(select) => self.visit(&select.operand),
            Expr::Call(call) if call.func_name == HMAC && call.target.is_none() => {
                self.found.hmac = true;
                self.hide(&call.args);
            }
            Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).for_each(|part| self.visit(part)),
            Expr::List(list) => list.elements.iter().for_each(|element| self.visit(element)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(record) => record.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Comprehension(comprehension) => self.comprehension(comprehension),
        }
    }

    /// The value that a chain of fields and indices ends at; `None` where it does not begin at a person.
    fn read(&mut self, node: &IdedExpr) -> Option<Read> {
        match &node.expr {
            Expr::Ident(name) if self.locals.iter().any(|(local, _)| local == name) => None,
            Expr::Ident(name) if name == "identity" => Some(Read::default()),
            Expr::Ident(name) => Some(Read { source: Some(source_of_variable(name)?.to_owned()), fields: Vec::new() }),
            Expr::Select(select) => {
                let mut read = self.read(&select.operand)?;
                read.fields.push(select.field.clone());
                Some(read)
            }
            Expr::Call(call) if call.func_name == operators::INDEX => {
                let [operand, key] = call.args.as_slice() else { return None };
                let mut read = self.read(operand)?;
                match literal(key) {
                    Some(field) => read.fields.push(field.to_owned()),
                    // Any of them.
                    None => self.visit(key),
                }
                Some(read)
            }
            _ => None,
        }
    }

    fn entry(&mut self, entry: &EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.visit(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key);
                self.visit(&entry.value);
            }
        }
    }

    /// What a macro goes through is shown only if an item of it is: `list.map(x, hmac(x))` shows nothing.
    fn comprehension(&mut self, comprehension: &ComprehensionExpr) {
        self.visit(&comprehension.accu_init);
        let outer = self.locals.len();
        let items = [Some(&comprehension.iter_var), comprehension.iter_var2.as_ref()];
        self.locals.extend(items.into_iter().flatten().map(|name| (name.clone(), false)));
        let of_items = self.locals.len();
        self.locals.push((comprehension.accu_var.clone(), false));
        for part in [&comprehension.loop_cond, &comprehension.loop_step, &comprehension.result] {
            self.visit(part);
        }
        let shown = self.locals[outer..of_items].iter().any(|(_, shown)| *shown);
        self.locals.truncate(outer);
        if shown {
            self.visit(&comprehension.iter_range);
        } else {
            self.hide(std::slice::from_ref(&comprehension.iter_range));
        }
    }

    fn hide(&mut self, parts: &[IdedExpr]) {
        self.hiding += 1;
        parts.iter().for_each(|part| self.visit(part));
        self.hiding -= 1;
    }
}
