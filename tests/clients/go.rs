//! The Go driver, as a program of its own.

use std::{path::PathBuf, process::Stdio, time::Duration};
use tokio::{process::Command, time::timeout};

/// Connecting, a few statements, and their agreement; seconds on a busy machine.
const RUN_MAX: Duration = Duration::from_mins(2);

/// The program.
pub struct Go(PathBuf);

impl Go {
    /// Builds it; Go keeps what it has built and fetched. An error is the reason why it cannot be had here.
    pub async fn build() -> Result<Self, String> {
        let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("gocql");
        let mut build = Command::new("go");
        build.args(["build", "-o"]).arg(&program).arg(".");
        build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/gocql"));
        let output = build.output().await.map_err(|error| format!("Go cannot be had: {error}"))?;
        if output.status.success() {
            Ok(Self(program))
        } else {
            Err(format!("the Go driver cannot be had: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
    }

    /// All that it does.
    pub async fn undisturbed(&self, addresses: &[String]) {
        let mut run = Command::new(&self.0);
        run.args(addresses).stdin(Stdio::null()).kill_on_drop(true);
        let output = timeout(RUN_MAX, run.output()).await.expect("it ends").expect("it was built");
        assert!(output.status.success(), "the Go driver: {}", String::from_utf8_lossy(&output.stderr));
    }
}
