//! Bad channels: looks at all epochs once, and leaves channels that cannot be trusted out of reference and rejection.

mod findings;

pub use findings::{Fault, Finding, Findings, Status};

use super::reject::{Extremes, positive};
use super::windows::Windows;
use crate::dsp::stats::median;
use crate::flow::{BuildContext, EpochInfo, Fit, FitConfig, Model, Problems, Rewind, Step, Verdict};
use crate::signal::Epoch;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The name in recipes and model files.
const NAME: &str = "bad-channels";

/// Finds bad EEG channels, by the first of these rules that a channel meets:
///
/// 1. *named*: said to be bad on the command line;
/// 2. *saturated*: more than `saturated_fraction` of its samples lie within 0.1 % of the ends of the amplifier's range
///    ([`Channel::range`](crate::signal::Channel::range)). This sees levels: after a high-pass or a detrend a channel
///    at its rail has become flat, or a swing that fails;
/// 3. *flat*: peak to peak below `flat_uv` in more than half of the trials;
/// 4. *noisy*: its noise stands out from the other channels'. The noise of a trial is the RMS of
///    `x(t) − (x(t − 5 ms) + x(t + 5 ms))/2`, a high-pass with gain 1 − cos(2πf · 5 ms) (0.05 at 10 Hz, 1 at 50 Hz,
///    2 at 100 Hz): it feels line hum, muscle and bad contacts, but hardly the EEG's slow rhythms, blinks or drift.
///    `noise_uv` is its geometric mean over the trials, so that a few wild ones do not decide. The robust z is
///    `(ln n_c − median)/max(1.4826 · MAD, 0.3)` (the median absolute deviation in place of the standard one: Bigdely-Shamlo
///    et al. 2015, doi:10.3389/fninf.2015.00016, who also use 5 as threshold). The floor 0.3 is about twice
///    the spread of log noise in good recordings (0.1–0.2): without it a very even cap would lose a channel for little
///    more noise; with it one has to exceed the median by a factor e^1.5 = 4.5, which amplitudes that differ threefold
///    between channels do not. Needs four channels;
/// 5. *failing*: unusable (peak to peak above `max_ptp_uv`, flat, or not finite) in more than `max_fail_fraction` of the
///    trials. A trial in which more than half of the channels are unusable (a movement, a bad reference) is the
///    trial's fault: it does not count. The worst channel goes first, then the trials are looked at again.
///
/// *Noisy* and *failing* compare channels; where they would take more than `max_bad_fraction` of the EEG channels
/// (with those found before), the trouble is not the channels': the worst go up to that limit, the others stay in use,
/// keep their reason, and [`Findings::warning`] says so.
///
/// Bridged samples count like others; the windows leave the pulse out. Reads the spool once; memory: a bit per channel
/// and trial. The frozen Step sets [`Epoch::bad`] and clears [`Epoch::enters`]. Other kinds of channel are not judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BadChannels {
    /// Below this peak-to-peak amplitude in µV a trial is flat.
    pub flat_uv: f64,
    /// Largest share of samples at the ends of the range, 0…1 (1: any).
    pub saturated_fraction: f64,
    /// Largest robust z of the noise (`inf`: any).
    pub noise_z: f64,
    /// Largest share of unusable trials, 0…1 (1: any).
    pub max_fail_fraction: f64,
    /// Above this peak-to-peak amplitude in µV a trial is unusable: the limit that `reject` has next.
    pub max_ptp_uv: f64,
    /// Where to look, in ms; the peak to peak is that of the union, as in `reject`. By default −500…−10 and 50…500 ms, away
    /// from a pulse at 0; the whole epoch where it does not hold both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<Windows>,
    /// Most EEG channels that may be called noisy or failing, as a share, 0…1.
    pub max_bad_fraction: f64,
}

impl Default for BadChannels {
    /// 1 µV flat (the smallest step of many amplifiers is 0.1–0.5 µV, while a second of EEG spans tens); saturated in
    /// more than a twentieth of the samples; noise z 5; more than 20 % of the trials above 120 µV; at most a third of
    /// the channels.
    fn default() -> Self {
        Self {
            flat_uv: 1.0,
            saturated_fraction: 0.05,
            noise_z: 5.0,
            max_fail_fraction: 0.2,
            max_ptp_uv: 120.0,
            window_ms: None,
            max_bad_fraction: 1.0 / 3.0,
        }
    }
}

/// Where to look unless told.
const AWAY_FROM_A_PULSE_MS: [[f64; 2]; 2] = [[-500.0, -10.0], [50.0, 500.0]];
/// Half the span of the second difference that measures noise, in ms.
const NOISE_LAG_MS: f64 = 5.0;
/// Smallest scale of log noise: see [`BadChannels`].
const NOISE_SPREAD: f64 = 0.3;
/// Fewer channels have no median to stand out from.
const NOISE_CHANNELS: usize = 4;

impl FitConfig for BadChannels {
    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Fit>> {
        let before = problems.list().len();
        positive("flat_uv", self.flat_uv, problems);
        positive("max_ptp_uv", self.max_ptp_uv, problems);
        if self.noise_z.is_nan() || self.noise_z <= 0.0 {
            problems.add("noise_z", format!("{} is not a positive number", self.noise_z));
        }
        for (key, fraction) in [
            ("saturated_fraction", self.saturated_fraction),
            ("max_fail_fraction", self.max_fail_fraction),
            ("max_bad_fraction", self.max_bad_fraction),
        ] {
            if !(0.0..=1.0).contains(&fraction) {
                problems.add(key, format!("{fraction} is not a share from 0 to 1"));
            }
        }
        let ranges = match &self.window_ms {
            Some(windows) => windows.ranges("window_ms", input, problems),
            // the default asks for nothing that the epoch does not hold
            None => Windows::from(AWAY_FROM_A_PULSE_MS)
                .ranges("", input, &mut Problems::default())
                .or_else(|| Some(std::iter::once(0..input.len).collect())),
        };
        let judged: Vec<_> = (0..input.channels.len()).filter(|&c| input.is_eeg(c)).collect();
        if judged.is_empty() {
            problems.add("", "there is no EEG channel to judge");
        }
        if problems.list().len() > before {
            return None;
        }
        let named = judged.iter().map(|&c| context.bad.contains(&input.channels[c].name)).collect();
        let lag = ((NOISE_LAG_MS * input.rate_hz() / 1e3).round() as usize).max(1);
        Some(Box::new(Judge { config: self.clone(), input: input.clone(), ranges: ranges?, lag, judged, named }))
    }
}

struct Judge {
    config: BadChannels,
    input: EpochInfo,
    ranges: Vec<Range<usize>>,
    lag: usize,
    /// The EEG channels.
    judged: Vec<usize>,
    /// For each of them whether it is bad from the start.
    named: Vec<bool>,
}

impl Fit for Judge {
    fn fit(&mut self, spool: &mut dyn Rewind) -> Result<Model> {
        let seen = self.look(spool)?;
        let findings = self.judge(&seen);
        if findings.channels.iter().all(|c| c.status == Status::Bad) {
            let mut why: Vec<_> = findings.channels.iter().filter_map(|c| c.reason.map(Fault::name)).collect();
            why.dedup();
            return Err(Error::data(format!("every EEG channel is bad ({})", why.join(", "))));
        }
        let channels = findings.channels.iter().map(|c| c.channel.clone()).collect();
        let values = serde_json::to_value(&findings).map_err(|e| Error::data(e.to_string()))?;
        Ok(Model { name: NAME.into(), channels, values })
    }

    fn freeze(&self, model: &Model) -> Result<Box<dyn Step>> {
        let findings = Findings::from_model(model)?;
        let mut bad = Vec::new();
        for (&c, &named) in self.judged.iter().zip(&self.named) {
            let name = &self.input.channels[c].name;
            let Some(finding) = findings.channels.iter().find(|f| f.channel == *name) else {
                return Err(Error::data(format!("the model of {NAME:?} knows no channel {name:?}")));
            };
            if named || finding.status == Status::Bad {
                bad.push(c);
            }
        }
        Ok(Box::new(Mark { bad }))
    }
}

/// The frozen Step: marks the channels.
struct Mark {
    bad: Vec<usize>,
}

impl Step for Mark {
    fn apply(&mut self, epoch: &mut Epoch) -> Verdict {
        for &c in &self.bad {
            epoch.bad[c] = true;
            epoch.enters[c] = false;
        }
        Verdict::Keep
    }
}

/// What all trials showed of each channel.
struct Seen {
    trials: u64,
    samples: u64,
    channels: Vec<Tally>,
    /// One bit per channel: unusable. As many words per trial as the channels need.
    unusable: Vec<u64>,
}

#[derive(Clone, Default)]
struct Tally {
    flat: u64,
    saturated: u64,
    failed: u64,
    log_noise: f64,
    noise_trials: u64,
}

impl Tally {
    fn noise_uv(&self) -> Option<f64> {
        (self.noise_trials > 0).then(|| (self.log_noise / self.noise_trials as f64).exp())
    }
}

impl Judge {
    /// The pass over all trials.
    fn look(&self, spool: &mut dyn Rewind) -> Result<Seen> {
        let words = self.judged.len().div_ceil(64);
        let samples: usize = self.ranges.iter().map(|r| r.len()).sum();
        let mut seen =
            Seen { trials: 0, samples: 0, channels: vec![Tally::default(); self.judged.len()], unusable: Vec::new() };
        let EpochInfo { clock, first, len, .. } = self.input;
        let mut epoch = Epoch::new(clock, first, self.input.channels.len(), len);
        spool.rewind()?;
        while spool.next(&mut epoch)? {
            seen.trials += 1;
            seen.samples += samples as u64;
            let at = seen.unusable.len();
            seen.unusable.resize(at + words, 0);
            for (k, (&c, tally)) in self.judged.iter().zip(&mut seen.channels).enumerate() {
                if !self.usable(c, epoch.channel(c), tally) {
                    tally.failed += 1;
                    seen.unusable[at + k / 64] |= 1 << (k % 64);
                }
            }
        }
        if seen.trials == 0 {
            return Err(Error::data("there is no epoch to judge the channels by"));
        }
        Ok(seen)
    }

    /// Adds one channel of one trial to its tally; whether the trial is usable there.
    fn usable(&self, channel: usize, x: &[f64], tally: &mut Tally) -> bool {
        let mut extremes = Extremes::default();
        self.ranges.iter().for_each(|r| extremes.see(&x[r.clone()]));
        if let Some([lo, hi]) = self.input.channels[channel].range {
            let near = 1e-3 * (hi - lo);
            if extremes.min() <= lo + near || extremes.max() >= hi - near {
                let windows = self.ranges.iter().flat_map(|r| &x[r.clone()]);
                tally.saturated += windows.filter(|&&v| v <= lo + near || v >= hi - near).count() as u64;
            }
        }
        if !extremes.is_finite() {
            return false;
        }
        if extremes.ptp() < self.config.flat_uv {
            tally.flat += 1;
            return false;
        }
        let (mut power, mut n) = (0.0, 0);
        for range in &self.ranges {
            let (p, m) = second_difference_power(&x[range.clone()], self.lag);
            (power, n) = (power + p, n + m);
        }
        if n > 0 && power > 0.0 {
            tally.log_noise += 0.5 * (power / n as f64).ln();
            tally.noise_trials += 1;
        }
        extremes.ptp() <= self.config.max_ptp_uv
    }

    /// The rules, in their order.
    fn judge(&self, seen: &Seen) -> Findings {
        let n = self.judged.len();
        let limit = (self.config.max_bad_fraction * n as f64).floor() as usize;
        let share = |count: u64, of: u64| (of > 0).then(|| count as f64 / of as f64);
        let mut channels: Vec<Finding> = Vec::with_capacity(n);
        for ((&c, tally), &named) in self.judged.iter().zip(&seen.channels).zip(&self.named) {
            let channel = &self.input.channels[c];
            let saturated = channel.range.and_then(|_| share(tally.saturated, seen.samples));
            let reason = if named {
                Some(Fault::Named)
            } else if saturated.is_some_and(|s| s > self.config.saturated_fraction) {
                Some(Fault::Saturated)
            } else if 2 * tally.flat > seen.trials {
                Some(Fault::Flat)
            } else {
                None
            };
            channels.push(Finding {
                channel: channel.name.clone(),
                status: if reason.is_some() { Status::Bad } else { Status::Used },
                reason,
                noise_uv: tally.noise_uv(),
                noise_z: None,
                saturated_fraction: saturated,
                flat_fraction: share(tally.flat, seen.trials).unwrap_or(0.0),
                fail_fraction: None,
                failed_trials: tally.failed,
            });
        }
        let mut findings = Findings { trials: seen.trials, shared_trials: 0, limit: limit as u64, channels };
        self.find_noisy(&mut findings);
        self.find_failing(&mut findings, seen);
        findings
    }

    fn find_noisy(&self, findings: &mut Findings) {
        let log_noise = |c: &Finding| c.noise_uv.map(f64::ln);
        let good = |c: &&mut Finding| c.status == Status::Used && c.noise_uv.is_some();
        let logs: Vec<_> = findings.channels.iter_mut().filter(good).filter_map(|c| log_noise(c)).collect();
        if logs.len() < NOISE_CHANNELS {
            return;
        }
        let centre = median(&mut logs.clone());
        let spread = 1.4826 * median(&mut logs.iter().map(|l| (l - centre).abs()).collect::<Vec<_>>());
        for c in findings.channels.iter_mut().filter(good) {
            c.noise_z = log_noise(c).map(|l| (l - centre) / spread.max(NOISE_SPREAD));
        }
        let z = |c: &Finding| c.noise_z.unwrap_or(f64::NEG_INFINITY);
        let mut noisy: Vec<_> =
            (0..findings.channels.len()).filter(|&k| z(&findings.channels[k]) > self.config.noise_z).collect();
        noisy.sort_by(|&a, &b| z(&findings.channels[b]).total_cmp(&z(&findings.channels[a])));
        noisy.into_iter().for_each(|k| findings.condemn(k, Fault::Noisy));
    }

    fn find_failing(&self, findings: &mut Findings, seen: &Seen) {
        loop {
            let (failed, counted) = self.failed(findings, seen);
            findings.shared_trials = findings.trials - counted;
            for (c, &failed) in findings.channels.iter_mut().zip(&failed) {
                // a channel that has been condemned keeps the figure that did it
                if c.reason != Some(Fault::Failing) {
                    c.fail_fraction = (counted > 0).then(|| failed as f64 / counted as f64);
                }
            }
            let fraction = |k: usize| findings.channels[k].fail_fraction.unwrap_or(0.0);
            let open = (0..failed.len()).filter(|&k| findings.channels[k].reason.is_none());
            // the worst, the first of equals
            let worst = open.rev().max_by(|&a, &b| fraction(a).total_cmp(&fraction(b)));
            match worst.filter(|&k| fraction(k) > self.config.max_fail_fraction) {
                Some(k) => findings.condemn(k, Fault::Failing),
                None => return,
            }
        }
    }

    /// For each channel how many trials it fails, among those that are not most channels' trouble; and how many these are.
    fn failed(&self, findings: &Findings, seen: &Seen) -> (Vec<u64>, u64) {
        let words = self.judged.len().div_ceil(64);
        let mut used = vec![0_u64; words];
        for (k, c) in findings.channels.iter().enumerate() {
            used[k / 64] |= u64::from(c.status == Status::Used) << (k % 64);
        }
        let in_use: u32 = used.iter().map(|w| w.count_ones()).sum();
        let (mut failed, mut counted) = (vec![0; findings.channels.len()], 0);
        for trial in seen.unusable.chunks_exact(words) {
            let shared: u32 = trial.iter().zip(&used).map(|(t, u)| (t & u).count_ones()).sum();
            if 2 * shared > in_use {
                continue;
            }
            counted += 1;
            for (k, failed) in failed.iter_mut().enumerate() {
                *failed += trial[k / 64] >> (k % 64) & 1;
            }
        }
        (failed, counted)
    }
}

/// The sum of squares of `x[i] − (x[i − lag] + x[i + lag])/2`, and of how many.
#[multiversion::multiversion(targets("x86_64+avx2", "x86_64+avx"))]
fn second_difference_power(x: &[f64], lag: usize) -> (f64, usize) {
    let n = x.len().saturating_sub(2 * lag);
    if n == 0 {
        return (0.0, 0);
    }
    let (before, here, after) = (&x[..n], &x[lag..lag + n], &x[2 * lag..]);
    let square = |b: f64, h: f64, a: f64| (h - 0.5 * (b + a)) * (h - 0.5 * (b + a));
    let ((b, b_rest), (h, h_rest), (a, a_rest)) =
        (before.as_chunks::<8>(), here.as_chunks::<8>(), after.as_chunks::<8>());
    let mut strands = [0.0; 8];
    for ((b, h), a) in b.iter().zip(h).zip(a) {
        for k in 0..8 {
            strands[k] += square(b[k], h[k], a[k]);
        }
    }
    let rest: f64 = b_rest.iter().zip(h_rest).zip(a_rest).map(|((b, h), a)| square(*b, *h, *a)).sum();
    (strands.iter().sum::<f64>() + rest, n)
}

#[cfg(test)]
mod tests;
