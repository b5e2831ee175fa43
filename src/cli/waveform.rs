//! `waveform`: what a stimulator delivered, and whether it is what the protocol says.

use super::common::Place;
use super::talk::Talk;
use crate::Result;
use crate::run::waveform::{Settings, TABLES, expect::Expectation, kind::Kind, watch};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Channels to look at (names or globs, comma-separated); default: all copies of the stimulation
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    channels: Vec<String>,
    /// The protocol: frequency, peak amplitude (of direct current the level), ramps, whole duration; a verdict per line in the table
    /// `expectations`. Also pp=4mA, tolerance=2%; am=10Hz, depth=100%; beat=10Hz; rms=0.4mA, band=100-640Hz
    #[arg(long, value_name = "10Hz,2mA,ramp=30s,duration=20min", value_parser = protocol)]
    expect: Option<Expectation>,
    /// Where the fundamental is looked for (default: that of --expect, else the strongest line)
    #[arg(long, value_name = "HZ", value_parser = frequency)]
    frequency: Option<f64>,
    /// What the channels hold: sine (tACS), am (amplitude-modulated), ti (temporal interference), noise (tRNS), dc (tDCS);
    /// default: what the data tell
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<Kind>,
    #[command(flatten)]
    place: Place,
}

fn protocol(text: &str) -> std::result::Result<Expectation, String> {
    Expectation::parse(text).map_err(|e| e.to_string())
}

fn frequency(text: &str) -> std::result::Result<f64, String> {
    let told = text.parse::<f64>().ok().filter(|hz| hz.is_finite() && *hz > 0.0);
    told.ok_or_else(|| "expected a frequency in Hz above 0".to_owned())
}

fn kind(text: &str) -> std::result::Result<Kind, String> {
    Kind::parse(text).ok_or_else(|| format!("expected one of {}", Kind::NAMES))
}

pub(super) fn run(args: &Args, talk: &Talk, command: Vec<String>) -> Result<u8> {
    let settings = Settings {
        channels: args.channels.clone(),
        frequency_hz: args.frequency,
        kind: args.kind,
        expect: args.expect.clone().unwrap_or_default(),
    };
    let tables = TABLES.map(|t| t.name);
    args.place.run(&|path, options| watch(path, &settings, options), &settings.to_toml(), &tables, false, talk, command)
}
