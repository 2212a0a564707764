//! Reads keys one by one, remembers their effective values, and knows in the end which were not read.

use super::value::Setting;
use group0_core::{ids::HostId, io::Replacement};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// Why a node does not start with this configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It says something that cannot be.
    #[error("Bad configuration: {0}")]
    Bad(String),
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {cause}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// As the operating system or the parser says, with the line.
        cause: String,
    },
}

impl ConfigError {
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self::Bad(text.into())
    }
}

/// The merged layers, and which keys were read.
pub struct Keys {
    left: Map<String, Value>,
    effective: BTreeMap<String, String>,
    unknown: Vec<String>,
}

/// The inside of a key that is a map.
pub struct Section {
    key: &'static str,
    map: Map<String, Value>,
}

impl Keys {
    /// Nothing read yet.
    pub const fn new(merged: Map<String, Value>) -> Self {
        Self { left: merged, effective: BTreeMap::new(), unknown: Vec::new() }
    }

    /// The value of a key, if it has one. An empty text means that it has none.
    pub fn optional<T: Setting + ToString>(&mut self, key: &'static str) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.given(key) else { return Ok(None) };
        let read = T::parse(&value).ok_or_else(|| ConfigError::bad(format!("{key} is {value}, expected {}", T::EXPECTED)))?;
        self.effective.insert(key.to_owned(), read.to_string());
        Ok(Some(read))
    }

    fn given(&mut self, key: &str) -> Option<Value> {
        let is_empty = |value: &Value| value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
        self.left.remove(key).filter(|value| !is_empty(value))
    }

    /// The value of a key, or the default.
    pub fn take<T: Setting + ToString>(&mut self, key: &'static str, default: T) -> Result<T, ConfigError> {
        let read = self.optional(key)?.unwrap_or(default);
        self.effective.insert(key.to_owned(), read.to_string());
        Ok(read)
    }

    /// An IP address, or the default.
    pub fn host(&mut self, key: &'static str, default: IpAddr) -> Result<IpAddr, ConfigError> {
        self.take(key, default)
    }

    /// An address and a port.
    pub fn listener(
        &mut self,
        address: &'static str,
        port: &'static str,
        host: IpAddr,
        default: u16,
    ) -> Result<SocketAddr, ConfigError> {
        Ok(SocketAddr::new(self.host(address, host)?, self.take(port, default)?))
    }

    /// A duration in milliseconds that is not zero.
    pub fn millis(&mut self, key: &'static str, default: u64) -> Result<Duration, ConfigError> {
        match self.take(key, default)? {
            0 => Err(ConfigError::bad(format!("{key} is 0, which is no time at all"))),
            millis => Ok(Duration::from_millis(millis)),
        }
    }

    /// A key that is a map, in which these keys have a meaning. Without the key it is empty.
    pub fn section(&mut self, key: &'static str, known: &[&str]) -> Result<Section, ConfigError> {
        let map = match self.left.remove(key) {
            None | Some(Value::Null) => Map::new(),
            Some(Value::Object(map)) => map,
            Some(other) => return Err(ConfigError::bad(format!("{key} is {other}, expected a map"))),
        };
        let strange = map.keys().filter(|inner| !known.contains(&inner.as_str()));
        self.unknown.extend(strange.map(|inner| format!("{key}.{inner}")));
        if !map.is_empty() {
            self.effective.insert(key.to_owned(), Value::Object(map.clone()).to_string());
        }
        Ok(Section { key, map })
    }

    /// `seeds`, or `seed_provider[0].parameters[0].seeds`. A provider that says neither is a mistake: a node without seeds would found a
    /// cluster of its own.
    pub fn seeds(&mut self) -> Result<Vec<String>, ConfigError> {
        let provider = self.given("seed_provider");
        let nested = |provider: Value| {
            let seeds = provider.pointer("/0/parameters/0/seeds").cloned();
            seeds.ok_or_else(|| ConfigError::bad("invalid value in 'seed_provider'"))
        };
        let value = match (self.given("seeds"), provider) {
            (Some(value), _) => value,
            (None, Some(provider)) => nested(provider)?,
            (None, None) => return Ok(Vec::new()),
        };
        let seeds = texts(&value).ok_or_else(|| ConfigError::bad("invalid value in 'seeds'"))?;
        self.effective.insert("seeds".to_owned(), seeds.join(","));
        Ok(seeds)
    }

    /// `replace_node_first_boot`: a host id, and `ignore_dead_nodes_for_replace`: more of them.
    pub fn replaces(&mut self) -> Result<Option<Replacement>, ConfigError> {
        let ignore = self.hosts("ignore_dead_nodes_for_replace")?;
        let host = self.optional::<HostId>("replace_node_first_boot")?;
        Ok(host.map(|host| Replacement { host, ignore }))
    }

    fn hosts(&mut self, key: &'static str) -> Result<Vec<HostId>, ConfigError> {
        let value = self.left.remove(key).unwrap_or_default();
        let expected = || ConfigError::bad(format!("{key} is {value}, expected host ids with commas between them"));
        let names = if value.is_null() { Vec::new() } else { texts(&value).ok_or_else(expected)? };
        if !names.is_empty() {
            self.effective.insert(key.to_owned(), names.join(","));
        }
        names.iter().map(|name| name.parse().map_err(|_| expected())).collect()
    }

    /// `error_injections_at_startup`: names, or maps with a name.
    pub fn injections(&mut self) -> Result<BTreeSet<String>, ConfigError> {
        const KEY: &str = "error_injections_at_startup";
        let value = self.left.remove(KEY).unwrap_or_default();
        let flat = match &value {
            Value::Array(elements) => Value::Array(elements.iter().map(|one| one.get("name").unwrap_or(one).clone()).collect()),
            other => other.clone(),
        };
        let expected = || ConfigError::bad(format!("{KEY} is {value}, expected a list of names"));
        let names = if value.is_null() { Vec::new() } else { texts(&flat).ok_or_else(expected)? };
        self.effective.insert(KEY.to_owned(), names.join(","));
        Ok(names.into_iter().collect())
    }

    /// What was read, and the keys that nobody read.
    pub fn finish(self) -> (BTreeMap<String, String>, Vec<String>) {
        let unknown = self.left.into_iter().map(|(key, _)| key).chain(self.unknown);
        (self.effective, unknown.collect())
    }
}

impl Section {
    /// The value of a key in it, if it has one. An empty text means that it has none.
    pub fn optional<T: Setting>(&self, inner: &str) -> Result<Option<T>, ConfigError> {
        let value = match self.map.get(inner) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => return Ok(None),
            Some(value) => value,
        };
        let wrong = || self.bad(inner, format!("is {value}, expected {}", T::EXPECTED));
        T::parse(value).map(Some).ok_or_else(wrong)
    }

    /// That this key in it is wrong.
    pub fn bad(&self, inner: &str, what: impl std::fmt::Display) -> ConfigError {
        ConfigError::bad(format!("{}.{inner} {what}", self.key))
    }
}

/// A list of texts, or one text with commas.
fn texts(value: &Value) -> Option<Vec<String>> {
    let all = match value {
        Value::Array(elements) => elements.iter().map(String::parse).collect::<Option<Vec<_>>>()?,
        other => String::parse(other)?.split(',').map(str::to_owned).collect(),
    };
    Some(all.into_iter().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()).collect())
}
