//! `tep` and `run`: a recipe over files.

use super::common::Common;
use super::talk::Talk;
use crate::recipe::Builtin;
use crate::{Error, Result};
use std::path::Path;

#[derive(Debug, clap::Args)]
pub(super) struct TepArgs {
    /// Another built-in recipe or a file instead of `tep`: tep-1hz, tms-live, my.toml
    #[arg(long, value_name = "NAME", default_value = "tep")]
    recipe: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// A recipe: a TOML file, or the name of a built-in one
    recipe: String,
    #[command(flatten)]
    common: Common,
}

pub(super) fn tep(args: &TepArgs, talk: &Talk, command: Vec<String>) -> Result<u8> {
    args.common.run(&recipe_text(&args.recipe)?, talk, command)
}

pub(super) fn run(args: &RunArgs, talk: &Talk, command: Vec<String>) -> Result<u8> {
    args.common.run(&recipe_text(&args.recipe)?, talk, command)
}

/// The text of a recipe: a file, where one of that name exists or the name looks like one; else a built-in one.
pub(super) fn recipe_text(name: &str) -> Result<String> {
    let path = Path::new(name);
    // not `is_file`: a shell's <(…) is a pipe
    if (path.exists() && !path.is_dir()) || path.extension().is_some_and(|e| e == "toml") {
        return std::fs::read_to_string(path)
            .map_err(|e| Error::usage(format!("the recipe cannot be read: {e}")).at_path(path));
    }
    Ok(Builtin::find(name)?.text.to_owned())
}
