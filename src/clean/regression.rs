//! `regression`: what a copy of the stimulation predicts of each channel is subtracted.

use super::stretches::walk;
use super::{quality, stimulation};
use crate::flow::{BuildContext, Model, Problems, Replay, Stage, StageConfig, StreamFit, Watch};
use crate::names::nearest;
use crate::signal::{Block, Channel, ChannelKind, LANES, Lanes, Stimulation, StreamInfo};
use crate::table::TableSpec;
use crate::unit::Unit;
use crate::{Error, Result};
use nalgebra::{DMatrix, DVector, SymmetricEigen};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Directions of the regressors below this share of the strongest are not told apart from rounding.
const RANK: f64 = 1e-10;
/// Longest lag, ms.
const LONGEST_MS: f64 = 10_000.0;

/// Regression on reference channels (Croft & Barry 2000, 10.1016/S0987-7053(00)00055-1, for eye movements; here the current): during
/// stimulation each channel is fitted by `x[n] = c + Σ w_rl (r[n − l] − r̄)`, least squares over all reference channels r and lags l, and
/// `Σ w_rl (r[n − l] − r̄)` is subtracted from the whole recording, causally.
///
/// The reference is a copy of the current or voltage: any waveform, ramps and clock drift come with it, no frequency is needed. What the
/// reference does not hold stays: amplitude modulation by heart beat and breathing, and what electrodes and amplifier add; its own
/// noise is put into every channel, and a 16-bit copy has a floor of its own. A current source's copy and the scalp differ in phase: by
/// default the lags are 0 and a quarter of the period that was found, which takes any phase of the fundamental; harmonics with other phases
/// need more lags (`lags_ms = [0, 12.5, 25]`).
///
/// **The reference must be among the channels that are analysed**: by default these are the EEG channels, so write `--channels
/// 'Fp*,Cz,…,STIM'` (or `input.channels`), all that are wanted and the copy. A channel whose kind the reader knows to be `stim` is taken by
/// itself and enters no average; any other must be named in `references`, and where it is in µV of no known kind it counts as EEG
/// once it is named in `--channels`: say `--bad NAME` too, so that it enters no average.
///
/// Normal equations of the regressors scaled to variance 1, in constant memory; directions below 1e-10 of the strongest are left out, so
/// that doubled references do no harm. Channels in µV other than copies and triggers are cleaned; one that is not finite
/// during stimulation is left as it is and named in the Model (`left_out`). A reference that is not finite spoils all channels for the samples
/// it reaches; before a segment's beginning it is taken for its mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Regression {
    /// Names of the reference channels; none: all of kind `stim`.
    pub references: Vec<String>,
    /// Lags in ms, at least 0; by default 0 and a quarter period.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lags_ms: Option<Vec<f64>>,
    /// Added to the diagonal of the regressors' correlation matrix: 0 is least squares, 1e-6 calms lags that nearly repeat each other.
    pub ridge: f64,
    /// How stimulation is found.
    pub stimulation: stimulation::Find,
}

impl Default for Regression {
    fn default() -> Self {
        Self { references: Vec::new(), lags_ms: None, ridge: 0.0, stimulation: stimulation::Find::default() }
    }
}

/// What a Model of this method holds.
#[derive(Debug, Serialize, Deserialize)]
struct Values {
    stimulation: Stimulation,
    rate_hz: f64,
    references: Vec<String>,
    /// r̄.
    means: Vec<f64>,
    /// In samples.
    lags: Vec<usize>,
    /// By channel: reference after reference, lag after lag.
    weights: BTreeMap<String, Vec<f64>>,
    /// Share of each channel's variance during stimulation that is explained.
    explained: BTreeMap<String, f64>,
    /// Independent regressors.
    rank: usize,
    left_out: Vec<(String, String)>,
}

impl Regression {
    /// Places of the reference channels.
    fn references(&self, channels: &[Channel], problems: &mut Problems) -> Option<Vec<usize>> {
        let before = problems.list().len();
        if !(0.0..=1.0).contains(&self.ridge) {
            problems.add("ridge", format!("{} is not between 0 and 1", self.ridge));
        }
        match self.lags_ms.as_deref() {
            Some([]) => problems.add("lags_ms", "needs at least one lag"),
            Some(lags) => lags.iter().filter(|l| !(0.0..=LONGEST_MS).contains(*l)).for_each(|l| {
                problems
                    .add("lags_ms", format!("{l} ms is not between 0 and {LONGEST_MS} ms: the past alone is known"));
            }),
            None => {}
        }
        let mut places: Vec<usize> = Vec::new();
        for name in &self.references {
            match channels.iter().position(|c| c.name == *name) {
                Some(c) if places.contains(&c) => {}
                Some(c) => places.push(c),
                None => {
                    let hint = nearest(name, channels.iter().map(|c| c.name.as_str()));
                    let hint = hint.map(|n| format!("; nearest: {n:?}")).unwrap_or_default();
                    let what = "is not among the channels that are analysed: name it in --channels, too";
                    problems.add("references", format!("{name:?} {what}{hint}"));
                }
            }
        }
        if self.references.is_empty() {
            places.extend((0..channels.len()).filter(|&c| channels[c].kind == ChannelKind::Stim));
            if places.is_empty() {
                problems.add(
                    "references",
                    "no channel that is analysed is a copy of the stimulation: name it here and in --channels, with the EEG",
                );
            }
        }
        (problems.list().len() == before).then_some(places)
    }
}

fn cleaned(channel: &Channel) -> bool {
    channel.unit == Unit::Microvolt && !matches!(channel.kind, ChannelKind::Stim | ChannelKind::Trigger)
}

impl StageConfig for Regression {
    fn build(&self, input: &StreamInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Stage>> {
        let Some(model) = context.model.clone() else {
            problems.add("", "needs a model: fit it on a recording with stimulation, or give a saved one");
            return None;
        };
        let values: Values = match serde_json::from_value(model.values) {
            Ok(values) => values,
            Err(error) => {
                problems.add("", format!("the model is not one of regression: {error}"));
                return None;
            }
        };
        let rate = input.rate_hz();
        if (values.rate_hz / rate - 1.0).abs() > 1e-9 {
            problems.add("", format!("the model is for {} Hz; here the rate is {rate} Hz", values.rate_hz));
            return None;
        }
        let place = |name: &String| input.channels.iter().position(|c| c.name == *name);
        let places: Vec<usize> = values.references.iter().filter_map(place).collect();
        if places.len() != values.references.len() {
            let missing: Vec<&str> =
                values.references.iter().filter(|name| place(name).is_none()).map(String::as_str).collect();
            problems.add("references", format!("the model's {} is not among the channels", missing.join(", ")));
            return None;
        }
        let regressors = places.len() * values.lags.len();
        let longest = values.lags.iter().copied().max().unwrap_or(0);
        let too_long = longest as f64 > LONGEST_MS * rate / 1e3;
        if too_long || values.means.len() != places.len() || values.weights.values().any(|w| w.len() != regressors) {
            problems.add("", "the model's references, lags and weights do not fit each other");
            return None;
        }
        let groups = input.channels.len().div_ceil(LANES);
        let mut mask = vec![[0; LANES]; groups];
        let mut weights = vec![vec![[0.0; LANES]; groups]; regressors];
        for (c, channel) in input.channels.iter().enumerate() {
            if let Some(own) = values.weights.get(&channel.name) {
                mask[c / LANES][c % LANES] = u64::MAX;
                weights.iter_mut().zip(own).for_each(|(w, v)| w[c / LANES][c % LANES] = *v);
            }
        }
        let notes = format!(
            "{} lag(s) of {}, {} of {regressors} regressors independent; up to {:.3} ms back",
            values.lags.len(),
            values.references.join(", "),
            values.rank,
            longest as f64 * 1e3 / rate
        );
        context.stimulation = Some((input.clock, Arc::new(values.stimulation)));
        Some(Box::new(Subtract {
            output: input.clone(),
            lines: vec![vec![0.0; longest + input.max_block]; places.len()],
            places,
            means: values.means,
            lags: values.lags,
            longest,
            mask,
            weights,
            end: (0, 0),
            notes,
        }))
    }

    fn joins_channels(&self) -> bool {
        true
    }

    fn fit(
        &self,
        input: &StreamInfo,
        _context: &mut BuildContext,
        problems: &mut Problems,
    ) -> Option<Box<dyn StreamFit>> {
        let references = self.references(&input.channels, problems)?;
        Some(Box::new(Calibrate { config: self.clone(), references }))
    }

    fn watch(&self, input: &StreamInfo, output: &StreamInfo, context: &BuildContext) -> Option<Box<dyn Watch>> {
        let left: Vec<(String, String)> = context
            .model
            .as_ref()
            .and_then(|m| serde_json::from_value(m.values.get("left_out")?.clone()).ok())
            .unwrap_or_default();
        let refused = left.into_iter().map(|(name, why)| (name, why.replace(' ', "_"))).collect();
        quality::watch(input, output, context, quality::Method { refused, ..quality::Method::new("regression") })
    }

    fn tables(&self) -> &'static [&'static TableSpec] {
        &quality::TABLES
    }
}

struct Calibrate {
    config: Regression,
    references: Vec<usize>,
}

impl StreamFit for Calibrate {
    fn fit(&mut self, stream: &mut dyn Replay) -> Result<Model> {
        let found = stimulation::find(stream, &self.config.stimulation)?;
        self.learn(stream, found)
    }
}

impl Calibrate {
    fn learn(&self, stream: &mut dyn Replay, found: Stimulation) -> Result<Model> {
        let info = stream.info().clone();
        let rate = info.rate_hz();
        let on: Vec<Range<i64>> = found.episodes.iter().map(|e| e.on.clone()).filter(|r| !r.is_empty()).collect();
        let Some(episode) = found.episodes.first() else {
            return Err(Error::data("there is no stimulation to learn from"));
        };
        let mut lags: Vec<usize> = match &self.config.lags_ms {
            Some(ms) => ms.iter().map(|l| (l * rate / 1e3).round() as usize).collect(),
            None => vec![0, (0.25 / episode.cycles.max(0.25 / (LONGEST_MS * rate / 1e3))).round() as usize],
        };
        lags.sort_unstable();
        lags.dedup();
        let targets: Vec<usize> =
            (0..info.channels.len()).filter(|c| cleaned(&info.channels[*c]) && !self.references.contains(c)).collect();
        let sums = self.sums(stream, &on, &lags, &targets)?;
        let width = self.references.len() * lags.len();
        if sums.n < 10 * width as u64 {
            let needed = 10 * width;
            return Err(Error::data(format!(
                "{width} regressors need {needed} samples with stimulation; here {}",
                sums.n
            )));
        }
        let name = |c: usize| info.channels[c].name.clone();
        if let Some(flat) = (0..width).find(|&i| sums.covariance(i, i).is_nan() || sums.covariance(i, i) <= 0.0) {
            let reference = name(self.references[flat / lags.len()]);
            return Err(Error::data(format!("the reference {reference} does not move during stimulation")));
        }
        let (solve, rank) = sums.solver(width, self.config.ridge);
        let (mut weights, mut explained, mut left_out) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        for (t, &c) in targets.iter().enumerate() {
            let right = DVector::from_fn(width, |i, _| sums.with(t, i));
            let solution = &solve * &right;
            if solution.iter().all(|v| v.is_finite()) {
                explained.insert(name(c), solution.dot(&right) / sums.power(t).max(f64::MIN_POSITIVE));
                weights.insert(name(c), solution.iter().copied().collect());
            } else {
                left_out.push((name(c), "not finite".to_owned()));
            }
        }
        if weights.is_empty() {
            return Err(Error::data("no channel in µV is finite during stimulation"));
        }
        let mean = |r: usize| sums.mean(r * lags.len());
        let values = Values {
            rate_hz: rate,
            references: self.references.iter().map(|&c| name(c)).collect(),
            means: (0..self.references.len()).map(mean).collect(),
            lags,
            explained,
            rank,
            left_out,
            stimulation: found,
            weights,
        };
        let channels = targets.iter().map(|&c| name(c)).filter(|n| values.weights.contains_key(n)).collect();
        Ok(Model { name: "regression".into(), channels, values: json!(values) })
    }

    fn sums(&self, stream: &mut dyn Replay, on: &[Range<i64>], lags: &[usize], targets: &[usize]) -> Result<Sums> {
        let longest = lags.iter().copied().max().unwrap_or(0);
        let depth = longest + 1;
        let mut sums = Sums::new(self.references.len() * lags.len(), targets.len());
        let mut past = vec![vec![0.0; depth]; self.references.len()];
        let (mut regressors, mut row) = (vec![0.0; sums.width], vec![0.0; targets.len()]);
        walk(stream, on, |k, block, at| {
            for i in at {
                let since = block.first() + i as i64 - on[k].start;
                let slot = since as usize % depth;
                for (line, &c) in past.iter_mut().zip(&self.references) {
                    line[slot] = block.get(c, i);
                }
                if since < longest as i64 {
                    continue;
                }
                for (own, line) in regressors.chunks_exact_mut(lags.len()).zip(&past) {
                    own.iter_mut().zip(lags).for_each(|(v, lag)| *v = line[(slot + depth - lag) % depth]);
                }
                row.iter_mut().zip(targets).for_each(|(v, &c)| *v = block.get(c, i));
                sums.push(&regressors, &row);
            }
        })?;
        Ok(sums)
    }
}

/// Normal equations in constant memory, about the first sample, so that levels do not cancel digits.
struct Sums {
    width: usize,
    n: u64,
    origin: (Vec<f64>, Vec<f64>),
    sum: (Vec<f64>, Vec<f64>),
    gram: Vec<f64>,
    right: Vec<f64>,
    squares: Vec<f64>,
    centred: (Vec<f64>, Vec<f64>),
}

impl Sums {
    fn new(width: usize, targets: usize) -> Self {
        let zeros = || (vec![0.0; width], vec![0.0; targets]);
        Self {
            width,
            n: 0,
            origin: zeros(),
            sum: zeros(),
            gram: vec![0.0; width * width],
            right: vec![0.0; targets * width],
            squares: vec![0.0; targets],
            centred: zeros(),
        }
    }

    fn push(&mut self, regressors: &[f64], targets: &[f64]) {
        if regressors.iter().any(|v| !v.is_finite()) {
            return;
        }
        if self.n == 0 {
            self.origin.0.copy_from_slice(regressors);
            let finite = targets.iter().map(|v| if v.is_finite() { *v } else { 0.0 });
            self.origin.1.iter_mut().zip(finite).for_each(|(o, v)| *o = v);
        }
        self.n += 1;
        let (u, y) = (&mut self.centred.0, &mut self.centred.1);
        u.iter_mut().zip(regressors).zip(&self.origin.0).for_each(|((u, v), o)| *u = v - o);
        y.iter_mut().zip(targets).zip(&self.origin.1).for_each(|((y, v), o)| *y = v - o);
        self.sum.0.iter_mut().zip(&*u).for_each(|(s, v)| *s += v);
        self.sum.1.iter_mut().zip(&*y).for_each(|(s, v)| *s += v);
        for (row, a) in self.gram.chunks_exact_mut(self.width).zip(&*u) {
            row.iter_mut().zip(&*u).for_each(|(g, b)| *g += a * b);
        }
        for ((row, s), a) in self.right.chunks_exact_mut(self.width).zip(&mut self.squares).zip(&*y) {
            row.iter_mut().zip(&*u).for_each(|(g, b)| *g += a * b);
            *s += a * a;
        }
    }

    fn mean(&self, i: usize) -> f64 {
        self.origin.0[i] + self.sum.0[i] / self.n as f64
    }

    fn covariance(&self, i: usize, j: usize) -> f64 {
        self.gram[i * self.width + j] - self.sum.0[i] * (self.sum.0[j] / self.n as f64)
    }

    fn with(&self, target: usize, i: usize) -> f64 {
        self.right[target * self.width + i] - self.sum.1[target] * (self.sum.0[i] / self.n as f64)
    }

    fn power(&self, target: usize) -> f64 {
        self.squares[target] - self.sum.1[target].powi(2) / self.n as f64
    }

    /// What turns a right-hand side into weights, and how many regressors are independent.
    fn solver(&self, width: usize, ridge: f64) -> (DMatrix<f64>, usize) {
        let scale: Vec<f64> = (0..width).map(|i| self.covariance(i, i).sqrt()).collect();
        let correlation = DMatrix::from_fn(width, width, |i, j| self.covariance(i, j) / (scale[i] * scale[j]));
        let eigen = SymmetricEigen::new(correlation);
        let least = RANK * eigen.eigenvalues.max();
        let kept = |j: usize| eigen.eigenvalues[j] > least;
        let weight = |j: usize| if kept(j) { 1.0 / (eigen.eigenvalues[j] + ridge) } else { 0.0 };
        let inverse = DMatrix::from_fn(width, width, |i, k| {
            let inner = |j: usize| eigen.eigenvectors[(i, j)] * weight(j) * eigen.eigenvectors[(k, j)];
            (0..width).map(inner).sum::<f64>() / (scale[i] * scale[k])
        });
        (inverse, (0..width).filter(|&j| kept(j)).count())
    }
}

struct Subtract {
    output: StreamInfo,
    places: Vec<usize>,
    means: Vec<f64>,
    lags: Vec<usize>,
    longest: usize,
    /// Per reference: the past `longest` samples and the block, less the mean.
    lines: Vec<Vec<f64>>,
    mask: Vec<[u64; LANES]>,
    /// Per regressor and group.
    weights: Vec<Vec<Lanes>>,
    end: (u32, i64),
    notes: String,
}

impl Stage for Subtract {
    fn output(&self) -> &StreamInfo {
        &self.output
    }

    fn lookahead(&self) -> u64 {
        0
    }

    fn push(&mut self, input: &Block, out: &mut Block) {
        let n = input.len();
        out.copy_from(input, 0, n, 0);
        self.end = (out.segment(), out.end());
        for ((line, &c), mean) in self.lines.iter_mut().zip(&self.places).zip(&self.means) {
            let samples = input.group(c / LANES).iter();
            line[self.longest..].iter_mut().zip(samples).for_each(|(v, x)| *v = x[c % LANES] - mean);
        }
        let regressors = self.lines.iter().flat_map(|line| self.lags.iter().map(move |lag| (line, *lag)));
        for ((line, lag), weights) in regressors.zip(&self.weights) {
            let values = &line[self.longest - lag..];
            for (g, (weight, mask)) in weights.iter().zip(&self.mask).enumerate() {
                for (y, r) in out.group_mut(g).iter_mut().zip(values) {
                    let artefact = weight.iter().zip(mask).map(|(w, m)| f64::from_bits((w * r).to_bits() & m));
                    y.iter_mut().zip(artefact).for_each(|(y, a)| *y -= a);
                }
            }
        }
        for line in &mut self.lines {
            line.copy_within(n..n + self.longest, 0);
        }
    }

    fn finish(&mut self, out: &mut Block) {
        out.start(self.end.0, self.end.1, 0);
    }

    fn reset(&mut self) {
        self.lines.iter_mut().for_each(|line| line.fill(0.0));
        self.end = (0, 0);
    }

    fn memory_bytes(&self) -> u64 {
        (self.lines.iter().map(Vec::len).sum::<usize>() * size_of::<f64>()) as u64
    }

    fn notes(&self) -> String {
        self.notes.clone()
    }
}

#[cfg(test)]
mod tests;
