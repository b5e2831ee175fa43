//! `parrm`: subtracts the mean (or a local line) of the samples that share the phase of the stimulation.

use super::quality::{self, Method};
use super::stimulation::{Find, find};
use super::teeth::{Plan, Stretch, Subtract, Tooth};
use crate::dsp::parrm::{Picked, Search, half_width_for, phase_offset, residual, taps};
use crate::flow::{BuildContext, Model, Problems, Replay, Stage, StageConfig, StreamFit, Watch};
use crate::signal::{Block, Episode, Stimulation, StreamInfo};
use crate::table::TableSpec;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

/// Channels that the period is searched in: those with the largest differences.
const SEARCHED: usize = 8;
/// Episodes whose frequencies differ by less than this share have one period.
const SAME: f64 = 1e-3;
/// How far the grid of the search reaches to either side.
const REACH: f64 = 0.01;
/// Longest default half width, s.
const LONGEST_S: f64 = 60.0;
/// The default phase window is the period divided by this.
const NARROW: f64 = 500.0;

/// PARRM (Dastin-van Rijn et al. 2021, 10.1016/j.crmeth.2021.100010): y\[n\] = x\[n\] − the mean of x\[n + m\] over all m with
/// `skip_samples` < |m| ≤ `half_width_samples` whose phase lies within `phase_width_samples` of that of n, modulo the period τ.
/// The period is fitted beforehand ([`crate::dsp::parrm`]) and shared by all channels; it may lie below two samples.
///
/// **What a phase window costs.** A mean over phases ±w leaves (2πhw/τ)²/6 of harmonic h: −52 dB of the fundamental at the τ/50 of
/// the published defaults, which under an artefact of 60–80 dB is more than the brain. So the default is w = τ/500 (−92 dB, and
/// −72 dB of the third harmonic), and the half width is as long as it takes to hold `taps` of them (at most 60 s), because the mean
/// of k samples adds 1/k of their variance. The estimate also takes away what the brain does in phase with the stimulation
/// over that span.
///
/// **Live.** `direction = "past"` looks at earlier samples only and has no delay. Where τ is nearly a whole number of samples, all
/// of them lie on one side of the wanted phase, and their mean is off in proportion to w. So by default (`fit = "line"`) the
/// estimate is the value at the wanted phase of the least-squares line through the samples over their phases, which takes the
/// first-order term away; where the line would be noisier than a single sample the mean is taken. `fit = "mean"` is the
/// published form. From both sides the two are the same but near the ends.
///
/// **Ends.** Samples of an episode's plateau are compared with samples of that plateau, those of its ramps with the whole episode;
/// near ends with what there is. A sample without any partner (the first period of an episode, for `past`) passes as it is,
/// and so does everything outside stimulation. A sample that is not finite is left out of the estimates of others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Parrm {
    /// How stimulation is found.
    pub stimulation: Find,
    /// `both` sides, or the `past` alone.
    pub direction: Direction,
    /// `line` or `mean`.
    pub fit: Shape,
    /// Samples whose mean is subtracted, where no half width is given: 200.
    pub taps: usize,
    /// W, samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub half_width_samples: Option<u32>,
    /// Neighbours left out, samples: 0.
    pub skip_samples: u32,
    /// w, samples; by default τ/500.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase_width_samples: Option<f64>,
    /// τ, samples, where it is known: then it is not searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_samples: Option<f64>,
    /// Goes on from where the published search stops (some 10⁻⁸ from the minimum on a short record, up to 10⁻⁶ on a long one).
    /// `false` with a told `stimulation.frequency_hz` is the published search to the letter: its grid stands about what was told
    /// (where that is within 1 % of what is measured), and where the simplex stops depends on it.
    pub polish: bool,
}

/// Where partners are taken from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Before and after.
    #[default]
    Both,
    /// Before.
    Past,
}

/// What is drawn through the partners.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// A straight line over their phases.
    #[default]
    Line,
    /// Their mean.
    Mean,
}

impl Default for Parrm {
    fn default() -> Self {
        Self {
            stimulation: Find::default(),
            direction: Direction::default(),
            fit: Shape::default(),
            taps: 200,
            half_width_samples: None,
            skip_samples: 0,
            phase_width_samples: None,
            period_samples: None,
            polish: true,
        }
    }
}

impl Parrm {
    fn check(&self, problems: &mut Problems) -> bool {
        let before = problems.list().len();
        let positive = |v: Option<f64>| v.is_none_or(|v| v > 0.0 && v.is_finite());
        if !positive(self.period_samples) {
            problems.add("period_samples", format!("must be above 0; here {}", self.period_samples.unwrap_or(0.0)));
        }
        if !positive(self.phase_width_samples) {
            let width = self.phase_width_samples.unwrap_or(0.0);
            problems.add("phase_width_samples", format!("must be above 0; here {width}"));
        }
        if self.taps == 0 {
            problems.add("taps", "must be at least 1; here 0");
        }
        if let Some(half) = self.half_width_samples.filter(|h| *h <= self.skip_samples) {
            problems
                .add("half_width_samples", format!("must exceed skip_samples ({}); here {half}", self.skip_samples));
        }
        problems.list().len() == before
    }

    /// The filter of a period, with what a reader of `check` should know.
    fn plan(&self, period: f64, rate_hz: f64, problems: &mut Problems) -> Option<(Plan, String)> {
        let past = self.direction == Direction::Past;
        let (skip, width) = (i64::from(self.skip_samples), self.phase_width_samples.unwrap_or(period / NARROW));
        let longest = ((LONGEST_S * rate_hz) as i64).max(skip + 1);
        let half = self
            .half_width_samples
            .map_or_else(|| half_width_for(self.taps, period, skip, width, past, longest), i64::from);
        let teeth: Vec<Tooth> = taps(period, half, skip, width, past)
            .into_iter()
            .map(|m| Tooth { at: m, kernel: vec![1.0], weight: 1.0, phase: phase_offset(m, period) / width })
            .collect();
        if teeth.is_empty() {
            let key = if self.half_width_samples.is_some() { "half_width_samples" } else { "phase_width_samples" };
            problems.add(
                key,
                format!("no sample within {half} shares its phase to {width} samples with another (period {period})"),
            );
            return None;
        }
        let plan = Plan::new(teeth, self.fit == Shape::Line);
        let db = 20.0 * residual(1, width, period).log10();
        let notes = format!(
            "period {period:.7} samples, {} taps within {:.2} s, phases to {width:.4} samples (mean leaves {db:.0} dB), white noise × {:.3}",
            plan.len(),
            half as f64 / rate_hz,
            plan.noise_gain()
        );
        Some((plan, notes))
    }
}

impl StageConfig for Parrm {
    fn build(&self, input: &StreamInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Stage>> {
        let fine = self.check(problems);
        let (stimulation, periods) = model::<Vec<f64>>("parrm", "periods", context, problems)?;
        if periods.len() != stimulation.episodes.len() {
            let (p, e) = (periods.len(), stimulation.episodes.len());
            problems.add("", format!("the model holds {p} periods for {e} episodes"));
            return None;
        }
        if !fine {
            return None;
        }
        let (mut known, mut plans, mut stretches, mut notes): (Vec<f64>, Vec<Plan>, _, _) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (episode, period) in stimulation.episodes.iter().zip(&periods) {
            let at = match known.iter().position(|p| p == period) {
                Some(at) => at,
                None => {
                    let (plan, note) = self.plan(*period, input.rate_hz(), problems)?;
                    known.push(*period);
                    plans.push(plan);
                    notes.push(note);
                    plans.len() - 1
                }
            };
            stretches.push(Stretch::new(episode, at));
        }
        context.stimulation = Some((input.clock, Arc::new(stimulation)));
        Some(Box::new(Subtract::new(input, plans, stretches, notes.join("; "))))
    }

    fn fit(&self, _: &StreamInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn StreamFit>> {
        let search = Search { seed: context.seed, polish: self.polish, ..Search::default() };
        self.check(problems).then(|| -> Box<dyn StreamFit> { Box::new(Fitter { config: self.clone(), search }) })
    }

    fn watch(&self, input: &StreamInfo, output: &StreamInfo, context: &BuildContext) -> Option<Box<dyn Watch>> {
        let method = Method { nominal_hz: self.stimulation.frequency_hz, ..Method::new("parrm") };
        quality::watch(input, output, context, method)
    }

    fn tables(&self) -> &'static [&'static TableSpec] {
        &quality::TABLES
    }
}

/// The stimulation and the value `key` of the model in the context, which must be `name`'s; else a problem.
pub(super) fn model<T: serde::de::DeserializeOwned>(
    name: &str,
    key: &str,
    context: &BuildContext,
    problems: &mut Problems,
) -> Option<(Stimulation, T)> {
    let Some(model) = context.model.as_ref() else {
        problems.add("", format!("{name} needs a model: it must see the recording first"));
        return None;
    };
    if model.name != name {
        problems.add("", format!("the model is of {:?}, not of {name:?}", model.name));
        return None;
    }
    let read = |key: &str| model.values.get(key).cloned().unwrap_or_default();
    let found = serde_json::from_value(read("stimulation")).and_then(|s| Ok((s, serde_json::from_value(read(key))?)));
    found.map_err(|e| problems.add("", format!("the model cannot be read: {e}"))).ok()
}

/// Names of a stream's channels.
pub(super) fn names(info: &StreamInfo) -> Vec<String> {
    info.channels.iter().map(|c| c.name.clone()).collect()
}

struct Fitter {
    config: Parrm,
    search: Search,
}

impl StreamFit for Fitter {
    fn fit(&mut self, stream: &mut dyn Replay) -> Result<Model> {
        let stimulation = find(stream, &self.config.stimulation)?;
        let mut periods = vec![f64::NAN; stimulation.episodes.len()];
        let mut unexplained = None;
        // one search per frequency, in its longest episode
        while let Some(longest) = (0..periods.len()).filter(|&e| periods[e].is_nan()).max_by_key(|&e| {
            (stimulation.episodes[e].plateau.end - stimulation.episodes[e].plateau.start, usize::MAX - e)
        }) {
            let episode = &stimulation.episodes[longest];
            let period = match self.config.period_samples {
                Some(period) => period,
                None => {
                    let assumed = self.assumed(episode, stream.info().rate_hz());
                    let found = self.search(stream, episode, assumed)?;
                    unexplained.get_or_insert(found.1);
                    found.0
                }
            };
            for (other, own) in stimulation.episodes.iter().zip(&mut periods) {
                if own.is_nan() && (other.cycles / episode.cycles - 1.0).abs() < SAME {
                    *own = period;
                }
            }
            periods[longest] = period;
        }
        let values = json!({
            "stimulation": stimulation, "period": periods.first(), "periods": periods, "unexplained": unexplained,
        });
        Ok(Model { name: "parrm".into(), channels: names(stream.info()), values })
    }
}

impl Fitter {
    /// The period about which the grid stands, samples: the one that was measured; for the published search the one that was told.
    fn assumed(&self, episode: &Episode, rate: f64) -> f64 {
        let measured = 1.0 / self.cycles(episode, rate);
        let told = self.config.stimulation.frequency_hz.filter(|_| !self.search.polish).map(|hz| rate / hz);
        told.filter(|told| (told / measured - 1.0).abs() < REACH).unwrap_or(measured)
    }

    /// The frequency before aliasing: nearest to what was asked for.
    fn cycles(&self, episode: &Episode, rate: f64) -> f64 {
        let Some(hz) = self.config.stimulation.frequency_hz else { return episode.cycles };
        let wanted = hz / rate;
        let (below, near) = (wanted.floor(), wanted.round());
        [below + episode.cycles, near - episode.cycles, near + episode.cycles]
            .into_iter()
            .filter(|c| *c > 0.0)
            .min_by(|a, b| (a - wanted).abs().total_cmp(&(b - wanted).abs()))
            .unwrap_or(episode.cycles)
    }

    /// The period, and what it leaves unexplained.
    fn search(&self, stream: &mut dyn Replay, episode: &Episode, assumed: f64) -> Result<(f64, f64)> {
        let on = searched(episode);
        let len = (on.end - on.start - 1).max(0) as usize;
        let channels = stream.info().channels.len();
        let (mut sums, mut counts) = (vec![0.0; channels], vec![0_u64; channels]);
        differences(stream, episode, |_, c, d| {
            sums[c] += d.abs();
            counts[c] += 1;
        })?;
        let mean = |c: usize| if counts[c] == 0 { 0.0 } else { sums[c] / counts[c] as f64 };
        let mut chosen: Vec<usize> = (0..channels).filter(|&c| mean(c) > 0.0).collect();
        chosen.sort_by(|a, b| mean(*b).total_cmp(&mean(*a)));
        chosen.truncate(SEARCHED);
        let mut rounds = self.search.indices(len).map(|index| {
            let rows = vec![vec![0.0; index.len()]; chosen.len()];
            Picked { index, rows }
        });
        let mut place = [0; 3];
        let mut last = None;
        differences(stream, episode, |i, c, d| {
            if last.replace(i) != Some(i) {
                for (at, round) in place.iter_mut().zip(&rounds) {
                    *at += round.index[*at..].partition_point(|&k| k < i);
                }
            }
            let Some(row) = chosen.iter().position(|&k| k == c) else { return };
            for (at, round) in place.iter().zip(&mut rounds) {
                if round.index.get(*at) == Some(&i) {
                    round.rows[row][*at] = self.search.normalised(d, mean(c));
                }
            }
        })?;
        let found = self.search.find(assumed, &rounds).ok_or_else(|| {
            Error::data(format!("parrm: no period near {assumed:.4} samples in {len} samples of stimulation"))
        })?;
        Ok((found.period, found.unexplained))
    }
}

/// Where the period is searched: the plateau, or the whole episode where its ramps are short.
fn searched(episode: &Episode) -> std::ops::Range<i64> {
    let (on, plateau) = (&episode.on, &episode.plateau);
    let ramps = (on.end - on.start) - (plateau.end - plateau.start);
    if 50 * ramps <= on.end - on.start { on.clone() } else { plateau.clone() }
}

/// Calls `each` with the finite differences of where an episode is searched: index, channel, value; sample by sample.
fn differences(stream: &mut dyn Replay, episode: &Episode, mut each: impl FnMut(usize, usize, f64)) -> Result<()> {
    stream.rewind()?;
    let (on, mut block) = (searched(episode), Block::for_stream(stream.info()));
    let mut before = vec![f64::NAN; stream.info().channels.len()];
    while stream.next(&mut block)? {
        if block.end() <= on.start {
            continue;
        }
        if block.first() >= on.end {
            break;
        }
        for s in (on.start - block.first()).max(0)..(on.end - block.first()).min(block.len() as i64) {
            for (c, before) in before.iter_mut().enumerate() {
                let x = block.get(c, s as usize);
                let d = x - std::mem::replace(before, x);
                if d.is_finite() {
                    each((block.first() + s - on.start - 1) as usize, c, d);
                }
            }
        }
    }
    Ok(())
}

/// What the tests of the methods that are fitted on a stream share.
#[cfg(test)]
pub(super) mod testing;

#[cfg(test)]
mod tests;
