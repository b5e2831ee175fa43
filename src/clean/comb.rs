//! `comb`: subtracts the mean of the same phase in neighbouring periods (superposition of moving averages).

use super::parrm::{Direction, model, names};
use super::quality::{self, Method};
use super::stimulation::{Find, find};
use super::teeth::{Plan, Stretch, Subtract, Tooth};
use crate::dsp::window::bessel_i0;
use crate::flow::{BuildContext, Model, Problems, Replay, Stage, StageConfig, StreamFit, Watch};
use crate::signal::StreamInfo;
use crate::table::TableSpec;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::f64::consts::PI;
use std::sync::Arc;

/// Taps of the windowed sinc that reads between samples, and the β of its Kaiser window: below 0.4 of the rate it is right to −80 dB.
const TAPS: usize = 32;
const BETA: f64 = 8.0;
/// Longest reach to either side, s.
const LONGEST_S: f64 = 60.0;

/// A comb (Kohli & Casson 2015, 10.1109/EMBC.2015.7319131; 2019, 10.3390/s19010190; weighted: Guggenberger & Gharabaghi 2021,
/// 10.1515/cdbme-2021-2097): y\[n\] = x\[n\] − Σ wₘ x\[n + mT\] / Σ wₘ over m = ±1 … ±M, T the fitted period of the stimulation in
/// samples. Between samples the signal is read by a windowed sinc of 32 taps.
///
/// **It takes the brain with it.** At every multiple of f, including 0 Hz, all power goes, and about f/(2M) to either side most of
/// it: a slow drift and any rhythm of the brain that close to f or its harmonics. Bands that hold a notch have missing data. White
/// noise grows by 1/(2M) in variance (1/M from the `past`).
///
/// Ends, gaps, missing samples and what lies outside stimulation: as for [`Parrm`](super::parrm::Parrm). Where f lies above half
/// the rate T is the period of the alias: its multiples are the aliases of the harmonics.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Comb {
    /// How stimulation is found.
    pub stimulation: Find,
    /// `both` sides, or the `past` alone: without delay.
    pub direction: Direction,
    /// M: 10.
    pub periods: u32,
    /// `flat`, or `triangle`: wₘ = 1 − m/(M + 1), less ringing and a wider notch.
    pub weights: Weights,
}

/// How the periods are weighted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Weights {
    /// All the same.
    #[default]
    Flat,
    /// Falling with distance.
    Triangle,
}

impl Default for Comb {
    fn default() -> Self {
        Self { stimulation: Find::default(), direction: Direction::Both, periods: 10, weights: Weights::Flat }
    }
}

impl Comb {
    /// Half width of each notch, Hz, for stimulation at `hz`.
    pub fn notch_hz(&self, hz: f64) -> f64 {
        hz / (2.0 * f64::from(self.periods))
    }

    fn plan(&self, cycles: f64, rate_hz: f64, problems: &mut Problems) -> Option<Plan> {
        let (period, most) = (1.0 / cycles, i64::from(self.periods));
        let reach = period * most as f64 / rate_hz;
        if reach.is_nan() || reach > LONGEST_S {
            problems.add("periods", format!("{most} periods reach {reach:.1} s; at most {LONGEST_S} s"));
            return None;
        }
        let last = if self.direction == Direction::Past { 0 } else { most };
        let teeth = (-most..=last).filter(|m| *m != 0).map(|m| {
            let (first, kernel) = between(m as f64 * period);
            let weight = match self.weights {
                Weights::Flat => 1.0,
                Weights::Triangle => 1.0 - m.abs() as f64 / (most + 1) as f64,
            };
            Tooth { at: first, kernel, weight, phase: 0.0 }
        });
        // from the past: not a tooth that would read the present
        let causal = |t: &Tooth| self.direction == Direction::Both || t.at + t.kernel.len() as i64 <= 0;
        let teeth: Vec<Tooth> = teeth.filter(causal).collect();
        if teeth.is_empty() {
            problems
                .add("periods", format!("{most} periods of {period:.2} samples are shorter than half the {TAPS} taps"));
            return None;
        }
        Some(Plan::new(teeth, false))
    }
}

/// The kernel that reads the signal at `at` samples: offset of its first sample, weights (their sum is 1).
fn between(at: f64) -> (i64, Vec<f64>) {
    let whole = at.floor();
    let fraction = at - whole;
    if fraction == 0.0 {
        return (whole as i64, vec![1.0]);
    }
    let half = TAPS as f64 / 2.0;
    let tap = |l: usize| {
        let t = l as f64 - (half - 1.0) - fraction;
        let window = bessel_i0(BETA * (1.0 - (t / half).powi(2)).max(0.0).sqrt()) / bessel_i0(BETA);
        if t == 0.0 { 1.0 } else { (PI * t).sin() / (PI * t) * window }
    };
    let taps: Vec<f64> = (0..TAPS).map(tap).collect();
    let sum: f64 = taps.iter().sum();
    (whole as i64 - (TAPS as i64 / 2 - 1), taps.iter().map(|t| t / sum).collect())
}

impl StageConfig for Comb {
    fn build(&self, input: &StreamInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Stage>> {
        let (stimulation, cycles) = model::<Vec<f64>>("comb", "cycles", context, problems)?;
        if self.periods == 0 {
            problems.add("periods", "must be at least 1; here 0");
            return None;
        }
        let mut plans = Vec::new();
        for cycles in cycles {
            plans.push(self.plan(cycles, input.rate_hz(), problems)?);
        }
        if plans.len() != stimulation.episodes.len() {
            let (p, e) = (plans.len(), stimulation.episodes.len());
            problems.add("", format!("the model holds {p} frequencies for {e} episodes"));
            return None;
        }
        let stretches = stimulation.episodes.iter().enumerate().map(|(k, e)| Stretch::new(e, k)).collect();
        let hz = stimulation.episodes.first().map_or(f64::NAN, |e| e.cycles * input.rate_hz());
        let gain = plans.first().map_or(1.0, Plan::noise_gain);
        let notes = format!(
            "notches at all multiples of {hz:.4} Hz, {:.3} Hz to either side, white noise × {gain:.3}",
            self.notch_hz(hz)
        );
        context.stimulation = Some((input.clock, Arc::new(stimulation)));
        Some(Box::new(Subtract::new(input, plans, stretches, notes)))
    }

    fn fit(&self, _: &StreamInfo, _: &mut BuildContext, _: &mut Problems) -> Option<Box<dyn StreamFit>> {
        Some(Box::new(Fitter(self.stimulation.clone())))
    }

    fn watch(&self, input: &StreamInfo, output: &StreamInfo, context: &BuildContext) -> Option<Box<dyn Watch>> {
        let hz = context.stimulation.as_ref().and_then(|(_, s)| Some(s.episodes.first()?.cycles * input.rate_hz()));
        let notch_hz = hz.map(|hz| 2.0 * self.notch_hz(hz));
        let method = Method { notch_hz, nominal_hz: self.stimulation.frequency_hz, ..Method::new("comb") };
        quality::watch(input, output, context, method)
    }

    fn tables(&self) -> &'static [&'static TableSpec] {
        &quality::TABLES
    }
}

struct Fitter(Find);

impl StreamFit for Fitter {
    fn fit(&mut self, stream: &mut dyn Replay) -> Result<Model> {
        let stimulation = find(stream, &self.0)?;
        let cycles: Vec<f64> = stimulation.episodes.iter().map(|e| e.cycles).collect();
        if !cycles.iter().all(|c| *c > 0.0) {
            return Err(Error::data("comb: the stimulation's alias lies at 0 Hz"));
        }
        let values = json!({ "stimulation": stimulation, "cycles": cycles });
        Ok(Model { name: "comb".into(), channels: names(stream.info()), values })
    }
}

#[cfg(test)]
mod tests;
