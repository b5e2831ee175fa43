//! `simulate`: recordings with a known truth, and the truth as CSV beside them.

use super::talk::Talk;
use crate::flow::Source;
use crate::simulate::{Play, RestSimulation, Simulator, TacsSimulation, TmsSimulation};
use crate::table::Identity;
use crate::write::brainvision::Encoding;
use crate::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// TMS-EEG: background, evoked response with topographies, pulse, decay, muscle, blinks, line noise, markers
    Tms(TmsArgs),
    /// Resting EEG: 1/f background, alpha with eyes closed and open, a coupled pair of sources, blinks, line noise
    Rest(CommonArgs),
    /// tACS-EEG: the same brain under 60 to 80 dB of artefact with ramps, harmonics, drift, heart, breathing, clipping;
    /// the artefact-free EEG goes to NAME.truth.vhdr
    Tacs(CommonArgs),
}

#[derive(Debug, clap::Args)]
struct TmsArgs {
    /// Artefacts as ever, but no brain response
    #[arg(long)]
    sham: bool,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Debug, clap::Args)]
struct CommonArgs {
    /// File to write: NAME.vhdr (BrainVision float32); the truth goes to NAME.truth_*.csv
    #[arg(short, long, value_name = "FILE", required_unless_present = "print_settings")]
    out: Option<PathBuf>,
    /// EEG channels, named by the 10-05 system
    #[arg(long)]
    channels: Option<usize>,
    /// Sampling rate, Hz
    #[arg(long)]
    rate: Option<f64>,
    /// Length, s
    #[arg(long)]
    seconds: Option<f64>,
    /// Everything random follows from it
    #[arg(long)]
    seed: Option<u64>,
    /// Any other key of the simulation (--print-settings shows them): line_uv=0, flat=["C3"], …
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Store 16-bit integers in steps of this many uV, clipped as an amplifier would, instead of 32-bit floats
    #[arg(long, value_name = "UV")]
    int16: Option<f64>,
    /// Print the settings and stop
    #[arg(long)]
    print_settings: bool,
    /// Overwrite
    #[arg(long)]
    force: bool,
}

pub(super) fn run(args: &Args, talk: &Talk) -> Result<u8> {
    match &args.what {
        What::Tms(args) => {
            let sham = args.sham.then(|| ("sham".to_owned(), true.into()));
            simulate(&args.common, sham.into_iter().collect(), TmsSimulation::build, |_| None, talk)
        }
        What::Rest(args) => simulate(args, toml::Table::new(), RestSimulation::build, |_| None, talk),
        What::Tacs(args) if args.int16.is_some() => {
            Err(Error::usage("--int16: the copy of the current is in mA and needs other steps than the EEG")
                .with_hint("--set resolution_uv=0.1 --set range_uv=3276.7 rounds and clips the EEG alone"))
        }
        What::Tacs(args) => {
            let truth = |settings: &TacsSimulation| Some(settings.artefact_free());
            simulate(args, toml::Table::new(), TacsSimulation::build, truth, talk)
        }
    }
}

/// Writes what `build` plans for the settings, and its truth: tables, and where there is one the `brain` alone.
fn simulate<S, P>(
    args: &CommonArgs,
    own: toml::Table,
    build: fn(&S) -> Result<Simulator<P>>,
    brain: fn(&S) -> Option<RestSimulation>,
    talk: &Talk,
) -> Result<u8>
where
    S: Serialize + DeserializeOwned,
    P: Play,
{
    let settings: S = settings(args, own)?;
    if args.print_settings {
        let text = toml::to_string(&settings).map_err(|e| Error::usage(e.to_string()))?;
        return super::print(|out| out.write_all(text.as_bytes()));
    }
    let Some(out) = &args.out else { return Err(Error::usage("where to? give -o FILE.vhdr")) };
    super::convert::check_target(out, args.force)?;
    let encoding = match args.int16 {
        Some(step) if !(step.is_finite() && step > 0.0) => return Err(Error::usage("--int16: a step is above 0 uV")),
        Some(step) => Encoding::Int16 { step },
        None => Encoding::Float32,
    };
    let brain = brain(&settings).map(|brain| (brain, out.with_extension("truth.vhdr")));
    if let Some((_, path)) = &brain {
        super::convert::check_target(path, args.force)?;
    }
    let mut source = build(&settings)?;
    super::convert::write(&mut source, 0, out, encoding, talk)?;
    if let Some((brain, path)) = brain {
        super::convert::write(&mut brain.build()?, 0, &path, Encoding::Float32, talk)?;
    }
    let name = out.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let identity = Identity { recording: name.clone(), ..Identity::default() };
    let tables = source.truth_tables();
    for table in &tables {
        let path = out.with_file_name(format!("{name}.{}.csv", table.name()));
        crate::run::output::write_table(&path, table, &identity, &source.recording().event_names, false)?;
    }
    let names: Vec<&str> = tables.iter().map(|t| t.name().trim_start_matches("truth_")).collect();
    let truth = out.with_file_name(format!("{name}.truth_{{{}}}.csv", names.join(",")));
    talk.note(&format!("truth: {}", truth.display()));
    Ok(0)
}

/// The settings of `--set`, then those with an option of their own.
fn settings<S: DeserializeOwned>(args: &CommonArgs, own: toml::Table) -> Result<S> {
    let mut table = toml::Table::new();
    for text in &args.set {
        let (key, value) =
            text.split_once('=').ok_or_else(|| Error::usage(format!("--set {text}: expected key=value")))?;
        let line = format!("{} = {}", key.trim(), value.trim());
        let parsed = line.parse::<toml::Table>().or_else(|_| format!("{} = '{}'", key.trim(), value.trim()).parse());
        table.extend(parsed.map_err(|e| Error::usage(format!("--set {text}: {}", e.message())))?);
    }
    let whole = |value: u64, name: &str| {
        i64::try_from(value).map_err(|_| Error::usage(format!("--{name} {value}: at most {}", i64::MAX)))
    };
    let mut set = |key: &str, value: Option<toml::Value>| table.extend(value.map(|v| (key.to_owned(), v)));
    set("channels", args.channels.map(|n| whole(n as u64, "channels")).transpose()?.map(Into::into));
    set("rate_hz", args.rate.map(Into::into));
    set("seconds", args.seconds.map(Into::into));
    set("seed", args.seed.map(|n| whole(n, "seed")).transpose()?.map(Into::into));
    table.extend(own);
    table.try_into().map_err(|e: toml::de::Error| Error::usage(format!("--set: {}", e.message())))
}
