//! `check`: build without running.

use super::common::OpenArgs;
use super::talk::Talk;
use crate::Result;
use crate::recipe::Recipe;
use crate::run::{Options, recording};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A recipe: a TOML file, or the name of a built-in one
    recipe: String,
    /// The recording that it should run on
    file: PathBuf,
    /// Change one key of the recipe
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    open: OpenArgs,
}

pub(super) fn run(args: &Args, talk: &Talk) -> Result<u8> {
    let recipe = Recipe::patched(&super::analyse::recipe_text(&args.recipe)?, &args.set)?;
    let plan = recording::plan(&args.file, &recipe, &Options { open: args.open.options(), ..Options::default() })?;
    for warning in &plan.warnings {
        talk.warning(&args.file.to_string_lossy(), warning);
    }
    let mb = |bytes: u64| bytes as f64 / 1e6;
    super::print(|out| {
        if talk.json {
            return writeln!(
                out,
                "{}",
                serde_json::json!({
                    "stages": plan.stages,
                    "channels": plan.channels,
                    "conditions": plan.conditions,
                    "epoch_samples": plan.epoch_samples,
                    "epochs_given": plan.epochs_given,
                    "latency_ms": plan.latency_ms,
                    "memory_bytes": plan.memory_bytes,
                    "waits_for_fit": plan.waits_for_fit,
                })
            );
        }
        writeln!(out, "{:<14} {:>10} {:>15} {:>10}  notes", "stage", "rate Hz", "look-ahead ms", "memory MB")?;
        for s in &plan.stages {
            writeln!(
                out,
                "{:<14} {:>10} {:>15.1} {:>10.1}  {}",
                s.name,
                s.rate_hz,
                s.lookahead_ms,
                mb(s.memory_bytes),
                s.notes
            )?;
        }
        let conditions: Vec<&str> = plan.conditions.iter().map(String::as_str).filter(|c| !c.is_empty()).collect();
        let around = if conditions.is_empty() {
            "windows by the clock".into()
        } else {
            format!("events: {}", conditions.join(", "))
        };
        writeln!(out, "{} channels, {around}", plan.channels)?;
        if let Some(n) = plan.epochs_given {
            writeln!(out, "the recording comes in {n} epochs: they are measured as they are")?;
        }
        writeln!(
            out,
            "epochs of {} samples; a result is known {:.0} ms after its event",
            plan.epoch_samples, plan.latency_ms
        )?;
        if plan.waits_for_fit {
            writeln!(out, "a Fit looks at all epochs first: they wait in a temporary file, results come at the end")?;
        }
        writeln!(out, "memory: {:.1} MB, whatever the length of the recording", mb(plan.memory_bytes))
    })
}
