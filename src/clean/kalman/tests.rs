use super::super::stretches::played::{Noise, Played, bits, generated, stimulated, through};
use super::super::testing::listed;
use super::*;
use std::f64::consts::TAU;

const RATE: f64 = 500.0;
const F: f64 = 10.000_12;

/// EEG of about 10 µV in `channels`, and the same under an artefact of some mV with a second harmonic from sample `from` to `to`.
fn recording(channels: usize, seconds: f64, on: Range<usize>, phase: f64, seed: u64) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let n = (seconds * RATE) as usize;
    let mut noise = Noise(seed);
    let eeg: Vec<Vec<f64>> =
        (0..channels).map(|c| noise.red(n, 0.01).iter().map(|v| 10.0 * v + 2e3 * c as f64).collect()).collect();
    let wave = |i: usize| {
        let theta = TAU * F / RATE * i as f64 + phase;
        theta.sin() + 0.003 * (2.0 * theta + 0.6).sin()
    };
    let size = |c: usize| 1e4 / (1.0 + c as f64);
    let add = |(c, row): (usize, &Vec<f64>)| {
        let one = |(i, v): (usize, &f64)| if on.contains(&i) { v + size(c) * wave(i) } else { *v };
        row.iter().enumerate().map(one).collect()
    };
    let dirty = eeg.iter().enumerate().map(add).collect();
    (eeg, dirty)
}

fn learn(config: &Kalman, stream: &mut Played, found: Stimulation) -> Result<Model> {
    let mut problems = Problems::default();
    assert!(config.fit(&stream.info, &mut BuildContext::default(), &mut problems).is_some());
    Calibrate(config.clone()).learn(stream, found)
}

fn built(config: &Kalman, info: &StreamInfo, model: Option<&Model>) -> Result<Box<dyn Stage>, Vec<String>> {
    let mut context = BuildContext { model: model.cloned(), ..Default::default() };
    let mut problems = Problems::default();
    let stage = config.build(info, &mut context, &mut problems);
    assert_eq!(stage.is_some(), context.stimulation.is_some());
    stage.ok_or_else(|| listed(problems))
}

fn rms(a: &[f64], b: &[f64]) -> f64 {
    (a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.len() as f64).sqrt()
}

fn values(model: &Model) -> Values {
    serde_json::from_value(model.values.clone()).unwrap()
}

#[test]
fn it_finds_the_phase_after_the_current_comes_and_goes_and_what_it_learnt_runs_live() {
    let second = RATE as usize;
    let on = 20 * second..60 * second;
    let (eeg, dirty) = recording(3, 80.0, on.clone(), 0.7, 1);
    let mut stream = Played::new(RATE, dirty);
    let config = Kalman::default();
    let model = learn(&config, &mut stream, stimulated(on.start as i64..on.end as i64, F / RATE)).unwrap();
    let found = values(&model);
    assert!(found.r_free && found.r_seconds > 30.0);
    assert!((found.frequency_hz - F).abs() < 1e-9);
    assert!((found.startup_s - 4.77).abs() < 0.01);
    for r in found.r_uv2.values() {
        // red noise around the mean and the harmonics of each second: less than its 100 µV², and of that size
        assert!((50.0..105.0).contains(r), "{r}");
    }
    let q = 2.0 * (TAU * 0.05 / RATE).powi(2) * found.r_uv2["E1"];
    assert!((found.q_uv2["E1"] / q - 1.0).abs() < 1e-12);

    let mut stage = built(&config, &stream.info, Some(&model)).unwrap();
    assert!(stage.notes().contains("±0.05 Hz") && stage.notes().contains("after 4.8 s"), "{}", stage.notes());
    assert_eq!(stage.lookahead(), 0);
    // from five seconds after its start as good as it gets: what lies in the notches
    let check = |eeg: &[Vec<f64>], cleaned: &[Vec<f64>], part: Range<usize>| {
        for (c, (e, y)) in eeg.iter().zip(cleaned).enumerate() {
            let error = rms(&e[part.clone()], &y[part.clone()]);
            assert!(error < 1.6, "channel {c}: {error}");
        }
    };
    let cleaned = through(&mut *stage, &stream.rows, 0, &[64]);
    for part in [5..20, 25..40, 40..60, 65..80] {
        check(&eeg, &cleaned, part.start * second..part.end * second);
    }
    // a new recording, another phase, other places in it: the model as it was saved, no fit
    let model: Model = serde_json::from_str(&serde_json::to_string(&model).unwrap()).unwrap();
    let (eeg, dirty) = recording(3, 60.0, 7 * second..60 * second, 2.9, 2);
    let mut live = built(&config, &stream.info, Some(&model)).unwrap();
    let cleaned = through(&mut *live, &dirty, 123_457, &[5]);
    for part in [12..30, 30..60] {
        check(&eeg, &cleaned, part.start * second..part.end * second);
    }
}

#[test]
fn cuts_resets_and_the_future_do_not_matter() {
    let n = 30 * RATE as usize;
    let (_, mut dirty) = recording(9, 30.0, 4000..n, 0.1, 5);
    let mut stream = Played::new(RATE, dirty.clone());
    let config = Kalman { harmonics: 4, ..Kalman::default() };
    let model = learn(&config, &mut stream, stimulated(4000..n as i64, F / RATE)).unwrap();
    let mut stage = built(&config, &stream.info, Some(&model)).unwrap();
    dirty[2][5000] = f64::NAN;
    let whole = through(&mut *stage, &dirty, 0, &[64]);
    for cuts in [vec![1], vec![7, 64, 1, 13]] {
        stage.reset();
        assert_eq!(bits(&through(&mut *stage, &dirty, 0, &cuts)), bits(&whole));
    }
    // a missing sample is one missing sample
    assert!(
        whole[2][5000].is_nan()
            && whole
                .iter()
                .enumerate()
                .all(|(c, row)| { row.iter().enumerate().all(|(i, v)| v.is_finite() || (c, i) == (2, 5000)) })
    );
    // what comes later changes nothing
    let mut other = dirty.clone();
    other.iter_mut().for_each(|row| row[9000..].iter_mut().for_each(|v| *v = -*v));
    stage.reset();
    let changed = through(&mut *stage, &other, 0, &[64]);
    assert!((0..9).all(|c| bits(&[whole[c][..9000].to_vec()]) == bits(&[changed[c][..9000].to_vec()])));
    // after a gap it starts as it did at first
    stage.reset();
    let tail: Vec<Vec<f64>> = dirty.iter().map(|row| row[6000..].to_vec()).collect();
    let fresh = through(&mut *built(&config, &stream.info, Some(&model)).unwrap(), &tail, 6000, &[64]);
    assert_eq!(bits(&through(&mut *stage, &tail, 6000, &[9])), bits(&fresh));
}

#[test]
fn a_told_frequency_needs_no_stimulation_and_other_channels_pass() {
    let n = 20 * RATE as usize;
    let (eeg, _) = recording(3, 20.0, 0..0, 0.0, 3);
    let mut stream = Played::new(RATE, eeg.clone());
    let mut channels = stream.info.channels.to_vec();
    channels[1].kind = ChannelKind::Stim;
    stream.info.channels = channels.into();
    let config = Kalman { frequency_hz: Some(F), restart_sd: f64::INFINITY, ..Kalman::default() };
    let model = learn(&config, &mut stream, Stimulation::default()).unwrap();
    assert_eq!(model.channels, ["E0", "E2"]);
    assert!(!config.joins_channels() && Kalman::default().joins_channels());
    let mut stage = built(&config, &stream.info, Some(&model)).unwrap();
    let cleaned = through(&mut *stage, &eeg, 0, &[64]);
    assert_eq!(bits(&cleaned[1..2]), bits(&eeg[1..2]));
    assert!(bits(&cleaned[..1]) != bits(&eeg[..1]));
    // where it was on all the time, R is what a fit leaves
    let (_, dirty) = recording(3, 20.0, 0..n, 0.0, 3);
    let found =
        values(&learn(&Kalman::default(), &mut Played::new(RATE, dirty), stimulated(0..n as i64, F / RATE)).unwrap());
    assert!(!found.r_free && found.r_uv2.values().all(|r| (30.0..105.0).contains(r)), "{:?}", found.r_uv2);
}

#[test]
fn what_is_wrong_is_told_at_once() {
    let mut stream = Played::new(RATE, recording(1, 10.0, 0..5000, 0.0, 1).1);
    let wrong =
        Kalman { harmonics: 0, half_width_hz: 0.0, restart_sd: 1.0, frequency_hz: Some(-1.0), ..Kalman::default() };
    let mut problems = Problems::default();
    assert!(wrong.fit(&stream.info, &mut BuildContext::default(), &mut problems).is_none());
    assert_eq!(listed(problems).len(), 4);
    assert!(built(&Kalman::default(), &stream.info, None).err().unwrap()[0].contains("needs a model"));
    let error = learn(&Kalman::default(), &mut stream, Stimulation::default()).unwrap_err();
    assert!(error.message().contains("learn the frequency"));
    let model = learn(&Kalman::default(), &mut stream, stimulated(0..5000, F / RATE)).unwrap();
    let other = Played::new(1000.0, vec![vec![0.0; 10]]);
    let told = built(&Kalman::default(), &other.info, Some(&model)).err().unwrap();
    assert_eq!(told, [": the model is for 500 Hz; here the rate is 1000 Hz"]);
    let read = |text: &str| toml::from_str::<Kalman>(text);
    assert_eq!(read("").unwrap(), Kalman::default());
    assert_eq!(read(&toml::to_string(&wrong).unwrap()).unwrap(), wrong);
    assert!(read("width = 1").is_err());
}

/// One channel at 1 kHz, 10.5 µV under 10 mV, 120 s.
#[test]
fn a_recording_of_another_generator_is_followed() {
    let Some([rows, truth]) = generated("k1", 1) else { return };
    let mut stream = Played::new(1000.0, rows);
    let sos = crate::dsp::iir::butterworth(2, crate::dsp::iir::Band::Band(8.0, 12.0), 1000.0).unwrap();
    for half_width_hz in [0.02, 0.05, 0.1] {
        let config = Kalman { half_width_hz, ..Kalman::default() };
        let (mut context, mut problems) = (BuildContext::default(), Problems::default());
        let model = config.fit(&stream.info, &mut context, &mut problems).unwrap().fit(&mut stream).unwrap();
        let mut stage = built(&config, &stream.info, Some(&model)).unwrap();
        let cleaned = through(&mut *stage, &stream.rows, 0, &[64]);
        let (y, e, x) = (&cleaned[0][5000..], &truth[0][5000..], &stream.rows[0][5000..]);
        let power = |v: &[f64]| crate::dsp::iir::sosfiltfilt(&sos, v).iter().map(|v| v * v).sum::<f64>();
        let error = rms(y, e);
        let attenuation = 20.0 * (rms(x, e) / error).log10();
        let alpha = power(y) / power(e);
        eprintln!("±{half_width_hz} Hz: error {error:.3} µV, alpha {alpha:.3}, {attenuation:.1} dB; {}", stage.notes());
        assert!(error < 1.6 && attenuation > 73.0);
    }
}
