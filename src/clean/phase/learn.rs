//! What the calibration tells: the rhythm's own frequency, the amplitude of its percentile, the oscillators.

use super::bank::Bank;
use super::sites::Site;
use super::{Method, Phase};
use crate::dsp::multitaper::Tapers;
use crate::dsp::periodogram::Periodogram;
use crate::dsp::window::Window;
use crate::dsp::{sspe, stats};
use crate::flow::{Model, Problems, Replay, StreamFit};
use crate::signal::{Block, LANES};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Windows of the spectrum, s.
const WELCH_S: f64 = 4.0;
/// Steps of EM at most, and the change that ends it.
const EM: (usize, f64) = (200, 1e-4);

/// What is known about one site.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct LearntSite {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate_uv: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_space: Option<sspe::Model>,
}

/// What is known, site by site.
#[derive(Debug, Clone)]
pub(super) struct Learnt {
    pub frequency_hz: f64,
    pub sites: Vec<LearntSite>,
}

/// As it stands in a Model.
#[derive(Serialize, Deserialize)]
struct Saved {
    frequency_hz: f64,
    sites: BTreeMap<String, LearntSite>,
}

impl Learnt {
    /// From the config, and the Model where one is needed.
    pub fn of(config: &Phase, sites: &[Site], model: Option<&Model>, problems: &mut Problems) -> Option<Self> {
        let [low, high] = config.band_hz;
        let told = config.frequency_hz.unwrap_or(0.5 * (low + high));
        if !config.learns() {
            return Some(Self { frequency_hz: told, sites: vec![LearntSite::default(); sites.len()] });
        }
        let Some(model) = model else {
            problems.add("", "needs a Model: calibrate first, or say frequency_hz (and no percentile, no `kalman`)");
            return None;
        };
        let Ok(saved) = serde_json::from_value::<Saved>(model.values.clone()) else {
            problems.add("", format!("the Model {:?} is not one of `phase`", model.name));
            return None;
        };
        let mut found = Vec::new();
        for site in sites {
            match saved.sites.get(&site.name) {
                Some(learnt)
                    if (config.method != Method::Kalman || learnt.state_space.is_some())
                        && (config.min_percentile.is_none()
                            || config.target_deg.is_none()
                            || learnt.gate_uv.is_some()) =>
                {
                    found.push(learnt.clone());
                }
                Some(_) => problems.add("", format!("the Model was learnt with other settings for {:?}", site.name)),
                None => problems.add("", format!("the Model knows nothing about {:?}", site.name)),
            }
        }
        let frequency_hz = config.frequency_hz.unwrap_or(saved.frequency_hz);
        (found.len() == sites.len()).then_some(Self { frequency_hz, sites: found })
    }
}

/// Stretches without a gap, per site: `[site][stretch][sample]`.
type Stretches = Vec<Vec<Vec<f64>>>;

/// The Model that `config` needs, from values of its sites.
pub(super) fn learn(config: &Phase, names: &[String], data: &Stretches, rate_hz: f64) -> Result<Model> {
    let frequency_hz = match config.frequency_hz {
        Some(f) => f,
        None => peak(config, data, rate_hz)?,
    };
    let mut learnt = Learnt { frequency_hz, sites: vec![LearntSite::default(); names.len()] };
    if config.method == Method::Kalman {
        for ((site, stretches), name) in learnt.sites.iter_mut().zip(data).zip(names) {
            site.state_space = Some(oscillators(config, frequency_hz, stretches, name, rate_hz)?);
        }
    }
    if let (Some(percentile), Some(_)) = (config.min_percentile, config.target_deg) {
        let mut bank = Bank::new(config, rate_hz, &learnt)?;
        let mut amplitudes: Vec<Vec<f64>> = vec![Vec::new(); names.len()];
        let every = (rate_hz / 100.0).ceil() as usize;
        let mut values = vec![0.0; names.len()];
        for stretch in 0..data[0].len() {
            bank.reset();
            for i in 0..data[0][stretch].len() {
                values.iter_mut().zip(data).for_each(|(v, site)| *v = site[stretch][i]);
                let estimates = bank.push(&values);
                if i % every == 0 {
                    let finite = amplitudes.iter_mut().zip(estimates).filter(|(_, e)| e.amplitude.is_finite());
                    finite.for_each(|(all, e)| all.push(e.amplitude));
                }
            }
        }
        for ((site, all), name) in learnt.sites.iter_mut().zip(&mut amplitudes).zip(names) {
            if all.is_empty() {
                return Err(Error::data(format!("no amplitude of {name:?} could be estimated in the calibration")));
            }
            site.gate_uv = Some(stats::quantile(all, percentile / 100.0));
        }
    }
    let saved = Saved { frequency_hz, sites: names.iter().cloned().zip(learnt.sites).collect() };
    let values = serde_json::to_value(saved).map_err(|e| Error::data(e.to_string()))?;
    Ok(Model { name: "phase".to_owned(), channels: names.to_vec(), values })
}

/// Means of k samples, k as large as leaves ten samples per cycle of the band and 250 Hz: enough for what is learnt.
fn thin(x: &[f64], rate_hz: f64, high_hz: f64) -> (Vec<f64>, usize) {
    let k = (rate_hz / (10.0 * high_hz).max(250.0)).floor().max(1.0) as usize;
    (x.chunks_exact(k).map(|c| c.iter().sum::<f64>() / k as f64).collect(), k)
}

/// The rhythm's frequency over all sites: see [`Phase`].
fn peak(config: &Phase, data: &Stretches, rate_hz: f64) -> Result<f64> {
    let [low, high] = config.band_hz;
    let (_, k) = thin(&[], rate_hz, high);
    let rate = rate_hz / k as f64;
    let n = (WELCH_S * rate).round() as usize;
    let mut periodogram = Periodogram::new(Arc::new(Tapers::window(Window::Hann, n)), rate, false);
    let mut density = vec![0.0; periodogram.bins()];
    let mut windows = 0;
    for stretch in data.iter().flatten() {
        let (x, _) = thin(stretch, rate_hz, high);
        for from in (0..(x.len() + 1).saturating_sub(n)).step_by(n / 2) {
            windows += usize::from(periodogram.add(&x[from..from + n], &mut density));
        }
    }
    if windows < 2 {
        return Err(Error::data(format!(
            "the calibration has {windows} windows of {WELCH_S} s without a gap; 2 are needed"
        ))
        .with_hint("say frequency_hz"));
    }
    let hz = |bin: usize| bin as f64 * rate / n as f64;
    let inside: Vec<usize> = (1..density.len()).filter(|&b| hz(b) >= low && hz(b) <= high).collect();
    let white = |bin: usize| density[bin] * hz(bin);
    let (Some(&top), true) = (inside.iter().max_by(|a, b| white(**a).total_cmp(&white(**b))), inside.len() > 4) else {
        return Err(Error::usage(format!("band_hz {low}…{high} Hz holds too few bins of {} Hz", hz(1))));
    };
    let mut levels: Vec<f64> = inside.iter().map(|&b| white(b)).collect();
    let level = stats::median(&mut levels);
    let near = (1..density.len()).filter(|&b| (hz(b) - hz(top)).abs() <= 1.0 + 1e-9);
    let above = near.map(|b| (hz(b), (white(b) - level).max(0.0)));
    let (sum, weight) = above.fold((0.0, 0.0), |(s, w), (f, v)| (s + f * v, w + v));
    let found = sum / weight;
    if !(found > low && found < high) {
        return Err(Error::data(format!("no peak between {low} and {high} Hz in the calibration"))
            .with_hint("say frequency_hz, or another band_hz"));
    }
    Ok(found)
}

/// Oscillators by EM on the longest stretch, at a lower rate; then for every sample.
fn oscillators(config: &Phase, frequency_hz: f64, data: &[Vec<f64>], name: &str, rate_hz: f64) -> Result<sspe::Model> {
    let longest = data.iter().max_by_key(|d| d.len()).map_or(&[][..], |d| d);
    let (mut x, k) = thin(longest, rate_hz, config.band_hz[1]);
    let mean = stats::mean(&x);
    x.iter_mut().for_each(|x| *x -= mean);
    let frequencies = [&[frequency_hz], &config.background_hz[..]].concat();
    let start = sspe::Model::start(&x, rate_hz / k as f64, &frequencies);
    let model = sspe::fit(&x, &start, EM.0, EM.1)
        .ok_or_else(|| Error::data(format!("oscillators could not be fitted to {} samples of {name:?}", x.len())))?;
    let [low, high] = config.band_hz;
    let own = model.oscillators[0].frequency_hz;
    if !(own >= low && own <= high) {
        return Err(Error::data(format!(
            "the oscillator of {name:?} went to {own:.2} Hz, out of {low}…{high} Hz: no rhythm there"
        ))
        .with_hint("add a frequency to background_hz"));
    }
    Ok(every_sample(&model, rate_hz, k))
}

/// The same oscillators seen k times as often: their variance stays, and a mean of k samples had a k-th of the noise.
fn every_sample(model: &sspe::Model, rate_hz: f64, k: usize) -> sspe::Model {
    let finer = |o: &sspe::Oscillator| {
        let damping = o.damping.powf(1.0 / k as f64);
        let variance = o.variance / (1.0 - o.damping * o.damping) * (1.0 - damping * damping);
        sspe::Oscillator { damping, variance, ..*o }
    };
    sspe::Model { rate_hz, oscillators: model.oscillators.iter().map(finer).collect(), noise: model.noise * k as f64 }
}

pub(super) fn fit(config: Phase, sites: Vec<Site>) -> Box<dyn StreamFit> {
    Box::new(Listen { config, sites })
}

struct Listen {
    config: Phase,
    sites: Vec<Site>,
}

impl StreamFit for Listen {
    fn fit(&mut self, stream: &mut dyn Replay) -> Result<Model> {
        stream.rewind()?;
        let info = stream.info().clone();
        let wanted = (self.config.calibrate_s * info.rate_hz()).round() as usize;
        let mut block = Block::for_stream(&info);
        let mut data: Stretches = vec![Vec::new(); self.sites.len()];
        let (mut got, mut open, mut segment) = (0, false, None);
        let mut values = vec![0.0; self.sites.len()];
        while got < wanted && stream.next(&mut block)? {
            open &= segment == Some(block.segment());
            segment = Some(block.segment());
            for i in 0..block.len().min(wanted - got) {
                for (value, site) in values.iter_mut().zip(&self.sites) {
                    *value = site.value(|c| block.group(c / LANES)[i][c % LANES]);
                }
                if !values.iter().all(|v| v.is_finite()) {
                    open = false;
                    continue;
                }
                for (stretches, value) in data.iter_mut().zip(&values) {
                    if !open {
                        stretches.push(Vec::new());
                    }
                    stretches.last_mut().into_iter().for_each(|s| s.push(*value));
                }
                (open, got) = (true, got + 1);
            }
        }
        if got == 0 {
            return Err(Error::data("there is no sample to calibrate on"));
        }
        let names: Vec<String> = self.sites.iter().map(|s| s.name.clone()).collect();
        learn(&self.config, &names, &data, info.rate_hz())
    }
}
