//! `simulate`: recordings with a known truth, and the truth as CSV beside them.

use super::talk::Talk;
use crate::simulate::TmsSimulation;
use crate::table::Identity;
use crate::write::brainvision::Encoding;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// TMS-EEG: background, evoked response with topographies, pulse, decay, muscle, blinks, line noise, markers
    Tms(TmsArgs),
}

#[derive(Debug, clap::Args)]
struct TmsArgs {
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
    /// Artefacts as ever, but no brain response
    #[arg(long)]
    sham: bool,
    /// Any other key of the simulation: decay_uv=0, flat=["C3"], site="dlpfc", …
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
    let What::Tms(args) = &args.what;
    let settings = settings(args)?;
    if args.print_settings {
        let text = toml::to_string(&settings).map_err(|e| Error::usage(e.to_string()))?;
        return super::print(|out| out.write_all(text.as_bytes()));
    }
    let Some(out) = &args.out else { return Err(Error::usage("where to? give -o FILE.vhdr")) };
    super::convert::check_target(out, args.force)?;
    let mut source = settings.build()?;
    let name = out.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let encoding = match args.int16 {
        Some(step) if !(step.is_finite() && step > 0.0) => return Err(Error::usage("--int16: a step is above 0 uV")),
        Some(step) => Encoding::Int16 { step },
        None => Encoding::Float32,
    };
    super::convert::write(&mut source, 0, out, encoding, talk)?;
    let identity = Identity { recording: name.clone(), ..Identity::default() };
    for table in source.truth_tables() {
        let path = out.with_file_name(format!("{name}.{}.csv", table.name()));
        crate::run::output::write_table(&path, &table, &identity, std::slice::from_ref(&settings.event), false)?;
    }
    talk.note(&format!("truth: {}", truth_names(out, &name)));
    Ok(0)
}

fn truth_names(out: &Path, name: &str) -> String {
    out.with_file_name(format!("{name}.truth_{{tep,events,components}}.csv")).display().to_string()
}

fn settings(args: &TmsArgs) -> Result<TmsSimulation> {
    let mut table = toml::Table::new();
    for text in &args.set {
        let (key, value) =
            text.split_once('=').ok_or_else(|| Error::usage(format!("--set {text}: expected key=value")))?;
        let line = format!("{} = {}", key.trim(), value.trim());
        let parsed = line.parse::<toml::Table>().or_else(|_| format!("{} = '{}'", key.trim(), value.trim()).parse());
        table.extend(parsed.map_err(|e| Error::usage(format!("--set {text}: {}", e.message())))?);
    }
    let mut settings: TmsSimulation =
        table.try_into().map_err(|e: toml::de::Error| Error::usage(format!("--set: {}", e.message())))?;
    settings.channels = args.channels.unwrap_or(settings.channels);
    settings.rate_hz = args.rate.unwrap_or(settings.rate_hz);
    settings.seconds = args.seconds.unwrap_or(settings.seconds);
    settings.seed = args.seed.unwrap_or(settings.seed);
    settings.sham |= args.sham;
    Ok(settings)
}
