//! The phase of one signal at every sample: numbers in, numbers out, for scripts that have samples but no recording.
//!
//! ```text
//! phase_series RATE_HZ 'method = "kalman"' < samples.f64 > phase.f64
//! ```
//!
//! Samples are little-endian f64 in µV; what comes out is phase (deg), amplitude (µV) and, with `kalman`, the phase's standard
//! deviation (deg, else NaN), three numbers per sample. What the keys leave open is learnt from the first `calibrate_s`.

use std::io::{Read, Write};
use stimkit::clean::phase::{Phase, Tracker};
use stimkit::{Error, Result};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, rate, keys] = &arguments[..] else { return Err(Error::usage("phase_series RATE_HZ KEYS < f64 > f64")) };
    let rate_hz: f64 = rate.parse().map_err(|_| Error::usage(format!("{rate} is no rate")))?;
    let config: Phase = toml::from_str(keys).map_err(|e| Error::usage(e.to_string()))?;
    let failed = |e: std::io::Error| Error::data(e.to_string());
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes).map_err(failed)?;
    let x: Vec<f64> = bytes.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b)).collect();

    let first = x.len().min((config.calibrate_s * rate_hz) as usize);
    let model = if config.learns() { Some(config.calibrate(rate_hz, &["x"], &[x[..first].to_vec()])?) } else { None };
    let mut tracker = Tracker::new(&config, rate_hz, &["x"], model.as_ref())?;
    eprintln!("{}", tracker.notes());
    let mut out = Vec::with_capacity(24 * x.len());
    for x in x {
        tracker.push(&[x]);
        for v in [tracker.phase_deg(), tracker.amplitude_uv(), tracker.phase_sd_deg()] {
            out.extend(v.to_le_bytes());
        }
    }
    std::io::stdout().write_all(&out).map_err(failed)
}
