//! Reference: subtracts the mean of all (or of named) channels from every EEG channel, sample by sample.

use crate::flow::{BuildContext, EpochInfo, Problems, Reason, Stage, StageConfig, Step, StepConfig, Verdict};
use crate::names::nearest;
use crate::signal::{Block, Channel, ChannelKind, Epoch, LANES, Lanes, StreamInfo};
use crate::unit::Unit;
use serde::{Deserialize, Serialize};

/// Re-references: `y_c[i] = x_c[i] − mean over the reference channels of x[i]`, for every EEG channel `c`.
///
/// As a Step the average is that of the channels that enter ([`Epoch::enters`]: EEG and not bad), and a named channel
/// that has been found bad is left out; where none remains the epoch is dropped with the reason `no_reference`.
/// As a Stage (for continuous data) only the channels said to be bad on the command line are known and left out.
/// Bad EEG channels are re-referenced too, other kinds are left alone. A non-finite sample in a reference channel makes
/// that sample non-finite in all of them: put `reject` first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Reference {
    /// `"average"`, a list of channel names (`["M1", "M2"]`: linked mastoids), or `"none"`.
    pub to: Target,
}

/// What is subtracted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub enum Target {
    /// The mean of all good EEG channels.
    #[default]
    Average,
    /// The mean of these channels, any kind in µV.
    Channels(Vec<String>),
    /// Nothing: the reference of the recording stays.
    None,
}

/// A [`Target`] as it stands in a recipe.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "expected \"average\", a list of channel names, or \"none\"")]
enum Written {
    Word(String),
    Names(Vec<String>),
}

impl TryFrom<Written> for Target {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        match written {
            Written::Names(names) => Ok(Self::Channels(names)),
            Written::Word(word) if word == "average" => Ok(Self::Average),
            Written::Word(word) if word == "none" => Ok(Self::None),
            Written::Word(word) => {
                Err(format!("{word:?} is not \"average\" or \"none\"; to refer to a channel, write [{word:?}]"))
            }
        }
    }
}

impl From<Target> for Written {
    fn from(target: Target) -> Self {
        match target {
            Target::Average => Self::Word("average".into()),
            Target::Channels(names) => Self::Names(names),
            Target::None => Self::Word("none".into()),
        }
    }
}

impl Reference {
    /// Which channels form the reference; every problem is reported at `to`.
    fn sources(&self, channels: &[Channel], problems: &mut Problems) -> Option<Vec<usize>> {
        let before = problems.list().len();
        let mut sources = Vec::new();
        match &self.to {
            Target::None => {}
            Target::Average => {
                sources.extend((0..channels.len()).filter(|&c| is_eeg(&channels[c])));
                if sources.is_empty() {
                    problems.add("to", "there is no EEG channel to average");
                }
            }
            Target::Channels(names) => {
                if names.is_empty() {
                    problems.add("to", "needs at least one channel name");
                }
                for name in names {
                    match channels.iter().position(|c| c.name == *name) {
                        Some(c) if channels[c].unit != Unit::Microvolt => {
                            problems.add("to", format!("channel {name:?} is not in µV"));
                        }
                        Some(c) if sources.contains(&c) => {}
                        Some(c) => sources.push(c),
                        None => {
                            let names = channels.iter().map(|c| c.name.as_str());
                            let hint = nearest(name, names).map(|n| format!("; nearest: {n:?}")).unwrap_or_default();
                            problems.add("to", format!("there is no channel {name:?}{hint}"));
                        }
                    }
                }
            }
        }
        (problems.list().len() == before).then_some(sources)
    }
}

impl Target {
    /// In words, where it changes the reference: `average`, or the channels' names.
    fn name(&self) -> Option<String> {
        match self {
            Self::Average => Some("average".to_owned()),
            Self::Channels(names) => Some(names.join(" ")),
            Self::None => None,
        }
    }
}

fn is_eeg(channel: &Channel) -> bool {
    channel.kind == ChannelKind::Eeg
}

fn eeg(channels: &[Channel]) -> Vec<usize> {
    (0..channels.len()).filter(|&c| is_eeg(&channels[c])).collect()
}

impl StepConfig for Reference {
    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let sources = self.sources(&input.channels, problems)?;
        context.reference = self.to.name().or(context.reference.take());
        let targets = if self.to == Target::None { Vec::new() } else { eeg(&input.channels) };
        let named = matches!(self.to, Target::Channels(_));
        Some(Box::new(SubtractFromEpoch { sources, named, targets, mean: vec![0.0; input.len] }))
    }
}

struct SubtractFromEpoch {
    sources: Vec<usize>,
    named: bool,
    targets: Vec<usize>,
    mean: Vec<f64>,
}

impl Step for SubtractFromEpoch {
    fn apply(&mut self, epoch: &mut Epoch) -> Verdict {
        if self.targets.is_empty() {
            return Verdict::Keep;
        }
        let mut n = 0_u32;
        self.mean.fill(0.0);
        for &c in &self.sources {
            if if self.named { !epoch.bad[c] } else { epoch.enters[c] } {
                n += 1;
                self.mean.iter_mut().zip(epoch.channel(c)).for_each(|(m, x)| *m += x);
            }
        }
        if n == 0 {
            return Verdict::Drop(Reason::new("no_reference"));
        }
        self.mean.iter_mut().for_each(|m| *m /= f64::from(n));
        for &c in &self.targets {
            epoch.channel_mut(c).iter_mut().zip(&self.mean).for_each(|(x, m)| *x -= m);
        }
        Verdict::Keep
    }
}

impl StageConfig for Reference {
    fn build(&self, input: &StreamInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Stage>> {
        let mut sources = self.sources(&input.channels, problems)?;
        sources.retain(|&c| !context.bad.contains(&input.channels[c].name));
        if sources.is_empty() && self.to != Target::None {
            problems.add("to", "every reference channel is said to be bad");
            return None;
        }
        context.reference = self.to.name().or(context.reference.take());
        let targets = if self.to == Target::None { Vec::new() } else { eeg(&input.channels) };
        let groups = input.channels.len().div_ceil(LANES);
        Some(Box::new(SubtractFromStream {
            n: sources.len().max(1) as f64,
            sources: masks(groups, &sources),
            targets: masks(groups, &targets),
            mean: vec![0.0; input.max_block],
            end: (0, 0),
            output: input.clone(),
        }))
    }

    fn joins_channels(&self) -> bool {
        self.to != Target::None
    }
}

/// Lane masks: all bits where the channel takes part, none elsewhere, so that a NaN in another channel stays there.
fn masks(groups: usize, channels: &[usize]) -> Vec<[u64; LANES]> {
    let mut masks = vec![[0; LANES]; groups];
    channels.iter().for_each(|c| masks[c / LANES][c % LANES] = u64::MAX);
    masks
}

struct SubtractFromStream {
    n: f64,
    sources: Vec<[u64; LANES]>,
    targets: Vec<[u64; LANES]>,
    mean: Vec<f64>,
    /// Segment and sample that follow the last block.
    end: (u32, i64),
    output: StreamInfo,
}

impl Stage for SubtractFromStream {
    fn output(&self) -> &StreamInfo {
        &self.output
    }

    fn lookahead(&self) -> u64 {
        0
    }

    fn push(&mut self, input: &Block, out: &mut Block) {
        out.copy_from(input, 0, input.len(), 0);
        self.end = (out.segment(), out.end());
        let mean = &mut self.mean[..input.len()];
        mean.fill(0.0);
        for (group, mask) in self.sources.iter().enumerate().filter(|(_, mask)| **mask != [0; LANES]) {
            mean.iter_mut().zip(input.group(group)).for_each(|(m, x)| *m += masked_sum(x, mask));
        }
        mean.iter_mut().for_each(|m| *m /= self.n);
        for (group, mask) in self.targets.iter().enumerate().filter(|(_, mask)| **mask != [0; LANES]) {
            for (x, m) in out.group_mut(group).iter_mut().zip(&*mean) {
                x.iter_mut().zip(mask).for_each(|(x, mask)| *x -= f64::from_bits(m.to_bits() & mask));
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
        (self.mean.len() * size_of::<f64>()) as u64
    }
}

/// The sum over the lanes of a mask, in pairs: a fixed order.
fn masked_sum(x: &Lanes, mask: &[u64; LANES]) -> f64 {
    let v: Lanes = std::array::from_fn(|k| f64::from_bits(x[k].to_bits() & mask[k]));
    ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{epoch, golden, info, listed, numbers};
    use super::*;
    use proptest::prelude::*;

    fn step(to: Target, info: &EpochInfo) -> Result<Box<dyn Step>, Vec<String>> {
        let mut problems = Problems::default();
        let step = StepConfig::build(&Reference { to }, info, &mut BuildContext::default(), &mut problems);
        step.ok_or_else(|| listed(problems))
    }

    fn named(names: &[&str]) -> Target {
        Target::Channels(names.iter().map(ToString::to_string).collect())
    }

    fn stage(to: Target, info: &EpochInfo, bad: &[&str]) -> Result<Box<dyn Stage>, Vec<String>> {
        let mut context = BuildContext { bad: bad.iter().map(ToString::to_string).collect(), ..Default::default() };
        let input = StreamInfo { clock: info.clock, channels: info.channels.clone(), max_block: 64 };
        let mut problems = Problems::default();
        let stage = StageConfig::build(&Reference { to }, &input, &mut context, &mut problems);
        stage.ok_or_else(|| listed(problems))
    }

    #[test]
    fn agrees_with_mne() {
        let golden = golden();
        let info = info(&["Fp1", "Cz", "M1", "M2"], 1000.0, -100, 201);
        let x: Vec<_> = (0..4).map(|c| numbers(&golden, &format!("/epochs/0/{c}"))).collect();
        for (to, key) in [(Target::Average, "average"), (named(&["M1", "M2", "M1"]), "named")] {
            let mut e = epoch(&info, |c, i| x[c][i]);
            assert_eq!(step(to.clone(), &info).unwrap().apply(&mut e), Verdict::Keep);
            let mut block = Block::new(4, 201);
            block.start(0, 7, 64);
            (0..4 * 64).for_each(|k| block.set(k / 64, k % 64, x[k / 64][k % 64]));
            let mut out = Block::new(4, 64);
            stage(to, &info, &[]).unwrap().push(&block, &mut out);
            assert_eq!((out.first(), out.len()), (7, 64));
            for c in 0..4 {
                let theirs = numbers(&golden, &format!("/reference/{key}/{c}"));
                for (i, theirs) in theirs.into_iter().enumerate() {
                    // MNE computes in volt: 16 digits of some tens of µV
                    assert!((e.channel(c)[i] - theirs).abs() < 1e-10, "{key}, channel {c}, sample {i}");
                    assert!(i >= 64 || (out.get(c, i) - theirs).abs() < 1e-10, "{key}, channel {c}, sample {i}");
                }
            }
        }
    }

    #[test]
    fn bad_channels_do_not_enter_but_are_referenced() {
        let mut info = info(&["A", "B", "C", "EOG"], 1000.0, 0, 4);
        let mut channels = info.channels.to_vec();
        channels[3].kind = ChannelKind::Eog;
        info.channels = channels.into();
        let values = [1.0, 2.0, 60.0, 1000.0];
        let mut e = epoch(&info, |c, _| values[c]);
        (e.bad[2], e.enters[2]) = (true, false);
        let mut average = step(Target::Average, &info).unwrap();
        average.apply(&mut e);
        assert_eq!([0, 1, 2, 3].map(|c| e.channel(c)[0]), [-0.5, 0.5, 58.5, 1000.0]);
        let mut e = epoch(&info, |c, _| values[c]);
        (e.bad[2], e.enters[2]) = (true, false);
        step(named(&["C", "EOG", "A"]), &info).unwrap().apply(&mut e);
        assert_eq!([0, 1, 2, 3].map(|c| e.channel(c)[0]), [-499.5, -498.5, -440.5, 1000.0]);
        assert!(matches!(
            step(named(&["C"]), &info).unwrap().apply(&mut e),
            Verdict::Drop(Reason { code: "no_reference", .. })
        ));
        e.enters.fill(false);
        assert!(matches!(average.apply(&mut e), Verdict::Drop(Reason { code: "no_reference", .. })));
        assert_eq!(step(Target::None, &info).unwrap().apply(&mut e), Verdict::Keep);
        // a stream knows what the command line says
        let mut block = Block::new(4, 1);
        block.start(0, 0, 1);
        values.iter().enumerate().for_each(|(c, &v)| block.set(c, 0, v));
        block.set(3, 0, f64::NAN);
        let mut out = Block::new(4, 64);
        stage(Target::Average, &info, &["C"]).unwrap().push(&block, &mut out);
        assert_eq!([0, 1, 2].map(|c| out.get(c, 0)), [-0.5, 0.5, 58.5]);
        assert!(out.get(3, 0).is_nan());
        assert_eq!(
            stage(named(&["C"]), &info, &["C"]).err().unwrap(),
            ["to: every reference channel is said to be bad"]
        );
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(cuts in prop::collection::vec(1_usize..64, 1..12), channels in 1_usize..20) {
            let names: Vec<_> = (0..channels).map(|c| format!("E{c}")).collect();
            let info = info(&names.iter().map(String::as_str).collect::<Vec<_>>(), 1000.0, 0, 1);
            let value = |c: usize, i: usize| ((c * 7919 + i * 104_729) % 1013) as f64 / 7.0;
            let run = |cuts: &[usize]| {
                let mut stage = stage(Target::Average, &info, &[]).unwrap();
                let (mut input, mut out) = (Block::new(channels, 64), Block::new(channels, 64));
                let (mut at, mut bits) = (0, Vec::new());
                for &len in cuts {
                    input.start(0, at as i64, len);
                    (0..channels * len).for_each(|k| input.set(k / len, k % len, value(k / len, at + k % len)));
                    stage.push(&input, &mut out);
                    (0..len).for_each(|i| bits.extend((0..channels).map(|c| out.get(c, i).to_bits())));
                    at += len;
                }
                stage.finish(&mut out);
                assert_eq!((out.len(), out.first()), (0, at as i64));
                bits
            };
            let total: usize = cuts.iter().sum();
            prop_assert_eq!(run(&cuts), run(&vec![1; total]));
        }
    }

    #[test]
    fn missing_names_are_told_with_the_nearest() {
        let mut info = info(&["Fp1", "TP9", "TP10", "TRIG"], 1000.0, 0, 4);
        let mut channels = info.channels.to_vec();
        channels[3].unit = Unit::None;
        info.channels = channels.into();
        assert_eq!(
            step(named(&["tp9", "M1", "TP11", "TRIG"]), &info).err().unwrap(),
            [
                "to: there is no channel \"tp9\"; nearest: \"TP9\"",
                "to: there is no channel \"M1\"",
                "to: there is no channel \"TP11\"; nearest: \"TP10\"",
                "to: channel \"TRIG\" is not in µV"
            ]
        );
        assert_eq!(step(named(&[]), &info).err().unwrap(), ["to: needs at least one channel name"]);
        channels = info.channels.to_vec();
        channels.iter_mut().for_each(|c| c.kind = ChannelKind::Emg);
        info.channels = channels.into();
        assert_eq!(step(Target::Average, &info).err().unwrap(), ["to: there is no EEG channel to average"]);
    }

    #[test]
    fn reads_and_writes_as_a_recipe_does() {
        for (text, to) in [
            ("to = \"average\"\n", Target::Average),
            ("to = \"none\"\n", Target::None),
            ("to = [\"M1\", \"M2\"]\n", named(&["M1", "M2"])),
        ] {
            assert_eq!(toml::from_str::<Reference>(text).unwrap(), Reference { to: to.clone() });
            assert_eq!(toml::to_string(&Reference { to }).unwrap(), text);
        }
        assert_eq!(toml::from_str::<Reference>("").unwrap().to, Target::Average);
        let error = |text| toml::from_str::<Reference>(text).unwrap_err().to_string();
        assert!(error("to = 'Cz'").contains("write [\"Cz\"]"));
        assert!(error("to = 3").contains("a list of channel names"));
    }
}
