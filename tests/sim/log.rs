//! What happened, line by line, and a digest of it: two runs of one seed have the same digest, or something is not deterministic.

use std::{fmt, time::Duration};

/// The log of one run.
#[derive(Debug, Default)]
pub struct Log {
    prints: bool,
    digest: u64,
    last: Vec<String>,
}

/// So many lines are kept to be shown with a violation.
const KEPT: usize = 12;

impl Log {
    /// A log that prints its lines if so asked.
    pub fn new(prints: bool) -> Self {
        Self { prints, digest: 0xcbf2_9ce4_8422_2325, ..Self::default() }
    }

    /// What a person wants to read.
    pub fn line(&mut self, now: Duration, text: fmt::Arguments<'_>) {
        let line = format!("{:>11.6} {text}", now.as_secs_f64());
        self.bytes(line.as_bytes());
        if self.prints {
            println!("{line}");
        }
        if self.last.len() == KEPT {
            self.last.remove(0);
        }
        self.last.push(line);
    }

    /// What only the digest is told.
    pub fn bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.number(u64::from_le_bytes(word));
        }
    }

    /// Likewise.
    pub const fn number(&mut self, number: u64) {
        self.digest = (self.digest ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    /// Of everything so far.
    pub const fn digest(&self) -> u64 {
        self.digest
    }

    /// The last lines.
    pub fn last(&self) -> &[String] {
        &self.last
    }
}
