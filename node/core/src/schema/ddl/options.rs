//! `WITH …` of tables and views: which options there are, what they may be, and the cells that keep them.

use super::{Draft, misconfigured};
use crate::{
    cql::ast::{Options, Term},
    io::CqlError,
    schema::RowKey,
    value::Value,
};
use std::{collections::BTreeMap, fmt::Write as _};

/// What values an option takes.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    /// At least this.
    Int(i32),
    /// More than 0 and at most 1, or from 0.
    Chance {
        zero: bool,
    },
    Map,
}

/// The options that have a column of their own.
const COLUMNS: [(&str, Shape); 14] = [
    ("bloom_filter_fp_chance", Shape::Chance { zero: false }),
    ("caching", Shape::Map),
    ("comment", Shape::Text),
    ("compaction", Shape::Map),
    ("compression", Shape::Map),
    ("crc_check_chance", Shape::Chance { zero: true }),
    ("dclocal_read_repair_chance", Shape::Chance { zero: true }),
    ("default_time_to_live", Shape::Int(0)),
    ("gc_grace_seconds", Shape::Int(0)),
    ("max_index_interval", Shape::Int(1)),
    ("memtable_flush_period_in_ms", Shape::Int(0)),
    ("min_index_interval", Shape::Int(1)),
    ("read_repair_chance", Shape::Chance { zero: true }),
    ("speculative_retry", Shape::Text),
];

/// Options of newer releases of the references. They have no column; `extensions` keeps each as the text of its value.
pub(in crate::schema) const EXTENSIONS: [&str; 11] = [
    "additional_write_policy",
    "allow_auto_snapshot",
    "cdc",
    "in_memory",
    "incremental_backups",
    "memtable",
    "paxos_grace_seconds",
    "per_partition_rate_limit",
    "read_repair",
    "synchronous_updates",
    "tombstone_gc",
];

/// The names of the options that have a column of their own.
pub(in crate::schema) fn option_columns() -> impl Iterator<Item = &'static str> {
    COLUMNS.iter().map(|(name, _)| *name)
}

/// What a new table has where its statement says nothing.
pub(super) fn defaults() -> Vec<(&'static str, Value)> {
    let (real, text) = (|number: f64| Value::Double(number.into()), |text: &str| Value::text(text));
    vec![
        ("bloom_filter_fp_chance", real(0.01)),
        ("caching", Value::text_map([("keys", "ALL"), ("rows_per_partition", "ALL")])),
        ("comment", text("")),
        ("compaction", Value::text_map([("class", "SizeTieredCompactionStrategy")])),
        ("compression", Value::text_map([("sstable_compression", "org.apache.cassandra.io.compress.LZ4Compressor")])),
        ("crc_check_chance", real(1.0)),
        ("dclocal_read_repair_chance", real(0.0)),
        ("default_time_to_live", Value::Int(0)),
        ("extensions", Value::Map(Vec::new())),
        ("gc_grace_seconds", Value::Int(864_000)),
        ("max_index_interval", Value::Int(2048)),
        ("memtable_flush_period_in_ms", Value::Int(0)),
        ("min_index_interval", Value::Int(128)),
        ("read_repair_chance", real(0.0)),
        ("speculative_retry", text("99.0PERCENTILE")),
    ]
}

/// Write the options of a table or view into a draft. `id` is not among them.
pub(super) fn write(draft: &mut Draft, key: &RowKey, options: &[(String, Term)]) -> Result<(), CqlError> {
    let known: Vec<_> = COLUMNS.iter().map(|(name, _)| *name).chain(EXTENSIONS).chain(["extensions"]).collect();
    check_names(options, &known)?;
    let mut extensions = stored_extensions(draft, key);
    let stored = extensions.len();
    for (name, term) in options {
        if let Some((name, shape)) = COLUMNS.iter().find(|(column, _)| column == name) {
            draft.put_at(key, name, value(name, *shape, term)?);
        } else if name == "extensions" {
            extensions.extend(extension_map(term)?);
        } else {
            extensions.insert(name.clone(), literal(term).into_bytes());
        }
    }
    if !extensions.is_empty() || stored > 0 {
        let blobs = extensions.into_iter().map(|(name, blob)| (Value::Text(name), Value::Blob(blob)));
        draft.put_at(key, "extensions", Value::Map(blobs.collect()));
    }
    check_intervals(draft, key)
}

fn stored_extensions(draft: &Draft, key: &RowKey) -> BTreeMap<String, Vec<u8>> {
    let Some(Value::Map(pairs)) = draft.schema.rows().value(key, "extensions") else { return BTreeMap::new() };
    let pair = |pair: &(Value, Value)| match pair {
        (Value::Text(name), Value::Blob(blob)) => Some((name.clone(), blob.clone())),
        _ => None,
    };
    pairs.iter().filter_map(pair).collect()
}

fn extension_map(term: &Term) -> Result<BTreeMap<String, Vec<u8>>, CqlError> {
    let wrong = || CqlError::Syntax("Invalid value for property 'extensions'. It should be a map of blobs.".to_owned());
    let entry = |(name, value): &(Term, Term)| match (name, value) {
        (Term::Text(name), Term::Blob(blob)) => Ok((name.clone(), blob.clone())),
        _ => Err(wrong()),
    };
    match term {
        Term::Map(pairs) => pairs.iter().map(entry).collect(),
        Term::Set(elements) if elements.is_empty() => Ok(BTreeMap::new()),
        _ => Err(wrong()),
    }
}

/// Every option once, and none that is not known.
pub(super) fn check_names(options: &[(String, Term)], known: &[&str]) -> Result<(), CqlError> {
    for (index, (name, _)) in options.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            return Err(CqlError::Syntax(format!("Unknown property '{name}'")));
        }
        if options[..index].iter().any(|(former, _)| former == name) {
            return Err(CqlError::Syntax(format!("Multiple definition for property '{name}'")));
        }
    }
    Ok(())
}

/// The options without one of them, and that one.
pub(super) fn take<'a>(options: &'a Options, name: &str) -> (Option<&'a Term>, Options) {
    let rest = options.iter().filter(|(option, _)| option != name).cloned().collect();
    (options.iter().find(|(option, _)| option == name).map(|(_, term)| term), rest)
}

fn value(name: &str, shape: Shape, term: &Term) -> Result<Value, CqlError> {
    match shape {
        Shape::Text => scalar(name, term).map(Value::Text),
        Shape::Int(least) => integer(name, least, term).map(Value::Int),
        Shape::Chance { zero } => chance(name, zero, term).map(|chance| Value::Double(chance.into())),
        Shape::Map => map(name, text_map(name, term)?).map(Value::text_map),
    }
}

fn integer(name: &str, least: i32, term: &Term) -> Result<i32, CqlError> {
    let text = scalar(name, term)?;
    match text.parse() {
        Ok(number) if number >= least => Ok(number),
        Ok(number) => misconfigured(format!("{name} must be greater than or equal to {least} (got {number})")),
        Err(_) => Err(CqlError::Syntax(format!("Invalid integer value {text} for '{name}'"))),
    }
}

fn chance(name: &str, zero: bool, term: &Term) -> Result<f64, CqlError> {
    let text = scalar(name, term)?;
    let number: f64 = text.parse().map_err(|_| CqlError::Syntax(format!("Invalid double value {text} for '{name}'")))?;
    if !(0.0..=1.0).contains(&number) || (number == 0.0 && !zero) {
        let least = if zero { "larger than or equal to 0" } else { "larger than 0" };
        return misconfigured(format!("{name} must be {least} and less than or equal to 1.0 (got {text})"));
    }
    Ok(number)
}

/// What the maps must have in them.
fn map(name: &str, mut given: BTreeMap<String, String>) -> Result<BTreeMap<String, String>, CqlError> {
    match name {
        "compaction" => check_compaction(&given)?,
        "caching" => {
            for part in ["keys", "rows_per_partition"] {
                given.entry(part.to_owned()).or_insert_with(|| "ALL".to_owned());
            }
        }
        _ => {}
    }
    Ok(given)
}

/// The strategies of the references, by the last part of their class names.
const COMPACTION_STRATEGIES: [&str; 7] = [
    "SizeTieredCompactionStrategy",
    "LeveledCompactionStrategy",
    "DateTieredCompactionStrategy",
    "TimeWindowCompactionStrategy",
    "IncrementalCompactionStrategy",
    "UnifiedCompactionStrategy",
    "NullCompactionStrategy",
];

fn check_compaction(given: &BTreeMap<String, String>) -> Result<(), CqlError> {
    let Some(class) = given.get("class") else {
        return misconfigured("Missing sub-option 'class' for the 'compaction' option.");
    };
    let short = class.rsplit('.').next().unwrap_or(class);
    if COMPACTION_STRATEGIES.contains(&short) {
        return Ok(());
    }
    misconfigured(format!("Unable to find compaction strategy class '{class}'"))
}

fn check_intervals(draft: &Draft, key: &RowKey) -> Result<(), CqlError> {
    let interval = |column| match draft.rows.value(key, column).or_else(|| draft.schema.rows().value(key, column)) {
        Some(&Value::Int(interval)) => Some(interval),
        _ => None,
    };
    match (interval("min_index_interval"), interval("max_index_interval")) {
        (Some(min), Some(max)) if max < min => {
            misconfigured(format!("max_index_interval must be greater than or equal to min_index_interval ({min}) (got {max})"))
        }
        _ => Ok(()),
    }
}

/// The text of a constant that is no collection.
pub(super) fn scalar(name: &str, term: &Term) -> Result<String, CqlError> {
    match term {
        Term::Text(text) | Term::Number(text) => Ok(text.clone()),
        Term::Boolean(flag) => Ok(flag.to_string()),
        Term::Uuid(uuid) => Ok(uuid.to_string()),
        _ => Err(CqlError::Syntax(format!("Invalid value for property '{name}'. It should be a string."))),
    }
}

/// A map of constants.
pub(super) fn text_map(name: &str, term: &Term) -> Result<BTreeMap<String, String>, CqlError> {
    match term {
        Term::Map(pairs) => pairs.iter().map(|(key, value)| Ok((scalar(name, key)?, scalar(name, value)?))).collect(),
        Term::Set(elements) if elements.is_empty() => Ok(BTreeMap::new()),
        _ => Err(CqlError::Syntax(format!("Invalid value for property '{name}'. It should be a map."))),
    }
}

/// A constant as a statement writes it.
fn literal(term: &Term) -> String {
    let list = |terms: &[Term]| terms.iter().map(literal).collect::<Vec<_>>().join(", ");
    match term {
        Term::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Term::Number(text) => text.clone(),
        Term::Boolean(flag) => flag.to_string(),
        Term::Uuid(uuid) => uuid.to_string(),
        Term::Blob(bytes) => bytes.iter().fold("0x".to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
        Term::Map(pairs) => {
            let pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{}: {}", literal(key), literal(value))).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Term::Set(elements) => format!("{{{}}}", list(elements)),
        Term::List(elements) => format!("[{}]", list(elements)),
        Term::Tuple(elements) => format!("({})", list(elements)),
        Term::Call(name, arguments) => format!("{name}({})", list(arguments)),
        // Values that are bound have no place in options.
        Term::Null | Term::Bind(_) | Term::NamedBind(_) | Term::Bound(_) | Term::Spread(_) => "null".to_owned(),
    }
}
