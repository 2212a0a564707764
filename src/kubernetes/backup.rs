//! The copy of a node's schema: its rows with their timestamps, one a line, compressed, in as many ConfigMaps as it takes. Pure.

use flate2::{Compression, write::GzEncoder};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap};
use kube::api::ObjectMeta;
use std::{collections::BTreeMap, io::Write as _};

/// The key in a ConfigMap.
const KEY: &str = "rows.gz";
/// A ConfigMap holds a mebibyte; names and metadata are part of it.
const PART_BYTES: usize = 1_000_000;
/// More than this is no schema any more.
const PARTS_MAX: usize = 32;

/// The ConfigMaps: `NAME`, and if that does not hold all `NAME-2` and so on. Put together, in this order, they are one gzip file.
pub fn config_maps(name: &str, run_id: &str, rows: &[String]) -> Result<Vec<ConfigMap>, String> {
    let file = compressed(rows).map_err(|error| format!("its schema cannot be compressed: {error}"))?;
    let parts = parts(&file)?;
    let labels = |number: usize| {
        BTreeMap::from([
            ("group0.dev/run".to_owned(), run_id.to_owned()),
            ("group0.dev/part".to_owned(), format!("{number}-of-{}", parts.len())),
        ])
    };
    let map = |(number, part): (usize, &&[u8])| ConfigMap {
        metadata: ObjectMeta {
            name: Some(if number == 1 { name.to_owned() } else { format!("{name}-{number}") }),
            labels: Some(labels(number)),
            ..ObjectMeta::default()
        },
        binary_data: Some(BTreeMap::from([(KEY.to_owned(), ByteString(part.to_vec()))])),
        ..ConfigMap::default()
    };
    Ok((1..).zip(&parts).map(map).collect())
}

fn parts(file: &[u8]) -> Result<Vec<&[u8]>, String> {
    let parts: Vec<_> = file.chunks(PART_BYTES).collect();
    if parts.len() > PARTS_MAX {
        return Err(format!(
            "its schema has {} bytes compressed, which is more than {PARTS_MAX} ConfigMaps take: copy it by hand and disable spec.backup",
            file.len()
        ));
    }
    Ok(parts)
}

fn compressed(rows: &[String]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    for row in rows {
        writeln!(encoder, "{row}")?;
    }
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read as _;

    fn read_back(maps: &[ConfigMap]) -> Vec<String> {
        let parts = maps.iter().flat_map(|map| map.binary_data.as_ref().unwrap()[KEY].0.clone());
        let file: Vec<_> = parts.collect();
        let mut text = String::new();
        GzDecoder::new(file.as_slice()).read_to_string(&mut text).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Rows that cannot be compressed.
    fn noise(rows: usize) -> Vec<String> {
        let mut random = group0_core::random::Random::seeded(1);
        (0..rows).map(|_| (0..50).map(|_| random.uuid().simple().to_string()).collect()).collect()
    }

    #[test]
    fn a_schema_is_read_back_from_as_many_maps_as_it_takes() {
        let rows = noise(2000);
        let maps = config_maps("copy", "run", &rows).unwrap();
        let names: Vec<_> = maps.iter().map(|map| map.metadata.name.as_deref().unwrap()).collect();
        assert_eq!(names, ["copy", "copy-2"]);
        assert_eq!(read_back(&maps), rows);
    }

    #[test]
    fn an_empty_schema_has_a_map_of_its_own() {
        let maps = config_maps("copy", "run", &[]).unwrap();
        assert_eq!((maps.len(), read_back(&maps)), (1, Vec::new()));
    }

    #[test]
    fn what_is_too_large_is_refused_with_a_way_out() {
        assert!(parts(&vec![0; PART_BYTES * PARTS_MAX]).is_ok());
        let why = parts(&vec![0; PART_BYTES * PARTS_MAX + 1]).unwrap_err();
        assert!(why.contains("disable spec.backup"), "{why}");
    }
}
