//! `kalman`: a periodic artefact is followed and subtracted as it comes, from the past alone: the method for live use.

use super::stretches::{free, total, walk};
use super::{quality, stimulation};
use crate::dsp::harmonics::{Sums, harmonics_below_nyquist};
use crate::dsp::kalman::{Gains, ratio_of, step};
use crate::flow::{BuildContext, Model, Problems, Replay, Stage, StageConfig, StreamFit, Watch};
use crate::signal::{Block, Channel, ChannelKind, Free, LANES, Lanes, Stimulation, StreamInfo};
use crate::table::TableSpec;
use crate::unit::Unit;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Variance of a coefficient before the first sample, over R: 60 dB above the EEG.
const PRIOR: f64 = 1e6;
/// Seconds of each window over which R is measured.
const WINDOW_S: f64 = 1.0;
/// Most windows for R.
const WINDOWS: usize = 120;
/// Windows without stimulation that make R; with fewer, it is what a fit leaves during stimulation.
const ENOUGH: usize = 5;
/// Time constants of the steady filter after which the start is over: then a notch is within 10 % of its width (coth 1.5).
const STARTED: f64 = 1.5;

/// Follows level, fundamental and harmonics of a known frequency with a Kalman filter ([`crate::dsp::kalman`]) and subtracts the harmonics. A
/// sample is cleaned from itself and its past: no look-ahead, no delay.
///
/// Each coefficient does a random walk with variance q per sample under observation noise R. `half_width_hz` sets q/R =
/// 2 (2π · half_width_hz / fs)²: in steady state every harmonic is a notch with −3 dB at ± `half_width_hz`, which **also takes the brain's own
/// oscillations there**, and the time constant is 1/(2π · half_width_hz): 3.2 s by default. (√(q/R) fs/2π, the usual rule of thumb, is √2
/// wider.) R, the variance of the EEG around the level of each second, is measured without stimulation, or where there are less than 5 s of it
/// as what a fit leaves in each second of stimulation; it scales q and tells a start from a blink, and does not change the notch.
///
/// **Always on.** Live, nobody knows beforehand when stimulation begins, so the filter runs all the time, also before and after
/// stimulation (there it costs what lies in the notches), and finds the phase by itself. It starts anew, with a state that knows nothing and
/// the exact covariance, at the beginning of each segment and whenever what it cannot explain over one period, averaged over the EEG channels, is more
/// than `restart_sd` standard deviations of what it expects: so when the current is switched on, off, or jumps. After a start it is a
/// least-squares fit over what has come since; 1.5 time constants later it is the steady filter. During ramps it lags, and starts
/// again and again; results in the `startup_s` after a start are of less worth.
///
/// **Frequency.** From the recording, or told (`frequency_hz`). An error δ of the frequency leaves δ / `half_width_hz` of the artefact:
/// 1 ppm at 10 Hz and 10 mV is 2 µV. So calibrate on a recording of the same stimulator and amplifier, save the Model, and run it live.
///
/// Channels in µV other than copies of the stimulation and triggers are cleaned, bad ones too. A sample that is not finite stays so, and
/// teaches nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kalman {
    /// The frequency, Hz, where it is known exactly; else that of the stimulation that is found. Above half the rate its alias is followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_hz: Option<f64>,
    /// Most harmonics, the fundamental included; those above 0.45 of the rate are left out.
    pub harmonics: usize,
    /// Half-width of the notches in steady state, Hz.
    pub half_width_hz: f64,
    /// Starts anew beyond this many standard deviations; `inf`: never.
    pub restart_sd: f64,
    /// How stimulation is found.
    pub stimulation: stimulation::Find,
}

impl Default for Kalman {
    fn default() -> Self {
        Self {
            frequency_hz: None,
            harmonics: 10,
            half_width_hz: 0.05,
            restart_sd: 10.0,
            stimulation: stimulation::Find::default(),
        }
    }
}

/// What a Model of this method holds.
#[derive(Debug, Serialize, Deserialize)]
struct Values {
    stimulation: Stimulation,
    rate_hz: f64,
    frequency_hz: f64,
    /// q/R.
    ratio: f64,
    half_width_hz: f64,
    startup_s: f64,
    /// R by channel, µV².
    r_uv2: BTreeMap<String, f64>,
    /// q by channel, µV² per sample.
    q_uv2: BTreeMap<String, f64>,
    /// How many seconds R was measured over, and whether they were free of stimulation.
    r_seconds: f64,
    r_free: bool,
}

fn cleaned(channel: &Channel) -> bool {
    channel.unit == Unit::Microvolt && !matches!(channel.kind, ChannelKind::Stim | ChannelKind::Trigger)
}

impl Kalman {
    fn valid(&self, rate_hz: f64, problems: &mut Problems) -> bool {
        let before = problems.list().len();
        if !(1..=100).contains(&self.harmonics) {
            problems.add("harmonics", format!("{} is not between 1 and 100", self.harmonics));
        }
        if !(self.half_width_hz > 0.0 && self.half_width_hz <= rate_hz / 100.0) {
            let most = rate_hz / 100.0;
            problems.add("half_width_hz", format!("{} Hz is not between 0 and {most} Hz", self.half_width_hz));
        }
        if self.restart_sd.is_nan() || self.restart_sd < 3.0 {
            problems.add("restart_sd", format!("{} is not at least 3", self.restart_sd));
        }
        if let Some(f) =
            self.frequency_hz.filter(|f| !(*f > 0.0 && f.is_finite() && stimulation::fold(*f, rate_hz) > 0.0))
        {
            problems.add("frequency_hz", format!("{f} Hz cannot be seen at {rate_hz} Hz"));
        }
        problems.list().len() == before
    }
}

impl StageConfig for Kalman {
    fn build(&self, input: &StreamInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Stage>> {
        let rate = input.rate_hz();
        if !self.valid(rate, problems) {
            return None;
        }
        let Some(model) = context.model.clone() else {
            problems.add("", "needs a model: fit it on a recording with this stimulation, or give a saved one");
            return None;
        };
        let values: Values = match serde_json::from_value(model.values) {
            Ok(values) => values,
            Err(error) => {
                problems.add("", format!("the model is not one of kalman: {error}"));
                return None;
            }
        };
        if (values.rate_hz / rate - 1.0).abs() > 1e-9 {
            problems.add("", format!("the model is for {} Hz; here the rate is {rate} Hz", values.rate_hz));
            return None;
        }
        let cycles = values.frequency_hz / rate;
        let harmonics = if cycles > 0.0 { harmonics_below_nyquist(cycles, self.harmonics) } else { 0 };
        let Some(gains) = Gains::new(cycles, harmonics, values.ratio, PRIOR) else {
            let f = values.frequency_hz;
            problems.add("harmonics", format!("{harmonics} harmonics of {f} Hz cannot be told apart at {rate} Hz"));
            return None;
        };
        let groups = input.channels.len().div_ceil(LANES);
        let mut mask = vec![[0; LANES]; groups];
        let mut weights = vec![[0.0; LANES]; groups];
        let known: Vec<(usize, f64)> = (0..input.channels.len())
            .filter(|&c| input.channels[c].kind == ChannelKind::Eeg && !context.bad.contains(&input.channels[c].name))
            .filter_map(|c| Some((c, *values.r_uv2.get(&input.channels[c].name)?)))
            .filter(|(_, r)| *r > 0.0)
            .collect();
        for c in (0..input.channels.len()).filter(|&c| cleaned(&input.channels[c])) {
            mask[c / LANES][c % LANES] = u64::MAX;
        }
        for (c, r) in &known {
            weights[c / LANES][c % LANES] = 1.0 / (r * known.len() as f64);
        }
        let never = self.restart_sd.is_infinite();
        if known.is_empty() && !never {
            problems.add("restart_sd", "the model knows the noise of none of these channels; inf does without");
            return None;
        }
        let sd =
            (values.r_uv2.values().sum::<f64>() / values.r_uv2.len().max(1) as f64 * gains.steady_variance()).sqrt();
        let notes = format!(
            "{harmonics} harmonics of {:.6} Hz, notches of ±{} Hz, started after {:.1} s; the artefact is known to {sd:.2} µV; 1 ppm of the \
             frequency leaves {:.1e} of it",
            values.frequency_hz,
            values.half_width_hz,
            values.startup_s,
            1e-6 * values.frequency_hz / values.half_width_hz
        );
        context.stimulation = Some((input.clock, Arc::new(values.stimulation)));
        let period = (1.0 / cycles).round().max(1.0) as u32;
        let width = 2 * harmonics + 1;
        let turns = gains.turns().to_vec();
        Some(Box::new(Follow {
            output: input.clone(),
            gains,
            turns,
            states: vec![[0.0; LANES]; groups * width],
            width,
            mask,
            weights,
            limit: self.restart_sd.powi(2),
            period,
            surprise: (0.0, 0),
            end: (0, 0),
            notes,
        }))
    }

    /// The start is decided by all channels together.
    fn joins_channels(&self) -> bool {
        self.restart_sd.is_finite()
    }

    fn fit(
        &self,
        input: &StreamInfo,
        _context: &mut BuildContext,
        problems: &mut Problems,
    ) -> Option<Box<dyn StreamFit>> {
        self.valid(input.rate_hz(), problems).then(|| -> Box<dyn StreamFit> { Box::new(Calibrate(self.clone())) })
    }

    fn watch(&self, input: &StreamInfo, output: &StreamInfo, context: &BuildContext) -> Option<Box<dyn Watch>> {
        let method = quality::Method {
            notch_hz: Some(2.0 * self.half_width_hz),
            nominal_hz: self.frequency_hz,
            ..quality::Method::new("kalman")
        };
        quality::watch(input, output, context, method)
    }

    fn tables(&self) -> &'static [&'static TableSpec] {
        &quality::TABLES
    }
}

struct Calibrate(Kalman);

impl StreamFit for Calibrate {
    fn fit(&mut self, stream: &mut dyn Replay) -> Result<Model> {
        let found = match stimulation::find(stream, &self.0.stimulation) {
            // where the frequency is told, a recording of rest will do
            Err(error) if self.0.frequency_hz.is_some() && error.kind() == crate::ErrorKind::Data => {
                Stimulation::default()
            }
            other => other?,
        };
        self.learn(stream, found)
    }
}

impl Calibrate {
    fn learn(&self, stream: &mut dyn Replay, found: Stimulation) -> Result<Model> {
        let (config, info) = (&self.0, stream.info().clone());
        let rate = info.rate_hz();
        let weight = |on: &Range<i64>| (on.end - on.start) as f64;
        let all: f64 = found.episodes.iter().map(|e| weight(&e.on)).sum();
        let mean = found.episodes.iter().map(|e| e.cycles * weight(&e.on)).sum::<f64>() / all;
        let cycles = match config.frequency_hz {
            Some(told) => stimulation::fold(told, rate),
            None if mean.is_finite() && mean > 0.0 => mean,
            None => {
                return Err(Error::data("there is no stimulation to learn the frequency from")
                    .with_hint("tell it: frequency_hz = 10.0"));
            }
        };
        let window = (WINDOW_S.max(3.0 / (cycles * rate)) * rate).ceil() as i64;
        let rest = cut(&free(stream, &found, &[Free::Pre, Free::Gap, Free::Post], window), window);
        let r_free = rest.len() >= ENOUGH;
        let on: Vec<Range<i64>> = found.episodes.iter().map(|e| e.plateau.clone()).collect();
        let windows = if r_free { rest } else { cut(&on, window) };
        let r = self.noise(stream, &windows, cycles)?;
        let names: Vec<String> = info.channels.iter().filter(|c| cleaned(c)).map(|c| c.name.clone()).collect();
        let r_uv2: BTreeMap<String, f64> = (info.channels.iter().zip(&r))
            .filter(|(channel, r)| cleaned(channel) && r.is_finite() && **r > 0.0)
            .map(|(channel, r)| (channel.name.clone(), *r))
            .collect();
        if r_uv2.is_empty() {
            return Err(Error::data(format!(
                "the EEG's variance cannot be measured: {} channels in {} windows of {:.1} s without stimulation or on a plateau",
                names.len(),
                windows.len(),
                window as f64 / rate
            )));
        }
        let ratio = ratio_of(config.half_width_hz / rate);
        let values = Values {
            stimulation: found,
            rate_hz: rate,
            frequency_hz: cycles * rate,
            ratio,
            half_width_hz: config.half_width_hz,
            startup_s: STARTED / (std::f64::consts::TAU * config.half_width_hz),
            q_uv2: r_uv2.iter().map(|(name, r)| (name.clone(), r * ratio)).collect(),
            r_uv2,
            r_seconds: total(&windows) as f64 / rate,
            r_free,
        };
        Ok(Model { name: "kalman".into(), channels: names, values: json!(values) })
    }

    /// Variance by channel around level and harmonics of each window, averaged; NaN where a sample was not finite.
    fn noise(&self, stream: &mut dyn Replay, windows: &[Range<i64>], cycles: f64) -> Result<Vec<f64>> {
        let channels = stream.info().channels.len();
        let harmonics = harmonics_below_nyquist(cycles, self.0.harmonics);
        let sums = |r: &Range<i64>| {
            let half = (r.end - r.start) as f64 / 2.0;
            Sums::new(cycles, harmonics, channels, r.start as f64 + half, half)
        };
        let mut noise = vec![0.0; channels];
        let mut rows = vec![Vec::new(); channels];
        walk(stream, windows, |k, block, at| {
            for (c, row) in rows.iter_mut().enumerate() {
                row.extend(at.clone().map(|i| block.get(c, i)));
            }
            if block.first() + at.end as i64 == windows[k].end {
                let mut fit = sums(&windows[k]);
                fit.push(windows[k].start, &rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
                for (c, sum) in noise.iter_mut().enumerate() {
                    *sum += fit.fit(c).map_or(f64::NAN, |f| f.sigma().powi(2)) / windows.len() as f64;
                }
                rows.iter_mut().for_each(Vec::clear);
            }
        })?;
        Ok(if windows.is_empty() { vec![f64::NAN; channels] } else { noise })
    }
}

/// Windows of one length within stretches, the first of them.
fn cut(stretches: &[Range<i64>], window: i64) -> Vec<Range<i64>> {
    let within = |r: &Range<i64>| {
        let start = r.start;
        (0..(r.end - r.start) / window).map(move |k| start + k * window..start + (k + 1) * window)
    };
    stretches.iter().flat_map(within).take(WINDOWS).collect()
}

struct Follow {
    output: StreamInfo,
    gains: Gains,
    turns: Vec<crate::dsp::fft::Complex>,
    /// `[group][width]`.
    states: Vec<Lanes>,
    width: usize,
    /// All bits in the lanes that are cleaned.
    mask: Vec<[u64; LANES]>,
    /// 1/R over the number of channels, where a channel has a say in starts.
    weights: Vec<Lanes>,
    limit: f64,
    /// Samples of one period.
    period: u32,
    /// Sum of squared innovations over what was expected, and of how many samples.
    surprise: (f64, u32),
    end: (u32, i64),
    notes: String,
}

impl Stage for Follow {
    fn output(&self) -> &StreamInfo {
        &self.output
    }

    fn lookahead(&self) -> u64 {
        0
    }

    fn push(&mut self, input: &Block, out: &mut Block) {
        out.start(input.segment(), input.first(), input.len());
        self.end = (input.segment(), input.end());
        for i in 0..input.len() {
            let (gain, expected) = self.gains.next();
            let mut surprise = [0.0; LANES];
            for (g, state) in self.states.chunks_exact_mut(self.width).enumerate() {
                let x = &input.group(g)[i];
                let mask = &self.mask[g];
                let own: Lanes = std::array::from_fn(|l| f64::from_bits(x[l].to_bits() & mask[l]));
                let (left, innovation) = step(&self.turns, gain, state, &own);
                out.group_mut(g)[i] = std::array::from_fn(|l| if mask[l] == 0 { x[l] } else { left[l] });
                for ((s, e), w) in surprise.iter_mut().zip(innovation).zip(&self.weights[g]) {
                    // a missing sample is no surprise
                    *s += if e.is_finite() { w * e * e } else { 0.0 };
                }
            }
            let v = surprise;
            let sum = ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
            self.surprise = (self.surprise.0 + sum / expected, self.surprise.1 + 1);
            if self.surprise.1 >= self.period {
                if self.surprise.0 > self.limit * f64::from(self.surprise.1) {
                    self.start();
                }
                self.surprise = (0.0, 0);
            }
        }
    }

    fn finish(&mut self, out: &mut Block) {
        out.start(self.end.0, self.end.1, 0);
    }

    fn reset(&mut self) {
        self.start();
        self.surprise = (0.0, 0);
        self.end = (0, 0);
    }

    fn memory_bytes(&self) -> u64 {
        (self.states.len() * size_of::<Lanes>() + self.width * self.width * size_of::<f64>()) as u64
    }

    fn notes(&self) -> String {
        self.notes.clone()
    }
}

impl Follow {
    /// Knows nothing.
    fn start(&mut self) {
        self.gains.restart();
        self.states.fill([0.0; LANES]);
    }
}

#[cfg(test)]
mod tests;
