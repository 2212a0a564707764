//! CQL types and values, as the schema stores them and the native protocol sends them.

use crate::cql::parse::quote_name;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::{cell::Cell, fmt, net::IpAddr};
use uuid::Uuid;

/// A CQL type. Its text form is that of `system_schema.columns.type`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum CqlType {
    /// `ascii`
    Ascii,
    /// `bigint`
    Bigint,
    /// `blob`
    Blob,
    /// `boolean`
    Boolean,
    /// `counter`
    Counter,
    /// `date`
    Date,
    /// `decimal`
    Decimal,
    /// `double`
    Double,
    /// `duration`
    Duration,
    /// `float`
    Float,
    /// `inet`
    Inet,
    /// `int`
    Int,
    /// `smallint`
    Smallint,
    /// `text`, also written `varchar`
    Text,
    /// `time`
    Time,
    /// `timestamp`
    Timestamp,
    /// `timeuuid`
    Timeuuid,
    /// `tinyint`
    Tinyint,
    /// `uuid`
    Uuid,
    /// `varint`
    Varint,
    /// `list<…>`
    List(Box<CqlType>),
    /// `set<…>`
    Set(Box<CqlType>),
    /// `map<…, …>`
    Map(Box<CqlType>, Box<CqlType>),
    /// `tuple<…>`
    Tuple(Vec<CqlType>),
    /// `frozen<…>`
    Frozen(Box<CqlType>),
    /// `vector<…, n>`
    Vector(Box<CqlType>, u16),
    /// A user type of the table's keyspace.
    UserType(String),
    /// A class name in quotes.
    Custom(String),
    /// A user type as a statement names it together with its keyspace; never stored.
    UserTypeOf {
        /// The keyspace.
        keyspace: String,
        /// The type.
        name: String,
    },
}

/// A text that names no type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no CQL type: {0}")]
pub struct UnknownType(pub String);

/// The types without parts, by name. `varchar` is another name of `text`, so it comes after it.
const NATIVE: [(&str, CqlType); 21] = [
    ("ascii", CqlType::Ascii),
    ("bigint", CqlType::Bigint),
    ("blob", CqlType::Blob),
    ("boolean", CqlType::Boolean),
    ("counter", CqlType::Counter),
    ("date", CqlType::Date),
    ("decimal", CqlType::Decimal),
    ("double", CqlType::Double),
    ("duration", CqlType::Duration),
    ("float", CqlType::Float),
    ("inet", CqlType::Inet),
    ("int", CqlType::Int),
    ("smallint", CqlType::Smallint),
    ("text", CqlType::Text),
    ("time", CqlType::Time),
    ("timestamp", CqlType::Timestamp),
    ("timeuuid", CqlType::Timeuuid),
    ("tinyint", CqlType::Tinyint),
    ("uuid", CqlType::Uuid),
    ("varint", CqlType::Varint),
    ("varchar", CqlType::Text),
];

impl CqlType {
    /// The type without parts of that lower-case name.
    pub fn native(name: &str) -> Option<Self> {
        NATIVE.iter().find(|(native, _)| *native == name).map(|(_, kind)| kind.clone())
    }

    /// The type without `frozen<…>` around it.
    pub fn thawed(&self) -> &Self {
        match self {
            Self::Frozen(inner) => inner.thawed(),
            other => other,
        }
    }
}

/// As in `system_schema.columns.type`. [`std::str::FromStr`] reads it back.
impl fmt::Display for CqlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(element) => write!(f, "list<{element}>"),
            Self::Set(element) => write!(f, "set<{element}>"),
            Self::Map(key, value) => write!(f, "map<{key}, {value}>"),
            Self::Frozen(inner) => write!(f, "frozen<{inner}>"),
            Self::Vector(element, dimension) => write!(f, "vector<{element}, {dimension}>"),
            Self::Tuple(fields) => {
                let fields: Vec<_> = fields.iter().map(ToString::to_string).collect();
                write!(f, "tuple<{}>", fields.join(", "))
            }
            Self::UserType(name) if Self::native(name).is_some() => write!(f, "\"{name}\""),
            Self::UserType(name) => f.write_str(&quote_name(name)),
            Self::UserTypeOf { keyspace, name } => write!(f, "{}.{}", quote_name(keyspace), quote_name(name)),
            Self::Custom(class) => write!(f, "'{}'", class.replace('\'', "''")),
            native => f.write_str(NATIVE.iter().find(|(_, kind)| kind == native).map_or("", |(name, _)| name)),
        }
    }
}

/// How deep lists, sets and maps may be within each other when a value is read. Columns of system tables need two or three; without a
/// bound, bytes of a peer or of the log could exhaust the stack, and end the process at each start.
const NESTING_MAX: u8 = 64;

/// A value of a column of a system table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Value {
    /// text, ascii
    Text(String),
    /// int
    Int(i32),
    /// smallint
    Smallint(i16),
    /// bigint, counter
    Bigint(i64),
    /// boolean
    Boolean(bool),
    /// double
    Double(Real),
    /// float
    Float(Real),
    /// uuid and timeuuid
    Uuid(Uuid),
    /// inet
    Inet(IpAddr),
    /// timestamp, milliseconds since the Unix epoch
    Timestamp(i64),
    /// blob
    Blob(Vec<u8>),
    /// list and vector, and the fields of a tuple
    List(#[serde(deserialize_with = "deeper")] Vec<Value>),
    /// set; its elements ascend
    Set(#[serde(deserialize_with = "deeper")] Vec<Value>),
    /// map; its keys ascend
    Map(#[serde(deserialize_with = "deeper")] Vec<(Value, Value)>),
}

thread_local! {
    /// Of the values that this thread is reading now.
    static DEPTH: Cell<u8> = const { Cell::new(0) };
}

/// One level of nesting while it is read; over with whatever comes of it.
struct Level;

impl Level {
    fn enter() -> Option<Self> {
        let depth = DEPTH.get();
        (depth < NESTING_MAX).then(|| {
            DEPTH.set(depth + 1);
            Self
        })
    }
}

impl Drop for Level {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
    }
}

/// Reads what is in a list, set or map, unless that is too deep already.
fn deeper<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    let too_deep = || de::Error::custom("the value is too deeply nested");
    let _level = Level::enter().ok_or_else(too_deep)?;
    T::deserialize(deserializer)
}

/// A float kept by its bits, so that values have one total order on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Real(u64);

impl From<f64> for Real {
    fn from(number: f64) -> Self {
        Self(number.to_bits())
    }
}

impl From<Real> for f64 {
    fn from(real: Real) -> Self {
        Self::from_bits(real.0)
    }
}

impl Value {
    /// A text value.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A `map<text, text>`.
    pub fn text_map<K: Into<String>, V: Into<String>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut pairs: Vec<_> = entries.into_iter().map(|(k, v)| (Self::text(k), Self::text(v))).collect();
        pairs.sort();
        Self::Map(pairs)
    }

    /// A `set<text>`.
    pub fn text_set<T: Into<String>>(elements: impl IntoIterator<Item = T>) -> Self {
        let mut elements: Vec<_> = elements.into_iter().map(Self::text).collect();
        elements.sort();
        elements.dedup();
        Self::Set(elements)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As on the wire: lists of one element, and a text of no letters in the innermost.
    fn nested(depth: usize) -> Vec<u8> {
        [[11, 1].repeat(depth), vec![0, 0]].concat()
    }

    #[test]
    fn a_value_that_nests_without_end_is_refused_and_does_not_exhaust_the_stack() {
        let maps = [[13, 1].repeat(100_000), vec![0, 0]].concat();
        for bytes in [nested(100_000), maps] {
            assert!(postcard::from_bytes::<Value>(&bytes).is_err());
        }
    }

    #[test]
    fn the_bound_holds_for_each_value_anew() {
        let deepest = nested(usize::from(NESTING_MAX));
        for _ in 0..2 {
            assert!(postcard::from_bytes::<Value>(&nested(usize::from(NESTING_MAX) + 1)).is_err());
            let value: Value = postcard::from_bytes(&deepest).unwrap();
            assert_eq!(postcard::to_allocvec(&value).unwrap(), deepest, "what is written is as it was");
        }
        let beside = [vec![12, 100], nested(usize::from(NESTING_MAX) - 1).repeat(100)].concat();
        assert!(postcard::from_bytes::<Value>(&beside).is_ok());
    }
}
