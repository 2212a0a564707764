//! The one error of the program: what failed, where, what to do, and whose turn it is.

use std::fmt;

/// Why the program ends with a code other than 0. By then nothing is half-written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    whose: Whose,
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    User,
    World,
}

impl Error {
    /// The user asked for something that cannot be: code 2. The message says what, where and what to do.
    pub fn mistake(message: impl Into<String>) -> Self {
        Self { whose: Whose::User, message: message.into() }
    }

    /// Something did not work: code 1. The message says what, where and what to do.
    pub fn failure(message: impl Into<String>) -> Self {
        Self { whose: Whose::World, message: message.into() }
    }

    /// The exit code of the process.
    pub fn exit_code(&self) -> u8 {
        match self.whose {
            Whose::User => 2,
            Whose::World => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
