//! `interpolate`: bad electrodes get the values of a spherical spline through the good ones.

use crate::dsp::spline::{Shape, SphericalSpline};
use crate::flow::{BuildContext, EpochInfo, Problems, Step, StepConfig, Verdict};
use crate::signal::Epoch;
use serde::{Deserialize, Serialize};

/// Fewest good electrodes that a surface is drawn through: three already lie in a plane.
const FEWEST: usize = 4;

/// Replaces bad EEG channels by the spherical spline (Perrin et al. 1989, 10.1016/0013-4694(89)90180-6) through the
/// good ones. They then count as good: they enter references, rejections and averages, and are listed as `interpolated`.
///
/// Channels without a position, and all of them where fewer than four good channels have one, stay bad.
/// The defaults are MNE-Python's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Interpolate {
    /// Regularisation: above 0 the surface passes near the measured values, not through them.
    pub ridge: f64,
    /// Stiffness m of the spline, 2 to 10.
    pub stiffness: u32,
    /// Terms of its Legendre series, 7 to 200.
    pub terms: u32,
}

impl Default for Interpolate {
    fn default() -> Self {
        let Shape { ridge, stiffness, terms } = Shape::default();
        Self { ridge, stiffness, terms }
    }
}

impl StepConfig for Interpolate {
    fn build(&self, input: &EpochInfo, _context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Step>> {
        self.step(input, problems).map(|step| Box::new(step) as Box<dyn Step>)
    }
}

impl Interpolate {
    fn step(&self, input: &EpochInfo, problems: &mut Problems) -> Option<InterpolateStep> {
        let before = problems.list().len();
        if !(self.ridge.is_finite() && self.ridge >= 0.0) {
            problems.add("ridge", format!("{} is not a number of at least 0", self.ridge));
        }
        if !(2..=10).contains(&self.stiffness) {
            problems.add("stiffness", format!("{} is not between 2 and 10", self.stiffness));
        }
        if !(7..=200).contains(&self.terms) {
            problems.add("terms", format!("{} is not between 7 and 200", self.terms));
        }
        let usable = |p: &[f64; 3]| p.iter().all(|v| v.is_finite()) && p.iter().any(|&v| v != 0.0);
        let place = |c: usize| input.channels[c].position.filter(usable);
        let placed: Vec<usize> = (0..input.channels.len()).filter(|&c| input.is_eeg(c) && place(c).is_some()).collect();
        if placed.len() <= FEWEST {
            let found = placed.len();
            problems.add(
                "",
                format!("interpolation needs more than {FEWEST} EEG channels whose place is known; here {found}"),
            );
        }
        if problems.list().len() > before {
            return None;
        }
        let places: Vec<_> = placed.iter().filter_map(|&c| place(c)).collect();
        let n = placed.len();
        let shape = Shape { ridge: self.ridge, stiffness: self.stiffness, terms: self.terms };
        Some(InterpolateStep {
            spline: SphericalSpline::new(&places, shape),
            state: vec![State::Out; n],
            good: Vec::with_capacity(n),
            bad: Vec::with_capacity(n),
            // good · bad is largest with one half of each
            weights: vec![0.0; (n * n).div_ceil(4)],
            row: vec![0.0; input.len],
            solved: false,
            placed,
        })
    }
}

/// What an electrode is to the spline in the present epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// Neither source nor target: excluded, but not bad.
    Out,
    Good,
    Bad,
}

/// The weights depend on which channels are bad. Those are frozen during a run, so the one solve happens at the first
/// epoch (and again, were they to change); it works in storage allocated beforehand: 2·10⁵ operations for 64 channels.
struct InterpolateStep {
    spline: SphericalSpline,
    /// EEG channels whose place is known; the spline's points.
    placed: Vec<usize>,
    state: Vec<State>,
    /// Points (indices into `placed`) to interpolate from, and to.
    good: Vec<usize>,
    bad: Vec<usize>,
    weights: Vec<f64>,
    row: Vec<f64>,
    /// Whether `weights` hold for `state`.
    solved: bool,
}

impl InterpolateStep {
    /// Reads which channels are good and bad, and solves for new weights if that has changed.
    fn follow(&mut self, epoch: &Epoch) {
        let mut changed = false;
        for (&channel, state) in self.placed.iter().zip(&mut self.state) {
            let now = match (epoch.bad[channel], epoch.enters[channel]) {
                (true, _) => State::Bad,
                (false, true) => State::Good,
                (false, false) => State::Out,
            };
            changed |= now != *state;
            *state = now;
        }
        if !changed {
            return;
        }
        let points = || self.state.iter().enumerate();
        self.good.clear();
        self.bad.clear();
        self.good.extend(points().filter(|&(_, s)| *s == State::Good).map(|(i, _)| i));
        self.bad.extend(points().filter(|&(_, s)| *s == State::Bad).map(|(i, _)| i));
        self.solved = self.bad.is_empty()
            || (self.good.len() >= FEWEST && self.spline.weights(&self.good, &self.bad, &mut self.weights));
    }
}

impl Step for InterpolateStep {
    fn apply(&mut self, epoch: &mut Epoch) -> Verdict {
        self.follow(epoch);
        for &channel in &self.placed {
            epoch.interpolated[channel] = false;
        }
        if !self.solved || self.bad.is_empty() {
            return Verdict::Keep;
        }
        for (&target, weights) in self.bad.iter().zip(self.weights.chunks_exact(self.good.len())) {
            self.row.fill(0.0);
            for (&source, weight) in self.good.iter().zip(weights) {
                let samples = epoch.channel(self.placed[source]);
                self.row.iter_mut().zip(samples).for_each(|(sum, value)| *sum += weight * value);
            }
            let channel = self.placed[target];
            epoch.channel_mut(channel).iter_mut().zip(&self.row).for_each(|(value, sum)| *value = *sum);
            (epoch.bad[channel], epoch.enters[channel], epoch.interpolated[channel]) = (false, true, true);
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::{Channel, ChannelKind, montage};
    use crate::unit::{Clock, Rate, Unit};

    const NAMES: [&str; 12] = ["Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "Cz", "VEOG"];

    fn info(names: &[&str]) -> EpochInfo {
        let channel = |name: &&str| {
            let mut channel = Channel::new(*name, montage::kind_of(name, &Unit::Microvolt), Unit::Microvolt);
            channel.position = montage::position_of(name);
            channel
        };
        let clock = Clock::stored(Rate::new(1000, 1).unwrap());
        EpochInfo { clock, channels: names.iter().map(channel).collect(), first: -2, len: 5, conditions: 1 }
    }

    /// A smooth field: linear in the place.
    fn epoch(info: &EpochInfo) -> Epoch {
        let mut epoch = Epoch::new(info.clock, info.first, info.channels.len(), info.len);
        for (c, channel) in info.channels.iter().enumerate() {
            let [x, y, z] = channel.position.unwrap_or([0.0; 3]);
            for (t, v) in epoch.channel_mut(c).iter_mut().enumerate() {
                *v = 10.0 + t as f64 * (3.0 * x - 2.0 * y + z);
            }
            epoch.enters[c] = channel.kind == ChannelKind::Eeg;
        }
        epoch
    }

    fn build(info: &EpochInfo) -> InterpolateStep {
        let mut problems = Problems::default();
        let step = Interpolate::default().step(info, &mut problems);
        assert!(problems.list().is_empty(), "{:?}", problems.list());
        step.unwrap()
    }

    fn mark_bad(epoch: &mut Epoch, channel: usize) {
        (epoch.bad[channel], epoch.enters[channel]) = (true, false);
    }

    #[test]
    fn bad_channels_follow_their_neighbours() {
        let info = info(&NAMES);
        let mut step = build(&info);
        let truth = epoch(&info);
        let mut spoilt = truth.clone();
        for c in [4, 9] {
            mark_bad(&mut spoilt, c);
            spoilt.channel_mut(c).fill(1e6);
        }
        assert_eq!(step.apply(&mut spoilt), Verdict::Keep);
        for (c, name) in NAMES.iter().enumerate() {
            let target = [4, 9].contains(&c);
            assert_eq!((spoilt.bad[c], spoilt.enters[c], spoilt.interpolated[c]), (false, c != 11, target));
            for (a, b) in spoilt.channel(c).iter().zip(truth.channel(c)) {
                let tolerance = if target { 0.15 * (b - 10.0).abs() + 0.5 } else { 0.0 };
                assert!((a - b).abs() <= tolerance, "{name}: {a} against {b}");
            }
        }
    }

    #[test]
    fn a_change_of_the_bad_set_is_followed() {
        let info = info(&NAMES);
        let once = |channel: usize| {
            let mut epoch = epoch(&info);
            mark_bad(&mut epoch, channel);
            build(&info).apply(&mut epoch);
            epoch.channel(channel).to_vec()
        };
        let mut step = build(&info);
        for channel in [4, 4, 6, 10, 4] {
            let mut epoch = epoch(&info);
            mark_bad(&mut epoch, channel);
            step.apply(&mut epoch);
            assert_eq!(epoch.channel(channel), once(channel));
            assert_eq!(epoch.interpolated.iter().filter(|i| **i).count(), 1);
        }
        let mut untouched = epoch(&info);
        step.apply(&mut untouched);
        assert_eq!(untouched.data(), epoch(&info).data());
        assert!(!untouched.interpolated.contains(&true));
    }

    #[test]
    fn what_has_no_place_or_no_neighbours_stays_bad() {
        let info = info(&["EEG 1", "F3", "F4", "C3", "C4", "P3", "P4"]);
        let mut step = build(&info);
        let mut lone = epoch(&info);
        mark_bad(&mut lone, 0);
        step.apply(&mut lone);
        assert!(lone.bad[0] && !lone.interpolated[0]);
        let mut few = epoch(&info);
        (1..=3).for_each(|c| mark_bad(&mut few, c));
        step.apply(&mut few);
        assert_eq!(few.bad, [false, true, true, true, false, false, false]);
    }

    #[test]
    fn impossible_settings_are_all_reported() {
        let mut problems = Problems::default();
        let config = Interpolate { ridge: -1.0, stiffness: 1, terms: 1000 };
        assert!(config.step(&info(&["F3", "F4"]), &mut problems).is_none());
        assert_eq!(problems.list().len(), 4);
    }
}
