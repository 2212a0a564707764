//! This program as it was started, to begin anew in the same process.

use std::{
    env,
    ffi::OsString,
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// What was started. The environment and the directory stay those of the process.
#[derive(Debug)]
pub struct Program {
    path: PathBuf,
    name: OsString,
    arguments: Vec<OsString>,
}

impl Program {
    /// To be asked at the start: later its file may have been replaced, and its path would lead to the old one.
    pub fn present() -> Self {
        let mut arguments = env::args_os();
        let name = arguments.next().unwrap_or_default();
        let path = env::current_exe().unwrap_or_else(|_| PathBuf::from(&name));
        Self { path, name, arguments: arguments.collect() }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Begins anew under the same process id. Files, listeners and connections are closed; signals that have come and were not
    /// heard are lost. Returns only if the operating system refuses.
    pub fn execute(&self) -> io::Error {
        Command::new(&self.path).arg0(&self.name).args(&self.arguments).exec()
    }
}
