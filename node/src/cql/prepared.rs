//! Prepared statements: remembers them for all connections, and finds out what their markers and results are.
//!
//! The shape of a statement is asked of the backend by statements: the result's columns by the same SELECT of one row, the
//! partition key from `system_schema.columns`, user types from `system_schema.types`.

use super::{Backend, PREPARED_BYTES_MAX, PREPARED_MAX};
use group0_core::{
    cql::{
        ast::{Name, Select, SelectItem, Statement, Term},
        bind,
        frame::PreparedBody,
        parse::{self, Prepared},
        prepared_id,
        wire::UserTypes,
    },
    io::{ClientReply, ClientRequest, CqlError, ResultSet},
    value::{CqlType, Value},
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

/// A statement that can be executed by its id.
#[derive(Clone, Debug)]
pub(super) struct Remembered {
    /// As parsed.
    pub prepared: Prepared,
    /// As written.
    pub text: String,
    /// What the session used then.
    pub keyspace: Option<String>,
    /// Of the result, as the client was told.
    pub columns: Option<Vec<(String, CqlType)>>,
}

/// The statements of all connections. The oldest are forgotten first.
#[derive(Debug, Default)]
pub(super) struct PreparedCache {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    by_id: BTreeMap<Vec<u8>, Arc<Remembered>>,
    /// Ids from the oldest on.
    ages: VecDeque<Vec<u8>>,
    /// Of all texts.
    bytes: usize,
}

impl PreparedCache {
    /// The statement of that id.
    pub fn get(&self, id: &[u8]) -> Option<Arc<Remembered>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).by_id.get(id).cloned()
    }

    /// Remembers it, in place of a former one of that id.
    pub fn remember(&self, id: Vec<u8>, remembered: Remembered) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.bytes += remembered.text.len();
        match inner.by_id.insert(id.clone(), Arc::new(remembered)) {
            Some(former) => inner.bytes -= former.text.len(),
            None => inner.ages.push_back(id),
        }
        while inner.ages.len() > PREPARED_MAX || inner.bytes > PREPARED_BYTES_MAX {
            let Some(oldest) = inner.ages.pop_front() else { break };
            if let Some(former) = inner.by_id.remove(&oldest) {
                inner.bytes -= former.text.len();
            }
        }
    }
}

/// What a client is told of a statement that it prepares.
pub(super) async fn describe<B: Backend>(backend: &B, remembered: &Remembered) -> Result<PreparedBody, CqlError> {
    let Remembered { prepared, text, keyspace, columns: _ } = remembered;
    let ask = Ask { backend, keyspace: keyspace.clone() };
    let mut body = PreparedBody { id: prepared_id(keyspace.as_deref(), text).to_vec(), ..PreparedBody::default() };
    let table = match &prepared.statement {
        Statement::Select(select) => {
            let result = ask.columns_of(select.items.clone(), &select.from).await?;
            body.columns = Some(result.columns);
            (body.keyspace, body.table) = (result.keyspace, result.table);
            &select.from
        }
        Statement::Modify(modify) => &modify.table,
        Statement::Unsupported(what) => {
            return Err(CqlError::Invalid(format!("{what} is not supported by a metadata node")));
        }
        _ => return Ok(body),
    };
    if !prepared.markers.is_empty() {
        let all = ask.columns_of(Vec::new(), table).await?;
        body.markers = bind::markers(prepared, &all.columns);
        body.key_markers = key_markers(&ask.partition_key(&all).await, &body.markers);
        (body.keyspace, body.table) = (all.keyspace, all.table);
    }
    let columns = body.columns.iter().flatten().chain(&body.markers).cloned().collect::<Vec<_>>();
    body.user_types = user_types(backend, &body.keyspace, &columns).await;
    Ok(body)
}

/// For each column of the key its marker; nothing unless all have one.
fn key_markers(key: &[String], markers: &[(String, CqlType)]) -> Vec<u16> {
    let marker_of = |column: &String| {
        let position = markers.iter().position(|(name, _)| name == column)?;
        u16::try_from(position).ok()
    };
    key.iter().map(marker_of).collect::<Option<_>>().unwrap_or_default()
}

/// Asks the backend, for a session that uses `keyspace`.
struct Ask<'b, B> {
    backend: &'b B,
    keyspace: Option<String>,
}

impl<B: Backend> Ask<'_, B> {
    async fn rows(&self, statement: Statement, text: String) -> Result<ResultSet, CqlError> {
        match self.backend.query(ClientRequest { statement, text, keyspace: self.keyspace.clone() }).await {
            ClientReply::Rows(set) => Ok(set),
            ClientReply::Error(error) => Err(error),
            _ => Err(CqlError::Server("a SELECT returned no rows".to_owned())),
        }
    }

    /// At most one row, since only its columns are asked for.
    async fn columns_of(&self, items: Vec<SelectItem>, from: &Name) -> Result<ResultSet, CqlError> {
        let limit = Some(Term::Number("1".to_owned()));
        let (filter, order) = (Vec::new(), Vec::new());
        let select =
            Select { json: false, distinct: false, items, from: from.clone(), filter, order, limit, allow_filtering: true };
        self.rows(Statement::Select(select), "SELECT, to prepare it".to_owned()).await
    }

    /// Names of the columns of a table's partition key, in order; none if the backend does not tell.
    async fn partition_key(&self, table: &ResultSet) -> Vec<String> {
        let (keyspace, table) = (quote(&table.keyspace), quote(&table.table));
        let text = format!(
            "SELECT column_name, position FROM system_schema.columns \
             WHERE keyspace_name = {keyspace} AND table_name = {table} AND kind = 'partition_key' ALLOW FILTERING"
        );
        let mut key: Vec<(i32, String)> = self.text(text).await.into_iter().filter_map(key_column).collect();
        key.sort();
        key.into_iter().map(|(_, name)| name).collect()
    }

    async fn text(&self, text: String) -> Vec<Vec<Option<Value>>> {
        match parse::parse(&text) {
            Ok(statement) => self.rows(statement, text).await.map(|set| set.rows).unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }
}

fn key_column(row: Vec<Option<Value>>) -> Option<(i32, String)> {
    match <[_; 2]>::try_from(row).ok()? {
        [Some(Value::Text(name)), Some(Value::Int(position))] => Some((position, name)),
        _ => None,
    }
}

fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// Fields of the keyspace's user types if one of the columns has any; none if the backend does not tell.
pub(super) async fn user_types<B: Backend>(backend: &B, keyspace: &str, columns: &[(String, CqlType)]) -> UserTypes {
    if !columns.iter().any(|(_, kind)| has_user_type(kind)) {
        return UserTypes::new();
    }
    let name = quote(keyspace);
    let text = format!("SELECT type_name, field_names, field_types FROM system_schema.types WHERE keyspace_name = {name}");
    let rows = Ask { backend, keyspace: None }.text(text).await;
    rows.into_iter().filter_map(user_type).collect()
}

fn has_user_type(kind: &CqlType) -> bool {
    match kind {
        CqlType::UserType(_) => true,
        CqlType::Frozen(inner) | CqlType::List(inner) | CqlType::Set(inner) | CqlType::Vector(inner, _) => has_user_type(inner),
        CqlType::Map(key, value) => has_user_type(key) || has_user_type(value),
        CqlType::Tuple(fields) => fields.iter().any(has_user_type),
        _ => false,
    }
}

fn user_type(row: Vec<Option<Value>>) -> Option<(String, Vec<(String, CqlType)>)> {
    let [Some(Value::Text(name)), Some(Value::List(names)), Some(Value::List(kinds))] = <[_; 3]>::try_from(row).ok()? else {
        return None;
    };
    let field = |(name, kind): (Value, Value)| match (name, kind) {
        (Value::Text(name), Value::Text(kind)) => Some((name, kind.parse().ok()?)),
        _ => None,
    };
    Some((name, names.into_iter().zip(kinds).map(field).collect::<Option<_>>()?))
}
