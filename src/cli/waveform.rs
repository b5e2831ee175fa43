//! `waveform`: what a stimulator delivered, and whether it is what the protocol says.

use super::common::Place;
use super::talk::Talk;
use crate::Result;
use crate::run::waveform::{EXPECTATIONS, Settings, WAVEFORM, expect::Expectation, watch};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Channels to look at (names or globs, comma-separated); default: all copies of the stimulation
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    channels: Vec<String>,
    /// The protocol: frequency, peak amplitude, ramps, whole duration; a verdict per line in the table `expectations`
    #[arg(long, value_name = "10Hz,2mA,ramp=30s,duration=20min", value_parser = protocol)]
    expect: Option<Expectation>,
    /// Where the fundamental is looked for (default: that of --expect, else the strongest line)
    #[arg(long, value_name = "HZ", value_parser = frequency)]
    frequency: Option<f64>,
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

pub(super) fn run(args: &Args, talk: &Talk, command: Vec<String>) -> Result<u8> {
    let settings = Settings {
        channels: args.channels.clone(),
        frequency_hz: args.frequency,
        expect: args.expect.clone().unwrap_or_default(),
    };
    let tables = [WAVEFORM.name, EXPECTATIONS.name];
    args.place.run(&|path, options| watch(path, &settings, options), &settings.to_toml(), &tables, false, talk, command)
}
