//! Types and values as bytes of the native protocol.
//!
//! A value of a type for which [`Value`] has no form of its own (date, decimal, …) is a blob of its wire bytes.

use super::frame::{Malformed, Reader, Writer, ip};
use crate::value::{CqlType, Real, Value};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Fields of user types of one keyspace, by the type's name.
pub type UserTypes = BTreeMap<String, Vec<(String, CqlType)>>;

/// How deep types nest that are read.
const DEPTH_MAX: usize = 64;

/// Of how many types one type is made, when written; what comes after is a blob to the client.
const TYPES_MAX: usize = 1000;

/// The numbers of the types without parts, and their class names where a vector must name its elements.
const NATIVE: [(u16, CqlType, &str); 20] = [
    (0x01, CqlType::Ascii, "AsciiType"),
    (0x02, CqlType::Bigint, "LongType"),
    (0x03, CqlType::Blob, "BytesType"),
    (0x04, CqlType::Boolean, "BooleanType"),
    (0x05, CqlType::Counter, "CounterColumnType"),
    (0x06, CqlType::Decimal, "DecimalType"),
    (0x07, CqlType::Double, "DoubleType"),
    (0x08, CqlType::Float, "FloatType"),
    (0x09, CqlType::Int, "Int32Type"),
    (0x0B, CqlType::Timestamp, "TimestampType"),
    (0x0C, CqlType::Uuid, "UUIDType"),
    (0x0D, CqlType::Text, "UTF8Type"),
    (0x0E, CqlType::Varint, "IntegerType"),
    (0x0F, CqlType::Timeuuid, "TimeUUIDType"),
    (0x10, CqlType::Inet, "InetAddressType"),
    (0x11, CqlType::Date, "SimpleDateType"),
    (0x12, CqlType::Time, "TimeType"),
    (0x13, CqlType::Smallint, "ShortType"),
    (0x14, CqlType::Tinyint, "ByteType"),
    (0x15, CqlType::Duration, "DurationType"),
];
const CUSTOM: u16 = 0x00;
const BLOB: u16 = 0x03;
const LIST: u16 = 0x20;
const MAP: u16 = 0x21;
const SET: u16 = 0x22;
const USER_TYPE: u16 = 0x30;
const TUPLE: u16 = 0x31;
const MARSHAL: &str = "org.apache.cassandra.db.marshal";

/// Writes a type as an `[option]`. A user type that is not among `user_types` is a blob to the client.
pub fn write_type(writer: &mut Writer, kind: &CqlType, keyspace: &str, user_types: &UserTypes) {
    TypeWriter { writer, keyspace, user_types, left: TYPES_MAX }.write(kind);
}

/// Writes a type with what it is made of.
struct TypeWriter<'w> {
    writer: &'w mut Writer,
    keyspace: &'w str,
    user_types: &'w UserTypes,
    /// How many more types may be written: user types within each other can multiply without end.
    left: usize,
}

impl TypeWriter<'_> {
    fn write(&mut self, kind: &CqlType) {
        let Some(left) = self.left.checked_sub(1) else {
            self.writer.short(BLOB);
            return;
        };
        self.left = left;
        match kind {
            CqlType::Frozen(inner) => self.write(inner),
            CqlType::List(element) => self.write_parts(LIST, [element.as_ref()]),
            CqlType::Set(element) => self.write_parts(SET, [element.as_ref()]),
            CqlType::Map(key, value) => self.write_parts(MAP, [key.as_ref(), value]),
            CqlType::Tuple(fields) => {
                self.writer.short(TUPLE).short_count(fields.len());
                for field in fields {
                    self.write(field);
                }
            }
            CqlType::UserType(name) => self.write_user_type(name),
            CqlType::Vector(..) => {
                self.writer.short(CUSTOM).string(&class(kind));
            }
            CqlType::Custom(class) => {
                self.writer.short(CUSTOM).string(class);
            }
            native => {
                self.writer.short(NATIVE.iter().find(|(_, kind, _)| kind == native).map_or(BLOB, |(id, _, _)| *id));
            }
        }
    }

    fn write_parts<const N: usize>(&mut self, id: u16, parts: [&CqlType; N]) {
        self.writer.short(id);
        for part in parts {
            self.write(part);
        }
    }

    fn write_user_type(&mut self, name: &str) {
        let Some(fields) = self.user_types.get(name) else {
            self.writer.short(BLOB);
            return;
        };
        self.writer.short(USER_TYPE).string(self.keyspace).string(name).short_count(fields.len());
        for (field, kind) in fields {
            self.writer.string(field);
            self.write(kind);
        }
    }
}

/// The name of a type as the reference's classes call it; user types are blobs.
fn class(kind: &CqlType) -> String {
    match kind {
        CqlType::Frozen(inner) => class(inner),
        CqlType::List(element) => format!("{MARSHAL}.ListType({})", class(element)),
        CqlType::Set(element) => format!("{MARSHAL}.SetType({})", class(element)),
        CqlType::Map(key, value) => format!("{MARSHAL}.MapType({},{})", class(key), class(value)),
        CqlType::Vector(element, dimension) => format!("{MARSHAL}.VectorType({}, {dimension})", class(element)),
        CqlType::Tuple(fields) => {
            format!("{MARSHAL}.TupleType({})", fields.iter().map(class).collect::<Vec<_>>().join(","))
        }
        CqlType::Custom(class) => class.clone(),
        native => {
            let name = NATIVE.iter().find(|(_, kind, _)| kind == native).map_or("BytesType", |(_, _, name)| name);
            format!("{MARSHAL}.{name}")
        }
    }
}

/// Reads an `[option]`. Of a user type only the name is kept.
pub fn read_type(reader: &mut Reader<'_>) -> Result<CqlType, Malformed> {
    read_nested(reader, DEPTH_MAX)
}

fn read_nested(reader: &mut Reader<'_>, depth: usize) -> Result<CqlType, Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed("a type nests too deep"))?;
    let nested = |reader: &mut Reader<'_>| read_nested(reader, depth).map(Box::new);
    Ok(match reader.short()? {
        CUSTOM => CqlType::Custom(reader.string()?.to_owned()),
        LIST => CqlType::List(nested(reader)?),
        SET => CqlType::Set(nested(reader)?),
        MAP => CqlType::Map(nested(reader)?, nested(reader)?),
        TUPLE => CqlType::Tuple(reader.many(|reader| read_nested(reader, depth))?),
        USER_TYPE => {
            reader.string()?;
            let name = reader.string()?.to_owned();
            reader.many(|reader| Ok((reader.string()?, read_nested(reader, depth)?)))?;
            CqlType::UserType(name)
        }
        id => {
            let native = NATIVE.iter().find(|(native, _, _)| *native == id).ok_or(Malformed("no such type"))?;
            native.1.clone()
        }
    })
}

/// A value as bytes of a column of that type.
pub fn encode(value: &Value, kind: &CqlType) -> Result<Vec<u8>, Malformed> {
    let mut writer = Writer::default();
    write_value(&mut writer, value, kind.thawed())?;
    Ok(writer.finish())
}

fn write_value(writer: &mut Writer, value: &Value, kind: &CqlType) -> Result<(), Malformed> {
    match (kind, value) {
        (CqlType::Text | CqlType::Ascii, Value::Text(text)) => writer.raw(text.as_bytes()),
        (CqlType::Tinyint, Value::Smallint(number)) => writer.raw(number.to_be_bytes().get(1..).unwrap_or_default()),
        (CqlType::Smallint, Value::Smallint(number)) => writer.raw(&number.to_be_bytes()),
        (CqlType::Int, Value::Int(number)) => writer.int(*number),
        (CqlType::Bigint | CqlType::Counter, Value::Bigint(number)) | (CqlType::Timestamp, Value::Timestamp(number)) => {
            writer.raw(&number.to_be_bytes())
        }
        (CqlType::Varint, Value::Bigint(number)) => writer.raw(shortest(&number.to_be_bytes())),
        (CqlType::Boolean, Value::Boolean(truth)) => writer.byte(u8::from(*truth)),
        (CqlType::Double, Value::Double(real)) => writer.raw(&f64::from(*real).to_be_bytes()),
        (CqlType::Float, Value::Float(real)) => writer.raw(&single(*real).to_be_bytes()),
        (CqlType::Uuid | CqlType::Timeuuid, Value::Uuid(uuid)) => writer.raw(uuid.as_bytes()),
        (CqlType::Inet, Value::Inet(std::net::IpAddr::V4(ip))) => writer.raw(&ip.octets()),
        (CqlType::Inet, Value::Inet(std::net::IpAddr::V6(ip))) => writer.raw(&ip.octets()),
        (CqlType::List(inner), Value::List(elements)) | (CqlType::Set(inner), Value::Set(elements)) => {
            writer.count(elements.len());
            elements.iter().try_for_each(|element| write_element(writer, element, inner))?;
            writer
        }
        (CqlType::Map(key, inner), Value::Map(pairs)) => {
            writer.count(pairs.len());
            for (k, v) in pairs {
                write_element(writer, k, key)?;
                write_element(writer, v, inner)?;
            }
            writer
        }
        (CqlType::Tuple(kinds), Value::List(fields)) if kinds.len() == fields.len() => {
            fields.iter().zip(kinds).try_for_each(|(field, kind)| write_element(writer, field, kind))?;
            writer
        }
        (CqlType::Vector(inner, _), Value::List(elements)) if has_fixed_size(inner) => {
            elements.iter().try_for_each(|element| write_value(writer, element, inner.thawed()))?;
            writer
        }
        (_, Value::Blob(bytes)) => writer.raw(bytes),
        _ => return Err(Malformed("a value is not of its column's type")),
    };
    Ok(())
}

fn write_element(writer: &mut Writer, element: &Value, kind: &CqlType) -> Result<(), Malformed> {
    writer.bytes(Some(&encode(element, kind)?));
    Ok(())
}

/// Of a vector's elements only those are written, one after another; the lengths of others would stand between them.
fn has_fixed_size(kind: &CqlType) -> bool {
    matches!(
        kind.thawed(),
        CqlType::Float
            | CqlType::Double
            | CqlType::Int
            | CqlType::Bigint
            | CqlType::Boolean
            | CqlType::Uuid
            | CqlType::Timeuuid
            | CqlType::Timestamp
    )
}

/// Two's complement without leading bytes that say nothing.
fn shortest(bytes: &[u8]) -> &[u8] {
    match bytes {
        [0, next, ..] if next & 0x80 == 0 => shortest(bytes.get(1..).unwrap_or_default()),
        [0xFF, next, ..] if next & 0x80 != 0 => shortest(bytes.get(1..).unwrap_or_default()),
        _ => bytes,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a float was widened when it became a Real")]
fn single(real: Real) -> f32 {
    f64::from(real) as f32
}

/// The value that these bytes are in a column of that type.
pub fn decode(bytes: &[u8], kind: &CqlType) -> Result<Value, Malformed> {
    let text = || str::from_utf8(bytes).map_err(|_| Malformed("a text is not UTF-8"));
    Ok(match kind.thawed() {
        CqlType::Text => Value::text(text()?),
        CqlType::Ascii => Value::text(Some(text()?).filter(|text| text.is_ascii()).ok_or(Malformed("no ASCII"))?),
        CqlType::Tinyint => Value::Smallint(i8::from_be_bytes(sized(bytes)?).into()),
        CqlType::Smallint => Value::Smallint(i16::from_be_bytes(sized(bytes)?)),
        CqlType::Int => Value::Int(i32::from_be_bytes(sized(bytes)?)),
        CqlType::Bigint | CqlType::Counter => Value::Bigint(i64::from_be_bytes(sized(bytes)?)),
        CqlType::Timestamp => Value::Timestamp(i64::from_be_bytes(sized(bytes)?)),
        CqlType::Boolean => Value::Boolean(sized::<1>(bytes)? != [0]),
        CqlType::Double => Value::Double(f64::from_be_bytes(sized(bytes)?).into()),
        CqlType::Float => Value::Float(f64::from(f32::from_be_bytes(sized(bytes)?)).into()),
        CqlType::Uuid | CqlType::Timeuuid => Value::Uuid(Uuid::from_bytes(sized(bytes)?)),
        CqlType::Inet => Value::Inet(ip(bytes)?),
        CqlType::List(inner) => Value::List(elements(bytes, inner)?),
        CqlType::Set(inner) => {
            let mut elements = elements(bytes, inner)?;
            elements.sort();
            elements.dedup();
            Value::Set(elements)
        }
        CqlType::Map(key, inner) => Value::Map(pairs(bytes, key, inner)?),
        CqlType::Tuple(kinds) => {
            let mut reader = Reader::new(bytes);
            Value::List(kinds.iter().map(|kind| element(&mut reader, kind)).collect::<Result<_, _>>()?)
        }
        _ => Value::Blob(bytes.to_vec()),
    })
}

fn sized<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes.try_into().map_err(|_| Malformed("a value has the wrong length"))
}

fn element(reader: &mut Reader<'_>, kind: &CqlType) -> Result<Value, Malformed> {
    decode(reader.bytes()?.ok_or(Malformed("null inside a collection"))?, kind)
}

fn elements(bytes: &[u8], kind: &CqlType) -> Result<Vec<Value>, Malformed> {
    let mut reader = Reader::new(bytes);
    (0..reader.int()?).map(|_| element(&mut reader, kind)).collect()
}

fn pairs(bytes: &[u8], key: &CqlType, kind: &CqlType) -> Result<Vec<(Value, Value)>, Malformed> {
    let mut reader = Reader::new(bytes);
    let mut pairs = (0..reader.int()?)
        .map(|_| Ok((element(&mut reader, key)?, element(&mut reader, kind)?)))
        .collect::<Result<Vec<_>, Malformed>>()?;
    pairs.sort();
    Ok(pairs)
}
