//! The estimators of all sites.

use super::learn::Learnt;
use super::{Method, Phase};
use crate::dsp::echt::{self, Echt, Window};
use crate::dsp::fft::Complex;
use crate::dsp::phastimate::{self, Phastimate};
use crate::dsp::sspe::Filter;
use crate::signal::LANES;
use crate::{Error, Result};
use std::sync::Arc;

/// What is known of a site's rhythm at one sample.
#[derive(Debug, Clone, Copy)]
pub(super) struct Estimate {
    pub phase_deg: f64,
    pub amplitude: f64,
    /// NaN where the method does not tell.
    pub phase_sd_deg: f64,
}

impl Estimate {
    const NONE: Self = Self { phase_deg: f64::NAN, amplitude: f64::NAN, phase_sd_deg: f64::NAN };

    fn of(z: Complex) -> Self {
        Self { phase_deg: z.arg().to_degrees(), amplitude: z.norm_sqr().sqrt(), phase_sd_deg: f64::NAN }
    }
}

/// The last samples of a site in one slice, and what looks at them.
pub(super) struct Predictor {
    estimator: Phastimate,
    twice: Vec<f64>,
    seen: u64,
}

impl Predictor {
    fn push(&mut self, x: f64) -> Estimate {
        let n = self.estimator.plan().window;
        let at = (self.seen % n as u64) as usize;
        (self.twice[at], self.twice[at + n]) = (x, x);
        self.seen += 1;
        if self.seen < n as u64 {
            return Estimate::NONE;
        }
        Estimate::of(self.estimator.estimate(&self.twice[at + 1..=at + n]))
    }
}

enum Each {
    /// One site: no lane is wasted.
    One(Window<1>),
    Tiles(Vec<Window<LANES>>),
    Predictors(Vec<Predictor>),
    Filters(Vec<Filter>),
}

/// One estimator per site.
pub(super) struct Bank {
    each: Each,
    estimates: Vec<Estimate>,
    notes: String,
}

impl Bank {
    pub fn new(config: &Phase, rate_hz: f64, learnt: &Learnt) -> Result<Self> {
        let n = learnt.sites.len();
        let (each, notes) = match config.method {
            Method::Echt => {
                let f = learnt.frequency_hz;
                let plan = echt::Plan {
                    order: config.order,
                    window_s: config.window_s,
                    stride: config.stride.unwrap_or_else(|| echt::stride(rate_hz, f)),
                    ..echt::Plan::around(rate_hz, f)
                };
                let echt = Arc::new(Echt::new(&plan)?);
                let notes = format!(
                    "{f:.3} Hz: {} taps, {} samples apart; no look-ahead, group delay {:.0} ms; phase error 0 at {f:.3} Hz, {:.1} deg \
                     1 Hz below and {:.1} deg 1 Hz above",
                    echt.weights().len(),
                    plan.stride,
                    1e3 * echt.group_delay_s(f),
                    echt.bias_deg(f - 1.0),
                    echt.bias_deg(f + 1.0)
                );
                let each = match n {
                    1 => Each::One(Window::new(echt)),
                    _ => Each::Tiles((0..n.div_ceil(LANES)).map(|_| Window::new(echt.clone())).collect()),
                };
                (each, notes)
            }
            Method::Phastimate => {
                let plan = phastimate::Plan::usual(rate_hz, config.band_hz);
                let estimator = Phastimate::new(plan)?;
                let notes =
                    format!("window {} samples, {} taps, AR {}; no look-ahead", plan.window, plan.taps, plan.order);
                let predictor =
                    || Predictor { estimator: estimator.clone(), twice: vec![0.0; 2 * plan.window], seen: 0 };
                (Each::Predictors((0..n).map(|_| predictor()).collect()), notes)
            }
            Method::Kalman => {
                let filter = |site: &super::learn::LearntSite| {
                    let model = site.state_space.as_ref().filter(|m| m.rate_hz == rate_hz).and_then(Filter::new);
                    model.ok_or_else(|| Error::usage(format!("the model has no oscillators for {rate_hz} Hz")))
                };
                let filters: Vec<Filter> = learnt.sites.iter().map(filter).collect::<Result<_>>()?;
                let notes = "no look-ahead; each phase tells how sure it is".to_owned();
                (Each::Filters(filters), notes)
            }
        };
        Ok(Self { each, estimates: vec![Estimate::NONE; n], notes })
    }

    /// Takes a value per site, gives an estimate per site.
    pub fn push(&mut self, values: &[f64]) -> &[Estimate] {
        match &mut self.each {
            Each::One(window) => {
                let [[re], [im]] = window.push(&[values[0]]);
                self.estimates[0] = Estimate::of(Complex::new(re, im));
            }
            Each::Tiles(tiles) => {
                let all = self.estimates.chunks_mut(LANES).zip(values.chunks(LANES));
                for (tile, (estimates, values)) in tiles.iter_mut().zip(all) {
                    let mut x = [0.0; LANES];
                    x[..values.len()].copy_from_slice(values);
                    let [re, im] = tile.push(&x);
                    for (l, estimate) in estimates.iter_mut().enumerate() {
                        *estimate = Estimate::of(Complex::new(re[l], im[l]));
                    }
                }
            }
            Each::Predictors(predictors) => {
                for ((predictor, x), estimate) in predictors.iter_mut().zip(values).zip(&mut self.estimates) {
                    *estimate = predictor.push(*x);
                }
            }
            Each::Filters(filters) => {
                for ((filter, x), estimate) in filters.iter_mut().zip(values).zip(&mut self.estimates) {
                    let known = filter.push(*x);
                    *estimate = Estimate { phase_sd_deg: known.phase_sd.to_degrees(), ..Estimate::of(known.mean) };
                }
            }
        }
        &self.estimates
    }

    pub fn reset(&mut self) {
        match &mut self.each {
            Each::One(window) => window.reset(),
            Each::Tiles(tiles) => tiles.iter_mut().for_each(Window::reset),
            Each::Predictors(predictors) => predictors.iter_mut().for_each(|p| p.seen = 0),
            Each::Filters(filters) => filters.iter_mut().for_each(Filter::reset),
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        match &self.each {
            Each::One(window) => window.memory_bytes(),
            Each::Tiles(tiles) => tiles.iter().map(Window::memory_bytes).sum(),
            Each::Predictors(p) => p.iter().map(|p| p.estimator.memory_bytes() + 8 * p.twice.len() as u64).sum(),
            Each::Filters(filters) => size_of_val(&filters[..]) as u64,
        }
    }

    pub fn notes(&self) -> String {
        self.notes.clone()
    }
}
