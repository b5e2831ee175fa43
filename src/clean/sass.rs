//! `sass`: what stimulation adds to the scalp's covariance is projected out, by a calibration on data without it.

use super::stretches::{free, segments, total, walk};
use super::{quality, stimulation};
use crate::dsp::iir::{Band, Sos, butterworth};
use crate::dsp::sass::{Covariance, Separation, chance_edge, independence};
use crate::dsp::tile::{TileState, forward_into, settle};
use crate::flow::{BuildContext, Model, Problems, Replay, Stage, StageConfig, StreamFit, Watch};
use crate::signal::{Block, ChannelKind, Free, LANES, Lanes, Stimulation, StreamInfo};
use crate::table::TableSpec;
use crate::{Error, Result};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::json;
use std::ops::Range;
use std::sync::Arc;

/// Order of the band-pass in front of the covariances.
const ORDER: usize = 2;
/// What the band-pass may still remember of a stretch's beginning when samples without stimulation start to count.
const REMEMBERED: f64 = 1e-3;
/// Samples that count, per period of the band's upper edge.
const PER_PERIOD: f64 = 8.0;
/// Independent samples without stimulation that each channel needs.
const PER_CHANNEL: f64 = 2.0;
/// A ratio is beyond chance from this many times [`chance_edge`] on: EEG has fewer independent samples than its filter lets pass.
const BEYOND_CHANCE: f64 = 1.5;
/// Variance without stimulation below this share of the largest channel's: the channel is flat.
const FLAT: f64 = 1e-12;

/// Stimulation artefact source separation (Haslacher et al. 2021, 10.1016/j.neuroimage.2020.117571): `y = P x`, `P = I − U Vᵀ`, for every
/// sample of the recording, so that the forward model is the same throughout.
///
/// Covariances A on the plateaus and B without stimulation, both after a causal Butterworth band-pass `band_hz` of order 2 that starts
/// anew (settled on the first sample) in every stretch, give directions v with A v = λ B v ([`Separation`]); those with the largest λ
/// are taken out. The band-pass serves the covariances alone: P is applied to the samples as they are, and takes out whatever has the
/// artefact's topography at any frequency, harmonics included.
///
/// **What it costs.** A spatial filter removes a brain source to the extent that its topography resembles the artefact's, and **the forward
/// model changes**: the leadfield of the cleaned data is P times the old one. The Model holds P (`projection`, rows and columns
/// in the order of `channels`) for source localisation, and connectivity between channels is that of mixed channels.
///
/// What the brain does in step with the current while A is measured is in A, too, and cannot be told from the artefact: of a rhythm at the
/// very frequency, the part that is in phase with the current on average; of anything else about 1/T Hz around it, T the seconds of
/// stimulation. Two seconds of stimulation therefore give a poor projection, two minutes a good one.
///
/// **How many nulls.** Published is the number with the least mean (diag B − diag P A Pᵀ)² (`nulls = "cost"`). On finite data this also
/// nulls directions that differ by chance: with 60 s against 120 s of 8–12 Hz, 32 channels, the largest λ of *no* difference is 1.8, and 6
/// of 20 simulated recordings lost a second direction and with it up to 1.3 % of the correlation with the truth. `auto` takes the least cost
/// among the directions with λ ≥ `least_ratio` and beyond what sampling gives ([`chance_edge`]): a change that the brain's state may
/// explain is left, for the quality check to see.
///
/// Channels that are not EEG, said to be bad, flat or not finite in the calibration are left as they are and named in the Model
/// (`left_out`). Average-referenced, interpolated and doubled channels are allowed: the problem is solved in the rank that is there.
/// A sample that is not finite in a channel that takes part spoils all channels at this sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sass {
    /// Band of the covariances, Hz: the one that will be analysed; it should hold the frequency of stimulation.
    pub band_hz: [f64; 2],
    /// `"auto"`, `"cost"`, or their number.
    pub nulls: Nulls,
    /// With `auto`: the least λ, as a ratio of powers, that counts as stimulation: 4 is 6 dB.
    pub least_ratio: f64,
    /// Which stretches without stimulation calibrate, where no other recording is given for it: `pre`, `gap`, `post`.
    pub free: Vec<Free>,
    /// Time in ms before and after stimulation that belongs to neither side.
    pub guard_ms: f64,
    /// How stimulation is found.
    pub stimulation: stimulation::Find,
}

impl Default for Sass {
    fn default() -> Self {
        Self {
            band_hz: [8.0, 12.0],
            nulls: Nulls::Auto,
            least_ratio: 4.0,
            free: vec![Free::Pre, Free::Gap, Free::Post],
            guard_ms: 500.0,
            stimulation: stimulation::Find::default(),
        }
    }
}

/// How many directions are taken out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// Least cost among those that stimulation must explain.
    Auto,
    /// Least cost, as published.
    Cost,
    /// As many as this.
    Count(usize),
}

impl Serialize for Nulls {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => s.serialize_str("auto"),
            Self::Cost => s.serialize_str("cost"),
            Self::Count(n) => s.serialize_u64(*n as u64),
        }
    }
}

impl<'de> Deserialize<'de> for Nulls {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Count(usize),
            Word(String),
        }
        match Written::deserialize(d) {
            Ok(Written::Count(n)) => Ok(Self::Count(n)),
            Ok(Written::Word(w)) if w == "auto" => Ok(Self::Auto),
            Ok(Written::Word(w)) if w == "cost" => Ok(Self::Cost),
            _ => Err(serde::de::Error::custom("nulls is \"auto\", \"cost\" or a whole number")),
        }
    }
}

/// What a Model of this method holds.
#[derive(Debug, Serialize, Deserialize)]
struct Values {
    stimulation: Stimulation,
    band_hz: [f64; 2],
    /// λ, descending.
    ratios: Vec<f64>,
    /// The largest λ that sampling alone gives.
    chance: f64,
    stimulation_s: f64,
    free_s: f64,
    /// U and V: per null, one value per channel.
    patterns: Vec<Vec<f64>>,
    filters: Vec<Vec<f64>>,
    projection: Vec<Vec<f64>>,
    left_out: Vec<(String, String)>,
    doubled: Vec<(String, String)>,
}

impl Sass {
    fn band(&self, rate_hz: f64, problems: &mut Problems) -> Option<Sos> {
        let before = problems.list().len();
        if !(self.least_ratio >= 1.0 && self.least_ratio.is_finite()) {
            problems.add("least_ratio", format!("{} is not at least 1", self.least_ratio));
        }
        if !(0.0..=60_000.0).contains(&self.guard_ms) {
            problems.add("guard_ms", format!("{} is not between 0 and 60000", self.guard_ms));
        }
        let [lo, hi] = self.band_hz;
        match butterworth(ORDER, Band::Band(lo, hi), rate_hz) {
            Ok(sos) => (problems.list().len() == before).then_some(sos),
            Err(error) => {
                problems.add("band_hz", error.message());
                None
            }
        }
    }
}

impl StageConfig for Sass {
    fn build(&self, input: &StreamInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Stage>> {
        self.band(input.rate_hz(), problems)?;
        let Some(model) = context.model.clone() else {
            problems.add("", "needs a model: fit it on a recording with stimulation and without, or give a saved one");
            return None;
        };
        let values: Values = match serde_json::from_value(model.values) {
            Ok(values) => values,
            Err(error) => {
                problems.add("", format!("the model is not one of sass: {error}"));
                return None;
            }
        };
        let places: Vec<Option<usize>> =
            model.channels.iter().map(|name| input.channels.iter().position(|c| c.name == *name)).collect();
        let missing: Vec<&str> =
            model.channels.iter().zip(&places).filter(|(_, p)| p.is_none()).map(|(n, _)| n.as_str()).collect();
        if !missing.is_empty() {
            let names = missing.join(", ");
            problems.add("", format!("the model mixes {} channels; not here: {names}", model.channels.len()));
        }
        let shapes = values.patterns.iter().chain(&values.filters);
        if values.patterns.len() != values.filters.len() || shapes.clone().any(|row| row.len() != places.len()) {
            problems.add("", "the model's patterns, filters and channels do not fit each other");
        }
        let places: Vec<usize> = places.iter().filter_map(|p| *p).collect();
        if places.len() != model.channels.len() || shapes.clone().any(|row| row.len() != places.len()) {
            return None;
        }
        let next = values.ratios.get(values.patterns.len()).map_or(f64::NAN, |r| *r);
        let notes = format!(
            "{} of {} directions of {} channels taken out, power ratios {}; the next {next:.2}, by chance {:.2}; {:.1} s with, {:.1} s \
             without stimulation; the forward model changes{}",
            values.patterns.len(),
            values.ratios.len(),
            places.len(),
            values.ratios.iter().take(values.patterns.len()).map(|r| format!("{r:.3e}")).collect::<Vec<_>>().join(", "),
            values.chance,
            values.stimulation_s,
            values.free_s,
            values.left_out.iter().map(|(name, why)| format!("; {name} left out: {why}")).collect::<String>()
        );
        context.stimulation = Some((input.clock, Arc::new(values.stimulation)));
        Some(Box::new(Project::new(input, &places, &values.patterns, &values.filters, notes)))
    }

    fn joins_channels(&self) -> bool {
        true
    }

    fn fit(
        &self,
        input: &StreamInfo,
        context: &mut BuildContext,
        problems: &mut Problems,
    ) -> Option<Box<dyn StreamFit>> {
        let sos = self.band(input.rate_hz(), problems)?;
        Some(Box::new(Calibrate { config: self.clone(), sos, bad: context.bad.clone() }))
    }

    fn watch(&self, input: &StreamInfo, output: &StreamInfo, context: &BuildContext) -> Option<Box<dyn Watch>> {
        let left: Vec<(String, String)> = context
            .model
            .as_ref()
            .and_then(|m| serde_json::from_value(m.values.get("left_out")?.clone()).ok())
            .unwrap_or_default();
        let refused = left.into_iter().map(|(name, why)| (name, why.replace(' ', "_"))).collect();
        quality::watch(input, output, context, quality::Method { refused, ..quality::Method::new("sass") })
    }

    fn tables(&self) -> &'static [&'static TableSpec] {
        &quality::TABLES
    }
}

struct Calibrate {
    config: Sass,
    sos: Sos,
    bad: Vec<String>,
}

impl StreamFit for Calibrate {
    fn fit(&mut self, stream: &mut dyn Replay) -> Result<Model> {
        let found = stimulation::find(stream, &self.config.stimulation)?;
        self.learn(stream, found)
    }
}

impl Calibrate {
    fn learn(&self, stream: &mut dyn Replay, found: Stimulation) -> Result<Model> {
        let (info, rate) = (stream.info().clone(), self.sos.rate_hz());
        let skip = crate::dsp::iir::decay_samples(&self.sos, REMEMBERED) as i64;
        let on: Vec<Range<i64>> = found.episodes.iter().map(|e| e.plateau.clone()).filter(|r| !r.is_empty()).collect();
        if on.is_empty() {
            return Err(Error::data("there is no stimulation to learn from"));
        }
        let during = self.covariance(stream, &on, 0)?;
        let (rest, free_samples) = match stream.quiet() {
            Some(quiet) => {
                let all: Vec<Range<i64>> = segments(quiet).iter().map(|s| s.first.0..s.end().0).collect();
                (self.covariance(quiet, &all, skip)?, counted(&all, skip))
            }
            None => {
                let guard = (self.config.guard_ms * rate / 1e3).round() as i64;
                let all = free(stream, &found, &self.config.free, guard);
                (self.covariance(stream, &all, skip)?, counted(&all, skip))
            }
        };

        let variances =
            |cov: &Covariance| -> Vec<f64> { (0..info.channels.len()).map(|c| cov.matrix(&[c])[(0, 0)]).collect() };
        let (with, without) = (variances(&during), variances(&rest));
        let largest = without.iter().copied().filter(|v| v.is_finite()).fold(0.0, f64::max);
        let why = |c: usize| match &info.channels[c] {
            channel if channel.kind != ChannelKind::Eeg => Some("no EEG"),
            channel if self.bad.contains(&channel.name) => Some("said to be bad"),
            _ if !rest.is_empty() && !(with[c].is_finite() && without[c].is_finite()) => Some("not finite"),
            _ if !rest.is_empty() && without[c] <= FLAT * largest => Some("flat"),
            _ => None,
        };
        let name = |c: usize| info.channels[c].name.clone();
        let used: Vec<usize> = (0..info.channels.len()).filter(|&c| why(c).is_none()).collect();
        let left_out: Vec<(String, String)> =
            (0..info.channels.len()).filter_map(|c| Some((name(c), why(c)?.to_owned()))).collect();

        let share = independence(|x| self.sos.response(x * rate).norm_sqr());
        let needed = PER_CHANNEL * used.len() as f64 / share / rate;
        let free_s = free_samples as f64 / rate;
        if used.len() < 2 {
            let told: Vec<String> = left_out.iter().map(|(name, why)| format!("{name} ({why})")).collect();
            return Err(Error::data(format!("needs at least 2 EEG channels; left out: {}", told.join(", "))));
        }
        if free_s < needed || rest.len() < 2 || during.len() < 2 {
            let [lo, hi] = self.config.band_hz;
            return Err(Error::data(format!(
                "{} channels in {lo}-{hi} Hz need {needed:.1} s without stimulation; here {free_s:.1} s, after {:.1} s for the filter in each \
                 stretch",
                used.len(),
                skip as f64 / rate
            ))
            .with_hint("give another recording of the same channels without stimulation, a wider band, or fewer channels"));
        }

        let (a, b) = (during.matrix(&used), rest.matrix(&used));
        let solved = Separation::new(&a, &b).ok_or_else(|| Error::data("the covariances cannot be compared"))?;
        let (rank, on_samples) = (solved.rank() as f64, total(&on) as f64);
        let chance = chance_edge(rank, on_samples * share, free_samples as f64 * share);
        let k = match self.config.nulls {
            Nulls::Auto => {
                let least = self.config.least_ratio.max(BEYOND_CHANCE * chance);
                solved.cheapest(solved.ratios.iter().take_while(|r| **r >= least).count())
            }
            Nulls::Cost => solved.cheapest(usize::MAX),
            Nulls::Count(n) if n < solved.rank() => n,
            Nulls::Count(n) => {
                return Err(Error::data(format!(
                    "nulls: {n} directions would be taken out, of {} that are independent",
                    solved.rank()
                )));
            }
        };
        let doubled = (0..used.len()).flat_map(|i| (0..i).map(move |j| (j, i))).filter(|&(j, i)| {
            let sum = b[(i, i)] + b[(j, j)];
            (sum - 2.0 * b[(i, j)]).abs() <= FLAT * sum
        });
        let projection = solved.projection(k);
        let values = Values {
            band_hz: self.config.band_hz,
            chance,
            stimulation_s: on_samples / rate,
            free_s,
            patterns: solved.patterns.columns(0, k).column_iter().map(|v| v.iter().copied().collect()).collect(),
            filters: solved.filters.columns(0, k).column_iter().map(|v| v.iter().copied().collect()).collect(),
            projection: projection.row_iter().map(|r| r.iter().copied().collect()).collect(),
            doubled: doubled.map(|(j, i)| (name(used[j]), name(used[i]))).collect(),
            ratios: solved.ratios,
            left_out,
            stimulation: found,
        };
        let channels = used.iter().map(|&c| name(c)).collect();
        Ok(Model { name: "sass".into(), channels, values: json!(values) })
    }

    /// Covariance of the band in some stretches. The band is far below the rate, so that some samples per period (at multiples of a
    /// number, counted from sample 0) say as much as all.
    fn covariance(&self, stream: &mut dyn Replay, stretches: &[Range<i64>], skip: i64) -> Result<Covariance> {
        let channels = stream.info().channels.len();
        let stride = ((self.sos.rate_hz() / (PER_PERIOD * self.config.band_hz[1])).floor() as i64).max(1);
        let steady = self.sos.steady_state();
        let mut states = vec![vec![TileState::default(); steady.len()]; channels.div_ceil(LANES)];
        let mut filtered = vec![vec![[0.0; LANES]; stream.info().max_block]; channels.div_ceil(LANES)];
        let (mut sums, mut row, mut current) = (Covariance::new(channels), vec![0.0; channels], None);
        walk(stream, stretches, |k, block, at| {
            let begins = current.replace(k) != Some(k);
            for (g, (state, filtered)) in states.iter_mut().zip(&mut filtered).enumerate() {
                let from = &block.group(g)[at.clone()];
                if let (true, Some(first)) = (begins, from.first()) {
                    settle(&steady, first, state);
                }
                forward_into(&self.sos, state, from, &mut filtered[..from.len()]);
            }
            let first = block.first() + at.start as i64;
            for i in 0..at.len() {
                let sample = first + i as i64;
                if sample % stride == 0 && sample >= stretches[k].start + skip {
                    row.iter_mut().enumerate().for_each(|(c, v)| *v = filtered[c / LANES][i][c % LANES]);
                    sums.push(&row);
                }
            }
        })?;
        Ok(sums)
    }
}

/// Samples that count.
fn counted(stretches: &[Range<i64>], skip: i64) -> i64 {
    stretches.iter().map(|r| (r.end - r.start - skip).max(0)).sum()
}

/// One direction that is taken out; lanes of other channels hold 0.
struct Null {
    pattern: Vec<Lanes>,
    filter: Vec<Lanes>,
}

struct Project {
    output: StreamInfo,
    nulls: Vec<Null>,
    /// All bits in the lanes that take part, so that a NaN elsewhere stays there.
    mask: Vec<[u64; LANES]>,
    scores: Vec<Vec<Lanes>>,
    end: (u32, i64),
    notes: String,
}

impl Project {
    fn new(input: &StreamInfo, places: &[usize], patterns: &[Vec<f64>], filters: &[Vec<f64>], notes: String) -> Self {
        let groups = input.channels.len().div_ceil(LANES);
        let spread = |values: &[f64]| {
            let mut lanes = vec![[0.0; LANES]; groups];
            places.iter().zip(values).for_each(|(c, v)| lanes[c / LANES][c % LANES] = *v);
            lanes
        };
        let mut mask = vec![[0; LANES]; groups];
        places.iter().for_each(|c| mask[c / LANES][c % LANES] = u64::MAX);
        let null = |(p, f): (&Vec<f64>, &Vec<f64>)| Null { pattern: spread(p), filter: spread(f) };
        Self {
            output: input.clone(),
            nulls: patterns.iter().zip(filters).map(null).collect(),
            mask,
            scores: vec![vec![[0.0; LANES]; input.max_block]; patterns.len()],
            end: (0, 0),
            notes,
        }
    }
}

fn masked(x: &Lanes, mask: &[u64; LANES]) -> Lanes {
    std::array::from_fn(|l| f64::from_bits(x[l].to_bits() & mask[l]))
}

impl Stage for Project {
    fn output(&self) -> &StreamInfo {
        &self.output
    }

    fn lookahead(&self) -> u64 {
        0
    }

    fn push(&mut self, input: &Block, out: &mut Block) {
        out.copy_from(input, 0, input.len(), 0);
        self.end = (out.segment(), out.end());
        for (null, scores) in self.nulls.iter().zip(&mut self.scores) {
            let scores = &mut scores[..input.len()];
            scores.fill([0.0; LANES]);
            for (g, (filter, mask)) in null.filter.iter().zip(&self.mask).enumerate() {
                for (score, x) in scores.iter_mut().zip(input.group(g)) {
                    let x = masked(x, mask);
                    score.iter_mut().zip(filter).zip(x).for_each(|((s, f), x)| *s += f * x);
                }
            }
            for v in scores {
                // in pairs: a fixed order
                *v = [((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])); LANES];
            }
        }
        for (null, scores) in self.nulls.iter().zip(&self.scores) {
            for (g, (pattern, mask)) in null.pattern.iter().zip(&self.mask).enumerate() {
                for (y, score) in out.group_mut(g).iter_mut().zip(scores) {
                    let artefact = masked(&std::array::from_fn(|l| pattern[l] * score[l]), mask);
                    y.iter_mut().zip(artefact).for_each(|(y, a)| *y -= a);
                }
            }
        }
    }

    fn finish(&mut self, out: &mut Block) {
        out.start(self.end.0, self.end.1, 0);
    }

    fn reset(&mut self) {
        self.end = (0, 0);
    }

    fn memory_bytes(&self) -> u64 {
        let lanes = self.scores.iter().map(Vec::len).sum::<usize>() + 2 * self.nulls.len() * self.mask.len();
        (lanes * size_of::<Lanes>()) as u64
    }

    fn notes(&self) -> String {
        self.notes.clone()
    }
}

#[cfg(test)]
mod tests;
