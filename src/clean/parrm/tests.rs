use super::super::harmonics::Harmonics;
use super::super::resample::testing::{Random, info, run};
use super::testing::*;
use super::*;
use crate::dsp::parrm::{tests_correlation as correlation, tests_shared as shared};
use std::f64::consts::TAU;

fn golden() -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/parrm.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn given(period: f64, on: std::ops::Range<i64>) -> Model {
    let stimulation = Stimulation { episodes: vec![episode(3, on.clone(), on)], ..Stimulation::default() };
    let values = json!({ "stimulation": stimulation, "periods": [period] });
    Model { name: "parrm".into(), channels: vec!["c0".into()], values }
}

#[test]
fn the_filter_is_numpys() {
    let golden = golden();
    let number = |v: &serde_json::Value, key: &str| v[key].as_f64().unwrap();
    let n = golden["n"].as_u64().unwrap() as usize;
    let x = crate::dsp::parrm::tests_signal(n, number(&golden, "true_period"));
    for case in golden["filters"].as_array().unwrap() {
        let config = Parrm {
            direction: if case["past"].as_bool().unwrap() { Direction::Past } else { Direction::Both },
            fit: if case["line"].as_bool().unwrap() { Shape::Line } else { Shape::Mean },
            half_width_samples: Some(600),
            skip_samples: 4,
            phase_width_samples: Some(0.2),
            ..Parrm::default()
        };
        let mut stage = build(&config, &info(1, 1000.0, 256), given(number(&golden, "true_period"), 0..n as i64));
        assert!(stage.notes().contains(&format!(" {} taps", case["taps"])), "{}", stage.notes());
        assert_eq!(stage.lookahead() > 0, !case["past"].as_bool().unwrap());
        let (_, got) = run(&mut *stage, std::slice::from_ref(&x), 0, || 200);
        let want: Vec<f64> = serde_json::from_value(case["y"].clone()).unwrap();
        for (k, w) in want.iter().enumerate() {
            // near the ends NumPy draws a line wherever it can, we where it is not noisier than a sample
            let settled = case["line"] == false || (600..n - 600).contains(&(50 * k));
            assert!(
                (got[0][50 * k] - w).abs() < 1e-11 || !settled,
                "{} at {}: {} {w}",
                case["taps"],
                50 * k,
                got[0][50 * k]
            );
        }
    }
}

/// dB of what is left of a sine of `period` far from the ends.
fn left_db(config: &Parrm, period: f64) -> f64 {
    let x: Vec<f64> = (0..60_000).map(|n| (TAU * (f64::from(n) / period).fract() + 0.4).sin()).collect();
    let mut stage = build(config, &info(1, 1000.0, 500), given(period, 0..60_000));
    let (_, y) = run(&mut *stage, &[x], 0, || 500);
    let middle = &y[0][25_000..35_000];
    10.0 * (2.0 * middle.iter().map(|v| v * v).sum::<f64>() / middle.len() as f64).log10()
}

#[test]
fn a_line_takes_the_bias_of_one_sided_phases() {
    // a period near a whole number: the past's phases lie on one side
    let period = 100.0012;
    let past = |fit, share: f64| Parrm {
        direction: Direction::Past,
        fit,
        phase_width_samples: Some(period / share),
        half_width_samples: Some(20_000),
        ..Parrm::default()
    };
    let (mean, line) = (left_db(&past(Shape::Mean, 50.0), period), left_db(&past(Shape::Line, 50.0), period));
    eprintln!("one-sided, w = T/50: mean {mean:.1} dB, line {line:.1} dB");
    // what is left of the line is its second-order term, at the edge of the phases
    assert!(mean > -35.0 && line < mean - 20.0, "{mean} {line}");
    let (mean, line) = (left_db(&past(Shape::Mean, 500.0), period), left_db(&past(Shape::Line, 500.0), period));
    eprintln!("one-sided, w = T/500: mean {mean:.1} dB, line {line:.1} dB");
    assert!(line < -85.0 && line < mean - 25.0, "{mean} {line}");
    // and the window's own share, where phases lie on both sides
    let both = Parrm { phase_width_samples: Some(99.377 / 50.0), ..Parrm::default() };
    assert!((left_db(&both, 99.377) + 51.6).abs() < 1.5, "{}", left_db(&both, 99.377));
    assert!(left_db(&Parrm::default(), 99.377) < -90.0 && left_db(&Parrm::default(), period) < -90.0);
}

#[test]
fn found_in_a_recording_and_taken_out() {
    for (direction, bound) in [(Direction::Both, 0.3), (Direction::Past, 0.6)] {
        let (rate, hz, n) = (500.0, 10.0003, 40_000);
        let mut noise = Random(5);
        let quiet: Vec<Vec<f64>> = noise.rows(2, n).iter().map(|r| r.iter().map(|v| v / 20.0).collect()).collect();
        let wave = |i: usize| {
            (TAU * (hz / rate * i as f64).fract()).sin() + 0.003 * (TAU * (3.0 * hz / rate * i as f64).fract()).sin()
        };
        let rows: Vec<Vec<f64>> = quiet
            .iter()
            .enumerate()
            .map(|(c, r)| {
                r.iter()
                    .enumerate()
                    .map(|(i, v)| v + if i < 5000 { 0.0 } else { (5000.0 - 2000.0 * c as f64) * wave(i) })
                    .collect()
            })
            .collect();
        let config = Parrm { direction, ..Parrm::default() };
        let mut stream = Rows::new(rate, rows.clone());
        let model = fitted(&config, &mut stream);
        let period = model.values["period"].as_f64().unwrap();
        assert!((period * hz / rate - 1.0).abs() < 1e-7, "{period}");
        assert!(model.values["unexplained"].as_f64().unwrap() < 1e-3);
        let found: Stimulation = serde_json::from_value(model.values["stimulation"].clone()).unwrap();
        assert!(found.episodes.len() == 1 && (found.episodes[0].on.start - 5000).abs() < 3);
        let mut stage = build(&config, stream.info(), model);
        let (_, got) = run(&mut *stage, &rows, 0, || 400);
        for (c, row) in quiet.iter().enumerate() {
            let span = 25_000..35_000;
            let error = span.clone().map(|i| (got[c][i] - row[i]).powi(2)).sum::<f64>() / span.len() as f64;
            eprintln!("{direction:?}: error {:.3} of noise 1.44", error.sqrt());
            assert!(error.sqrt() < bound, "{direction:?}: {}", error.sqrt());
            assert_eq!(got[c][..4990], rows[c][..4990]);
        }
    }
}

#[test]
fn an_alias_keeps_its_true_period() {
    let fitter = |hz| Fitter {
        config: Parrm { stimulation: Find { frequency_hz: Some(hz), ..Find::default() }, ..Parrm::default() },
        search: Search::default(),
    };
    let mut one = episode(0, 0..10, 0..10);
    one.cycles = 0.2487;
    // 150.26 Hz at 200 Hz: the alias is 49.74 Hz
    assert!((fitter(150.0).cycles(&one, 200.0) - 0.7513).abs() < 1e-12);
    assert!((fitter(249.0).cycles(&one, 200.0) - 1.2487).abs() < 1e-12);
    assert!((fitter(50.0).cycles(&one, 200.0) - 0.2487).abs() < 1e-12);
    assert!((fitter(351.0).cycles(&one, 200.0) - 1.7513).abs() < 1e-12);
}

#[test]
fn problems_have_both_numbers() {
    let told = |config: &Parrm, model: Option<Model>| {
        let mut problems = Problems::default();
        let mut context = BuildContext { model, ..BuildContext::default() };
        assert!(StageConfig::build(config, &info(1, 1000.0, 10), &mut context, &mut problems).is_none());
        problems.list().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let good = || Some(given(100.0, 0..1000));
    assert_eq!(told(&Parrm::default(), None), [": parrm needs a model: it must see the recording first"]);
    let other = Model { name: "comb".into(), ..given(1.0, 0..1) };
    assert_eq!(told(&Parrm::default(), Some(other)), [": the model is of \"comb\", not of \"parrm\""]);
    let bad =
        Parrm { taps: 0, period_samples: Some(-1.0), half_width_samples: Some(3), skip_samples: 3, ..Parrm::default() };
    assert_eq!(told(&bad, good()).len(), 3);
    let narrow = Parrm { half_width_samples: Some(99), ..Parrm::default() };
    assert!(told(&narrow, good())[0].contains("no sample within 99"), "{:?}", told(&narrow, good()));
    assert!(toml::from_str::<Parrm>("tabs = 3").is_err());
    let config: Parrm = toml::from_str("direction = \"past\"\nfit = \"mean\"").unwrap();
    assert_eq!((config.direction, config.fit, config.taps), (Direction::Past, Shape::Mean, 200));
}

/// The shared recording (Dastin-van Rijn et al. 2021, as PyPARRM ships it): samples, what MATLAB gave, and the truth without the
/// artefact.
fn published() -> Option<[Vec<f64>; 3]> {
    let all = ["example_data.npy", "matlab_filtered.npy", "example_data_artefact_free.npy"].map(shared);
    let [Some(x), Some(matlab), Some(truth)] = all else { return None };
    Some([x, matlab, truth])
}

/// 150 Hz sampled at 200 Hz.
fn told() -> Find {
    Find { frequency_hz: Some(150.0), ..Find::default() }
}

/// Fits and cleans one row at 200 Hz.
fn fitted_and_cleaned(config: &dyn StageConfig, x: &[f64]) -> (Model, Vec<f64>) {
    let mut stream = Rows::new(200.0, vec![x.to_vec()]);
    let model = fitted(config, &mut stream);
    let mut stage = build(config, stream.info(), model.clone());
    let (_, mut got) = run(&mut *stage, &[x.to_vec()], 0, || 123);
    (model, got.remove(0))
}

#[test]
fn the_published_recording() {
    let Some([x, want, truth]) = published() else { return };
    let recipe = "fit = 'mean'\nhalf_width_samples = 2000\nskip_samples = 20\nphase_width_samples = 0.01\n\
                  polish = false\nstimulation = { frequency_hz = 150 }";
    let config: Parrm = toml::from_str(recipe).unwrap();
    let (model, got) = fitted_and_cleaned(&config, &x);
    let period = model.values["period"].as_f64().unwrap();
    assert!((period / 1.3311148014466094 - 1.0).abs() < 1e-9, "{period}");
    let worst = got.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 1e-12, "{worst}");
    let r = correlation(&got, &truth);
    eprintln!("parrm as published: period {period}, {worst:.1e} from MATLAB, r = {r:.5}");
    assert!(r >= 0.987, "{r}");
    // by default the search goes on to the minimum of its cost
    let polished = fitted(&Parrm { polish: true, ..config }, &mut Rows::new(200.0, vec![x]));
    let period = polished.values["period"].as_f64().unwrap();
    assert!((period / 1.3311148014466094 - 1.0 - 5.53e-9).abs() < 2e-11, "{period}");
}

#[test]
fn the_published_grid_stands_about_what_was_told() {
    let mut one = episode(0, 0..10, 0..10);
    one.cycles = 0.2487;
    let assumed = |hz, polish| {
        let stimulation = Find { frequency_hz: Some(hz), ..Find::default() };
        let config = Parrm { stimulation, polish, ..Parrm::default() };
        Fitter { search: Search { polish, ..Search::default() }, config }.assumed(&one, 200.0)
    };
    assert!((assumed(150.0, true) - 1.0 / 0.7513).abs() < 1e-12);
    assert_eq!(assumed(150.0, false), 200.0 / 150.0);
    // more than 1 % off: the grid would not reach the period
    assert!((assumed(148.0, false) - 1.0 / 0.7513).abs() < 1e-12);
}

/// The default method beside the published one, and `parrm` as it is by default, on the same samples.
#[test]
fn the_default_method_on_the_published_recording() {
    let Some([x, _, truth]) = published() else { return };
    let harmonics = |harmonics| Harmonics { harmonics, stimulation: told(), ..Harmonics::default() };
    let parrm = Parrm { stimulation: told(), ..Parrm::default() };
    let score = |config: &dyn StageConfig| correlation(&fitted_and_cleaned(config, &x).1, &truth);
    let [default, more, own] = [score(&harmonics(None)), score(&harmonics(Some(40))), score(&parrm)];
    eprintln!("r with the truth: harmonics {default:.5}, 40 harmonics {more:.5}, parrm by default {own:.5}");
    // pulses: twenty overtones do not hold all of them
    assert!(default >= 0.985 && more >= 0.996 && own >= 0.992, "{default} {more} {own}");
}
