use super::super::parrm::testing::*;
use super::super::resample::testing::{Random, info, run};
use super::*;
use crate::signal::Stimulation;
use std::f64::consts::TAU;

fn given(period: f64, on: std::ops::Range<i64>) -> Model {
    let mut one = episode(3, on.clone(), on);
    one.cycles = 1.0 / period;
    let values = json!({ "stimulation": Stimulation { episodes: vec![one], ..Stimulation::default() }, "cycles": [1.0 / period] });
    Model { name: "comb".into(), channels: vec!["c0".into()], values }
}

#[test]
fn with_whole_periods_it_is_the_moving_average() {
    let rows = Random(1).rows(1, 3000);
    for (weights, direction) in
        [(Weights::Flat, Direction::Both), (Weights::Triangle, Direction::Both), (Weights::Flat, Direction::Past)]
    {
        let config = Comb { periods: 3, weights, direction, ..Comb::default() };
        let mut stage = build(&config, &info(1, 1000.0, 100), given(64.0, 0..3000));
        let (_, got) = run(&mut *stage, &rows, 0, || 100);
        for n in 0..3000_i64 {
            let (mut sum, mut all) = (0.0, 0.0);
            for m in (-3..=3_i64).filter(|m| *m < 0 || (*m > 0 && direction == Direction::Both)) {
                let w = if weights == Weights::Flat { 1.0 } else { 1.0 - m.abs() as f64 / 4.0 };
                if let Some(x) = usize::try_from(n + 64 * m).ok().and_then(|i| rows[0].get(i)) {
                    (sum, all) = (sum + w * x, all + w);
                }
            }
            let want = rows[0][n as usize] - if all > 0.0 { sum / all } else { 0.0 };
            assert!((got[0][n as usize] - want).abs() < 1e-12, "{n}");
        }
    }
}

#[test]
fn between_samples_it_takes_the_whole_waveform() {
    for (period, direction) in
        [(97.31, Direction::Both), (97.31, Direction::Past), (20.007, Direction::Past), (5.43, Direction::Both)]
    {
        let wave = |n: i64| {
            let theta = TAU * (n as f64 / period).fract();
            theta.sin() + 0.3 * (2.0 * theta + 1.0).cos()
        };
        let x: Vec<f64> = (0..6000).map(wave).collect();
        let config = Comb { direction, ..Comb::default() };
        let mut stage = build(&config, &info(1, 1000.0, 100), given(period, 0..6000));
        assert_eq!(stage.lookahead() == 0, direction == Direction::Past);
        let (_, y) = run(&mut *stage, &[x], 0, || 100);
        let worst = y[0][1100..4900].iter().fold(0.0_f64, |a, v| a.max(v.abs()));
        eprintln!("T = {period}: {:.1} dB", 20.0 * worst.log10());
        assert!(worst < 1e-4, "{period} {direction:?}: {worst}");
    }
}

#[test]
fn the_notch_is_as_wide_as_it_says() {
    // a line of f + d keeps |1 − D|, D the mean of cos 2πmd/f: at half a notch beyond it is nearly whole
    let config = Comb { periods: 10, ..Comb::default() };
    assert_eq!(config.notch_hz(10.0), 0.5);
    let gain = |d_hz: f64| {
        let x: Vec<f64> = (0..8000).map(|n| (TAU * (10.0 + d_hz) / 1000.0 * f64::from(n)).sin()).collect();
        let (_, y) = run(&mut *build(&config, &info(1, 1000.0, 100), given(100.0, 0..8000)), &[x], 0, || 100);
        (2.0 * y[0][2000..6000].iter().map(|v| v * v).sum::<f64>() / 4000.0).sqrt()
    };
    let want = |d_hz: f64| 1.0 - (1..=10).map(|m| (TAU * f64::from(m) * d_hz / 10.0).cos()).sum::<f64>() / 10.0;
    for d in [0.25, 0.5, 0.75, 2.0] {
        assert!((gain(d) - want(d).abs()).abs() < 2e-3, "{d}: {} {}", gain(d), want(d));
    }
    assert!(gain(0.25) < 0.5 && gain(0.5) > 0.9);
}

#[test]
fn fitted_and_problems() {
    let rows: Vec<Vec<f64>> = {
        let noise = Random(7).rows(1, 20_000);
        vec![
            noise[0]
                .iter()
                .enumerate()
                .map(|(i, v)| v / 20.0 + 3000.0 * (TAU * (10.003 / 500.0 * i as f64).fract()).sin())
                .collect(),
        ]
    };
    let mut stream = Rows::new(500.0, rows.clone());
    let model = fitted(&Comb::default(), &mut stream);
    let mut stage = build(&Comb::default(), stream.info(), model.clone());
    assert!(stage.notes().starts_with("notches at all multiples of 10.003"), "{}", stage.notes());
    let (_, y) = run(&mut *stage, &rows, 0, || 400);
    assert!((5000..15_000).all(|i| y[0][i].abs() < 8.0));
    let told = |config: Comb, model: Model| {
        let mut problems = Problems::default();
        let mut context = BuildContext { model: Some(model), ..BuildContext::default() };
        assert!(config.build(&info(1, 500.0, 10), &mut context, &mut problems).is_none());
        problems.list()[0].to_string()
    };
    assert_eq!(told(Comb { periods: 0, ..Comb::default() }, model.clone()), "periods: must be at least 1; here 0");
    assert!(told(Comb { periods: 2000, ..Comb::default() }, model).contains("at most 60 s"));
    let short = Comb { periods: 2, direction: Direction::Past, ..Comb::default() };
    assert!(told(short, given(4.3, 0..100)).contains("shorter than half the 32 taps"));
}
