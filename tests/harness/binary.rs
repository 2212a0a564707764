//! Where the node's program is. It belongs to another package, so Cargo does not say.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The program: `GROUP0_NODE` if set, else built once and found beside the operator's.
pub fn group0_node() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| env::var_os("GROUP0_NODE").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_group0-operator")).parent().expect("programs are in a folder");
    let mut cargo = Command::new(env!("CARGO"));
    // As `make build` does: with other targets selected, dependencies would have other features and be built once more.
    cargo.args(["build", "--quiet", "--workspace", "--bins", "--examples"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    // Build scripts that look at them would run again, and with ring all that speaks TLS be built again, now and after the tests.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_") {
            cargo.env_remove(&*name);
        }
    }
    cargo.arg("--target-dir").arg(folder.parent().expect("a profile's folder is in the target folder"));
    if folder.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.status().expect("cargo runs").success(), "group0-node does not build");
    folder.join("group0-node")
}
