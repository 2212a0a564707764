//! Bound values: puts them where the markers are, and says which column each marker belongs to.

use super::{
    ast::{Modification, Operator, Relation, Statement, Term},
    frame::Bound,
    parse::Prepared,
};
use crate::{io::CqlError, value::CqlType};

/// The statement with `values` in place of its markers. Values with names go to the markers of those names; that of a `?` is its column.
pub fn bind(prepared: &Prepared, values: &[(Option<String>, Bound)]) -> Result<Statement, CqlError> {
    let wrong = || CqlError::Invalid("Invalid amount of bind variables".to_owned());
    let are_named = values.iter().any(|(name, _)| name.is_some());
    if !are_named && values.len() != prepared.markers.len() {
        return Err(wrong());
    }
    let mut terms = Vec::with_capacity(values.len());
    for (position, (marker, _)) in markers(prepared, &[]).iter().enumerate() {
        let named = values.iter().find(|(name, _)| name.as_ref() == Some(marker));
        let (_, value) = if are_named { named } else { values.get(position) }.ok_or_else(wrong)?;
        terms.push(match value {
            Bound::Bytes(bytes) => Term::Bound(bytes.clone()),
            Bound::Null => Term::Null,
            Bound::Unset => return Err(CqlError::Invalid("Invalid unset value for a bind variable".to_owned())),
        });
    }
    let mut statement = prepared.statement.clone();
    for_each_term(&mut statement, &mut |term| substitute(term, &prepared.markers, &terms));
    Ok(statement)
}

fn substitute(term: &mut Term, markers: &[Option<String>], values: &[Term]) {
    let position = match term {
        Term::Bind(position) => Some(*position),
        Term::NamedBind(name) => markers.iter().position(|marker| marker.as_ref() == Some(name)),
        Term::Spread(inner) => return substitute(inner, markers, values),
        Term::List(terms) | Term::Set(terms) | Term::Tuple(terms) | Term::Call(_, terms) => {
            return terms.iter_mut().for_each(|term| substitute(term, markers, values));
        }
        Term::Map(pairs) => {
            return pairs.iter_mut().flat_map(|(k, v)| [k, v]).for_each(|term| substitute(term, markers, values));
        }
        _ => None,
    };
    if let Some(value) = position.and_then(|position| values.get(position)) {
        *term = value.clone();
    }
}

/// Where values can be bound: not in options of the schema.
fn for_each_term(statement: &mut Statement, each: &mut impl FnMut(&mut Term)) {
    let (set, filter): (&mut [(String, Term)], &mut [Relation]) = match statement {
        Statement::Select(select) => {
            select.limit.iter_mut().for_each(&mut *each);
            (&mut [], &mut select.filter)
        }
        Statement::Modify(modify) => match &mut modify.change {
            Modification::Insert(values) => (values, &mut []),
            Modification::Update { set, filter } => (set, filter),
            Modification::Delete { columns: _, filter } => (&mut [], filter),
            Modification::Truncate => return,
        },
        _ => return,
    };
    for (_, term) in set {
        each(term);
    }
    filter.iter_mut().flat_map(|relation| &mut relation.terms).for_each(each);
}

/// Name and type of each marker, given the columns of the table. What is bound to an ignored part (`USING TTL ?`) is a bigint.
pub fn markers(prepared: &Prepared, columns: &[(String, CqlType)]) -> Vec<(String, CqlType)> {
    let attribute = |name: &Option<String>| (name.clone().unwrap_or_else(|| "[attribute]".to_owned()), CqlType::Bigint);
    let mut found: Vec<_> = prepared.markers.iter().map(attribute).collect();
    let mut place = |term: &Term, name: String, kind: CqlType| match term {
        Term::Bind(position) => found.get_mut(*position).into_iter().for_each(|marker| *marker = (name.clone(), kind.clone())),
        Term::NamedBind(marker) => {
            found.iter_mut().filter(|(name, _)| name == marker).for_each(|(_, marker)| *marker = kind.clone());
        }
        _ => {}
    };
    let type_of = |column: &str| columns.iter().find(|(name, _)| name == column).map_or(CqlType::Blob, |(_, kind)| kind.clone());
    let (set, filter): (&[(String, Term)], &[Relation]) = match &prepared.statement {
        Statement::Select(select) => {
            select.limit.iter().for_each(|limit| place(limit, "[limit]".to_owned(), CqlType::Int));
            (&[], &select.filter)
        }
        Statement::Modify(modify) => match &modify.change {
            Modification::Insert(values) => (values, &[]),
            Modification::Update { set, filter } => (set, filter),
            Modification::Delete { columns: _, filter } => (&[], filter),
            Modification::Truncate => (&[], &[]),
        },
        _ => (&[], &[]),
    };
    for (name, term) in set {
        place(term, name.clone(), type_of(name));
    }
    for relation in filter {
        relation_markers(relation, &type_of, &mut place);
    }
    found
}

fn relation_markers(relation: &Relation, type_of: &impl Fn(&str) -> CqlType, place: &mut impl FnMut(&Term, String, CqlType)) {
    if relation.of_token {
        return relation.terms.iter().for_each(|term| place(term, "partition key token".to_owned(), CqlType::Bigint));
    }
    let Some(column) = relation.columns.first() else { return };
    if relation.columns.len() > 1 {
        let tuples = relation.terms.iter().filter_map(|term| if let Term::Tuple(terms) = term { Some(terms) } else { None });
        for (name, term) in tuples.flat_map(|terms| relation.columns.iter().zip(terms)) {
            place(term, name.clone(), type_of(name));
        }
        return;
    }
    let kind = type_of(column);
    let kind = match (relation.operator, kind.thawed()) {
        (Operator::Contains, CqlType::List(inner) | CqlType::Set(inner) | CqlType::Map(_, inner))
        | (Operator::ContainsKey, CqlType::Map(inner, _)) => inner.as_ref().clone(),
        _ => kind,
    };
    for term in &relation.terms {
        match term {
            Term::Spread(inner) => place(inner, format!("in({column})"), CqlType::List(Box::new(kind.clone()))),
            term => place(term, column.clone(), kind.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cql::parse::{parse, prepare};

    fn bytes(text: &str) -> Bound {
        Bound::Bytes(text.as_bytes().to_vec())
    }

    #[test]
    fn values_take_the_place_of_markers() {
        let prepared = prepare("UPDATE t SET value = :v WHERE key = ?").unwrap();
        let bound = bind(&prepared, &[bytes("a"), Bound::Null].map(|value| (None, value))).unwrap();
        let mut expected = parse("UPDATE t SET value = 1 WHERE key = null").unwrap();
        for_each_term(&mut expected, &mut |term| {
            if matches!(term, Term::Number(_)) {
                *term = Term::Bound(b"a".to_vec());
            }
        });
        assert_eq!(bound, expected);
        assert!(bind(&prepared, &[]).is_err());
        let named = |names: [&str; 2]| [(Some(names[0].to_owned()), Bound::Null), (Some(names[1].to_owned()), bytes("a"))];
        assert_eq!(bind(&prepared, &named(["key", "v"])), Ok(expected), "by name, whatever their order");
        assert!(bind(&prepared, &named(["other", "v"])).is_err(), "no value is taken for another");
    }

    #[test]
    fn markers_have_the_types_of_their_columns() {
        let prepared =
            prepare("SELECT * FROM t WHERE k = ? AND c IN ? AND v IN (:a) AND token(k) > ? LIMIT ? USING TIMEOUT ?").unwrap();
        let columns = [("k".to_owned(), CqlType::Text), ("c".to_owned(), CqlType::Int), ("v".to_owned(), CqlType::Uuid)];
        let found: Vec<_> = markers(&prepared, &columns).into_iter().map(|(name, kind)| format!("{name} {kind}")).collect();
        assert_eq!(
            found,
            ["k text", "in(c) list<int>", "a uuid", "partition key token bigint", "[limit] int", "[attribute] bigint"]
        );
    }
}
