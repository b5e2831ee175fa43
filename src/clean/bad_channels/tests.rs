//! Synthetic caps of 20 channels: each test spoils one thing, and looks at what is found.

use super::super::testing::{epoch, golden, info, listed, numbers};
use super::*;
use crate::signal::ChannelKind;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const CHANNELS: usize = 20;
const TRIALS: usize = 40;

struct Spool {
    epochs: Vec<Epoch>,
    at: usize,
}

impl Rewind for Spool {
    fn rewind(&mut self) -> Result<()> {
        self.at = 0;
        Ok(())
    }

    fn next(&mut self, out: &mut Epoch) -> Result<bool> {
        let Some(epoch) = self.epochs.get(self.at) else { return Ok(false) };
        out.clone_from(epoch);
        self.at += 1;
        Ok(true)
    }
}

fn names() -> Vec<String> {
    (0..CHANNELS).map(|c| format!("E{c}")).collect()
}

fn cap() -> EpochInfo {
    info(&names().iter().map(String::as_str).collect::<Vec<_>>(), 500.0, -300, 600)
}

/// About normal: the sum of twelve uniform numbers.
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| f64::from(rng.next_u32()) / f64::from(u32::MAX)).sum::<f64>() - 6.0
}

/// 1/f² background of about 8 µV, six sources mixed into all channels, amplitude by channel from 0.6 to 1.8: ×3.
fn recording(info: &EpochInfo) -> Spool {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let n = info.channels.len();
    let mixing = (0..n).map(|_| {
        let weights: Vec<_> = (0..6).map(|_| normal(&mut rng)).collect();
        let norm = weights.iter().map(|w| w * w).sum::<f64>().sqrt();
        weights.iter().map(|w| w / norm).collect::<Vec<_>>()
    });
    let mixing: Vec<_> = mixing.collect();
    let epochs = (0..TRIALS).map(|_| {
        let mut walk = |step: f64| {
            let mut v = 0.0;
            let mut next = || {
                v = 0.98 * v + step * normal(&mut rng);
                v
            };
            (0..info.len + 200).map(|_| next()).skip(200).collect::<Vec<_>>()
        };
        let sources: Vec<_> = (0..6).map(|_| walk(1.3)).collect();
        let own: Vec<_> = (0..n).map(|_| walk(0.5)).collect();
        epoch(info, |c, i| {
            let shared: f64 = mixing[c].iter().zip(&sources).map(|(m, s)| m * s[i]).sum();
            0.6 * 3_f64.powf(c as f64 / (n - 1) as f64) * (shared + own[c][i])
        })
    });
    Spool { epochs: epochs.collect(), at: 0 }
}

/// Changes one channel: `value(trial, sample, as it was)`.
fn spoil(spool: &mut Spool, channel: usize, mut value: impl FnMut(usize, usize, f64) -> f64) {
    for (t, e) in spool.epochs.iter_mut().enumerate() {
        e.channel_mut(channel).iter_mut().enumerate().for_each(|(i, v)| *v = value(t, i, *v));
    }
}

/// A blink: 200 µV, a fifth of a second, in the window after the pulse.
fn blink(i: usize) -> f64 {
    let t = (i as f64 - 400.0) / 35.0;
    200.0 * (-0.5 * t * t).exp()
}

fn build(config: &BadChannels, info: &EpochInfo, bad: &[&str]) -> Box<dyn Fit> {
    let mut context = BuildContext { bad: bad.iter().map(ToString::to_string).collect(), ..Default::default() };
    let mut problems = Problems::default();
    let fit = config.build(info, &mut context, &mut problems);
    fit.unwrap_or_else(|| panic!("{:?}", listed(problems)))
}

fn fit(info: &EpochInfo, spool: &mut Spool) -> Findings {
    Findings::from_model(&build(&BadChannels::default(), info, &[]).fit(spool).unwrap()).unwrap()
}

/// Bad channels with their reasons.
fn bad(findings: &Findings) -> Vec<(&str, Fault)> {
    findings.bad().map(|c| (c.channel.as_str(), c.reason.unwrap())).collect()
}

#[test]
fn ordinary_variation_stays() {
    let info = cap();
    let mut spool = recording(&info);
    spoil(&mut spool, 0, |t, i, v| if t % 10 == 3 { v + blink(i) } else { v });
    spoil(&mut spool, 19, |t, i, v| if t % 10 == 3 { v + blink(i) } else { v });
    let findings = fit(&info, &mut spool);
    assert_eq!(bad(&findings), []);
    assert_eq!((findings.trials, findings.shared_trials, findings.limit), (40, 0, 6));
    assert_eq!(findings.channels[0].fail_fraction, Some(0.1));
    let noise: Vec<_> = findings.channels.iter().map(|c| c.noise_uv.unwrap()).collect();
    let (low, high) = noise.iter().fold((f64::MAX, 0.0_f64), |(l, h), &v| (l.min(v), h.max(v)));
    assert!(high / low > 3.0, "the cap should vary: {low}…{high} µV");
    assert!(findings.channels.iter().all(|c| c.noise_z.unwrap().abs() < 3.0 && c.saturated_fraction.is_none()));
    assert_eq!(findings.warning(), None);
}

#[test]
fn each_fault_is_found_by_its_name() {
    let mut info = cap();
    let mut channels = info.channels.to_vec();
    channels.iter_mut().for_each(|c| c.range = Some([-3276.8, 3276.7]));
    info.channels = channels.into();
    let mut spool = recording(&info);
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    // half a bit of dither on nothing
    spoil(&mut spool, 2, |_, i, _| 0.1 * (i % 2) as f64);
    // at the rail for 200 of 1198 ms
    spoil(&mut spool, 5, |_, i, v| if (450..550).contains(&i) { 3276.7 } else { v });
    // a bad contact: white noise, within the limit for rejection
    spoil(&mut spool, 9, |_, _, v| v / 9.0 + (20.0 * normal(&mut rng)).clamp(-55.0, 55.0));
    // failing 30 % of the trials, in each window in turn and by one NaN
    spoil(&mut spool, 14, |t, i, v| match (t % 10, i) {
        (1, 60) | (5, 420) => v + 200.0,
        (8, 60) => f64::NAN,
        _ => v,
    });
    let findings = fit(&info, &mut spool);
    assert_eq!(
        bad(&findings),
        [("E2", Fault::Flat), ("E5", Fault::Saturated), ("E9", Fault::Noisy), ("E14", Fault::Failing)]
    );
    let [flat, saturated, noisy, failing] = [2, 5, 9, 14].map(|c| &findings.channels[c]);
    assert_eq!((flat.flat_fraction, flat.noise_uv), (1.0, None));
    assert!(saturated.saturated_fraction.unwrap() > 0.1 && noisy.saturated_fraction == Some(0.0));
    assert!(noisy.noise_z.unwrap() > 5.0);
    assert_eq!((failing.fail_fraction, failing.failed_trials), (Some(0.3), 12));
    assert_eq!(findings.warning(), None);
}

#[test]
fn at_the_limit_a_channel_stays() {
    let info = cap();
    for (trials, found) in [(8, false), (9, true)] {
        let mut spool = recording(&info);
        spoil(&mut spool, 3, |t, i, v| if t < trials && i == 420 { v + 300.0 } else { v });
        assert_eq!(!bad(&fit(&info, &mut spool)).is_empty(), found, "{trials} of 40 trials");
    }
    for (trials, found) in [(20, false), (21, true)] {
        let mut spool = recording(&info);
        spoil(&mut spool, 3, |t, _, v| if t < trials { 0.0 } else { v });
        let findings = fit(&info, &mut spool);
        assert_eq!(bad(&findings), [("E3", if found { Fault::Flat } else { Fault::Failing })], "{trials} of 40 trials");
    }
}

#[test]
fn the_trials_trouble_is_not_the_channels() {
    let info = cap();
    let mut spool = recording(&info);
    // a movement, in every channel of half the trials; one channel fails a quarter of the others
    for c in 0..CHANNELS {
        spoil(&mut spool, c, |t, i, v| if t % 2 == 0 { v + 2.0 * blink(i) } else { v });
    }
    spoil(&mut spool, 6, |t, i, v| if t % 8 == 1 && i == 70 { v + 250.0 } else { v });
    let findings = fit(&info, &mut spool);
    assert_eq!(bad(&findings), [("E6", Fault::Failing)]);
    assert_eq!((findings.shared_trials, findings.channels[6].fail_fraction), (20, Some(0.25)));
    // and where every trial is everyone's trouble, nobody is to blame
    for c in 0..CHANNELS {
        spoil(&mut spool, c, |_, i, v| v + 3.0 * blink(i));
    }
    let findings = fit(&info, &mut spool);
    assert_eq!((bad(&findings), findings.shared_trials), (vec![], 40));
    assert_eq!(findings.channels[6].fail_fraction, None);
}

#[test]
fn at_most_a_third_goes_and_the_rest_is_named() {
    let info = cap();
    let mut spool = recording(&info);
    // blinks in all trials of nine channels, less often towards the back; one channel is flat
    for c in 0..9 {
        spoil(&mut spool, c, |t, i, v| if t < 40 - 2 * c { v + blink(i) } else { v });
    }
    spoil(&mut spool, 15, |_, _, _| 0.0);
    let findings = fit(&info, &mut spool);
    let names: Vec<_> = bad(&findings).iter().map(|b| b.0).collect();
    assert_eq!(names, ["E0", "E1", "E2", "E3", "E4", "E15"]);
    let spared = &findings.channels[8];
    assert_eq!((spared.status, spared.reason, spared.fail_fraction), (Status::Used, Some(Fault::Failing), Some(0.6)));
    let warning = findings.warning().unwrap();
    assert_eq!(
        (warning.code, warning.message.as_str()),
        (
            "W_MANY_BAD_CHANNELS",
            "6 of 20 EEG channels are bad; at most 6 were expected; as bad, but still in use: E5, E6, E7, E8"
        )
    );
}

#[test]
fn named_channels_and_other_kinds() {
    let mut info = cap();
    let mut channels = info.channels.to_vec();
    channels[4].kind = ChannelKind::Eog;
    info.channels = channels.into();
    let mut spool = recording(&info);
    spoil(&mut spool, 4, |_, _, _| f64::NAN);
    let mut fit = build(&BadChannels::default(), &info, &["E7", "E4", "nowhere"]);
    let model = fit.fit(&mut spool).unwrap();
    let findings = Findings::from_model(&model).unwrap();
    assert_eq!(bad(&findings), [("E7", Fault::Named)]);
    assert_eq!((model.channels.len(), model.name.as_str()), (19, "bad-channels"));

    // through a file, and back
    let text = serde_json::to_string(&model).unwrap();
    assert!(text.contains(r#""reason":"named","saturated_fraction":null,"status":"bad"}"#), "{text}");
    let model: Model = serde_json::from_str(&text).unwrap();
    let again = Findings::from_model(&model).unwrap();
    assert_eq!((bad(&again), again.channels.len()), (bad(&findings), findings.channels.len()));
    let mut e = epoch(&info, |_, _| 0.0);
    let mut later = build(&BadChannels::default(), &info, &["E1"]).freeze(&model).unwrap();
    assert_eq!(later.apply(&mut e), Verdict::Keep);
    let marked: Vec<_> = (0..CHANNELS).filter(|&c| e.bad[c]).collect();
    let out: Vec<_> = (0..CHANNELS).filter(|&c| !e.enters[c]).collect();
    assert_eq!((marked, out), (vec![1, 7], vec![1, 4, 7]));

    let other = Model { name: "ica".into(), ..model.clone() };
    assert!(fit.freeze(&other).err().unwrap().to_string().contains("\"ica\""));
    let strange = Model { values: serde_json::json!({"channels": 3}), ..model.clone() };
    assert!(fit.freeze(&strange).is_err());
    let elsewhere = super::super::testing::info(&["E0", "Cz"], 500.0, -300, 600);
    let error = build(&BadChannels::default(), &elsewhere, &[]).freeze(&model).err().unwrap();
    assert!(error.to_string().contains("knows no channel \"Cz\""), "{error}");
}

#[test]
fn nothing_to_judge_by_is_an_error() {
    let info = cap();
    let mut none = Spool { epochs: Vec::new(), at: 0 };
    let mut judge = build(&BadChannels::default(), &info, &[]);
    assert!(judge.fit(&mut none).unwrap_err().to_string().contains("no epoch"));
    let mut dead = recording(&info);
    (0..CHANNELS).for_each(|c| spoil(&mut dead, c, |_, _, _| 0.0));
    assert_eq!(judge.fit(&mut dead).unwrap_err().to_string(), "every EEG channel is bad (flat)");

    let mut problems = Problems::default();
    problems.enter("epoch[2]");
    let mut silent = self::info(&["EMG"], 500.0, 0, 600);
    let mut channels = silent.channels.to_vec();
    channels[0].kind = ChannelKind::Emg;
    silent.channels = channels.into();
    let window_ms = Some([-500.0, -10.0].into());
    let config =
        BadChannels { noise_z: 0.0, flat_uv: f64::NAN, max_bad_fraction: 1.5, window_ms, ..Default::default() };
    assert!(config.build(&silent, &mut BuildContext::default(), &mut problems).is_none());
    assert_eq!(
        listed(problems),
        [
            "epoch[2].flat_uv: NaN is not a positive number",
            "epoch[2].noise_z: 0 is not a positive number",
            "epoch[2].max_bad_fraction: 1.5 is not a share from 0 to 1",
            "epoch[2].window_ms: -500…-10 ms leaves the epoch, which is 0…1198 ms",
            "epoch[2]: there is no EEG channel to judge"
        ]
    );
}

#[test]
fn noise_is_what_its_formula_says() {
    let golden = golden();
    let info = info(&["Fp1", "Cz", "M1", "M2"], 1000.0, -100, 201);
    let epochs = (0..6).map(|t| {
        let x: Vec<_> = (0..4).map(|c| numbers(&golden, &format!("/epochs/{t}/{c}"))).collect();
        epoch(&info, |c, i| x[c][i])
    });
    let mut spool = Spool { epochs: epochs.collect(), at: 0 };
    let config = BadChannels { flat_uv: 1e-9, window_ms: Some([-100.0, 100.0].into()), ..Default::default() };
    let model = build(&config, &info, &[]).fit(&mut spool).unwrap();
    let findings = Findings::from_model(&model).unwrap();
    for (finding, theirs) in findings.channels.iter().zip(numbers(&golden, "/bad_channels/noise_uv")) {
        let ours = finding.noise_uv.unwrap();
        assert!((ours - theirs).abs() < 1e-10 * theirs, "{ours} {theirs}");
    }
    // the gain of the second difference at 50 Hz is 1: a sine of 20 µV has 14.14 µV RMS (over whole periods of its square)
    let sine = epoch(&info, |_, i| 20.0 * (std::f64::consts::TAU * 50.0 * i as f64 / 1000.0).sin());
    let (power, n) = second_difference_power(&sine.channel(0)[..190], 5);
    assert_eq!(n, 180);
    assert!(((power / n as f64).sqrt() - 200_f64.sqrt()).abs() < 1e-9);
    assert_eq!(second_difference_power(&[1.0; 10], 5), (0.0, 0));
}

/// `cargo test --release --lib bad_channels -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn costs() {
    let names: Vec<_> = (0..64).map(|i| format!("E{i}")).collect();
    let info = info(&names.iter().map(String::as_str).collect::<Vec<_>>(), 1000.0, -1000, 2001);
    let mut spool = recording(&info);
    let mut judge = build(&BadChannels::default(), &info, &[]);
    let start = std::time::Instant::now();
    (0..20).for_each(|_| assert!(judge.fit(&mut spool).is_ok()));
    println!("{:.1} µs per epoch of 64 × 2001, its copy included", start.elapsed().as_secs_f64() * 1e6 / 800.0);
}
