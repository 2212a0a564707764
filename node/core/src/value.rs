//! CQL types and values, as the schema stores them and the native protocol sends them.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
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
}

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
    List(Vec<Value>),
    /// set; its elements ascend
    Set(Vec<Value>),
    /// map; its keys ascend
    Map(Vec<(Value, Value)>),
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
