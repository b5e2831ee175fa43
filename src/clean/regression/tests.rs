use super::super::stretches::played::{Noise, Played, bits, stimulated, through};
use super::super::testing::listed;
use super::*;
use std::f64::consts::TAU;

const RATE: f64 = 500.0;
const F: f64 = 10.0;

/// Two EEG channels under stimulation from `on` on, and a copy of the current with another phase and a level.
fn recording(n: usize, on: usize) -> (Vec<Vec<f64>>, Played) {
    let mut noise = Noise(8);
    let eeg: Vec<Vec<f64>> = (0..2).map(|_| noise.red(n, 0.01).iter().map(|v| 10.0 * v + 500.0).collect()).collect();
    let wave = |i: usize, phase: f64| if i < on { 0.0 } else { (TAU * F / RATE * i as f64 + phase).sin() };
    let size = [8e3, -3e3];
    let mut rows: Vec<Vec<f64>> =
        (0..2).map(|c| (0..n).map(|i| eeg[c][i] + size[c] * wave(i, 0.4 + c as f64)).collect()).collect();
    rows.push((0..n).map(|i| 7.0 + 2.0 * wave(i, 0.0)).collect());
    let mut stream = Played::new(RATE, rows);
    let mut channels = stream.info.channels.to_vec();
    (channels[2].kind, channels[2].unit) = (ChannelKind::Stim, Unit::None);
    stream.info.channels = channels.into();
    (eeg, stream)
}

fn learn(config: &Regression, stream: &mut Played, on: Range<i64>) -> Result<Model> {
    let mut problems = Problems::default();
    assert!(config.fit(&stream.info, &mut BuildContext::default(), &mut problems).is_some());
    let references = config.references(&stream.info.channels, &mut problems).unwrap();
    Calibrate { config: config.clone(), references }.learn(stream, stimulated(on, F / RATE))
}

fn built(config: &Regression, info: &StreamInfo, model: Option<&Model>) -> Result<Box<dyn Stage>, Vec<String>> {
    let mut context = BuildContext { model: model.cloned(), ..Default::default() };
    let mut problems = Problems::default();
    let stage = config.build(info, &mut context, &mut problems);
    assert_eq!(stage.is_some(), context.stimulation.is_some());
    stage.ok_or_else(|| listed(problems))
}

fn problems(config: &Regression, info: &StreamInfo) -> Vec<String> {
    let mut problems = Problems::default();
    assert!(config.fit(info, &mut BuildContext::default(), &mut problems).is_none());
    listed(problems)
}

fn values(model: &Model) -> Values {
    serde_json::from_value(model.values.clone()).unwrap()
}

#[test]
fn two_lags_take_any_phase_and_the_weights_are_the_closed_form() {
    let n = 60 * RATE as usize;
    let (eeg, mut stream) = recording(n, n / 3);
    let config = Regression::default();
    let model = learn(&config, &mut stream, n as i64 / 3..n as i64).unwrap();
    let found = values(&model);
    // 10 Hz at 500 Hz: a quarter period is 12.5 samples
    assert_eq!(found.lags, [0, 13]);
    assert_eq!((found.rank, model.channels.as_slice()), (2, ["E0".to_owned(), "E1".to_owned()].as_slice()));
    // sin(θ + φ) = a sin θ + b sin(θ − δ): b = −sin φ / sin δ, a = cos φ − b cos δ
    let delta = TAU * F / RATE * 13.0;
    for (name, size, phase) in [("E0", 4e3, 0.4_f64), ("E1", -1.5e3, 1.4)] {
        let b = -phase.sin() / delta.sin();
        for (own, want) in found.weights[name].iter().zip([size * (phase.cos() - b * delta.cos()), size * b]) {
            // 40 s of EEG of 10 µV: known to less than 1 µV per unit
            assert!((own - want).abs() < 1.0, "{name}: {own} for {want}");
        }
        assert!(found.explained[name] > 0.999);
    }
    let mut stage = built(&config, &stream.info, Some(&model)).unwrap();
    let cleaned = through(&mut *stage, &stream.rows, 0, &[64]);
    for (cleaned, eeg) in cleaned.iter().zip(&eeg) {
        for part in [0..n / 3, n / 3 + 13..n] {
            // a constant stays: the reference's mean during stimulation is its level only nearly
            let off: Vec<f64> = part.map(|i| cleaned[i] - eeg[i]).collect();
            let mean = off.iter().sum::<f64>() / off.len() as f64;
            let sd = (off.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / off.len() as f64).sqrt();
            assert!(mean.abs() < 10.0 && sd < 1.0, "{mean} and {sd}");
        }
    }
    assert_eq!(bits(&cleaned[2..]), bits(&stream.rows[2..]));
    // without noise, to the last digits
    for (row, eeg) in stream.rows.iter_mut().zip(&eeg) {
        row.iter_mut().zip(eeg).for_each(|(v, e)| *v -= e - 500.0);
    }
    let model = learn(&config, &mut stream, n as i64 / 3..n as i64).unwrap();
    let mut stage = built(&config, &stream.info, Some(&model)).unwrap();
    let cleaned = through(&mut *stage, &stream.rows, 0, &[64]);
    let steady: Vec<f64> = cleaned[0][n / 3 + 13..].to_vec();
    assert!(steady.iter().all(|v| (v - steady[0]).abs() < 1e-7));
}

#[test]
fn doubled_references_and_missing_values() {
    let n = 30 * RATE as usize;
    let (_, mut stream) = recording(n, 0);
    let copy = stream.rows[2].clone();
    stream.rows.push(copy);
    let mut channels = stream.info.channels.to_vec();
    channels.push(Channel::new("E3", ChannelKind::Stim, Unit::None));
    stream.info.channels = channels.into();
    let twice = learn(&Regression::default(), &mut stream, 0..n as i64).unwrap();
    assert_eq!(values(&twice).rank, 2);
    let named = Regression { references: vec!["E3".into(), "E3".into()], ..Regression::default() };
    let once = learn(&named, &mut stream, 0..n as i64).unwrap();
    let (a, b) = (values(&twice).weights["E0"].clone(), values(&once).weights["E0"].clone());
    assert!((a[0] + a[2] - b[0]).abs() < 1e-6 && (a[1] + a[3] - b[1]).abs() < 1e-6);
    let config = Regression::default();
    let run = |stage: &mut Box<dyn Stage>, rows: &[Vec<f64>], cuts: &[usize]| {
        stage.reset();
        through(&mut **stage, rows, 0, cuts)
    };
    let mut stage = built(&config, &stream.info, Some(&twice)).unwrap();
    let mut rows = stream.rows.clone();
    rows[3][1000] = f64::NAN;
    rows[1][2000] = f64::NAN;
    let whole = run(&mut stage, &rows, &[64]);
    for cuts in [vec![1], vec![7, 64, 1, 13]] {
        assert_eq!(bits(&run(&mut stage, &rows, &cuts)), bits(&whole));
    }
    let missing: Vec<usize> = (0..n).filter(|i| whole[0][*i].is_nan()).collect();
    assert_eq!(missing, [1000, 1013]);
    // the fit takes no block for anything but samples
    let model = learn(&config, &mut stream, 0..n as i64).unwrap();
    stream.info.max_block = 17;
    assert_eq!(learn(&config, &mut stream, 0..n as i64).unwrap(), model);
    stream.rows[1][2000] = f64::NAN;
    let left = learn(&config, &mut stream, 0..n as i64).unwrap();
    assert_eq!(values(&left).left_out, [("E1".to_owned(), "not finite".to_owned())]);
    assert_eq!(left.channels, ["E0"]);
    stream.rows[3].fill(1.0);
    let error = learn(&config, &mut stream, 0..n as i64).unwrap_err();
    assert_eq!(error.message(), "the reference E3 does not move during stimulation");
}

#[test]
fn what_is_wrong_is_told_at_once() {
    let (_, mut stream) = recording(1000, 0);
    let wrong = Regression {
        references: vec!["E2".into(), "E9".into()],
        lags_ms: Some(vec![-1.0, 0.0]),
        ridge: 2.0,
        ..Regression::default()
    };
    let told = problems(&wrong, &stream.info);
    assert_eq!(told.len(), 3);
    assert!(
        told[2].contains("\"E9\" is not among the channels that are analysed: name it in --channels, too; nearest")
    );
    let model = learn(&Regression::default(), &mut stream, 0..1000).unwrap();
    let mut info = stream.info.clone();
    info.channels = info.channels[..2].into();
    let told = problems(&Regression::default(), &info);
    assert!(told[0].contains("name it here and in --channels"), "{told:?}");
    assert_eq!(
        built(&Regression::default(), &info, Some(&model)).err().unwrap(),
        ["references: the model's E2 is not among the channels"]
    );
    assert!(built(&Regression::default(), &info, None).err().unwrap()[0].contains("needs a model"));
    let read = |text: &str| toml::from_str::<Regression>(text);
    assert_eq!(read("").unwrap(), Regression::default());
    assert_eq!(read(&toml::to_string(&wrong).unwrap()).unwrap(), wrong);
    assert!(read("reference = 'STIM'").is_err());
}
