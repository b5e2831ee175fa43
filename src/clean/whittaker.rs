//! Whittaker smoother: takes the slow drift off each epoch, and spares the response.

use super::baseline::has_baseline;
use crate::flow::{BuildContext, EpochInfo, Problems, Reason, Step, StepConfig, Verdict};
use crate::signal::Epoch;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Subtracts from each channel the drift d that makes Σ wᵢ (xᵢ − dᵢ)² + λ Σ (dᵢ₊₁ − dᵢ)² least: Whittaker's smoother with
/// first differences (Whittaker 1923, doi:10.1017/S0013091500077853; weights: Eilers 2003, doi:10.1021/ac034173t), which
/// is the best guess where the drift walks at random and all else is white.
///
/// Outside `response_ms` every weight is 1, and what is left is a zero-phase high-pass with the gain
/// 1 − 1/(1 + (sin πf/fs ÷ sin πc/fs)²): a half at c = `corner_hz`. Within it the weight is 0 up to the pulse, and
/// (t/end)² after it: what is left of the pulse's decay hardly enters the drift, so it is not smeared over the
/// baseline, nor is most of the response. The price is that of any high-pass: a slow response is taken for drift in
/// part, and the more the later it comes. Of a bell of 28 ms (standard deviation) at 180 ms the default leaves 0.85 of
/// the height, of 18 ms at 100 ms 0.97, of 40 ms at 280 ms 0.66; a zero-phase Butterworth of 1 Hz 0.87, 0.93, 0.79.
///
/// Bridged samples ([`Epoch::filled`]) were not measured and have no weight; an epoch in which nothing has weight is
/// dropped with the reason `whittaker_filled`. A non-finite sample that has weight makes its channel non-finite.
/// Applies to every channel in µV that is not a trigger or a copy of the stimulation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Whittaker {
    /// Where a response is to be spared, ms: from no later than the pulse to when its samples are drift and noise.
    pub response_ms: [f64; 2],
    /// Frequency whose amplitude is halved where no response is spared, Hz.
    pub corner_hz: f64,
}

impl Default for Whittaker {
    /// −10…500 ms and 2.5 Hz: the corner weighs the noise of few trials against what a response loses (`truth.sh`).
    fn default() -> Self {
        Self { response_ms: [-10.0, 500.0], corner_hz: 2.5 }
    }
}

/// Below this, which no epoch is long enough to tell from a level, the stiffness would leave the numbers.
const LOWEST_HZ: f64 = 1e-6;

impl StepConfig for Whittaker {
    fn build(&self, input: &EpochInfo, _: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let before = problems.list().len();
        let [start, end] = self.response_ms;
        if !(start <= 0.0 && end > 0.0 && start.is_finite() && end.is_finite()) {
            problems.add("response_ms", format!("{start}…{end} ms does not hold the pulse, which is at 0"));
        }
        let rate = input.clock.rate_hz();
        if !(self.corner_hz >= LOWEST_HZ && self.corner_hz < rate / 2.0) {
            problems.add(
                "corner_hz",
                format!("{} Hz is not between {LOWEST_HZ} and {} Hz, half the rate", self.corner_hz, rate / 2.0),
            );
        }
        if problems.list().len() > before {
            return None;
        }
        let weight = |i: usize| {
            let t = (input.first + i as i64) as f64 * 1e3 / rate;
            match t {
                _ if t < start || t >= end => 1.0,
                _ => (t.max(0.0) / end).powi(2),
            }
        };
        let stiffness = (2.0 * (PI * self.corner_hz / rate).sin()).powi(-2);
        let channels = (0..input.channels.len()).filter(|&c| has_baseline(&input.channels[c])).collect();
        Some(Box::new(Subtract {
            gains: Gains::new((0..input.len).map(weight).collect(), stiffness),
            drift: vec![[0.0; LANES]; input.len],
            channels,
        }))
    }
}

/// Channels that are smoothed side by side: each step waits for the one before it, so one alone leaves the unit idle.
const LANES: usize = 4;

struct Subtract {
    gains: Gains,
    drift: Vec<[f64; LANES]>,
    channels: Vec<usize>,
}

impl Step for Subtract {
    fn apply(&mut self, epoch: &mut Epoch) -> Verdict {
        // The bridge lies where it lay before in most epochs.
        if self.gains.filled != epoch.filled {
            self.gains.fit_to(&epoch.filled);
        }
        if self.gains.is_empty() {
            return Verdict::Drop(Reason::new("whittaker_filled"));
        }
        for group in self.channels.chunks(LANES) {
            let lane = |l: usize| epoch.channel(group[l.min(group.len() - 1)]);
            self.gains.smooth(std::array::from_fn(lane), &mut self.drift);
            for (l, &c) in group.iter().enumerate() {
                epoch.channel_mut(c).iter_mut().zip(&self.drift).for_each(|(x, d)| *x -= d[l]);
            }
        }
        Verdict::Keep
    }
}

/// The smoother's equations are tridiagonal. Eliminated from the left, they are exponential smoothing with a gain that
/// follows the weights; substituted from the right, once more. Nothing is ever subtracted from something of its own
/// size, so the rounding stays where it is however stiff the drift.
struct Gains {
    weights: Vec<f64>,
    stiffness: f64,
    /// The samples left out of the gains below.
    filled: Vec<bool>,
    forward: Vec<f64>,
    backward: Vec<f64>,
}

impl Gains {
    fn new(weights: Vec<f64>, stiffness: f64) -> Self {
        let len = weights.len();
        let (forward, backward) = (vec![0.0; len], vec![0.0; len]);
        let mut gains = Self { weights, stiffness, filled: vec![false; len], forward, backward };
        gains.fit_to(&vec![false; len]);
        gains
    }

    fn fit_to(&mut self, filled: &[bool]) {
        self.filled.copy_from_slice(filled);
        let mut known = 0.0; // weight of all samples so far, as much of it as the stiffness carries here
        for (i, &filled) in filled.iter().enumerate() {
            let weight = if filled { 0.0 } else { self.weights[i] };
            known = weight + self.stiffness * known / (self.stiffness + known);
            self.forward[i] = if weight > 0.0 { weight / known } else { 0.0 };
            self.backward[i] = self.stiffness / (self.stiffness + known);
        }
    }

    fn is_empty(&self) -> bool {
        self.forward.iter().all(|&g| g == 0.0)
    }

    fn smooth(&self, channels: [&[f64]; LANES], drift: &mut [[f64; LANES]]) {
        let mut mean = [0.0; LANES];
        for (i, (gain, drift)) in self.forward.iter().zip(&mut *drift).enumerate() {
            // what has no weight need not be a number
            if *gain > 0.0 {
                mean.iter_mut().zip(channels).for_each(|(m, x)| *m += gain * (x[i] - *m));
            }
            *drift = mean;
        }
        let mut later = mean;
        for (gain, drift) in self.backward.iter().zip(drift).rev() {
            later.iter_mut().zip(&*drift).for_each(|(l, d)| *l = d + gain * (*l - d));
            *drift = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{epoch, golden, info, listed, numbers};
    use super::*;

    fn build(config: &Whittaker, info: &EpochInfo) -> Box<dyn Step> {
        let mut problems = Problems::default();
        let step = config.build(info, &mut BuildContext::default(), &mut problems);
        step.unwrap_or_else(|| panic!("{:?}", listed(problems)))
    }

    /// As much as no response: a response that ends before the next sample.
    fn nothing_spared(corner_hz: f64) -> Whittaker {
        Whittaker { response_ms: [0.0, 1e-3], corner_hz }
    }

    #[test]
    fn agrees_with_the_equations_solved_whole() {
        let golden = golden();
        let x = numbers(&golden, "/signal");
        let names = ["Cz", "Pz", "Fz", "Oz", "C3"];
        let info = info(&names, 250.0, -250, x.len());
        for (key, bridged) in [("/whittaker/plain", 0..0), ("/whittaker/filled", 249..254)] {
            let y = numbers(&golden, key);
            let mut e = epoch(&info, |c, i| if bridged.contains(&i) { f64::NAN } else { x[i] * (c as f64 - 2.0) });
            e.filled[bridged.clone()].fill(true);
            assert_eq!(build(&Whittaker::default(), &info).apply(&mut e), Verdict::Keep);
            for (c, name) in names.iter().enumerate() {
                let apart = |i: usize| (e.channel(c)[i] - y[i] * (c as f64 - 2.0)).abs();
                let far = (0..x.len()).find(|i| !(bridged.contains(i) || apart(*i) < 1e-8));
                assert_eq!(far.map(|i| (i, apart(i))), None, "{key}, {name}: µV of 5 mV");
            }
        }
    }

    #[test]
    fn without_a_response_it_is_a_high_pass_of_known_gain() {
        let info = info(&["Cz"], 1000.0, -10_000, 20_001);
        for hz in [0.5, 2.5, 10.0] {
            let wave = |i: usize| (2.0 * PI * hz * (i as f64 - 10_000.0) / 1e3).cos();
            let mut e = epoch(&info, |_, i| 40.0 * wave(i));
            build(&nothing_spared(2.5), &info).apply(&mut e);
            let ratio = (PI * hz / 1e3).sin() / (PI * 2.5 / 1e3).sin();
            let gain = 1.0 - 1.0 / (1.0 + ratio * ratio);
            let worst = (4000..6000).map(|i| (e.channel(0)[i] - 40.0 * gain * wave(i)).abs()).fold(0.0, f64::max);
            assert!(worst < 1e-4, "{hz} Hz: {worst:e} µV of {}", 40.0 * gain);
        }
    }

    #[test]
    fn a_level_vanishes_and_time_reversed_gives_time_reversed() {
        let golden = golden();
        let x = numbers(&golden, "/signal");
        let info = info(&["Cz"], 250.0, -250, x.len());
        let run = |value: &dyn Fn(usize) -> f64, config: &Whittaker| {
            let mut e = epoch(&info, |_, i| value(i));
            build(config, &info).apply(&mut e);
            e.channel(0).to_vec()
        };
        assert!(run(&|_| 8e4, &Whittaker::default()).iter().all(|v| v.abs() < 1e-9));
        let forth = run(&|i| x[i], &nothing_spared(1.0));
        let back = run(&|i| x[x.len() - 1 - i], &nothing_spared(1.0));
        let worst = forth.iter().zip(back.iter().rev()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        // sample 0, which alone has less weight, is the middle
        assert!(worst < 1e-8, "{worst:e} µV");
    }

    #[test]
    fn a_decay_stays_out_of_the_baseline_and_components_keep_their_height() {
        let info = info(&["Cz", "Pz", "Fz", "Oz"], 1000.0, -1000, 2001);
        let bell = |t: f64, at: f64, sd: f64| (-((t - at) / sd).powi(2) / 2.0).exp();
        let value = |c: usize, i: usize| {
            let t = i as f64 - 1000.0;
            match c {
                0 if t >= 13.0 => 1000.0 * (-t / 12.0).exp(),
                0 => 0.0,
                1 => bell(t, 100.0, 18.0),
                2 => bell(t, 180.0, 28.0),
                _ => bell(t, 280.0, 40.0),
            }
        };
        let mut e = epoch(&info, value);
        e.filled[998..1013].fill(true);
        build(&Whittaker::default(), &info).apply(&mut e);
        assert!((0..990).all(|i| e.channel(0)[i].abs() < 0.15), "{}", e.channel(0)[989]);
        for (c, at, left) in [(1, 1100, 0.97), (2, 1180, 0.85), (3, 1280, 0.66)] {
            assert!((e.channel(c)[at] - left).abs() < 0.01, "{} of {left}", e.channel(c)[at]);
        }
    }

    #[test]
    fn a_sample_that_is_no_number_is_not_hidden_and_too_little_drops() {
        let info = info(&["Cz", "Pz"], 500.0, -600, 1200);
        let mut step = build(&Whittaker::default(), &info);
        let mut e = epoch(&info, |c, i| if c == 0 && i == 100 { f64::NAN } else { 7.0 });
        assert_eq!(step.apply(&mut e), Verdict::Keep);
        assert!(e.channel(0).iter().all(|v| v.is_nan()));
        assert!(e.channel(1).iter().all(|v| v.abs() < 1e-12));
        e.filled.fill(true);
        assert!(matches!(step.apply(&mut e), Verdict::Drop(Reason { code: "whittaker_filled", .. })));
        e.filled.fill(false);
        e.channel_mut(0).fill(3.0);
        assert_eq!(step.apply(&mut e), Verdict::Keep);
        assert!(e.data().iter().all(|v| v.abs() < 1e-12));
    }

    #[test]
    fn every_problem_is_told() {
        let mut problems = Problems::default();
        let info = info(&["Cz"], 1000.0, -20, 41);
        let config = Whittaker { response_ms: [10.0, 500.0], corner_hz: 500.0 };
        assert!(config.build(&info, &mut BuildContext::default(), &mut problems).is_none());
        assert_eq!(
            listed(problems),
            [
                "response_ms: 10…500 ms does not hold the pulse, which is at 0",
                "corner_hz: 500 Hz is not between 0.000001 and 500 Hz, half the rate"
            ]
        );
    }
}
