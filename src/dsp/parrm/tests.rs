use super::*;
use std::path::PathBuf;

/// Samples of a NumPy file of little-endian f64 in the shared folder; says so where it is missing.
pub(crate) fn shared(name: &str) -> Option<Vec<f64>> {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared"));
    let path = std::env::var_os("STIMKIT_SHARED").map_or(beside, PathBuf::from).join("data/dbs-pyparrm").join(name);
    let Ok(bytes) = std::fs::read(&path) else {
        eprintln!("SKIPPED: {} is not there", path.display());
        return None;
    };
    let header = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    Some(bytes[header..].as_chunks().0.iter().map(|b| f64::from_le_bytes(*b)).collect())
}

fn golden() -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/parrm.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The signal of tests/reference/parrm.py.
pub(crate) fn signal(n: usize, period: f64) -> Vec<f64> {
    let mut state = 12345_u64;
    (0..n)
        .map(|i| {
            state = (1_103_515_245 * state + 12345) % (1 << 31);
            let noise = state as f64 / (1_u64 << 31) as f64 - 0.5;
            let theta = std::f64::consts::TAU * (i as f64 / period);
            noise + 20.0 * theta.sin() + 5.0 * (2.0 * theta + 1.0).cos() + 2.0 * (3.0 * theta).sin()
        })
        .collect()
}

#[test]
fn the_published_period() {
    let Some(x) = shared("example_data.npy") else { return };
    let search = Search { polish: false, ..Search::default() };
    let found = search.find_in(&[&x], 200.0 / 150.0).unwrap();
    // the same minima are visited: what is left is the rounding of the costs
    assert!((found.period / 1.3311148014466094 - 1.0).abs() < 1e-13, "{}", found.period);
    // the seed has no say where all samples are taken
    assert_eq!(Search { seed: 9, ..search }.find_in(&[&x], 200.0 / 150.0), Some(found));
    // the minimum itself, from an independent line search over numpy.linalg.solve
    let polished = Search::default().find_in(&[&x], 200.0 / 150.0).unwrap();
    assert!((polished.period / found.period - 1.0 - 5.53e-9).abs() < 2e-11, "{}", polished.period / found.period - 1.0);
    assert!(polished.unexplained <= found.unexplained && polished.unexplained < 0.01);
}

#[test]
fn the_published_output() {
    let (Some(x), Some(want)) = (shared("example_data.npy"), shared("matlab_filtered.npy")) else { return };
    let Some(truth) = shared("example_data_artefact_free.npy") else { return };
    let offsets = taps(1.3311148014466094, 2000, 20, 0.01, false);
    let y: Vec<f64> = (0..x.len())
        .map(|n| {
            let there: Vec<f64> =
                offsets.iter().filter_map(|m| x.get(usize::try_from(n as i64 + m).ok()?)).copied().collect();
            x[n] - there.iter().sum::<f64>() / there.len() as f64
        })
        .collect();
    let worst = y.iter().zip(&want).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 1e-12, "{worst}");
    let r = correlation(&y, &truth);
    assert!(r >= 0.987, "{r}");
}

/// Pearson's.
pub(crate) fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| f(a - ma, b - mb)).sum::<f64>();
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt()
}

#[test]
fn costs_and_minimum_are_numpys() {
    let golden = golden();
    let number = |key: &str| golden[key].as_f64().unwrap();
    let x = signal(golden["n"].as_u64().unwrap() as usize, number("true_period"));
    let mean = x.windows(2).map(|w| (w[1] - w[0]).abs()).sum::<f64>() / (x.len() - 1) as f64;
    let search = Search::default();
    let row: Vec<f64> = x.windows(2).map(|w| search.normalised(w[1] - w[0], mean)).collect();
    let picked = Picked { index: (0..row.len()).collect(), rows: vec![row] };
    for case in golden["costs"].as_array().unwrap() {
        let cost = Cost {
            picked: &picked,
            harmonics: case["harmonics"].as_u64().unwrap() as usize,
            penalty: case["penalty"].as_f64().unwrap(),
        };
        let (got, want) = (cost.at(case["period"].as_f64().unwrap()), case["cost"].as_f64().unwrap());
        assert!((got - want).abs() < 1e-11, "{case}: {got}");
    }
    let found = search.find_in(&[&x], number("assumed")).unwrap();
    // a parabola's minimum is known to the root of the cost's rounding
    assert!((found.period / number("minimum") - 1.0).abs() < 1e-9, "{} {}", found.period, number("minimum"));
    assert!((found.period / number("true_period") - 1.0).abs() < 1e-6);
}

#[test]
fn channels_share_one_period() {
    let (a, flat) = (signal(9000, 37.3), vec![4.0; 9000]);
    let b: Vec<f64> = a.iter().map(|v| 100.0 - 1e4 * v).collect();
    let alone = Search::default().find_in(&[&a], 37.2).unwrap();
    let both = Search::default().find_in(&[&a, &flat, &b], 37.2).unwrap();
    assert!((alone.period / both.period - 1.0).abs() < 1e-9);
    assert_eq!(Search::default().find_in(&[&flat], 37.2), None);
    assert_eq!(Search::default().find_in(&[&a[..5]], 37.2), None);
    assert_eq!(Search::default().find_in(&[&a[..0]], 37.2), None);
}

#[test]
fn a_long_record_is_drawn_from_by_its_seed() {
    let search = Search::default();
    let [first, second, third] = search.indices(100_000);
    assert_eq!((first.len(), first[0], second.len(), second[0]), (5001, 47_500, 10_001, 45_000));
    assert_eq!(third.len(), 25_000);
    assert!(third.windows(2).all(|w| w[0] < w[1]) && third[0] >= 2_500 && third[24_999] < 97_500);
    assert_eq!(search.indices(100_000)[2], third);
    assert_ne!(Search { seed: 1, ..search }.indices(100_000)[2], third);
    assert_eq!(search.indices(25_000)[2].len(), 25_000);
    assert_eq!(search.indices(3), [vec![0, 1, 2], vec![0, 1, 2], vec![0, 1, 2]]);
}

#[test]
fn taps_share_the_phase() {
    assert_eq!(taps(2.5, 10, 0, 0.01, false), [-10, -5, 5, 10]);
    assert_eq!(taps(2.5, 10, 5, 0.01, true), [-10]);
    assert_eq!(taps(2.5, 5, 0, 0.5, false), [-5, -3, -2, 2, 3, 5], "2 and 3 lie half a sample off");
    assert_eq!(half_width_for(4, 2.5, 0, 0.01, false, 100), 10);
    assert_eq!(half_width_for(4, 2.5, 0, 0.01, true, 100), 20);
    assert_eq!(half_width_for(4, 2.5, 0, 0.01, true, 7), 7);
    assert!((phase_offset(-7, 2.5) - 0.5).abs() < 1e-15);
}

#[test]
fn what_a_phase_window_leaves() {
    // the mean of cos over −w…w, by a fine sum
    let (w, period) = (0.7, 30.0);
    let n = 200_000;
    let mean = (0..n)
        .map(|i| (std::f64::consts::TAU / period * (w * (2.0 * (f64::from(i) + 0.5) / f64::from(n) - 1.0))).cos())
        .sum::<f64>()
        / f64::from(n);
    assert!((residual(1, w, period) - (1.0 - mean)).abs() < 1e-10);
    let db = |share: f64| 20.0 * residual(1, share, 1.0).log10();
    assert!((db(1.0 / 50.0) + 51.6).abs() < 0.05 && (db(1.0 / 500.0) + 91.6).abs() < 0.05);
}
