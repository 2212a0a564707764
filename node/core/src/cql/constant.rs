//! Terms as values: what a constant or a bound value means where a value of some type belongs.

use super::{ast::Term, wire};
use crate::{
    io::CqlError,
    value::{CqlType, Real, Value},
};

/// The value of `term` for `column`, which has that type; nothing for null.
pub fn value(column: &str, term: &Term, kind: &CqlType) -> Result<Option<Value>, CqlError> {
    let wrong = || CqlError::Invalid(format!("Invalid {} for \"{column}\" of type {kind}", description(term)));
    match term {
        Term::Null => Ok(None),
        Term::Bound(bytes) => wire::decode(bytes, kind).map(Some).map_err(|_| wrong()),
        Term::Call(name, _) => Err(CqlError::Invalid(format!("Unknown function '{name}'"))),
        Term::Bind(_) | Term::NamedBind(_) => Err(CqlError::Invalid("Invalid amount of bind variables".to_owned())),
        Term::List(_) | Term::Set(_) | Term::Map(_) | Term::Tuple(_) => {
            collection(column, term, kind.thawed())?.ok_or_else(wrong).map(Some)
        }
        _ => simple(term, kind.thawed()).ok_or_else(wrong).map(Some),
    }
}

fn simple(term: &Term, kind: &CqlType) -> Option<Value> {
    match (term, kind) {
        (Term::Text(text), CqlType::Text) => Some(Value::text(text)),
        (Term::Text(text), CqlType::Ascii) if text.is_ascii() => Some(Value::text(text)),
        (Term::Text(text), CqlType::Inet) => text.parse().ok().map(Value::Inet),
        (Term::Boolean(truth), CqlType::Boolean) => Some(Value::Boolean(*truth)),
        (Term::Uuid(uuid), CqlType::Uuid) => Some(Value::Uuid(*uuid)),
        (Term::Uuid(uuid), CqlType::Timeuuid) if uuid.get_version_num() == 1 => Some(Value::Uuid(*uuid)),
        (Term::Blob(bytes), CqlType::Blob) => Some(Value::Blob(bytes.clone())),
        (Term::Number(number), kind) => numeric(number, kind),
        _ => None,
    }
}

fn numeric(number: &str, kind: &CqlType) -> Option<Value> {
    match kind {
        CqlType::Tinyint => number.parse::<i8>().ok().map(|n| Value::Smallint(n.into())),
        CqlType::Smallint => number.parse().ok().map(Value::Smallint),
        CqlType::Int => number.parse().ok().map(Value::Int),
        CqlType::Bigint | CqlType::Counter | CqlType::Varint => number.parse().ok().map(Value::Bigint),
        CqlType::Timestamp => number.parse().ok().map(Value::Timestamp),
        CqlType::Double => number.parse().ok().map(|n: f64| Value::Double(Real::from(n))),
        CqlType::Float => number.parse().ok().map(|n: f32| Value::Float(Real::from(f64::from(n)))),
        _ => None,
    }
}

/// Nothing if the shapes differ.
fn collection(column: &str, term: &Term, kind: &CqlType) -> Result<Option<Value>, CqlError> {
    let element = |term: &Term, kind: &CqlType| {
        let null = || CqlError::Invalid(format!("null is not supported inside collections, \"{column}\" is of type {kind}"));
        value(column, term, kind)?.ok_or_else(null)
    };
    Ok(match (term, kind) {
        (Term::List(terms), CqlType::List(inner) | CqlType::Vector(inner, _)) => {
            Some(Value::List(terms.iter().map(|term| element(term, inner)).collect::<Result<_, _>>()?))
        }
        (Term::Set(terms), CqlType::Set(inner)) => {
            let mut elements = terms.iter().map(|term| element(term, inner)).collect::<Result<Vec<_>, _>>()?;
            elements.sort();
            elements.dedup();
            Some(Value::Set(elements))
        }
        (Term::Map(pairs), CqlType::Set(_)) if pairs.is_empty() => Some(Value::Set(Vec::new())),
        (Term::Map(pairs), CqlType::Map(key, inner)) => {
            let pair = |(k, v): &(Term, Term)| Ok::<_, CqlError>((element(k, key)?, element(v, inner)?));
            let mut pairs = pairs.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
            pairs.sort();
            Some(Value::Map(pairs))
        }
        (Term::Tuple(terms), CqlType::Tuple(kinds)) if terms.len() == kinds.len() => {
            let fields = terms.iter().zip(kinds).map(|(term, kind)| element(term, kind));
            Some(Value::List(fields.collect::<Result<_, _>>()?))
        }
        _ => None,
    })
}

/// As the reference's errors name a term.
fn description(term: &Term) -> String {
    match term {
        Term::Text(text) => format!("STRING constant ({text})"),
        Term::Number(number) if number.contains(['.', 'e', 'E']) => format!("FLOAT constant ({number})"),
        Term::Number(number) => format!("INTEGER constant ({number})"),
        Term::Boolean(truth) => format!("BOOLEAN constant ({truth})"),
        Term::Uuid(uuid) => format!("UUID constant ({uuid})"),
        Term::Blob(_) => "HEX constant".to_owned(),
        Term::List(_) => "list literal".to_owned(),
        Term::Set(_) => "set literal".to_owned(),
        Term::Map(_) => "map literal".to_owned(),
        Term::Tuple(_) => "tuple literal".to_owned(),
        _ => "bound value".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn constants_take_the_type_of_their_column() {
        let number = Term::Number("7".to_owned());
        assert_eq!(value("a", &number, &CqlType::Int), Ok(Some(Value::Int(7))));
        assert_eq!(value("a", &number, &CqlType::Bigint), Ok(Some(Value::Bigint(7))));
        assert_eq!(value("a", &Term::Bound(vec![0, 0, 0, 9]), &CqlType::Int), Ok(Some(Value::Int(9))));
        assert_eq!(value("a", &Term::Null, &CqlType::Int), Ok(None));
        let set = "frozen<set<int>>".parse().unwrap();
        assert_eq!(value("a", &Term::Map(Vec::new()), &set), Ok(Some(Value::Set(Vec::new()))));
        assert_eq!(value("a", &Term::Set(vec![number.clone(), number]), &set), Ok(Some(Value::Set(vec![Value::Int(7)]))));
    }

    #[test]
    fn what_does_not_fit_is_invalid() {
        let error = value("a", &Term::Text("x".to_owned()), &CqlType::Int).unwrap_err();
        assert_eq!(error, CqlError::Invalid("Invalid STRING constant (x) for \"a\" of type int".to_owned()));
        assert!(value("a", &Term::Number("300".to_owned()), &CqlType::Tinyint).is_err());
        assert!(value("a", &Term::Bound(vec![0]), &CqlType::Int).is_err());
    }
}
