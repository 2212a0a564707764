//! DESCRIBE, answered in the shape of Cassandra 4: one row for each element, with the statement that would make it.

use super::{
    Schema, SchemaTable,
    creation::{Creation, Ids, index_creation},
};
use crate::{
    cql::ast::{Describe, Name},
    io::{CqlError, ResultSet},
    system::{catalog::KEYSPACES, system_schema},
    value::{CqlType, Value},
};

/// What DESCRIBE CLUSTER tells.
#[derive(Clone, Copy, Debug)]
pub struct ClusterDescription<'a> {
    /// `cluster_name`
    pub name: &'a str,
    /// The class of the partitioner.
    pub partitioner: &'a str,
    /// The class of the snitch.
    pub snitch: &'a str,
}

/// The answer to a DESCRIBE statement.
pub fn describe(
    schema: &Schema,
    statement: &Describe,
    session_keyspace: Option<&str>,
    cluster: &ClusterDescription,
) -> Result<ResultSet, CqlError> {
    let scope = Scope { schema, session_keyspace };
    let creations = match statement {
        Describe::Cluster => {
            let row = [cluster.name, cluster.partitioner, cluster.snitch];
            return Ok(result(&["cluster", "partitioner", "snitch"], [row.map(str::to_owned)]));
        }
        Describe::Keyspaces => {
            let row = |keyspace: String| [keyspace.clone(), "keyspace".to_owned(), keyspace];
            return Ok(result(&["keyspace_name", "type", "name"], scope.keyspaces().into_iter().map(row)));
        }
        Describe::Tables => return Ok(scope.list("table", SchemaTable::Tables)),
        Describe::Types => return Ok(scope.list("type", SchemaTable::Types)),
        Describe::Schema { full } => scope.everything(*full),
        Describe::Keyspace { name, only: false } => scope.keyspace(name.as_deref())?,
        Describe::Keyspace { name, only: true } => scope.keyspace(name.as_deref())?.into_iter().take(1).collect(),
        Describe::Table(name) => scope.table(name)?,
        Describe::Type(name) => scope.user_type(name)?,
        Describe::Index(name) => scope.index(name)?,
        Describe::View(name) => scope.view(name)?,
        Describe::Element(name) => scope.element(name)?,
    };
    let row = |creation: Creation| [creation.keyspace, creation.kind.to_owned(), creation.name, creation.statement];
    Ok(result(&["keyspace_name", "type", "name", "create_statement"], creations.into_iter().map(row)))
}

fn result<const N: usize>(columns: &[&str; N], rows: impl IntoIterator<Item = [String; N]>) -> ResultSet {
    ResultSet {
        keyspace: "system".to_owned(),
        table: "describe".to_owned(),
        columns: columns.iter().map(|column| ((*column).to_owned(), CqlType::Text)).collect(),
        rows: rows.into_iter().map(|row| row.into_iter().map(|text| Some(Value::Text(text))).collect()).collect(),
    }
}

/// What can be described: users' elements and the system's.
#[derive(Clone, Copy)]
struct Scope<'a> {
    schema: &'a Schema,
    session_keyspace: Option<&'a str>,
}

type Found = Result<Vec<Creation>, CqlError>;

fn not_found<T>(message: String) -> Result<T, CqlError> {
    Err(CqlError::Invalid(message))
}

impl<'a> Scope<'a> {
    /// The schema that a keyspace is in.
    fn of(&self, keyspace: &str) -> &'a Schema {
        if KEYSPACES.contains(&keyspace) { system_schema() } else { self.schema }
    }

    fn keyspaces(&self) -> Vec<String> {
        let mut names: Vec<_> = KEYSPACES.iter().map(|&name| name.to_owned()).chain(self.schema.keyspace_names()).collect();
        names.sort();
        names
    }

    fn session(&self) -> Result<&'a str, CqlError> {
        self.session_keyspace.map_or_else(|| not_found("No keyspace specified and no current keyspace".to_owned()), Ok)
    }

    /// The keyspace that a name is in, which exists.
    fn keyspace_of(&self, name: &Name) -> Result<String, CqlError> {
        let keyspace = name.keyspace.as_deref().map_or_else(|| self.session(), Ok)?;
        if self.of(keyspace).has_keyspace(keyspace) {
            return Ok(keyspace.to_owned());
        }
        not_found(format!("'{keyspace}' not found in keyspaces"))
    }

    /// Names in the session's keyspace, or in all.
    fn list(&self, kind: &str, table: SchemaTable) -> ResultSet {
        let keyspaces = self.session_keyspace.map_or_else(|| self.keyspaces(), |keyspace| vec![keyspace.to_owned()]);
        let names = |keyspace: String| {
            let names = self.of(&keyspace).names(table, &keyspace);
            names.into_iter().map(move |name| [keyspace.clone(), kind.to_owned(), name])
        };
        result(&["keyspace_name", "type", "name"], keyspaces.into_iter().flat_map(names))
    }

    fn everything(&self, full: bool) -> Vec<Creation> {
        let keyspaces = self.keyspaces().into_iter().filter(|keyspace| full || !KEYSPACES.contains(&keyspace.as_str()));
        keyspaces.flat_map(|keyspace| self.of(&keyspace).keyspace_creations(&keyspace, Ids::Hidden)).collect()
    }

    fn keyspace(&self, name: Option<&str>) -> Found {
        let name = name.map_or_else(|| self.session(), Ok)?;
        if !self.of(name).has_keyspace(name) {
            return not_found(format!("'{name}' not found in keyspaces"));
        }
        Ok(self.of(name).keyspace_creations(name, Ids::Hidden))
    }

    fn table(&self, name: &Name) -> Found {
        let (keyspace, name) = (self.keyspace_of(name)?, &name.name);
        match self.of(&keyspace).table(&keyspace, name) {
            Some(table) if table.base.is_none() => Ok(self.of(&keyspace).table_creations(&keyspace, name, Ids::Hidden)),
            _ => not_found(format!("Table '{name}' not found in keyspace '{keyspace}'")),
        }
    }

    fn view(&self, name: &Name) -> Found {
        let (keyspace, name) = (self.keyspace_of(name)?, &name.name);
        match self.schema.table(&keyspace, name) {
            Some(view) if view.base.is_some() => Ok(vec![self.schema.view_creation(&view)]),
            _ => not_found(format!("Materialized view '{name}' not found in keyspace '{keyspace}'")),
        }
    }

    fn user_type(&self, name: &Name) -> Found {
        let (keyspace, name) = (self.keyspace_of(name)?, &name.name);
        match self.schema.type_creation(&keyspace, name) {
            Some(creation) => Ok(vec![creation]),
            None => not_found(format!("User defined type '{name}' not found in '{keyspace}'")),
        }
    }

    fn index(&self, name: &Name) -> Found {
        let (keyspace, name) = (self.keyspace_of(name)?, &name.name);
        match self.schema.indexes(&keyspace).iter().find(|index| index.name == *name) {
            Some(index) => Ok(vec![index_creation(&keyspace, index)]),
            None => not_found(format!("Table for existing index '{name}' not found in '{keyspace}'")),
        }
    }

    /// Whatever bears the name: a keyspace first, where none is given.
    fn element(&self, name: &Name) -> Found {
        if name.keyspace.is_none()
            && let Ok(found) = self.keyspace(Some(&name.name))
        {
            return Ok(found);
        }
        let keyspace = self.keyspace_of(name)?;
        let found = self.table(name).or_else(|_| self.view(name)).or_else(|_| self.index(name));
        let none = |_| not_found(format!("'{}' not found in keyspace '{keyspace}'", name.name));
        found.or_else(|_| self.user_type(name)).or_else(none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cql::{ast::Statement, parse::parse},
        schema::ddl::tests::World,
    };

    fn ask(world: &World, statement: &str, session_keyspace: Option<&str>) -> Result<Vec<String>, String> {
        let Ok(Statement::Describe(statement)) = parse(statement) else { unreachable!("{statement}") };
        let cluster = ClusterDescription { name: "test", partitioner: "p", snitch: "s" };
        let result = describe(&world.schema, &statement, session_keyspace, &cluster).map_err(|error| error.to_string())?;
        let text = |row: Vec<Option<Value>>| {
            let texts = row.into_iter().flatten().map(|value| match value {
                Value::Text(text) => text.lines().next().unwrap_or_default().to_owned(),
                other => format!("{other:?}"),
            });
            texts.collect::<Vec<_>>().join(" | ")
        };
        Ok(result.rows.into_iter().map(text).collect())
    }

    #[test]
    fn elements_are_found_by_kind_or_by_name() {
        let world =
            World::with(&["CREATE TYPE u (x int)", "CREATE TABLE t (k int PRIMARY KEY, v int)", "CREATE INDEX i ON t (v)"]);
        let table = ["ks | table | t | CREATE TABLE ks.t (", "ks | index | i | CREATE INDEX i ON ks.t (v);"];
        for statement in ["DESCRIBE TABLE ks.t", "DESC ks.t", "DESCRIBE TABLE t"] {
            assert_eq!(ask(&world, statement, Some("ks")).unwrap(), table, "{statement}");
        }
        assert_eq!(ask(&world, "DESCRIBE KEYSPACE", Some("ks")).unwrap().len(), 4);
        let only = ask(&world, "DESCRIBE ONLY KEYSPACE ks", None).unwrap();
        assert!(
            matches!(only.as_slice(), [keyspace] if keyspace.starts_with("ks | keyspace | ks | CREATE KEYSPACE ks")),
            "{only:?}"
        );
        assert_eq!(ask(&world, "DESCRIBE ks", None).unwrap(), ask(&world, "DESCRIBE SCHEMA", None).unwrap());
        assert_eq!(ask(&world, "DESCRIBE CLUSTER", None).unwrap(), ["test | p | s"]);
        assert_eq!(ask(&world, "DESCRIBE TYPES", Some("ks")).unwrap(), ["ks | type | u"]);
        assert_eq!(ask(&world, "DESCRIBE INDEX ks.i", None).unwrap().len(), 1);
        assert_eq!(
            ask(&world, "DESCRIBE KEYSPACES", None).unwrap(),
            ["ks | keyspace | ks", "system | keyspace | system", "system_schema | keyspace | system_schema"]
        );
        assert!(ask(&world, "DESCRIBE FULL SCHEMA", None).unwrap().len() > 25);
        assert_eq!(
            ask(&world, "DESCRIBE TABLE system.local", None).unwrap(),
            ["system | table | local | CREATE TABLE system.local ("]
        );
    }

    #[test]
    fn what_is_not_there_is_named() {
        let world = World::with(&[]);
        for (statement, wanted) in [
            ("DESCRIBE TABLE ks.nope", "Table 'nope' not found in keyspace 'ks'"),
            ("DESCRIBE KEYSPACE nope", "'nope' not found in keyspaces"),
            ("DESCRIBE ks.nope", "'nope' not found in keyspace 'ks'"),
            ("DESCRIBE TABLE nope", "No keyspace specified and no current keyspace"),
        ] {
            assert_eq!(ask(&world, statement, None).unwrap_err(), wanted);
        }
    }
}
