//! Where the node stands: data center and rack.

use super::keys::{ConfigError, Keys};
use std::{fs, path::Path};

/// The file that the property-file snitch reads, beside the configuration.
const PROPERTIES: &str = "cassandra-rackdc.properties";

/// Data center and rack, as `endpoint_snitch` says. The keys `data_center` and `rack` win.
pub fn place(keys: &mut Keys, directory: &Path) -> Result<(String, String), ConfigError> {
    let snitch: String = keys.take("endpoint_snitch", "SimpleSnitch".to_owned())?;
    let (data_center, rack) = match snitch.rsplit('.').next().unwrap_or_default() {
        "SimpleSnitch" => ("datacenter1".to_owned(), "rack1".to_owned()),
        "GossipingPropertyFileSnitch" => properties(&directory.join(PROPERTIES))?,
        other => {
            let known = "SimpleSnitch or GossipingPropertyFileSnitch";
            return Err(ConfigError::bad(format!("endpoint_snitch is {other}, expected {known}")));
        }
    };
    Ok((keys.take("data_center", data_center)?, keys.take("rack", rack)?))
}

fn properties(path: &Path) -> Result<(String, String), ConfigError> {
    let unreadable = |error: std::io::Error| ConfigError::Unreadable { path: path.to_owned(), cause: error.to_string() };
    let text = fs::read_to_string(path).map_err(unreadable)?;
    let value = |name: &str| {
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        let mut pairs = lines.filter_map(|line| line.split_once('='));
        let found = pairs.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned());
        found.ok_or_else(|| ConfigError::bad(format!("{} does not set {name}", path.display())))
    };
    Ok((value("dc")?, value("rack")?))
}
