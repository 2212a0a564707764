//! `DESCRIBE`, in all its forms.

use super::{Input, Parsed, unsupported, words};
use crate::cql::ast::{Describe, Statement};

/// What stands after `DESCRIBE` or `DESC`.
pub(super) fn describe(input: &mut Input<'_>) -> Parsed<Statement> {
    for words in ["functions", "function", "aggregates", "aggregate"] {
        if words::ahead(input, &[words]) {
            return Ok(unsupported(input, &format!("DESCRIBE {words}")));
        }
    }
    let described = target(input)?;
    words::maybe(input, &["with", "internals"]);
    Ok(Statement::Describe(described))
}

fn target(input: &mut Input<'_>) -> Parsed<Describe> {
    let plain: [(&[&str], Describe); 6] = [
        (&["cluster"], Describe::Cluster),
        (&["full", "schema"], Describe::Schema { full: true }),
        (&["schema"], Describe::Schema { full: false }),
        (&["keyspaces"], Describe::Keyspaces),
        (&["tables"], Describe::Tables),
        (&["types"], Describe::Types),
    ];
    for (words, described) in plain {
        if words::maybe(input, words) {
            return Ok(described);
        }
    }
    let only = words::maybe(input, &["only", "keyspace"]);
    if only || words::maybe(input, &["keyspace"]) {
        let unnamed = words::end(input).is_ok() || words::symbol_ahead(input, 0, ";") || words::ahead(input, &["with"]);
        let name = if unnamed { None } else { Some(words::name_part(input)?) };
        return Ok(Describe::Keyspace { name, only });
    }
    element(input)
}

fn element(input: &mut Input<'_>) -> Parsed<Describe> {
    if words::maybe(input, &["table"]) || words::maybe(input, &["columnfamily"]) {
        words::name(input).map(Describe::Table)
    } else if words::maybe(input, &["index"]) {
        words::name(input).map(Describe::Index)
    } else if words::maybe(input, &["materialized", "view"]) {
        words::name(input).map(Describe::View)
    } else if words::ahead(input, &["type"]) && input.len() > 2 && !words::symbol_ahead(input, 1, ";") {
        words::expect(input, &["type"])?;
        words::name(input).map(Describe::Type)
    } else {
        words::name(input).map(Describe::Element)
    }
}
