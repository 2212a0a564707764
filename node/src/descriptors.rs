//! How many files and sockets this process may have open at once.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Asks for as many as the system lets a process ask for: the usual 1024 are for programs that wait with `select`.
pub fn raise() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(target: "config", ?current, ?maximum, %error, "the limit of open files cannot be raised");
    }
}

/// The limit, if there is one.
pub fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}
