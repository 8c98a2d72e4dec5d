//! What in a filter is outside of the grammar or the schema rules and understood all the same.

use super::Literal;
use super::parser::{self, Expression, Test, Written};
use crate::schema::{self, ResourceType};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Shapes {
    /// `emails[type eq "work"].value eq "x"`.
    pub(crate) behind_brackets: bool,
    /// An attribute of the extension without its URN.
    pub(crate) unprefixed: bool,
    /// `active eq "True"`.
    pub(crate) truth_in_quotes: bool,
}

/// The shapes in the filter of a list; none if it is not understood.
pub(crate) fn shapes(resource: ResourceType, text: &str) -> Shapes {
    let mut shapes = Shapes::default();
    if let Ok(expression) = parser::filter(text) {
        look(&expression, &mut shapes, &|written| {
            let name = written.name.as_deref().unwrap_or_default();
            written.urn.is_none()
                && resource.returned(name).is_none()
                && resource.extension().is_some_and(|(_, table)| schema::find(table, name).is_some())
        });
    }
    shapes
}

/// Whether a path selects by a truth value in quotes: `roles[primary eq "True"]`.
pub(crate) fn truth_in_quotes(path: &str) -> bool {
    let mut shapes = Shapes::default();
    if let Ok((_, Some(expression))) = parser::path(path) {
        look(&expression, &mut shapes, &|_| false);
    }
    shapes.truth_in_quotes
}

fn look(expression: &Expression, shapes: &mut Shapes, unprefixed: &dyn Fn(&Written) -> bool) {
    let mut test = |attribute: &Written, test: &Test| {
        let name = attribute.sub.as_ref().or(attribute.name.as_ref());
        let boolean =
            name.is_some_and(|name| ["active", "primary"].iter().any(|known| known.eq_ignore_ascii_case(name)));
        let quoted = matches!(test, Test::Compare { value: Some(Literal::String(_)), .. });
        shapes.truth_in_quotes |= boolean && quoted;
        shapes.unprefixed |= unprefixed(attribute);
    };
    match expression {
        Expression::Test { attribute, test: tested } => test(attribute, tested),
        Expression::Values { attribute, inner, behind } => {
            shapes.unprefixed |= unprefixed(attribute);
            shapes.behind_brackets |= behind.is_some();
            look(inner, shapes, &|_| false);
        }
        Expression::And(parts) | Expression::Or(parts) => {
            parts.iter().for_each(|part| look(part, shapes, unprefixed));
        }
        Expression::Not(inner) => look(inner, shapes, unprefixed),
    }
}
