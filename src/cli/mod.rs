//! The command line. One subcommand per file; uses the public API only.

use std::ffi::OsString;

/// Runs one command line and returns its exit code.
pub fn main(args: impl IntoIterator<Item = OsString>) -> u8 {
    let _ = args;
    0
}
