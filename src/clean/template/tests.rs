use super::super::parrm::testing::*;
use super::super::resample::testing::{Random, run};
use super::*;
use crate::dsp::harmonics::Sums;
use std::f64::consts::TAU;

const RATE: f64 = 500.0;

/// Two channels of noise under 5 mV and 3 mV with two harmonics from sample 3000 on; the noise alone.
fn recording(hz: f64, n: usize) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let quiet: Vec<Vec<f64>> = Random(5).rows(2, n).iter().map(|r| r.iter().map(|v| v / 20.0).collect()).collect();
    let wave = |i: usize| {
        let theta = TAU * (hz / RATE * i as f64).fract();
        theta.sin() + 0.01 * (2.0 * theta + 0.4).sin() + 0.003 * (3.0 * theta).sin()
    };
    let size = |c: usize, i: usize| if i < 3000 { 0.0 } else { 5000.0 - 2000.0 * c as f64 };
    let rows =
        quiet.iter().enumerate().map(|(c, r)| r.iter().enumerate().map(|(i, v)| v + size(c, i) * wave(i)).collect());
    (rows.collect(), quiet)
}

#[test]
fn it_takes_out_the_cycle_and_little_else() {
    let (mut rows, quiet) = recording(10.0003, 30_000);
    rows[1][9000] = f64::NAN;
    let mut stream = Rows::new(RATE, rows.clone());
    let model = fitted(&Template::default(), &mut stream);
    let mut stage = build(&Template::default(), stream.info(), model.clone());
    let (_, got) = run(&mut *stage, &rows, 0, || 400);
    for (c, row) in quiet.iter().enumerate() {
        let error: Vec<f64> = (3005..29_990).filter(|i| *i != 9000).map(|i| got[c][i] - row[i]).collect();
        let rms = (error.iter().map(|v| v * v).sum::<f64>() / error.len() as f64).sqrt();
        eprintln!("template: error {rms:.3} of noise 1.44");
        // 63 coefficients of 27000 samples take 5 % of the noise's amplitude
        assert!(rms < 0.12, "{rms}");
        assert_eq!(got[c][..2990], rows[c][..2990]);
    }
    assert!(got[1][9000].is_nan() && got[1][9001].is_finite());
    // cuts: each sample stands alone
    let (_, again) = run(&mut *stage, &rows, 0, || 1);
    assert!(got.iter().flatten().zip(again.iter().flatten()).all(|(a, b)| a.to_bits() == b.to_bits()));
    assert_eq!(stage.lookahead(), 0);
    // a part of the channels finds its own
    let part = StreamInfo { channels: stream.info().channels[1..].into(), ..stream.info().clone() };
    let (_, alone) = run(&mut *build(&Template::default(), &part, model), &rows[1..], 0, || 400);
    assert!(alone[0].iter().zip(&got[1]).all(|(a, b)| a.to_bits() == b.to_bits()));
}

#[test]
fn over_whole_cycles_it_is_harmonic_least_squares() {
    // 8 knots, a period of 50 samples: 4 harmonics span nearly the same
    let n = 25_000;
    let x = Random(9).rows(1, n)[0]
        .iter()
        .enumerate()
        .map(|(i, v)| v + 900.0 * (TAU * i as f64 / 50.0).sin())
        .collect::<Vec<_>>();
    let mut one = Normal::new(64);
    (0..n).for_each(|i| one.add(splines(phase(1.0 / 50.0, i as i64), 64), x[i]));
    let curve = one.solve().unwrap();
    let mut sums = Sums::new(1.0 / 50.0, 24, 1, n as f64 / 2.0, n as f64 / 2.0);
    sums.push(0, &[&x]);
    let fit = sums.fit(0).unwrap();
    for i in 0..50 {
        let (first, values) = splines(phase(1.0 / 50.0, i), 64);
        let spline: f64 = values.iter().enumerate().map(|(j, v)| v * curve[(first + j) % 64]).sum();
        let series: f64 = fit
            .harmonics
            .iter()
            .enumerate()
            .map(|(k, [p, q])| {
                let theta = TAU * (k + 1) as f64 * i as f64 / 50.0;
                p * theta.cos() + q * theta.sin()
            })
            .sum();
        // 50 phases: both reach every one of them but for the Nyquist term, ±50/√3/√500 = 1.3 at most in noise
        assert!((spline - series).abs() < 1.0, "{i}: {spline} {series}");
    }
}

#[test]
fn a_sine_is_a_spline_to_140_db() {
    let wave = |n: i64| (TAU * phase(0.012_345, n)).sin();
    let mut one = Normal::new(64);
    (0..20_000).for_each(|n| one.add(splines(phase(0.012_345, n), 64), wave(n)));
    let curve = one.solve().unwrap();
    let left = (0..20_000).map(|n| {
        let (first, values) = splines(phase(0.012_345, n), 64);
        (wave(n) - values.iter().enumerate().map(|(j, v)| v * curve[(first + j) % 64]).sum::<f64>()).powi(2)
    });
    let db = 10.0 * (left.sum::<f64>() / 10_000.0).log10();
    // √(|B₈| / 8!) (2π/64)⁴ = −141.5 dB
    assert!((db + 141.5).abs() < 1.5, "{db}");
}

#[test]
fn splines_add_up_and_bend_smoothly() {
    for k in 0..1000 {
        let (first, values) = splines(f64::from(k) / 1000.0, 7);
        assert!((values.iter().sum::<f64>() - 1.0).abs() < 1e-15 && first < 7);
    }
    let (a, b) = (splines(2.0 / 7.0 - 1e-12, 7), splines(2.0 / 7.0 + 1e-12, 7));
    assert_eq!((a.0, b.0), (1, 2));
    assert!((a.1[1] - b.1[0]).abs() < 1e-9 && a.1[0] < 1e-30 && b.1[3] < 1e-30);
    assert_eq!(phase(0.25, -1), 0.75);
    // ramps grow along a line
    let one = episode(0, 100..400, 200..300);
    assert_eq!([100, 150, 200, 299, 300, 350].map(|n| share(&one, n)), [0.0, 0.5, 1.0, 1.0, 1.0, 0.5]);
}

#[test]
fn problems() {
    let (rows, _) = recording(10.0, 8000);
    let mut stream = Rows::new(RATE, rows);
    let model = fitted(&Template { bins: 16, ..Template::default() }, &mut stream);
    let told = |input: &StreamInfo, model: Option<Model>| {
        let mut problems = Problems::default();
        let mut context = BuildContext { model, ..BuildContext::default() };
        assert!(Template::default().build(input, &mut context, &mut problems).is_none());
        problems.list()[0].to_string()
    };
    let more = super::super::resample::testing::info(3, RATE, 10);
    assert_eq!(told(&more, Some(model.clone())), ": the model does not hold channel \"c2\"");
    assert!(told(stream.info(), None).contains("needs a model"));
    let spoilt = Model { values: json!({ "stimulation": model.values["stimulation"], "templates": [] }), ..model };
    assert!(told(stream.info(), Some(spoilt)).contains("do not fit"));
    let mut problems = Problems::default();
    let few = Template { bins: 3, ..Template::default() };
    assert!(StageConfig::fit(&few, stream.info(), &mut BuildContext::default(), &mut problems).is_none());
    assert_eq!(problems.list()[0].to_string(), "bins: must be 4…1024; here 3");
}
