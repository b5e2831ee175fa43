//! The hard cases of a fitted frequency, with a known truth. Each prints what is left.

use super::super::stimulation::tests::{Noise, Rows, brain, stimulator, sum};
use super::*;
use crate::Result;
use crate::dsp::normal::{LineOf, Solver};
use crate::flow::Model;
use crate::signal::Block;
use proptest::prelude::*;
use std::f64::consts::TAU;

const RATE: f64 = 1000.0;

fn fitted(config: &Harmonics, rows: &mut Rows, threads: usize) -> Result<Model> {
    use crate::flow::Replay;
    let mut context = BuildContext { threads, ..BuildContext::default() };
    let mut problems = Problems::default();
    let fit = StageConfig::fit(config, &rows.info().clone(), &mut context, &mut problems);
    fit.unwrap_or_else(|| panic!("{:?}", problems.list())).fit(rows)
}

fn stage(config: &Harmonics, info: &StreamInfo, model: &Model) -> Box<dyn Stage> {
    let mut context = BuildContext { model: Some(model.clone()), ..BuildContext::default() };
    let mut problems = Problems::default();
    let stage = config.build(info, &mut context, &mut problems);
    assert!(context.stimulation.is_some());
    stage.unwrap_or_else(|| panic!("{:?}", problems.list()))
}

/// The rows after the Stage, in blocks of these lengths over and over.
fn cleaned(stage: &mut dyn Stage, rows: &[Vec<f64>], cuts: &[usize]) -> Vec<Vec<f64>> {
    let (mut input, mut out) = (Block::new(rows.len(), 1024), Block::new(rows.len(), 1024));
    let mut result = vec![Vec::new(); rows.len()];
    let (mut at, mut turn) = (0, 0);
    while at < rows[0].len() {
        let n = cuts[turn % cuts.len()].clamp(1, 1024).min(rows[0].len() - at);
        input.start(0, at as i64, n);
        rows.iter().enumerate().for_each(|(c, row)| (0..n).for_each(|i| input.set(c, i, row[at + i])));
        stage.push(&input, &mut out);
        result.iter_mut().enumerate().for_each(|(c, r)| r.extend((0..out.len()).map(|i| out.get(c, i))));
        (at, turn) = (at + n, turn + 1);
    }
    result
}

fn learnt(model: &Model) -> Learnt {
    serde_json::from_value(model.values.clone()).unwrap()
}

fn rms(a: &[f64], b: &[f64]) -> f64 {
    (a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.len() as f64).sqrt()
}

/// Fits and cleans `truth` under `artefact`; the error in µV RMS, and what was learnt.
fn left(name: &str, config: &Harmonics, rate: f64, truth: &[f64], artefact: &[f64]) -> (f64, Learnt) {
    let row = sum(truth, artefact);
    let mut rows = Rows::whole(rate, vec![row.clone()]);
    let model = fitted(config, &mut rows, 1).unwrap();
    use crate::flow::Replay;
    let out = cleaned(&mut *stage(config, rows.info(), &model), &[row], &[777]);
    let error = rms(&out[0], truth);
    println!("{name}: {error:.3} µV of {:.0} µV", rms(artefact, &vec![0.0; artefact.len()]));
    (error, learnt(&model))
}

fn told(hz: f64) -> Harmonics {
    let stimulation = Find { frequency_hz: Some(hz), ..Find::default() };
    Harmonics { stimulation, ..Harmonics::default() }
}

#[test]
fn case_1_ten_millivolt_over_ten_microvolt() {
    let truth = brain(120_000, RATE, 4.2, 1);
    let (error, found) = left("case 1", &told(10.0), RATE, &truth, &stimulator(10.00012, RATE, |_| 1.0, 120_000));
    assert!(error < 0.32, "{error}");
    let line = &found.episodes[0].lines[0];
    assert!((line.cycles * RATE / 10.00012 - 1.0).abs() < 5e-8, "{}", line.cycles * RATE);
    assert!(line.chirp == 0.0 && line.harmonics.len() == 20 && found.episodes[0].window.window_s.is_none());
    assert!(found.refused.is_empty() && found.episodes[0].sd_cycles[0] > 0.0);
}

/// 0.3 Hz are three resolutions of a window of 10 s, and 0.6 of one of 2 s: a window takes what lies within about one. So long windows
/// keep the neighbour (separate blocks of 10 s and a comb would not), and short ones lose two fifths of it.
#[test]
fn case_3_a_neighbour_survives_long_windows_and_not_short_ones() {
    let n = 120_000;
    let neighbour: Vec<f64> = (0..n).map(|i| (TAU * 10.3 * i as f64 / RATE).sin()).collect();
    let artefact = stimulator(10.00012, RATE, |_| 1.0, n);
    // what is left of the neighbour: its amplitude in the difference of two cleanings
    let kept = |config: &Harmonics| {
        let truth = brain(n, RATE, 4.2, 2);
        let row = sum(&sum(&truth, &artefact), &neighbour);
        let mut rows = Rows::whole(RATE, vec![row.clone()]);
        let model = fitted(config, &mut rows, 1).unwrap();
        use crate::flow::Replay;
        let mut stage = stage(config, rows.info(), &model);
        let with = cleaned(&mut *stage, &[row], &[777]);
        let other: Vec<f64> = sum(&truth, &artefact);
        let mut rows = Rows::whole(RATE, vec![other.clone()]);
        let model = fitted(config, &mut rows, 1).unwrap();
        let without = cleaned(&mut *self::stage(config, rows.info(), &model), &[other], &[777]);
        let sine = with[0].iter().zip(&without[0]).zip(&neighbour).map(|((a, b), s)| (a - b) * s).sum::<f64>();
        2.0 * sine / n as f64
    };
    let whole = kept(&told(10.0));
    let windows = kept(&Harmonics { window_s: Some(10.0), ..told(10.0) });
    let short = kept(&Harmonics { window_s: Some(2.0), ..told(10.0) });
    println!("case 3: whole {whole:.3}, windows of 10 s {windows:.3}, of 2 s {short:.3}");
    assert!((whole - 1.0).abs() < 0.005, "{whole}");
    assert!((windows - 1.0).abs() < 0.01, "{windows}");
    assert!((0.55..0.65).contains(&short), "{short}");
}

#[test]
fn case_5_a_clock_that_drifts_and_samples_that_are_lost() {
    let n = 120_000;
    let truth = brain(n, RATE, 4.2, 3);
    let drifting: Vec<f64> = (0..n)
        .map(|i| {
            let t = i as f64 / RATE;
            let phase = TAU * 10.0 * (t + 20e-6 * t * t / 240.0);
            1e4 * (phase.sin() + 0.003 * (2.0 * phase).sin())
        })
        .collect();
    let (error, found) = left("case 5, drift of 20 ppm", &told(10.0), RATE, &truth, &drifting);
    assert!(error < 0.35 && found.episodes.len() == 1 && found.episodes[0].lines[0].chirp > 0.0, "{error}");
    let mut lost = stimulator(10.00012, RATE, |_| 1.0, n + 600);
    lost.drain(40_010..40_522);
    let twice = lost[90_003];
    lost.insert(90_003, twice);
    lost.truncate(n);
    let (error, found) = left("case 5, lost block and doubled sample", &told(10.0), RATE, &truth, &lost);
    assert_eq!(found.episodes.len(), 3);
    assert!(error < 0.45, "{error}");
}

#[test]
fn case_6_ramps_and_bursts() {
    let n = 120_000;
    let truth = brain(n, RATE, 4.2, 4);
    let ramp = |i: usize| ((i as f64 - 20_000.0) / 10_000.0).min((100_000.0 - i as f64) / 10_000.0).clamp(0.0, 1.0);
    let (error, found) = left("case 6, ramps of 10 s", &told(10.0), RATE, &truth, &stimulator(10.00012, RATE, ramp, n));
    assert!(error < 0.55 && found.episodes[0].pieces.len() == 3, "{error}, {:?}", found.episodes[0].pieces);
    let bent = |i: usize| (ramp(i) * TAU / 4.0).sin().powi(2);
    let (error, found) = left("case 6, sin² ramps", &told(10.0), RATE, &truth, &stimulator(10.00012, RATE, bent, n));
    println!("  {} pieces", found.episodes[0].pieces.len());
    assert!(error < 0.83, "{error}");
    for (seconds, bound) in [(1, 2.6), (3, 1.8), (8, 0.7)] {
        let period = 2 * seconds * 1000 + 500;
        let share = |i: usize| f64::from(u8::from(i >= 5_013 && (i - 5_013) % period < 1000 * seconds));
        let artefact = stimulator(10.00012, RATE, share, n);
        let (error, found) = left(&format!("case 6, bursts of {seconds} s"), &told(10.0), RATE, &truth, &artefact);
        assert!(found.episodes.len() >= (n - 5_013) / period, "{}", found.episodes.len());
        assert!(error < bound, "{seconds} s: {error}");
    }
}

/// Case 8: what is left but for the level, and the Model.
fn case_8(name: &str, config: &Harmonics, rate: f64, n: usize) -> (f64, Learnt) {
    let hz = config.stimulation.frequency_hz.unwrap();
    let truth = brain(n, rate, 4.2, 5);
    let artefact = stimulator(hz, rate, |_| 1.0, n);
    // an overtone on 0 is a level, which stays
    let level = artefact.iter().sum::<f64>() / n as f64;
    let artefact: Vec<f64> = artefact.iter().map(|a| a - level).collect();
    let (error, found) = left(&format!("case 8, {name}"), config, rate, &truth, &artefact);
    println!("  {:?}, {:?}", found.episodes[0].lines, found.episodes[0].left_out);
    (error, found)
}

#[test]
fn case_8_a_whole_number_of_samples_per_period() {
    let (error, found) = case_8("f = fs/100", &told(10.0), RATE, 60_000);
    assert!(error < 0.28 && found.episodes[0].left_out.is_empty(), "{error}");
    assert_eq!(found.episodes[0].lines[0].harmonics.len(), 20);
}

#[test]
fn case_8_an_overtone_at_half_the_rate_is_a_cosine() {
    let (error, found) = case_8("f = fs/4", &told(250.0), RATE, 60_000);
    let part = &found.episodes[0];
    assert!(error < 0.02, "{error}");
    assert!(part.lines[0].harmonics == [1] && part.lines[1] == LineOf::nyquist(), "{:?}", part.lines);
    assert!(part.knots["E1"][0].len() == 3 && part.left_out.len() == 3, "{:?}", part.left_out);
    let (_, found) = case_8("six harmonics", &Harmonics { harmonics: Some(6), ..told(250.0) }, RATE, 60_000);
    let want = [(3, "another"), (4, "0"), (5, "another"), (6, "fs/2, like another")];
    let want = want.map(|(k, on)| format!("harmonic {k} of 250 Hz falls on {on}"));
    assert_eq!(found.episodes[0].left_out, want);
}

#[test]
fn case_8_near_half_the_rate() {
    let (error, found) = case_8("f near fs/2", &told(499.3), RATE, 60_000);
    assert!(error < 0.53, "{error}");
    assert_eq!(found.episodes[0].lines[0].harmonics, [1, 2, 3, 4, 5]);
}

#[test]
fn case_8_above_half_the_rate() {
    let (error, found) = case_8("f above fs/2", &told(613.0001), RATE, 60_000);
    assert!(error < 0.11 && found.episodes[0].lines[0].harmonics.len() == 20, "{error}");
}

#[test]
fn case_8_a_period_of_one_sample_and_a_third() {
    let (error, found) = case_8("150.24 Hz at 200 Hz, period 1.3312", &told(150.24), 200.0, 24_000);
    assert!(error < 0.6 && found.episodes[0].lines[0].harmonics.len() == 20, "{error}");
}

#[test]
fn case_8_a_harmonic_that_falls_on_f() {
    let (error, found) = case_8("2 f = fs − f", &told(RATE / 3.0), RATE, 60_000);
    let left_out = &found.episodes[0].left_out;
    assert!(error < 0.03, "{error}");
    assert_eq!(
        left_out[..2],
        [(2, "another"), (3, "0")].map(|(k, on)| format!("harmonic {k} of 333.3333 Hz falls on {on}"))
    );
    // 0.9 resolutions beside f: while f is fitted, 30 µV that beat with it look like a drift of it
    let (error, found) = case_8("2 f = fs − f − 0.015 Hz", &told(RATE / 3.0 + 0.005), RATE, 60_000);
    assert!(error < 23.0, "{error}");
    assert!(found.episodes[0].lines[0].harmonics.contains(&2), "{:?}", found.episodes[0].left_out);
}

#[test]
fn case_9_two_stimulators() {
    let n = 120_000;
    let truth = brain(n, RATE, 4.2, 6);
    let also = |hz: f64, other: f64| {
        let stimulation = Find { frequency_hz: Some(hz), also_hz: vec![other], ..Find::default() };
        Harmonics { stimulation, ..Harmonics::default() }
    };
    let pair = sum(&stimulator(10.00012, RATE, |_| 1.0, n), &stimulator(10.0502, RATE, |_| 0.7, n));
    let (error, _) = left("case 9, 10.00 and 10.05 Hz", &also(10.0, 10.05), RATE, &truth, &pair);
    assert!(error < 0.37, "{error}");
    let (n, rate) = (100_000, 5000.0);
    let truth = brain(n, rate, 4.2, 7);
    let pair = sum(&stimulator(1000.004, rate, |_| 1.0, n), &stimulator(1010.006, rate, |_| 1.0, n));
    let (error, found) = left("case 9, 1000 and 1010 Hz", &also(1000.0, 1010.0), rate, &truth, &pair);
    println!("  {:?}, {:?}", found.episodes[0].lines, found.episodes[0].left_out);
    assert!(error < 0.13, "{error}");
}

#[test]
fn a_channel_at_the_limits_of_its_numbers_is_saturated() {
    use crate::flow::Replay;
    let mut rows = mixed();
    // rounded scaling: at the limit, but not twice the same number
    let near = |(i, v): (usize, &f64)| if v.abs() >= 9000.0 { v * (1.0 - 2e-14 * i as f64) } else { *v };
    rows[0] = rows[0].iter().enumerate().map(near).collect();
    for (range, want) in [(None, None), (Some([-9000.0, 9000.0]), Some("saturated")), (Some([-2e4, 2e4]), None)] {
        let mut stream = Rows::whole(RATE, rows.clone());
        let mut channels = stream.info().channels.to_vec();
        channels[0].range = range;
        stream.info_mut().channels = channels.into();
        let found = learnt(&fitted(&told(10.0), &mut stream, 1).unwrap());
        assert_eq!(found.refused.get("E1").map(String::as_str), want, "{range:?}");
    }
}

#[test]
fn an_amplitude_that_drifts_gets_windows() {
    let n = 120_000;
    let truth = brain(n, RATE, 4.2, 8);
    let artefact = stimulator(10.00012, RATE, |i| 1.0 + 0.01 * i as f64 / 120_000.0, n);
    let (error, found) = left("amplitude drifts by 1 %", &told(10.0), RATE, &truth, &artefact);
    let window = &found.episodes[0].window;
    assert!(window.automatic && window.window_s == Some(10.0) && window.drift.unwrap() > 3.0, "{window:?}");
    let (whole, _) = left("the same, whole", &Harmonics { whole: true, ..told(10.0) }, RATE, &truth, &artefact);
    assert!(error < 0.95 && whole > 15.0, "{error}, {whole}");
}

/// A saturated, a flat, a NaN and a sound channel.
fn mixed() -> Vec<Vec<f64>> {
    let n = 30_000;
    let artefact = stimulator(10.00012, RATE, |i| f64::from(u8::from(i > 8_000)), n);
    let sound = sum(&brain(n, RATE, 4.2, 9), &artefact);
    let clipped = sound.iter().map(|v| v.clamp(-9000.0, 9000.0)).collect();
    let mut hole = sound.clone();
    hole[20_000] = f64::NAN;
    let half = brain(n, RATE, 4.2, 10).iter().zip(&artefact).map(|(b, a)| b + 0.5 * a).collect();
    vec![clipped, vec![3.0; n], sound, hole, half]
}

#[test]
fn what_cannot_be_cleaned_passes_as_it_is_and_is_named() {
    use crate::flow::Replay;
    let rows = mixed();
    let mut stream = Rows::whole(RATE, rows.clone());
    let model = fitted(&told(10.0), &mut stream, 1).unwrap();
    let found = learnt(&model);
    let refused: Vec<_> = found.refused.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(refused, [("E1", "saturated"), ("E2", "flat"), ("E4", "not_finite")]);
    assert_eq!(found.stimulation.episodes[0].channel, "E3");
    let out = cleaned(&mut *stage(&told(10.0), stream.info(), &model), &rows, &[500]);
    let same = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
    assert!(same(&out[0], &rows[0]) && same(&out[1], &rows[1]) && same(&out[3], &rows[3]));
    assert!(out[2].iter().chain(&out[4]).all(|v| v.abs() < 100.0));
    // part of the channels, in another order, gives the same bits
    let mut info = stream.info().clone();
    info.channels = [4, 2].map(|c: usize| info.channels[c].clone()).to_vec().into();
    let part = cleaned(&mut *stage(&told(10.0), &info, &model), &[rows[4].clone(), rows[2].clone()], &[77]);
    assert!(same(&part[0], &out[4]) && same(&part[1], &out[2]));
    info.channels = vec![crate::signal::Channel { name: "Cz".into(), ..info.channels[0].clone() }].into();
    let mut problems = Problems::default();
    let mut context = BuildContext { model: Some(model), ..BuildContext::default() };
    assert!(told(10.0).build(&info, &mut context, &mut problems).is_none());
    assert_eq!(problems.list()[0].message, "the model was fitted without Cz");
}

#[test]
fn threads_saving_and_reset_do_not_change_a_bit() {
    use crate::flow::Replay;
    let rows = mixed();
    let mut stream = Rows::whole(RATE, rows.clone());
    let config = Harmonics { window_s: Some(2.0), ..told(10.0) };
    let model = fitted(&config, &mut stream, 1).unwrap();
    assert_eq!(model, fitted(&config, &mut stream, 2).unwrap());
    let saved: Model = serde_json::from_str(&serde_json::to_string(&model).unwrap()).unwrap();
    let bits = |rows: Vec<Vec<f64>>| rows.concat().iter().map(|v| v.to_bits()).collect::<Vec<u64>>();
    let mut stage = stage(&config, stream.info(), &model);
    let want = bits(cleaned(&mut *stage, &rows, &[1024]));
    stage.reset();
    assert!(bits(cleaned(&mut *stage, &rows, &[1024])) == want);
    assert!(bits(cleaned(&mut *self::stage(&config, stream.info(), &saved), &rows, &[1024])) == want);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn cuts_do_not_matter(cuts in prop::collection::vec(1_usize..900, 1..6)) {
        use crate::flow::Replay;
        let n = 12_000;
        let ramp = |i: usize| ((i as f64 - 2_000.0) / 3_000.0).clamp(0.0, 1.0);
        let rows = vec![sum(&brain(n, RATE, 4.2, 11), &stimulator(10.00012, RATE, ramp, n)); 3];
        let mut stream = Rows::whole(RATE, rows.clone());
        for config in [told(10.0), Harmonics { window_s: Some(1.5), ..told(10.0) }] {
            let model = fitted(&config, &mut stream, 1).unwrap();
            let run = |cuts: &[usize]| {
                let out = cleaned(&mut *stage(&config, stream.info(), &model), &rows, cuts).concat();
                out.iter().map(|v| v.to_bits()).collect::<Vec<u64>>()
            };
            prop_assert!(run(&cuts) == run(&[1]));
        }
    }
}

#[test]
fn the_subtraction_is_numpys_lstsq() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/harmonics_clean.json");
    let golden: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let n = golden["n"].as_u64().unwrap() as usize;
    let mut noise = 12_345_u64;
    let x: Vec<f64> = (0..n)
        .map(|i| {
            noise = (1_103_515_245 * noise + 12_345) % (1 << 31);
            let t = i as f64;
            let wave = 1e4 * (TAU * 0.010_000_12 * t + 0.7).sin() + 30.0 * (TAU * 0.020_000_24 * t + 0.6).sin();
            wave + 20.0 * (noise as f64 / (1_u64 << 31) as f64 - 0.5)
        })
        .collect();
    let mut rows = Rows::whole(RATE, vec![x.clone()]);
    let cycles = golden["cycles"].as_f64().unwrap();
    let lines = [LineOf { cycles, chirp: 0.0, origin: 0.0, harmonics: (1..=20).collect() }];
    let all = 0..n as i64;
    let mut jobs = [pass::Job::new(all.clone(), &pass::Design::polynomial(&lines, 0), 1)];
    pass::run(&mut rows, &mut jobs.each_mut(), 1, &mut |_| {}).unwrap();
    let found = Solver::new(jobs[0].normal.gram()).unwrap().solve(&jobs[0].normal.right(0));
    let piece = model::Piece { from: all.start, to: all.end, before: None, after: 0, blend: model::Blend::Flat };
    let part = model::Part {
        lines: lines.to_vec(),
        pieces: vec![piece],
        knots: [("E1".to_owned(), vec![found.as_slice()[1..].to_vec()])].into(),
        ..model::Part::default()
    };
    let learnt = Learnt { episodes: vec![part], ..Learnt::default() };
    let mut model =
        Model { name: "harmonics".into(), channels: vec!["E1".into()], values: serde_json::to_value(learnt).unwrap() };
    use crate::flow::Replay;
    let out = cleaned(&mut *stage(&told(10.0), rows.info(), &model), &[x], &[1000]);
    for at in golden["samples"].as_array().unwrap() {
        let (i, want) = (at[0].as_u64().unwrap() as usize, at[1].as_f64().unwrap());
        // 10 mV: 1e-10 of it
        assert!((out[0][i] - want).abs() < 1e-6, "{i}: {} {want}", out[0][i]);
    }
    model.values["episodes"] = serde_json::json!("nothing");
    let mut context = BuildContext { model: Some(model), ..BuildContext::default() };
    let mut problems = Problems::default();
    assert!(told(10.0).build(rows.info(), &mut context, &mut problems).is_none());
    assert!(problems.list()[0].message.starts_with("the model is not one of harmonics"));
}

#[test]
fn what_is_wrong_is_told_at_once() {
    let rows = Rows::whole(RATE, vec![Noise(1).normal(); 1].into_iter().map(|v| vec![v; 100]).collect());
    use crate::flow::Replay;
    let config: Harmonics =
        toml::from_str("harmonics = 0\nwindow_s = 0.1\nwhole = true\nstimulation = { frequency_hz = 10 }").unwrap();
    let mut problems = Problems::default();
    assert!(StageConfig::fit(&config, rows.info(), &mut BuildContext::default(), &mut problems).is_none());
    let places: Vec<&str> = problems.list().iter().map(|p| p.path.as_str()).collect();
    assert_eq!(places, ["harmonics", "window_s", "whole"]);
    let mut problems = Problems::default();
    assert!(told(10.0).build(rows.info(), &mut BuildContext::default(), &mut problems).is_none());
    assert!(problems.list()[0].message.contains("fitted first"));
    assert!(toml::from_str::<Harmonics>("harmonic = 3").is_err());
}
