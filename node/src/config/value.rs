//! How a value of the configuration is read as a type. Text is taken for numbers and booleans too: the environment has
//! nothing else, and people write `'True'`.

use group0_core::ids::HostId;
use serde_json::Value;
use std::net::IpAddr;

/// A type of values of the configuration.
pub trait Setting: Sized {
    /// What is expected, for the error.
    const EXPECTED: &'static str;

    /// The value as this type.
    fn parse(value: &Value) -> Option<Self>;
}

impl Setting for String {
    const EXPECTED: &'static str = "text";

    fn parse(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
            _ => None,
        }
    }
}

impl Setting for bool {
    const EXPECTED: &'static str = "true or false";

    fn parse(value: &Value) -> Option<Self> {
        match text(value)?.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => None,
        }
    }
}

impl Setting for u16 {
    const EXPECTED: &'static str = "a number from 0 to 65535";

    fn parse(value: &Value) -> Option<Self> {
        text(value)?.parse().ok()
    }
}

impl Setting for u64 {
    const EXPECTED: &'static str = "a number";

    fn parse(value: &Value) -> Option<Self> {
        text(value)?.parse().ok()
    }
}

impl Setting for IpAddr {
    const EXPECTED: &'static str = "an IP address";

    fn parse(value: &Value) -> Option<Self> {
        match text(value)?.as_str() {
            "localhost" => Some(Self::from([127, 0, 0, 1])),
            address => address.parse().ok(),
        }
    }
}

impl Setting for HostId {
    const EXPECTED: &'static str = "a host id";

    fn parse(value: &Value) -> Option<Self> {
        text(value)?.parse().ok()
    }
}

fn text(value: &Value) -> Option<String> {
    String::parse(value).map(|text| text.trim().to_owned())
}
