//! Baseline: subtracts each channel's mean over a window before the pulse.

use crate::flow::{BuildContext, EpochInfo, Problems, Reason, Step, StepConfig, Verdict};
use crate::signal::{Channel, ChannelKind, Epoch};
use crate::unit::Unit;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Subtracts the mean over `window_ms`, channel by channel: `y[i] = x[i] − mean(x over the window)`.
///
/// Bridged samples ([`Epoch::filled`]) were not measured and do not count; an epoch whose window holds nothing else
/// is dropped with the reason `baseline_filled`.
/// Applies to every channel in µV that is not a trigger or a copy of the stimulation, bad channels included.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Baseline {
    /// The window in ms relative to the event, both ends included; it must lie inside the epoch.
    pub window_ms: [f64; 2],
}

impl Default for Baseline {
    /// −500…−10 ms, as TESA's and AARATEP's example pipelines: clear of the pulse, and no shorter than the slow rhythms.
    fn default() -> Self {
        Self { window_ms: [-500.0, -10.0] }
    }
}

/// Whether a channel has a baseline and a trend worth removing: a signal in µV, not a trigger or the stimulation itself.
pub(crate) fn has_baseline(channel: &Channel) -> bool {
    channel.unit == Unit::Microvolt && !matches!(channel.kind, ChannelKind::Trigger | ChannelKind::Stim)
}

impl StepConfig for Baseline {
    fn build(&self, input: &EpochInfo, _: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let window = input.window_inside("window_ms", self.window_ms, problems)?;
        let channels = (0..input.channels.len()).filter(|&c| has_baseline(&input.channels[c])).collect();
        Some(Box::new(Subtract { window, channels }))
    }
}

/// The sum in eight strands: in a fixed order, and as fast as the vector unit allows.
fn sum(x: &[f64]) -> f64 {
    let mut strands = [0.0; 8];
    let (chunks, rest) = x.as_chunks::<8>();
    for chunk in chunks {
        strands.iter_mut().zip(chunk).for_each(|(s, v)| *s += v);
    }
    strands.iter().sum::<f64>() + rest.iter().sum::<f64>()
}

struct Subtract {
    window: Range<usize>,
    channels: Vec<usize>,
}

impl Step for Subtract {
    fn apply(&mut self, epoch: &mut Epoch) -> Verdict {
        let filled = epoch.filled[self.window.clone()].iter().filter(|&&f| f).count();
        let n = self.window.len() - filled;
        if n == 0 {
            return Verdict::Drop(Reason::new("baseline_filled"));
        }
        for &c in &self.channels {
            let window = &epoch.channel(c)[self.window.clone()];
            let sum = if filled == 0 {
                sum(window)
            } else {
                let measured = window.iter().zip(&epoch.filled[self.window.clone()]).filter(|&(_, &filled)| !filled);
                measured.map(|(x, _)| x).sum()
            };
            let mean = sum / n as f64;
            epoch.channel_mut(c).iter_mut().for_each(|x| *x -= mean);
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{epoch, golden, info, listed, numbers};
    use super::*;

    fn build(config: &Baseline, info: &EpochInfo) -> Box<dyn Step> {
        let mut problems = Problems::default();
        let step = config.build(info, &mut BuildContext::default(), &mut problems);
        step.unwrap_or_else(|| panic!("{:?}", listed(problems)))
    }

    #[test]
    fn agrees_with_mne_rescale() {
        let golden = golden();
        let (x, y) = (numbers(&golden, "/signal"), numbers(&golden, "/baseline"));
        let info = info(&["Cz"], 250.0, -250, x.len());
        let mut e = epoch(&info, |_, i| x[i]);
        assert_eq!(build(&Baseline::default(), &info).apply(&mut e), Verdict::Keep);
        // means over 123 samples in different order: some ulps of the 5 mV offset
        let worst = e.channel(0).iter().zip(&y).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 1e-10, "{worst:e} µV");
    }

    #[test]
    fn leaves_triggers_and_units_it_does_not_know_alone() {
        let mut info = info(&["Cz", "TRIG", "coil", "resp", "EMG"], 1000.0, -600, 700);
        let mut channels = info.channels.to_vec();
        channels[1].kind = ChannelKind::Trigger;
        channels[2].kind = ChannelKind::Stim;
        channels[3].unit = Unit::Other("kPa".into());
        channels[4].kind = ChannelKind::Emg;
        info.channels = channels.into();
        let mut e = epoch(&info, |c, _| 7.0 + c as f64);
        build(&Baseline::default(), &info).apply(&mut e);
        assert_eq!((0..5).map(|c| e.channel(c)[0]).collect::<Vec<_>>(), [0.0, 8.0, 9.0, 10.0, 0.0]);
    }

    #[test]
    fn bridged_samples_do_not_count() {
        let info = info(&["Cz"], 1000.0, -100, 200);
        let mut step = build(&Baseline { window_ms: [-100.0, -1.0] }, &info);
        let mut e = epoch(&info, |_, i| if (40..60).contains(&i) { 1e4 } else { 3.0 });
        e.filled[40..60].fill(true);
        assert_eq!(step.apply(&mut e), Verdict::Keep);
        assert_eq!((e.channel(0)[0], e.channel(0)[199], e.channel(0)[50]), (0.0, 0.0, 9997.0));
        e.filled.fill(true);
        assert!(matches!(step.apply(&mut e), Verdict::Drop(Reason { code: "baseline_filled", .. })));
    }

    #[test]
    fn a_window_outside_the_epoch_is_a_problem() {
        let mut problems = Problems::default();
        let info = info(&["Cz"], 1000.0, -100, 200);
        assert!(Baseline::default().build(&info, &mut BuildContext::default(), &mut problems).is_none());
        assert_eq!(listed(problems), ["window_ms: -500…-10 ms leaves the epoch, which is -100…99 ms"]);
        assert!(toml::from_str::<Baseline>("window = [0, 1]").unwrap_err().to_string().contains("window_ms"));
    }
}
