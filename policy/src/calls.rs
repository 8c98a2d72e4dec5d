//! The part of the check that is about calls: functions and operators that there are, and words that they are given.

use cel::common::ast::{CallExpr, Expr, IdedExpr, operators};

use crate::check::{Check, describe, literal};
use crate::expression::{Fault, evaluate};
use crate::facts::Facts;
use crate::problem::similar;
use crate::vocabulary::{HMAC, Kind, MACROS, METHODS};

impl Check<'_> {
    pub(crate) fn call(&mut self, id: u64, call: &mut CallExpr) -> Kind {
        if let (operators::INDEX, [operand, key]) = (call.func_name.as_str(), call.args.as_mut_slice()) {
            let (owner, at) = (describe(operand), self.tokens.of(key.id));
            let kind = self.visit(operand);
            self.value(key);
            return match literal(key) {
                Some(field) if kind.fields().is_some() => self.member(kind, &owner, field, at),
                _ if kind == Kind::Free => Kind::Free,
                _ => Kind::Computed,
            };
        }
        if !self.function(id, call) {
            return Kind::Computed;
        }
        if let Some(target) = &mut call.target {
            self.value(target);
        }
        let kinds: Vec<Kind> = call.args.iter_mut().map(|argument| self.value(argument)).collect();
        if let ([left, right], [of_left, of_right]) = (call.args.as_slice(), kinds.as_slice()) {
            match call.func_name.as_str() {
                operators::EQUALS | operators::NOT_EQUALS => {
                    self.word(*of_left, right);
                    self.word(*of_right, left);
                }
                operators::IN => self.contained(left, *of_left, right, *of_right),
                _ => {}
            }
        }
        self.pattern(call);
        Kind::Computed
    }

    /// Reports a function that there is not. False where it was meant as a macro: its arguments are then no expressions, and
    /// what could be said of them would be echo.
    fn function(&mut self, id: u64, call: &CallExpr) -> bool {
        let (name, method) = (call.func_name.as_str(), call.target.is_some());
        let known = if method { METHODS.to_vec() } else { self.scope.functions() };
        if known.contains(&name) {
            if name == HMAC && call.args.len() != 1 {
                let at = self.tokens.before(self.tokens.of(id).start, name);
                self.faults.push(Fault::new(at, "`hmac` takes one text, as in `hmac(identity.email)`"));
            }
            return true;
        }
        // Operators have names too, of other signs.
        if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
            return true;
        }
        let at = self.tokens.before(self.tokens.of(id).start, name);
        if MACROS.contains(&name) {
            // Had it been called rightly, the parser would have expanded it.
            let usage = "a name and what to do with it, as in `list.exists(x, x == 1)`";
            self.faults.push(Fault::new(at, format!("`{name}` takes {usage}")));
            return false;
        }
        let macros = MACROS.iter().filter(|name| (**name != "has") == method);
        let mut words: Vec<&str> = known.iter().chain(macros).copied().collect();
        words.sort_unstable();
        let meant_macro = similar(name, &words).is_some_and(|word| MACROS.contains(&word));
        let noun = if method { "method" } else { "function" };
        self.fault(at, format!("there is no {noun} `{name}`"), (noun, name.to_owned(), words));
        !meant_macro
    }

    /// A pattern that is written out is tried: one that never compiles would fail for everybody.
    fn pattern(&mut self, call: &CallExpr) {
        let ("matches", Some(pattern)) = (call.func_name.as_str(), call.args.last()) else { return };
        if literal(pattern).is_none() {
            return;
        }
        let trial = CallExpr { target: None, args: vec![pattern.clone(), pattern.clone()], ..call.clone() };
        let trial = IdedExpr { id: 0, expr: Expr::Call(trial) };
        if evaluate(&trial, &Facts::default(), |_| Ok(())).is_err() {
            self.faults.push(Fault::new(self.tokens.of(pattern.id), "this is not a regular expression"));
        }
    }

    fn contained(&mut self, item: &IdedExpr, of_item: Kind, list: &IdedExpr, of_list: Kind) {
        if let Kind::WordList(words) = of_list {
            self.word(Kind::Word(words), item);
        }
        if let Expr::List(list) = &list.expr {
            for element in &list.elements {
                self.word(of_item, element);
            }
        }
    }

    /// A word that can never occur makes a comparison that never holds: refuse it.
    fn word(&mut self, kind: Kind, node: &IdedExpr) {
        let (Kind::Word(words), Some(found)) = (kind, literal(node)) else { return };
        let all = words.all();
        if !all.contains(&found) {
            self.fault(
                self.tokens.of(node.id),
                format!("there is no {} `{found}`", words.noun()),
                (words.noun(), found.to_owned(), all),
            );
        }
    }
}
