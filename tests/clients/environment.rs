//! Virtual environments with the clients, made once and kept. There are two, since both kinds of cqlsh bring a program of that name.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The folder with both.
pub struct Environments(PathBuf);

impl Environments {
    /// The Python that has `cassandra-driver`.
    pub fn apache_python(&self) -> PathBuf {
        self.program("apache", "python")
    }

    /// A program of one of them.
    pub fn program(&self, which: &str, name: &str) -> PathBuf {
        self.0.join(which).join("bin").join(name)
    }
}

/// Makes what is missing. An error is the reason why the clients cannot be had here.
pub fn set_up() -> Result<Environments, String> {
    let cache = env::var_os("GROUP0_CACHE").map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let folder = cache.join("clients");
    for (which, requirements) in
        [("apache", include_str!("requirements-apache.txt")), ("scylla", include_str!("requirements-scylla.txt"))]
    {
        install(&folder.join(which), requirements)?;
    }
    Ok(Environments(folder))
}

fn install(folder: &Path, requirements: &str) -> Result<(), String> {
    let installed = folder.join("installed.txt");
    if fs::read_to_string(&installed).is_ok_and(|text| text == requirements) {
        return Ok(());
    }
    let list = folder.join("requirements.txt");
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder), "python3 with venv")?;
    fs::write(&list, requirements).map_err(|error| format!("{}: {error}", list.display()))?;
    let python = folder.join("bin/python");
    run(
        Command::new(python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&list),
        "the packages from PyPI",
    )?;
    // Only now, so that an interrupted installation is begun anew.
    fs::write(&installed, requirements).map_err(|error| format!("{}: {error}", installed.display()))
}

fn run(command: &mut Command, what: &str) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{what} cannot be had: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{what} cannot be had: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}
