//! Answers a `SELECT` from a table that is all in memory.
//!
//! System tables are small, so every restriction is a filter over all rows; `ALLOW FILTERING` is never demanded.

use super::{
    ast::{Operator, Relation, Select, SelectExpression, SelectItem, Term},
    constant,
};
use crate::{
    ids::TimeUuid,
    io::{CqlError, ResultSet},
    value::{CqlType, Value},
};
use std::cmp::Ordering;

/// What a column is in its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnRole {
    /// Part of the partition key.
    PartitionKey,
    /// Part of the key within a partition.
    Clustering,
    /// One value a partition.
    Static,
    /// Any other.
    Regular,
}

/// A table with all of its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableData {
    /// Its keyspace.
    pub keyspace: String,
    /// Its name.
    pub table: String,
    /// Its columns, in the order that `SELECT *` shows them.
    pub columns: Vec<(String, CqlType, ColumnRole)>,
    /// Its rows in the order of their primary key, each as long as `columns`.
    pub rows: Vec<Vec<Option<Value>>>,
}

/// A row of the table.
type Row = Vec<Option<Value>>;

impl TableData {
    fn position(&self, column: &str) -> Result<usize, CqlError> {
        let unknown = || CqlError::Invalid(format!("Undefined column name {column} in table {}.{}", self.keyspace, self.table));
        self.columns.iter().position(|(name, _, _)| name == column).ok_or_else(unknown)
    }

    fn kind(&self, position: usize) -> &CqlType {
        self.columns.get(position).map_or(&CqlType::Blob, |(_, kind, _)| kind)
    }

    fn role(&self, position: usize) -> ColumnRole {
        self.columns.get(position).map_or(ColumnRole::Regular, |(_, _, role)| *role)
    }
}

/// The rows that `select` asks for. The caller has resolved `select.from` to `table`.
pub fn select(table: &TableData, select: &Select) -> Result<ResultSet, CqlError> {
    if select.json {
        return Err(CqlError::Invalid("SELECT JSON is not supported".to_owned()));
    }
    let outputs = outputs(table, &select.items)?;
    let conditions = select.filter.iter().map(|relation| Condition::new(table, relation)).collect::<Result<Vec<_>, _>>()?;
    let limit = limit(select.limit.as_ref())?;
    let mut rows: Vec<&Row> =
        table.rows.iter().filter(|row| conditions.iter().all(|condition| condition.holds(table, row))).collect();
    sort(table, &select.order, &mut rows)?;
    if !select.distinct && are_columns(&outputs) {
        rows.truncate(limit); // no more are copied
    }
    let mut rows = project(&outputs, &rows);
    if select.distinct {
        distinct(table, &outputs, &mut rows)?;
    }
    rows.truncate(limit);
    let columns = outputs.into_iter().map(|output| (output.name, output.kind)).collect();
    Ok(ResultSet { keyspace: table.keyspace.clone(), table: table.table.clone(), columns, rows })
}

/// Every column that the filter restricts is one of the table's.
pub fn check_filter_names(table: &TableData, select: &Select) -> Result<(), CqlError> {
    let mut names = select.filter.iter().flat_map(|relation| &relation.columns);
    names.try_for_each(|name| table.position(name).map(|_| ()))
}

/// A column of the result.
struct Output {
    name: String,
    kind: CqlType,
    source: Source,
}

/// What a column of the result is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Column(usize),
    CountAll,
    Count(usize),
}

fn outputs(table: &TableData, items: &[SelectItem]) -> Result<Vec<Output>, CqlError> {
    if items.is_empty() {
        let all = table.columns.iter().enumerate();
        return Ok(all
            .map(|(i, (name, kind, _))| Output { name: name.clone(), kind: kind.clone(), source: Source::Column(i) })
            .collect());
    }
    items.iter().map(|item| output(table, item)).collect()
}

fn output(table: &TableData, item: &SelectItem) -> Result<Output, CqlError> {
    let (name, kind, source) = match &item.expression {
        SelectExpression::Column(column) => {
            let position = table.position(column)?;
            (column.clone(), table.kind(position).clone(), Source::Column(position))
        }
        SelectExpression::CountAll => ("count".to_owned(), CqlType::Bigint, Source::CountAll),
        SelectExpression::Count(column) => {
            (format!("system.count({column})"), CqlType::Bigint, Source::Count(table.position(column)?))
        }
        SelectExpression::Call(function, _) => {
            return Err(CqlError::Invalid(format!("Unknown function '{function}': a metadata node offers count only")));
        }
    };
    Ok(Output { name: item.alias.clone().unwrap_or(name), kind, source })
}

/// One row a row, or one in all if something is counted; a plain column then shows its first value.
/// Whether each row is one of the result; else all are counted.
fn are_columns(outputs: &[Output]) -> bool {
    outputs.iter().all(|output| matches!(output.source, Source::Column(_)))
}

fn project(outputs: &[Output], rows: &[&Row]) -> Vec<Row> {
    let cell = |row: &Row, position: usize| row.get(position).cloned().flatten();
    let count = |counted: usize| Some(Value::Bigint(i64::try_from(counted).unwrap_or(i64::MAX)));
    if are_columns(outputs) {
        let of_row = |row: &&Row| {
            outputs.iter().map(|output| if let Source::Column(i) = output.source { cell(row, i) } else { None }).collect()
        };
        return rows.iter().map(of_row).collect();
    }
    let of_all = |output: &Output| match output.source {
        Source::Column(i) => rows.first().and_then(|row| cell(row, i)),
        Source::CountAll => count(rows.len()),
        Source::Count(i) => count(rows.iter().filter(|row| cell(row, i).is_some()).count()),
    };
    vec![outputs.iter().map(of_all).collect()]
}

fn distinct(table: &TableData, outputs: &[Output], rows: &mut Vec<Row>) -> Result<(), CqlError> {
    let allowed = [ColumnRole::PartitionKey, ColumnRole::Static];
    let is_other = |output: &&Output| matches!(output.source, Source::Column(i) if !allowed.contains(&table.role(i)));
    if let Some(other) = outputs.iter().find(is_other) {
        let name = &other.name;
        let text = "SELECT DISTINCT queries must only request partition key columns and/or static columns";
        return Err(CqlError::Invalid(format!("{text} (not {name})")));
    }
    let mut seen = std::collections::BTreeSet::new();
    rows.retain(|row| seen.insert(row.clone()));
    Ok(())
}

fn limit(term: Option<&Term>) -> Result<usize, CqlError> {
    let Some(term) = term else { return Ok(usize::MAX) };
    match constant::value("[limit]", term, &CqlType::Int)? {
        Some(Value::Int(limit)) => usize::try_from(limit)
            .ok()
            .filter(|limit| *limit > 0)
            .ok_or_else(|| CqlError::Invalid("LIMIT must be strictly positive".to_owned())),
        _ => Ok(usize::MAX),
    }
}

fn sort(table: &TableData, order: &[(String, bool)], rows: &mut [&Row]) -> Result<(), CqlError> {
    let mut keys = Vec::new();
    for (column, descends) in order {
        let position = table.position(column)?;
        if table.role(position) != ColumnRole::Clustering {
            let text = "Order by is currently only supported on the clustered columns of the PRIMARY KEY";
            return Err(CqlError::Invalid(format!("{text}, got {column}")));
        }
        keys.push((position, *descends));
    }
    rows.sort_by(|a, b| {
        let of_key = |&(position, descends): &(usize, bool)| {
            let ordering = compare_cells(table.kind(position), a.get(position), b.get(position));
            if descends { ordering.reverse() } else { ordering }
        };
        keys.iter().map(of_key).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
    });
    Ok(())
}

fn compare_cells(kind: &CqlType, a: Option<&Option<Value>>, b: Option<&Option<Value>>) -> Ordering {
    match (a.and_then(Option::as_ref), b.and_then(Option::as_ref)) {
        (Some(a), Some(b)) => compare(kind, a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// The order of a type's values.
fn compare(kind: &CqlType, a: &Value, b: &Value) -> Ordering {
    match (kind.thawed(), a, b) {
        (CqlType::Timeuuid, Value::Uuid(a), Value::Uuid(b)) => TimeUuid(*a).cmp(&TimeUuid(*b)),
        (_, Value::Double(a), Value::Double(b)) | (_, Value::Float(a), Value::Float(b)) => {
            f64::from(*a).total_cmp(&f64::from(*b))
        }
        _ => a.cmp(b),
    }
}

/// A relation with its values.
struct Condition {
    columns: Vec<usize>,
    operator: Operator,
    /// One of these must match; each is as long as `columns`.
    candidates: Vec<Vec<Value>>,
}

impl Condition {
    fn new(table: &TableData, relation: &Relation) -> Result<Self, CqlError> {
        let columns = relation.columns.iter().map(|column| table.position(column)).collect::<Result<Vec<_>, _>>()?;
        if relation.of_token {
            return Err(CqlError::Invalid("token() is not supported in tables of the system".to_owned()));
        }
        if relation.operator == Operator::Like {
            return Err(CqlError::Invalid("LIKE restriction is only supported on properly indexed columns".to_owned()));
        }
        let mut candidates = Vec::new();
        for term in &relation.terms {
            candidates.extend(self::candidates(table, relation, &columns, term)?);
        }
        Ok(Self { columns, operator: relation.operator, candidates })
    }

    fn holds(&self, table: &TableData, row: &Row) -> bool {
        let cells: Option<Vec<&Value>> = self.columns.iter().map(|i| row.get(*i).and_then(Option::as_ref)).collect();
        let Some(cells) = cells else { return false };
        if self.operator == Operator::IsNotNull {
            return true;
        }
        self.candidates.iter().any(|candidate| {
            let triples = self.columns.iter().zip(&cells).zip(candidate);
            let mut orderings = triples.map(|((i, cell), value)| compare(table.kind(*i), cell, value));
            let ordering = orderings.find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal);
            let (cell, value) = (cells.first(), candidate.first());
            matches(self.operator, ordering, cell.zip(value).map(|(cell, value)| (*cell, value)))
        })
    }
}

fn matches(operator: Operator, ordering: Ordering, pair: Option<(&Value, &Value)>) -> bool {
    match operator {
        Operator::Equal | Operator::In => ordering.is_eq(),
        Operator::NotEqual => ordering.is_ne(),
        Operator::Less => ordering.is_lt(),
        Operator::LessOrEqual => ordering.is_le(),
        Operator::Greater => ordering.is_gt(),
        Operator::GreaterOrEqual => ordering.is_ge(),
        Operator::Contains => match pair {
            Some((Value::List(elements) | Value::Set(elements), value)) => elements.contains(value),
            Some((Value::Map(pairs), value)) => pairs.iter().any(|(_, v)| v == value),
            _ => false,
        },
        Operator::ContainsKey => {
            matches!(pair, Some((Value::Map(pairs), value)) if pairs.iter().any(|(k, _)| k == value))
        }
        Operator::Like | Operator::IsNotNull => false,
    }
}

/// The values that `term` stands for, one row of them for each; more than one only for `IN ?`.
fn candidates(table: &TableData, relation: &Relation, columns: &[usize], term: &Term) -> Result<Vec<Vec<Value>>, CqlError> {
    let value = |column: &str, term: &Term, kind: &CqlType| {
        let null = || CqlError::Invalid(format!("Invalid null value in condition for column {column}"));
        constant::value(column, term, kind)?.ok_or_else(null)
    };
    match (relation.columns.as_slice(), columns, term) {
        ([column], [position], Term::Spread(inner)) => {
            let list = CqlType::List(Box::new(table.kind(*position).clone()));
            match value(column, inner, &list)? {
                Value::List(values) => Ok(values.into_iter().map(|value| vec![value]).collect()),
                _ => Ok(Vec::new()),
            }
        }
        ([column], [position], term) => {
            let kind = operand(relation.operator, table.kind(*position))
                .ok_or_else(|| CqlError::Invalid(format!("Column {column} is no collection that could contain something")))?;
            Ok(vec![vec![value(column, term, kind)?]])
        }
        (names, positions, Term::Tuple(terms)) if terms.len() == names.len() => {
            let triples = names.iter().zip(positions).zip(terms);
            Ok(vec![triples.map(|((name, i), term)| value(name, term, table.kind(*i))).collect::<Result<_, _>>()?])
        }
        _ => Err(CqlError::Invalid(format!("Invalid value for the columns ({})", relation.columns.join(", ")))),
    }
}

/// The type of what stands right of the operator.
fn operand(operator: Operator, kind: &CqlType) -> Option<&CqlType> {
    match (operator, kind.thawed()) {
        (Operator::Contains, CqlType::List(inner) | CqlType::Set(inner) | CqlType::Map(_, inner))
        | (Operator::ContainsKey, CqlType::Map(inner, _)) => Some(inner),
        (Operator::Contains | Operator::ContainsKey, _) => None,
        _ => Some(kind),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::cql::{ast::Statement, parse::parse};
    use expect_test::{Expect, expect};
    use std::fmt::Write;

    fn table() -> TableData {
        let column = |name: &str, kind, role| (name.to_owned(), kind, role);
        let row = |a: &str, b: i32, c: Option<&str>| {
            vec![Some(Value::text(a)), Some(Value::Int(b)), c.map(|c| Value::text_set([c, "all"]))]
        };
        TableData {
            keyspace: "ks".to_owned(),
            table: "t".to_owned(),
            columns: vec![
                column("a", CqlType::Text, ColumnRole::PartitionKey),
                column("b", CqlType::Int, ColumnRole::Clustering),
                column("Tags", CqlType::Set(Box::new(CqlType::Text)), ColumnRole::Regular),
            ],
            rows: vec![row("x", 1, Some("red")), row("x", 2, None), row("y", 1, Some("blue"))],
        }
    }

    fn check(texts: &[&str], expected: &Expect) {
        let mut transcript = String::new();
        for text in texts {
            let Statement::Select(statement) = parse(text).unwrap() else { unreachable!() };
            writeln!(transcript, "{text}").unwrap();
            match select(&table(), &statement) {
                Err(error) => writeln!(transcript, "    {error:?}").unwrap(),
                Ok(set) => {
                    let columns: Vec<_> = set.columns.iter().map(|(name, kind)| format!("{name} {kind}")).collect();
                    writeln!(transcript, "    {}", columns.join(", ")).unwrap();
                    for row in set.rows {
                        let cells: Vec<_> =
                            row.into_iter().map(|cell| cell.map_or("null".to_owned(), |v| format!("{v:?}"))).collect();
                        writeln!(transcript, "    {}", cells.join(", ")).unwrap();
                    }
                }
            }
        }
        expected.assert_eq(&transcript);
    }

    #[test]
    fn selects() {
        check(
            &[
                "SELECT * FROM ks.t WHERE a = 'x' AND b >= 2",
                "SELECT b AS n, a FROM t WHERE a IN ('y', 'x') ORDER BY b DESC LIMIT 2",
                "SELECT count(*) FROM t WHERE a = 'x'",
                "SELECT count(\"Tags\") AS c, a FROM t",
                "SELECT DISTINCT a FROM t",
                "SELECT a FROM t WHERE (a, b) IN (('x', 2), ('y', 1))",
                "SELECT a FROM t WHERE \"Tags\" CONTAINS 'blue'",
            ],
            &expect![[r#"
                SELECT * FROM ks.t WHERE a = 'x' AND b >= 2
                    a text, b int, Tags set<text>
                    Text("x"), Int(2), null
                SELECT b AS n, a FROM t WHERE a IN ('y', 'x') ORDER BY b DESC LIMIT 2
                    n int, a text
                    Int(2), Text("x")
                    Int(1), Text("x")
                SELECT count(*) FROM t WHERE a = 'x'
                    count bigint
                    Bigint(2)
                SELECT count("Tags") AS c, a FROM t
                    c bigint, a text
                    Bigint(2), Text("x")
                SELECT DISTINCT a FROM t
                    a text
                    Text("x")
                    Text("y")
                SELECT a FROM t WHERE (a, b) IN (('x', 2), ('y', 1))
                    a text
                    Text("x")
                    Text("y")
                SELECT a FROM t WHERE "Tags" CONTAINS 'blue'
                    a text
                    Text("y")
            "#]],
        );
    }

    #[test]
    fn refusals() {
        check(
            &[
                "SELECT c FROM t",
                "SELECT a FROM t WHERE nope = 1",
                "SELECT a FROM t WHERE b = 'x'",
                "SELECT a FROM t WHERE b = null",
                "SELECT a FROM t ORDER BY a",
                "SELECT now() FROM t",
                "SELECT DISTINCT b FROM t",
                "SELECT a FROM t LIMIT -1",
                "SELECT a FROM t LIMIT 0",
                "SELECT JSON a FROM t",
                "SELECT a FROM t WHERE token(a) > 1",
            ],
            &expect![[r#"
                SELECT c FROM t
                    Invalid("Undefined column name c in table ks.t")
                SELECT a FROM t WHERE nope = 1
                    Invalid("Undefined column name nope in table ks.t")
                SELECT a FROM t WHERE b = 'x'
                    Invalid("Invalid STRING constant (x) for \"b\" of type int")
                SELECT a FROM t WHERE b = null
                    Invalid("Invalid null value in condition for column b")
                SELECT a FROM t ORDER BY a
                    Invalid("Order by is currently only supported on the clustered columns of the PRIMARY KEY, got a")
                SELECT now() FROM t
                    Invalid("Unknown function 'now': a metadata node offers count only")
                SELECT DISTINCT b FROM t
                    Invalid("SELECT DISTINCT queries must only request partition key columns and/or static columns (not b)")
                SELECT a FROM t LIMIT -1
                    Invalid("LIMIT must be strictly positive")
                SELECT a FROM t LIMIT 0
                    Invalid("LIMIT must be strictly positive")
                SELECT JSON a FROM t
                    Invalid("SELECT JSON is not supported")
                SELECT a FROM t WHERE token(a) > 1
                    Invalid("token() is not supported in tables of the system")
            "#]],
        );
    }
}
