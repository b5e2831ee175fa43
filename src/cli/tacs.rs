//! `tacs`: the stimulation's artefact taken out, what is left of it judged, and what is left of the brain measured.

use super::analyse::recipe_text;
use super::common::Common;
use super::talk::Talk;
use crate::Result;
use crate::recipe::Recipe;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How the artefact is taken out: harmonics, kalman, comb, parrm, sass, regression, template (default: the recipe's)
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// The stimulation's frequency as it was set; default: the strongest line that the channels share
    #[arg(long, value_name = "HZ", value_parser = frequency)]
    frequency: Option<f64>,
    /// Do not write the cleaned recording
    #[arg(long, conflicts_with = "cleaned")]
    no_cleaned: bool,
    /// Only clean and judge what is left (the cleaned recording and table `tacs`); measure nothing of the brain
    #[arg(long)]
    clean_only: bool,
    /// Another built-in recipe or a file instead of `tacs`
    #[arg(long, value_name = "NAME", default_value = "tacs")]
    recipe: String,
    #[command(flatten)]
    common: Common,
}

fn frequency(text: &str) -> std::result::Result<f64, String> {
    let told = text.parse::<f64>().ok().filter(|hz| hz.is_finite() && *hz > 0.0);
    told.ok_or_else(|| "expected a frequency in Hz above 0".to_owned())
}

pub(super) fn run(args: &Args, talk: &Talk, command: Vec<String>) -> Result<u8> {
    let mut text = recipe_text(&args.recipe)?;
    if args.method.is_some() || args.frequency.is_some() {
        // before `--set`, which may speak of the method's own keys
        let mut recipe = Recipe::parse(&text)?;
        recipe.clean_by(args.method.as_deref(), args.frequency)?;
        text = recipe.to_toml();
    }
    let patch = |recipe: &mut Recipe| if args.clean_only { recipe.only_clean() } else { Ok(()) };
    args.common.run_cleaning(&text, patch, !args.no_cleaned, talk, command)
}
