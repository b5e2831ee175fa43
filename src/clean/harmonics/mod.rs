//! The artefact as a sum of harmonics whose frequency is fitted: the default of `stimkit tacs`.

mod fit;
mod frequency;
mod model;
mod overtones;
mod pass;
mod ramp;
mod stage;
#[cfg(test)]
mod tests;

use super::quality;
use super::stimulation::Find;
use crate::flow::{BuildContext, Problems, Stage, StageConfig, StreamFit, Watch};
use crate::signal::StreamInfo;
use crate::table::TableSpec;
use model::Learnt;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most harmonics without being told.
pub(super) const MOST: usize = 20;
/// Where fewer than so many stay below 0.45 of the rate, overtones that alias are added up to it.
pub(super) const ENOUGH: usize = 5;

/// Harmonic least squares with one fitted frequency for all channels.
///
/// In an episode of stimulation the artefact of a channel is a\[n\] = e\[n\] Σₖ pₖ cos kθ + qₖ sin kθ, k = 1…K, with θ = 2π (f n + c n² / 2):
/// one frequency f (and, where it shows clearly, one drift c of the clock) for all channels, by a Gauss–Newton step of the variable
/// projection (Golub & Pereyra 1973, 10.1137/0710036) that weights each channel by its information over its residual variance. On a
/// ramp e is a shape that all channels share: a straight line; or one that is broken into 2, 4, … 64 pieces (each of 0.125 s and one
/// cycle or more), or a polynomial of degree 3, 5, … 11 drawn in such pieces, when its further numbers gain 100 times what white noise
/// would. Where the channels share no shape, the coefficients are straight lines in time. Only the harmonic part is subtracted: level and drift stay. Regression of sines is compared with other methods by
/// Vosskuhl et al. 2020 (10.3389/fnhum.2020.536070).
///
/// **Whole plateau or windows.** One set of coefficients holds for a whole plateau, unless `window_s` is told, or the amplitude drifts:
/// it does when the fundamental of stretches of 5 s spreads three times as far as it steps from one stretch to the next (von
/// Neumann's ratio; at least six stretches). Then windows of 10 s overlap by half under a Hann window. A window of L s also takes
/// what the brain does within about 1/L Hz of every harmonic.
///
/// **What it cannot do.** A modulation of the artefact that is faster than a window (breathing, heart) stays: the quality check looks
/// for it. What the brain does at exactly f goes with the artefact. Of several stimulators only the lines k·f₁, k·f₂, … are modelled:
/// sums and differences a·f₁ + b·f₂ (amplifiers or tissue that are not linear; the envelope of temporal interference) stay.
///
/// **Channels.** Copies of the stimulation and triggers pass as they are. So do channels that are flat, not finite, or saturated during
/// stimulation (more than 0.1 % of the samples exactly at an extreme or within 1e-9 of the limits of the file's number type, or 10 ms
/// without a break): the Model names them in `refused`.
///
/// **Harmonics that alias.** k·f is folded into 0…fs/2. One that falls on fs/2 has only its cosine. Where two fall on the same place
/// (nearer than 0.01 / T, T the length of the plateau or of a window), or one nearer than 1 / T to 0, the later is left out and named
/// in `left_out`: on another line it goes with that line, next to 0 it stays as a level or a slow swing. An overtone that falls
/// beside f, nearer than 1 / T but not on it, looks like a drift of f while f is fitted: about half of it stays.
///
/// **Memory.** A set of coefficients takes 16 bytes per harmonic and channel (in groups of eight). There is one per episode, and with
/// windows one per half window: with a short `window_s` memory grows with the recording. The Stage's notes tell the bytes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Harmonics {
    /// Number of harmonics, those that alias included; without it as many as stay below 0.45 of the rate, at least 5 (the rest of them
    /// alias) and at most 20; 20 where f is above half the rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub harmonics: Option<usize>,
    /// Length of windows, s; without it the whole plateau, or 10 s where the amplitude drifts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_s: Option<f64>,
    /// Keeps to the whole plateau even where the amplitude drifts.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
    /// How stimulation is found.
    pub stimulation: Find,
}

impl Harmonics {
    fn sound(&self, input: &StreamInfo, problems: &mut Problems) -> bool {
        let before = problems.list().len();
        if self.harmonics.is_some_and(|k| !(1..=200).contains(&k)) {
            problems.add("harmonics", format!("{} harmonics; 1 to 200 are possible", self.harmonics.unwrap_or(0)));
        }
        if let Some(window) = self.window_s {
            let least = 3.0 * self.stimulation.frequency_hz.map_or(0.0, |hz| 1.0 / hz);
            if !(window.is_finite() && window > 0.0 && window >= least) {
                problems.add("window_s", format!("{window} s; a window holds at least three cycles, here {least} s"));
            }
            if self.whole {
                problems.add("whole", "contradicts window_s");
            }
        }
        let find = &self.stimulation;
        if let Some(hz) = find.frequency_hz.iter().chain(&find.also_hz).find(|hz| !(hz.is_finite() && **hz > 0.0)) {
            problems.add("stimulation.frequency_hz", format!("{hz} Hz; it must be above 0"));
        }
        if !find.also_hz.is_empty() && find.frequency_hz.is_none() {
            problems.add("stimulation.also_hz", "needs stimulation.frequency_hz: the first of the frequencies");
        }
        if input.channels.is_empty() {
            problems.add("", "there is no channel");
        }
        problems.list().len() == before
    }

    fn learnt(context: &BuildContext) -> Option<Learnt> {
        serde_json::from_value(context.model.as_ref()?.values.clone()).ok()
    }
}

impl StageConfig for Harmonics {
    fn build(&self, input: &StreamInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Stage>> {
        if !self.sound(input, problems) {
            return None;
        }
        let Some(model) = context.model.as_ref() else {
            problems.add("", "harmonics must be fitted first, or given a saved model");
            return None;
        };
        let learnt: Learnt = match serde_json::from_value(model.values.clone()) {
            Ok(learnt) => learnt,
            Err(error) => {
                problems.add("", format!("the model is not one of harmonics: {error}"));
                return None;
            }
        };
        let missing: Vec<&str> = input
            .channels
            .iter()
            .map(|c| c.name.as_str())
            .filter(|name| !model.channels.iter().any(|m| m == name))
            .take(10)
            .collect();
        if !missing.is_empty() {
            problems.add("", format!("the model was fitted without {}", missing.join(", ")));
            return None;
        }
        let stage = Subtract::new(input, &learnt);
        context.stimulation = Some((input.clock, Arc::new(learnt.stimulation)));
        Some(Box::new(stage))
    }

    fn fit(
        &self,
        input: &StreamInfo,
        context: &mut BuildContext,
        problems: &mut Problems,
    ) -> Option<Box<dyn StreamFit>> {
        self.sound(input, problems).then(|| -> Box<dyn StreamFit> {
            Box::new(fit::Fitter { config: self.clone(), threads: context.threads.max(1) })
        })
    }

    fn watch(&self, input: &StreamInfo, output: &StreamInfo, context: &BuildContext) -> Option<Box<dyn Watch>> {
        let learnt = Self::learnt(context).unwrap_or_default();
        let window = learnt.episodes.iter().find_map(|part| part.window.window_s);
        let plateau = learnt.stimulation.episodes.iter().map(|e| e.plateau.end - e.plateau.start).max().unwrap_or(0);
        let length = window.unwrap_or(plateau as f64 / input.rate_hz());
        let method = quality::Method {
            notch_hz: (length > 0.0).then(|| 1.0 / length),
            nominal_hz: self.stimulation.frequency_hz,
            refused: learnt.refused.into_iter().collect(),
            ..quality::Method::new("harmonics")
        };
        quality::watch(input, output, context, method)
    }

    fn tables(&self) -> &'static [&'static TableSpec] {
        &quality::TABLES
    }
}

use stage::Subtract;
