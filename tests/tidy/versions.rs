//! One release has one version: that of `Cargo.toml` is in the charts, which name images by it, and with the client that tests them.

/// Files, and what stands before the version there.
pub const NAMED: [(&str, &str); 6] = [
    ("charts/group0-cluster/Chart.yaml", "version: "),
    ("charts/group0-cluster/Chart.yaml", "appVersion: "),
    ("charts/group0-operator/Chart.yaml", "version: "),
    ("charts/group0-operator/Chart.yaml", "appVersion: "),
    ("tests/e2e/client.yaml", "image: group0-e2e-client:"),
    ("tests/e2e/client/Cargo.toml", "version = "),
];

/// Complains of a file that names another version than the manifest.
pub fn differing(manifest: &str, path: &str, text: &str, label: &str) -> Option<String> {
    let (wanted, named) = (value(manifest, "version = "), value(text, label));
    let differs = wanted.is_none() || wanted != named;
    differs.then(|| {
        let (wanted, named) = (wanted.unwrap_or("nothing"), named.unwrap_or("nothing"));
        format!("{path}: after '{label}' is {named}, and Cargo.toml has {wanted}")
    })
}

/// What follows the label in the first line that begins with it.
fn value<'a>(text: &'a str, label: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim_start().strip_prefix(label)).map(|value| value.trim_matches('"'))
}

#[test]
fn another_version_is_found() {
    let manifest = "[workspace.package]\nversion = \"0.2.0\"\n";
    let found = |text: &str| differing(manifest, "Chart.yaml", text, "version: ").is_some();
    assert!(!found("apiVersion: v2\nversion: 0.2.0\nappVersion: 0.1.0\n"));
    assert!(found("apiVersion: v2\nversion: 0.1.0\n"));
    assert!(found("apiVersion: v2\n"));
}
