//! A test that this machine cannot run says so.

use std::io::Write as _;

/// The test captures what is printed, but not what goes to standard error directly.
pub fn tell(why: &str) {
    writeln!(std::io::stderr(), "skipped: {why}").expect("standard error takes text");
}
