//! A tree against the CRD's own schema: unknown fields, missing ones, types and bounds.

use super::{
    Complaint, formats,
    tree::{Tree, TreeAt},
};
use crate::crd::{Group0Upgrade, MAX_NODES};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSON, JSONSchemaProps, JSONSchemaPropsOrArray as Items,
};
use kube::CustomResourceExt as _;
use serde_saphyr::Location;

/// What may stand beside `spec`.
const TOP: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];
/// The fields of metadata, as in every object of Kubernetes.
const METADATA: [&str; 14] = [
    "name",
    "namespace",
    "labels",
    "annotations",
    "generateName",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "finalizers",
    "ownerReferences",
    "managedFields",
];

const _: () = assert!(MAX_NODES <= 100, "lists of the schema are bounded by 100");

/// The first thing in the tree that the API server would refuse. `status` is the operator's and not looked at.
pub(super) fn check(tree: &TreeAt) -> Result<(), Complaint> {
    known_fields(tree, "", &TOP)?;
    let metadata = tree.value.get("metadata").ok_or_else(|| missing(tree.referenced, "metadata"))?;
    known_fields(metadata, "metadata.", &METADATA)?;
    match metadata.value.get("name").map(|name| &name.value) {
        Some(Tree::Text(name)) if formats::is_object_name(name) => {}
        Some(other) => return Err(bad_name(metadata, other)),
        None => return Err(missing(metadata.referenced, "metadata.name")),
    }
    let spec = tree.value.get("spec").ok_or_else(|| missing(tree.referenced, "spec"))?;
    match spec_schema() {
        Some(schema) => value(spec, "spec", &schema),
        None => Err(Complaint::anywhere("this program has no schema for spec: report that as a bug")),
    }
}

fn spec_schema() -> Option<JSONSchemaProps> {
    let version = Group0Upgrade::crd().spec.versions.into_iter().next()?;
    version.schema?.open_api_v3_schema?.properties?.remove("spec")
}

fn bad_name(metadata: &TreeAt, name: &Tree) -> Complaint {
    let place = metadata.value.get("name").map_or(metadata.referenced, |name| name.referenced);
    let rule = "lower-case letters, digits, '-' and '.', at most 253, beginning and ending with a letter or digit";
    Complaint::at(place, format!("metadata.name: must be made of {rule}, is {name}"))
}

fn missing(place: Location, path: &str) -> Complaint {
    Complaint::at(place, format!("{path}: is required and not there; add it"))
}

fn known_fields(tree: &TreeAt, prefix: &str, known: &[&str]) -> Result<(), Complaint> {
    let Tree::Map(entries) = &tree.value else {
        let path = prefix.trim_end_matches('.');
        return Err(Complaint::at(tree.referenced, format!("{path}: must be a map, is {}", tree.value)));
    };
    match entries.iter().find(|(key, _)| !known.contains(&key.value.as_str())) {
        Some((key, _)) => {
            let message = format!("{prefix}{}: unknown field; known are {}", key.value, known.join(", "));
            Err(Complaint::at(key.referenced, message))
        }
        None => Ok(()),
    }
}

fn value(tree: &TreeAt, path: &str, schema: &JSONSchemaProps) -> Result<(), Complaint> {
    let wrong = |what: String| Err(Complaint::at(tree.referenced, format!("{path}: must be {what}, is {}", tree.value)));
    match (schema.type_.as_deref(), &tree.value) {
        (_, Tree::Null) if schema.nullable == Some(true) => Ok(()),
        (Some("object"), Tree::Map(_)) => object(tree, path, schema),
        (Some("array"), Tree::List(items)) => list(tree, items, path, schema),
        (Some("string"), Tree::Text(text)) => string(text, schema).map_or(Ok(()), wrong),
        (Some("integer"), Tree::Number(number)) => integer(*number, schema).map_or(Ok(()), wrong),
        (Some("boolean"), Tree::Bool(_)) => Ok(()),
        (Some("object"), _) => wrong("a map".into()),
        (Some("array"), _) => wrong("a list".into()),
        (Some("string"), _) => wrong("a text (put it in quotes)".into()),
        (Some("boolean"), _) => wrong("true or false".into()),
        (Some("integer"), _) => wrong("a whole number".into()),
        (other, _) => wrong(format!("something that this program can check, not of type {other:?}: report that as a bug")),
    }
}

fn object(tree: &TreeAt, path: &str, schema: &JSONSchemaProps) -> Result<(), Complaint> {
    let Some(properties) = &schema.properties else { return Ok(()) };
    let known: Vec<&str> = properties.keys().map(String::as_str).collect();
    known_fields(tree, &format!("{path}."), &known)?;
    if let Some(absent) = schema.required.iter().flatten().find(|name| tree.value.get(name).is_none()) {
        return Err(missing(tree.referenced, &format!("{path}.{absent}")));
    }
    for (name, schema) in properties {
        if let Some(tree) = tree.value.get(name) {
            value(tree, &format!("{path}.{name}"), schema)?;
        }
    }
    Ok(())
}

fn list(tree: &TreeAt, items: &[TreeAt], path: &str, schema: &JSONSchemaProps) -> Result<(), Complaint> {
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let (least, most) = (schema.min_items.unwrap_or(0), schema.max_items.unwrap_or(i64::MAX));
    if !(least..=most).contains(&count) {
        let message = format!("{path}: must have {least} to {most} entries, has {count}");
        return Err(Complaint::at(tree.referenced, message));
    }
    let Some(Items::Schema(of_one)) = &schema.items else { return Ok(()) };
    items.iter().enumerate().try_for_each(|(index, item)| value(item, &format!("{path}[{index}]"), of_one))
}

/// What a text must be, if it is not.
fn string(text: &str, schema: &JSONSchemaProps) -> Option<String> {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let (least, most) = (schema.min_length.unwrap_or(0), schema.max_length.unwrap_or(i64::MAX));
    let is_listed = |JSON(value): &JSON| value.as_str() == Some(text);
    match &schema.enum_ {
        Some(values) if !values.iter().any(is_listed) => {
            let names: Vec<_> = values.iter().filter_map(|JSON(value)| value.as_str()).collect();
            return Some(format!("one of {}", names.join(", ")));
        }
        _ => {}
    }
    if !(least..=most).contains(&length) {
        return Some(format!("{least} to {most} characters"));
    }
    formats::wanted(text, schema.pattern.as_deref(), schema.format.as_deref()).map(Into::into)
}

/// What a number must be, if it is not.
fn integer(number: f64, schema: &JSONSchemaProps) -> Option<String> {
    let (least, most) = (schema.minimum.unwrap_or(f64::MIN), schema.maximum.unwrap_or(f64::from(u32::MAX)));
    let fits = number.fract() == 0.0 && (least..=most).contains(&number);
    (!fits).then(|| format!("a whole number from {least} to {most}"))
}
