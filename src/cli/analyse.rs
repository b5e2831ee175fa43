//! `tep`, `power`, `tfr`, `connectivity` and `run`: a recipe over files. Each verb is the built-in recipe of its name, changed by
//! its flags.

use super::common::{Common, set_on_markers};
use super::talk::Talk;
use crate::recipe::{Builtin, MarkerPart, Recipe};
use crate::{Error, Result};
use std::path::Path;
use toml::Value;

#[derive(Debug, clap::Args)]
pub(super) struct TepArgs {
    /// Another built-in recipe or a file instead of `tep`: tep-1hz, tms-live, my.toml
    #[arg(long, value_name = "NAME", default_value = "tep")]
    recipe: String,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct PowerArgs {
    /// Another built-in recipe or a file instead of `power`
    #[arg(long, value_name = "NAME", default_value = "power")]
    recipe: String,
    #[command(flatten)]
    spectral: SpectralArgs,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct TfrArgs {
    /// Another built-in recipe or a file instead of `tfr`: tms-tfr, my.toml
    #[arg(long, value_name = "NAME", default_value = "tfr")]
    recipe: String,
    #[command(flatten)]
    spectral: SpectralArgs,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, clap::Args)]
pub(super) struct ConnectivityArgs {
    /// Another built-in recipe or a file instead of `connectivity`: rest-connectivity-lagfree, my.toml
    #[arg(long, value_name = "NAME", default_value = "connectivity")]
    recipe: String,
    /// Measures: coh, imcoh, plv, wpli2_debiased, …
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    measures: Vec<String>,
    /// Only pairs with one of these channels
    #[arg(long, value_name = "A,B,…", value_delimiter = ',', conflicts_with = "pairs")]
    seeds: Vec<String>,
    /// Every frequency bin instead of bands
    #[arg(long)]
    full: bool,
    /// Only these pairs of channels
    #[arg(long, value_name = "A:B,…", value_delimiter = ',', value_parser = pair)]
    pairs: Vec<(String, String)>,
    #[command(flatten)]
    spectral: SpectralArgs,
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

/// What the spectral verbs share.
#[derive(Debug, clap::Args)]
struct SpectralArgs {
    /// Frequency bands in place of the recipe's; the upper edge belongs to the next band
    #[arg(long, value_name = "NAME=LO-HI,…", value_delimiter = ',', value_parser = band)]
    bands: Vec<(String, [f64; 2])>,
    /// Cut by the clock into windows of this length, instead of around events
    #[arg(long, value_name = "MS")]
    every: Option<f64>,
}

impl SpectralArgs {
    fn patch(&self, recipe: &mut Recipe) -> Result<()> {
        if !self.bands.is_empty() {
            let bands = self.bands.iter().map(|(name, [lo, hi])| (name.clone(), vec![*lo, *hi].into()));
            let bands = Value::Table(bands.collect());
            for part in &mut recipe.marker {
                if let MarkerPart::Power(power) = part {
                    power.ratios.retain(|ratio| ratio.iter().all(|name| bands.get(name).is_some()));
                }
            }
            set_key(recipe, "bands", "bands_hz", &bands)?;
        }
        if let Some(every) = self.every {
            // windows that overlapped go on to overlap by the same share
            let step = recipe.cut.every_ms.zip(recipe.cut.step_ms).map(|(every, step)| step / every);
            let step_ms = step.map(|share| share * every);
            recipe.cut = crate::recipe::Cut { every_ms: Some(every), step_ms, ..crate::recipe::Cut::default() };
        }
        Ok(())
    }
}

/// Sets what `--flag` asks for: a key of another name.
fn set_key(recipe: &mut Recipe, flag: &str, key: &str, value: &Value) -> Result<()> {
    match recipe.set_on_markers(key, value)? {
        0 => Err(Error::usage(format!("--{flag}: no marker of this recipe has the key `{key}`"))),
        _ => Ok(()),
    }
}

/// `alpha=8-13`
fn band(text: &str) -> std::result::Result<(String, [f64; 2]), String> {
    let parts = text.split_once('=').and_then(|(name, range)| Some((name.trim(), range.split_once('-')?)));
    let edges = parts.and_then(|(name, (lo, hi))| {
        let edges: [f64; 2] = [lo.trim().parse().ok()?, hi.trim().parse().ok()?];
        Some((name.to_owned(), edges))
    });
    edges
        .filter(|(name, [lo, hi])| !name.is_empty() && lo.is_finite() && hi.is_finite() && lo < hi)
        .ok_or_else(|| "expected NAME=LO-HI in Hz, alpha=8-13 say".to_owned())
}

/// `C3:C4`
fn pair(text: &str) -> std::result::Result<(String, String), String> {
    match text.split_once(':') {
        Some((a, b)) if !a.is_empty() && !b.is_empty() && a != b => Ok((a.to_owned(), b.to_owned())),
        _ => Err("expected two channels, C3:C4 say".to_owned()),
    }
}

pub(super) fn tep(args: &TepArgs, talk: &Talk, command: Vec<String>) -> Result<u8> {
    args.common.run(&recipe_text(&args.recipe)?, |_| Ok(()), talk, command)
}

pub(super) fn power(args: &PowerArgs, talk: &Talk, command: Vec<String>) -> Result<u8> {
    args.common.run(&recipe_text(&args.recipe)?, |recipe| args.spectral.patch(recipe), talk, command)
}

pub(super) fn tfr(args: &TfrArgs, talk: &Talk, command: Vec<String>) -> Result<u8> {
    args.common.run(&recipe_text(&args.recipe)?, |recipe| args.spectral.patch(recipe), talk, command)
}

pub(super) fn connectivity(args: &ConnectivityArgs, talk: &Talk, command: Vec<String>) -> Result<u8> {
    let patch = |recipe: &mut Recipe| {
        for (key, names) in [("measures", &args.measures), ("seeds", &args.seeds)] {
            if !names.is_empty() {
                set_on_markers(recipe, key, &names.clone().into())?;
            }
        }
        if !args.pairs.is_empty() {
            let pairs = args.pairs.iter().map(|(a, b)| Value::from(vec![a.clone(), b.clone()]));
            set_on_markers(recipe, "pairs", &Value::Array(pairs.collect()))?;
        }
        if args.full {
            set_on_markers(recipe, "full", &Value::Boolean(true))?;
        }
        args.spectral.patch(recipe)
    };
    args.common.run(&recipe_text(&args.recipe)?, patch, talk, command)
}

pub(super) fn run(args: &RunArgs, talk: &Talk, command: Vec<String>) -> Result<u8> {
    args.common.run(&recipe_text(&args.recipe)?, |_| Ok(()), talk, command)
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
