//! `template`: subtracts the average cycle, as a smooth curve over phase.

use super::parrm::{model, names};
use super::quality::{self, Method};
use super::stimulation::{Find, find};
use crate::flow::{BuildContext, Model, Problems, Replay, Stage, StageConfig, StreamFit, Watch};
use crate::signal::{Block, Episode, LANES, Lanes, Stimulation, StreamInfo};
use crate::table::TableSpec;
use crate::{Error, Result};
use nalgebra::{DMatrix, DVector};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

/// Fewest and most bins.
const BINS: std::ops::RangeInclusive<usize> = 4..=1024;
/// Added to the diagonal, as a share of its mean: phases that no sample has (a period of few whole samples) stay near 0.
const RIDGE: f64 = 1e-12;

/// Subtracts one average cycle per episode and channel: y\[n\] = x\[n\] − Σ_b c_b B(bins · φ − b) with the phase φ = frac(cycles · n), B the
/// cubic B-spline on a circle of `bins` knots, and c its least-squares coefficients (with a level, which stays in the data) over
/// the episode's plateau. A template of means per bin with straight lines between is right to (2π/bins)²/8 of the fundamental, −58 dB
/// at 64 bins, too coarse under 60–80 dB; the cubic spline (de Boor 1978, *A Practical Guide to Splines*) is right to −141 dB.
///
/// **When it is harmonic least squares.** Where an episode holds whole cycles and phases fall evenly, the spline's columns span the
/// first bins/2 harmonics to the order above: the result is that of [`crate::dsp::harmonics`] with as many harmonics, and takes
/// bins − 1 degrees of freedom from the recording where that takes 2K. What it brings is artefacts with sharp corners, of which
/// no K is enough; what it costs is that a template, too, cannot follow a change of amplitude.
///
/// Frozen, the Stage needs no other sample: no delay, and it may run live. In ramps the template grows and falls along a straight
/// line. Outside stimulation samples pass; samples that are not finite are left out of the fit and stay as they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Template {
    /// How stimulation is found.
    pub stimulation: Find,
    /// Knots of the spline per cycle: 64.
    pub bins: usize,
}

impl Default for Template {
    fn default() -> Self {
        Self { stimulation: Find::default(), bins: 64 }
    }
}

impl Template {
    fn check(&self, problems: &mut Problems) -> Option<()> {
        if !BINS.contains(&self.bins) {
            problems.add("bins", format!("must be {}…{}; here {}", BINS.start(), BINS.end(), self.bins));
            return None;
        }
        Some(())
    }
}

/// frac(cycles · n), 0…1, from the exact product.
fn phase(cycles: f64, n: i64) -> f64 {
    let n = n as f64;
    let product = cycles * n;
    let lost = cycles.mul_add(n, -product);
    let fraction = (product - product.floor()) + lost;
    fraction - fraction.floor()
}

/// The first of the four splines that reach a phase, and their values: the others follow, around the circle.
fn splines(phase: f64, bins: usize) -> (usize, [f64; 4]) {
    let at = phase * bins as f64;
    let knot = at.floor();
    let t = at - knot;
    let (s, t2) = (1.0 - t, t * t);
    let values = [
        s * s * s / 6.0,
        (3.0 * t2 * t - 6.0 * t2 + 4.0) / 6.0,
        (-3.0 * t2 * t + 3.0 * t2 + 3.0 * t + 1.0) / 6.0,
        t2 * t / 6.0,
    ];
    (knot as usize % bins, values)
}

impl StageConfig for Template {
    fn build(&self, input: &StreamInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Stage>> {
        let (stimulation, curves) = model::<Vec<Vec<Option<Vec<f64>>>>>("template", "templates", context, problems)?;
        let known = context.model.as_ref().map(|m| m.channels.clone()).unwrap_or_default();
        let places: Vec<Option<usize>> =
            input.channels.iter().map(|c| known.iter().position(|k| *k == c.name)).collect();
        for (channel, _) in input.channels.iter().zip(&places).filter(|(_, p)| p.is_none()) {
            problems.add("", format!("the model does not hold channel {:?}", channel.name));
        }
        let bins = curves.iter().flatten().flatten().map(Vec::len).next().unwrap_or(self.bins);
        let fits = curves.len() == stimulation.episodes.len()
            && curves.iter().all(|e| e.len() == known.len() && e.iter().flatten().all(|c| c.len() == bins));
        if !fits {
            problems.add("", "the model's templates do not fit its episodes and channels");
        }
        if !fits || places.contains(&None) {
            return None;
        }
        let groups = input.channels.len().div_ceil(LANES);
        let episodes = stimulation.episodes.iter().zip(&curves).map(|(episode, curves)| {
            let mut tiles = vec![[0.0; LANES]; groups * bins];
            for (c, place) in places.iter().enumerate() {
                let curve = place.and_then(|p| curves.get(p)?.as_ref());
                for (b, v) in curve.into_iter().flatten().enumerate() {
                    tiles[c / LANES * bins + b][c % LANES] = *v;
                }
            }
            (episode.clone(), tiles)
        });
        let episodes = episodes.collect();
        let notes = format!("{bins} knots per cycle, {} episodes", stimulation.episodes.len());
        context.stimulation = Some((input.clock, Arc::new(stimulation)));
        Some(Box::new(Subtract { output: input.clone(), episodes, bins, notes }))
    }

    fn fit(&self, _: &StreamInfo, _: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn StreamFit>> {
        self.check(problems)?;
        Some(Box::new(Fitter(self.clone())))
    }

    fn watch(&self, input: &StreamInfo, output: &StreamInfo, context: &BuildContext) -> Option<Box<dyn Watch>> {
        let (_, stimulation) = context.stimulation.as_ref()?;
        let longest = stimulation.episodes.iter().map(|e| e.plateau.end - e.plateau.start).min();
        let notch_hz = longest.filter(|l| *l > 0).map(|l| input.rate_hz() / l as f64);
        let method = Method { notch_hz, nominal_hz: self.stimulation.frequency_hz, ..Method::new("template") };
        quality::watch(input, output, context, method)
    }

    fn tables(&self) -> &'static [&'static TableSpec] {
        &quality::TABLES
    }
}

struct Subtract {
    output: StreamInfo,
    /// Each with its coefficients, `[group][bin]`.
    episodes: Vec<(Episode, Vec<Lanes>)>,
    bins: usize,
    notes: String,
}

/// The template's share at sample n: 0…1 along the ramps.
fn share(episode: &Episode, n: i64) -> f64 {
    let (on, plateau) = (&episode.on, &episode.plateau);
    if n < plateau.start {
        (n - on.start) as f64 / (plateau.start - on.start) as f64
    } else if n >= plateau.end {
        (on.end - n) as f64 / (on.end - plateau.end) as f64
    } else {
        1.0
    }
}

impl Stage for Subtract {
    fn output(&self) -> &StreamInfo {
        &self.output
    }

    fn lookahead(&self) -> u64 {
        0
    }

    fn push(&mut self, input: &Block, out: &mut Block) {
        out.copy_from(input, 0, input.len(), 0);
        let after = self.episodes.partition_point(|(e, _)| e.on.end <= input.first());
        for (episode, tiles) in self.episodes.iter().skip(after).take_while(|(e, _)| e.on.start < input.end()) {
            for n in episode.on.start.max(input.first())..episode.on.end.min(input.end()) {
                let (first, mut values) = splines(phase(episode.cycles, n), self.bins);
                let share = share(episode, n);
                values.iter_mut().for_each(|v| *v *= share);
                for g in 0..out.groups() {
                    let y = &mut out.group_mut(g)[(n - input.first()) as usize];
                    for (j, v) in values.iter().enumerate() {
                        let tile = &tiles[g * self.bins + (first + j) % self.bins];
                        (0..LANES).for_each(|l| y[l] -= v * tile[l]);
                    }
                }
            }
        }
    }

    fn finish(&mut self, out: &mut Block) {
        out.start(0, 0, 0);
    }

    fn reset(&mut self) {}

    fn memory_bytes(&self) -> u64 {
        self.episodes.iter().map(|(_, t)| (t.len() * size_of::<Lanes>()) as u64).sum()
    }

    fn notes(&self) -> String {
        self.notes.clone()
    }
}

struct Fitter(Template);

/// Normal equations of one channel: a band of four around the circle, and the right side.
#[derive(Debug, Clone)]
struct Normal {
    band: Vec<[f64; 4]>,
    right: Vec<f64>,
}

impl Normal {
    fn new(bins: usize) -> Self {
        Self { band: vec![[0.0; 4]; bins], right: vec![0.0; bins] }
    }

    fn add(&mut self, (first, values): (usize, [f64; 4]), x: f64) {
        let bins = self.right.len();
        for (j, v) in values.iter().enumerate() {
            let row = (first + j) % bins;
            self.right[row] += v * x;
            for (k, w) in values[j..].iter().enumerate() {
                self.band[row][k] += v * w;
            }
        }
    }

    /// The coefficients without their mean, which is the level (splines add up to 1). `None` without samples.
    fn solve(&self) -> Option<Vec<f64>> {
        let bins = self.right.len();
        let ridge = RIDGE * self.band.iter().map(|b| b[0]).sum::<f64>() / bins as f64;
        let mut matrix = DMatrix::zeros(bins, bins);
        for (row, band) in self.band.iter().enumerate() {
            for (k, v) in band.iter().enumerate() {
                let column = (row + k) % bins;
                matrix[(row, column)] += v;
                if k > 0 {
                    matrix[(column, row)] += v;
                }
            }
            matrix[(row, row)] += ridge;
        }
        let mut c = matrix.cholesky()?.solve(&DVector::from_column_slice(&self.right));
        let mean = c.mean();
        c.iter_mut().for_each(|v| *v -= mean);
        c.iter().all(|v| v.is_finite()).then(|| c.as_slice().to_vec())
    }
}

impl StreamFit for Fitter {
    fn fit(&mut self, stream: &mut dyn Replay) -> Result<Model> {
        let stimulation = find(stream, &self.0.stimulation)?;
        let curves = templates(stream, &stimulation, self.0.bins)?;
        if curves.iter().flatten().all(Option::is_none) {
            return Err(Error::data("template: no channel has finite samples during stimulation"));
        }
        let values = json!({ "stimulation": stimulation, "templates": curves });
        Ok(Model { name: "template".into(), channels: names(stream.info()), values })
    }
}

/// By episode and channel the coefficients.
fn templates(stream: &mut dyn Replay, stimulation: &Stimulation, bins: usize) -> Result<Vec<Vec<Option<Vec<f64>>>>> {
    stream.rewind()?;
    let channels = stream.info().channels.len();
    let mut block = Block::for_stream(stream.info());
    let mut done: Vec<Vec<Option<Vec<f64>>>> = Vec::new();
    let mut sums = vec![Normal::new(bins); channels];
    // episodes come in order: one set of sums at a time
    while stream.next(&mut block)? {
        while let Some(episode) = stimulation.episodes.get(done.len()) {
            let on = &episode.plateau;
            for n in on.start.max(block.first())..on.end.min(block.end()) {
                let at = splines(phase(episode.cycles, n), bins);
                for (c, sums) in sums.iter_mut().enumerate() {
                    let x = block.get(c, (n - block.first()) as usize);
                    if x.is_finite() {
                        sums.add(at, x);
                    }
                }
            }
            if on.end > block.end() {
                break;
            }
            done.push(
                std::mem::replace(&mut sums, vec![Normal::new(bins); channels]).iter().map(Normal::solve).collect(),
            );
        }
    }
    while done.len() < stimulation.episodes.len() {
        done.push(std::mem::replace(&mut sums, vec![Normal::new(bins); channels]).iter().map(Normal::solve).collect());
    }
    Ok(done)
}

#[cfg(test)]
mod tests;
