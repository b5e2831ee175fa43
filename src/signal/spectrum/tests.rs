use super::*;
use crate::unit::Rate;

const RATE: f64 = 250.0;

fn clock() -> Clock {
    Clock::stored(Rate::new(250, 1).unwrap())
}

/// A 32-bit linear congruential generator's numbers, −1…1, the same in the script that made the reference.
fn noise(seed: u32, n: usize) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state) / f64::from(1_u32 << 31) - 1.0
    };
    (0..n).map(|_| next()).collect()
}

/// Red noise with an offset and a 10 Hz rhythm, as in the script.
fn signal(seed: u32, n: usize) -> Vec<f64> {
    let mut last = 0.0;
    let rhythm = |i: usize| 12.0 * (std::f64::consts::TAU * 10.3 * i as f64 / RATE).sin();
    let red = noise(seed, n).into_iter().map(|v| {
        last = 0.95 * last + 10.0 * v;
        last
    });
    red.enumerate().map(|(i, v)| v + rhythm(i) + 40.0).collect()
}

fn epoch(rows: &[Vec<f64>]) -> Epoch {
    let mut epoch = Epoch::new(clock(), 0, rows.len(), rows[0].len());
    rows.iter().enumerate().for_each(|(c, row)| epoch.channel_mut(c).copy_from_slice(row));
    epoch
}

fn sum_of(config: &PsdConfig, epochs: &[Vec<Vec<f64>>], threads: usize) -> PsdSum {
    let plan = PsdPlan::new(config, clock(), 0, epochs[0][0].len()).unwrap().with_threads(threads);
    let mut sum = plan.sum(epochs[0].len());
    epochs.iter().for_each(|rows| sum.add(&epoch(rows)));
    sum
}

fn spectrum_of(config: &PsdConfig, epochs: &[Vec<Vec<f64>>]) -> Spectrum {
    sum_of(config, epochs, 1).spectrum()
}

/// Three epochs of `n` samples, two channels each.
fn epochs(n: usize) -> Vec<Vec<Vec<f64>>> {
    (0..3).map(|e| (0..2).map(|c| signal(10 * e + c, n)).collect()).collect()
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn close(got: &[f64], want: &[f64], what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (k, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((g - w).abs() <= 1e-10 * w.abs(), "{what} bin {k}: {g} {w}");
    }
}

#[test]
fn densities_are_scipys_and_mnes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/spectra.json");
    let golden: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() > 20);
    for case in cases {
        let what = case["name"].as_str().unwrap();
        let config: PsdConfig = serde_json::from_value(case["config"].clone()).unwrap();
        let n = case["samples"].as_u64().unwrap() as usize;
        let rows = signal(case["seed"].as_u64().unwrap() as u32, case["epochs"].as_u64().unwrap() as usize * n);
        let trials: Vec<Vec<Vec<f64>>> = rows.chunks(n).map(|row| vec![row.to_vec()]).collect();
        let spectrum = spectrum_of(&config, &trials);
        let numbers = |key: &str| serde_json::from_value::<Vec<f64>>(case[key].clone()).unwrap();
        let every = case["every"].as_u64().unwrap() as usize;
        let psd: Vec<f64> = spectrum.channel(0).iter().step_by(every).copied().collect();
        // what remains of the removed mean at 0 Hz is rounding, theirs and ours
        let from = usize::from(case["skip_0_hz"].as_bool().unwrap());
        close(&psd[from..], &numbers("psd")[from..], what);
        let bands = [[1.0, 4.0], [4.0, 8.0], [8.0, 13.0], [13.0, 30.0], [30.0, 45.0]];
        let powers: Vec<f64> = bands.iter().map(|b| spectrum.band_power(0, b[0], b[1])).collect();
        close(&powers, &numbers("bands"), what);
        assert_eq!(spectrum.n_windows[0], case["n_windows"].as_u64().unwrap(), "{what}");
        assert!((spectrum.resolution_hz - case["resolution_hz"].as_f64().unwrap()).abs() < 1e-12, "{what}");
    }
}

#[test]
fn parseval() {
    for n in [200, 251] {
        let x = signal(3, n);
        let mean = x.iter().sum::<f64>() / n as f64;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        let boxcar = PsdConfig { taper: Window::Boxcar, ..PsdConfig::default() };
        let spectrum = spectrum_of(&boxcar, &[vec![x.clone()]]);
        let total = spectrum.psd.iter().sum::<f64>() * spectrum.resolution_hz;
        assert!((total / variance - 1.0).abs() < 1e-12, "{n}: {total} {variance}");
        let w = Window::Hamming.samples(n, crate::dsp::window::Symmetry::Periodic);
        let tapered: f64 = x.iter().zip(&w).map(|(x, w)| ((x - mean) * w).powi(2)).sum();
        let spectrum = spectrum_of(&PsdConfig::default(), &[vec![x]]);
        let total = spectrum.psd.iter().sum::<f64>() * spectrum.resolution_hz;
        assert!((total / (tapered / w.iter().map(|w| w * w).sum::<f64>()) - 1.0).abs() < 1e-12, "{n}");
    }
}

fn estimators() -> [PsdConfig; 5] {
    let base = PsdConfig { segment_ms: Some(400.0), ..PsdConfig::default() };
    let multitaper = PsdConfig { method: PsdMethod::Multitaper, segment_ms: None, ..base.clone() };
    [
        PsdConfig { average: PsdAverage::Median, ..base.clone() },
        PsdConfig { taper: Window::Kaiser(6.0), window_ms: Some([100.0, 800.0]), ..base.clone() },
        base,
        PsdConfig { adaptive: true, ..multitaper.clone() },
        multitaper,
    ]
}

#[test]
fn twice_the_signal_is_four_times_the_power() {
    for config in estimators() {
        let once = spectrum_of(&config, &epochs(300));
        let double: Vec<Vec<Vec<f64>>> =
            epochs(300).iter().map(|e| e.iter().map(|row| row.iter().map(|v| 2.0 * v).collect()).collect()).collect();
        let four: Vec<f64> = once.psd.iter().map(|v| 4.0 * v).collect();
        assert_eq!(bits(&spectrum_of(&config, &double).psd), bits(&four), "{config:?}");
    }
}

#[test]
fn threads_and_channels_around_do_not_matter() {
    let many: Vec<Vec<Vec<f64>>> = (0..3).map(|e| (0..13).map(|c| signal(100 * e + c, 300)).collect()).collect();
    for config in estimators() {
        let one = spectrum_of(&config, &many);
        for threads in [2, 8, 40] {
            let sum = sum_of(&config, &many, threads);
            assert_eq!(sum.lanes.len(), threads.min(13));
            assert_eq!(bits(&sum.spectrum().psd), bits(&one.psd), "{threads} threads, {config:?}");
        }
        let alone: Vec<Vec<Vec<f64>>> = many.iter().map(|e| vec![e[7].clone()]).collect();
        assert_eq!(bits(spectrum_of(&config, &alone).channel(0)), bits(one.channel(7)), "{config:?}");
    }
}

#[test]
fn the_order_of_epochs_hardly_matters() {
    for config in estimators() {
        let (forward, mut turned) = (epochs(300), epochs(300));
        turned.reverse();
        let (a, b) = (spectrum_of(&config, &forward), spectrum_of(&config, &turned));
        let exact = config.average == PsdAverage::Median;
        for (a, b) in a.psd.iter().zip(&b.psd) {
            assert!((a - b).abs() <= if exact { 0.0 } else { 1e-13 * a }, "{a} {b}");
        }
    }
}

#[test]
fn one_nan_spoils_its_own_segment_of_its_own_channel() {
    for config in estimators() {
        let clean = spectrum_of(&config, &epochs(300));
        let mut spoiled = epochs(300);
        spoiled[1][0].fill(f64::NAN);
        let got = spectrum_of(&config, &spoiled);
        assert_eq!(bits(got.channel(1)), bits(clean.channel(1)));
        assert_eq!(got.n_windows[1], clean.n_windows[1]);
        assert_eq!(3 * got.n_windows[0], 2 * clean.n_windows[0]);
        let without = [spoiled[0].clone(), spoiled[2].clone()];
        assert_eq!(bits(got.channel(0)), bits(spectrum_of(&config, &without).channel(0)));
        let none = spectrum_of(&config, &[vec![vec![f64::INFINITY; 300]]]);
        assert!(none.n_windows == [0] && none.psd.iter().all(|v| v.is_nan()));
    }
}

#[test]
fn bridged_segments_count_and_are_counted() {
    for average in [PsdAverage::Mean, PsdAverage::Median] {
        let config = PsdConfig { segment_ms: Some(400.0), average, ..PsdConfig::default() };
        let plan = PsdPlan::new(&config, clock(), 0, 300).unwrap();
        let mut sum = plan.sum(2);
        let mut epoch = epoch(&epochs(300)[0]);
        // segments begin at 0, 50, 100, 150 and 200 samples and hold 100
        epoch.filled[120] = true;
        epoch.channel_mut(1)[130] = f64::NAN;
        sum.add(&epoch);
        let spectrum = sum.spectrum();
        assert_eq!((spectrum.n_windows, spectrum.n_filled), (vec![5, 3], vec![2, 0]));
        sum.reset();
        assert_eq!(sum.spectrum().n_windows, [0, 0]);
    }
}

#[test]
fn the_median_remembers_evenly_when_there_are_too_many() {
    let config = PsdConfig { average: PsdAverage::Median, median_segments: 7, ..PsdConfig::default() };
    let trials: Vec<Vec<Vec<f64>>> = (0..37).map(|e| vec![signal(e, 100)]).collect();
    let sum = sum_of(&config, &trials, 1);
    let kept: Vec<Vec<Vec<f64>>> = trials.iter().step_by(8).cloned().collect();
    let all = PsdConfig { median_segments: 512, ..config };
    assert_eq!(sum.spectrum().n_windows, [5]);
    assert_eq!(bits(&sum.spectrum().psd), bits(&spectrum_of(&all, &kept).psd));
    assert_eq!(
        sum.memory_bytes() - sum_of(&PsdConfig::default(), &trials[..1], 1).memory_bytes(),
        8 * (51 * 7 - 2) + 8
    );
}

#[test]
fn hard_case_20_an_offset_does_not_hide_a_microvolt() {
    let plain: Vec<f64> = signal(5, 500).iter().map(|v| v / 20.0).collect();
    let lifted: Vec<f64> = plain.iter().map(|v| v + 1e5).collect();
    for config in estimators() {
        let (a, b) = (spectrum_of(&config, &[vec![plain.clone()]]), spectrum_of(&config, &[vec![lifted.clone()]]));
        for (a, b) in a.psd.iter().zip(&b.psd).skip(1) {
            assert!((a - b).abs() < 1e-9 * a.max(1e-3), "{config:?}: {a} {b}");
        }
    }
}

#[test]
fn hard_case_21_a_sine_between_bins_keeps_its_power_and_bands_add_up() {
    // the outer tapers leak some percent of a sine out of ±1 Hz, and part of it out of the band
    let multitaper = PsdConfig { method: PsdMethod::Multitaper, ..PsdConfig::default() };
    for (config, tolerance) in [(PsdConfig::default(), 1e-3), (multitaper, 5e-3)] {
        for shift in 0..20 {
            // bins are 0.25 Hz apart
            let hz = 10.5 + f64::from(shift) * 0.25 / 20.0;
            let sine = |i: usize| 3.0 * (std::f64::consts::TAU * hz * i as f64 / RATE + 0.4).sin();
            let spectrum = spectrum_of(&config, &[vec![(0..1000).map(sine).collect()]]);
            let power = spectrum.band_power(0, 8.0, 13.0);
            assert!((power / 4.5 - 1.0).abs() < tolerance, "{hz} Hz: {power}");
        }
    }
    let spectrum = spectrum_of(&PsdConfig::default(), &[vec![signal(1, 1000)]]);
    let edges = [1.0, 4.0, 8.0, 13.0, 30.0, 45.0];
    let parts: Vec<f64> = edges.windows(2).map(|e| spectrum.band_power(0, e[0], e[1])).collect();
    assert!((parts.iter().sum::<f64>() / spectrum.band_power(0, 1.0, 45.0) - 1.0).abs() < 1e-14);
    let bins: Vec<usize> = edges.windows(2).flat_map(|e| spectrum.band(e[0], e[1])).collect();
    assert_eq!(bins, spectrum.band(1.0, 45.0).collect::<Vec<_>>(), "each bin once");
}

#[test]
fn a_flat_channel_has_no_power_and_no_nan() {
    for config in estimators() {
        let spectrum = spectrum_of(&config, &[vec![vec![7.0; 300]]]);
        assert!(spectrum.psd.iter().all(|&v| v == 0.0), "{config:?}");
        assert!(spectrum.band_power(0, 8.0, 8.0).is_nan());
    }
}

#[test]
fn problems_name_the_key_and_both_numbers() {
    let problem = |config: PsdConfig| PsdPlan::new(&config, clock(), 0, 300).unwrap_err();
    let multitaper = |nw| PsdConfig { method: PsdMethod::Multitaper, nw, ..PsdConfig::default() };
    for (config, key, says) in [
        (PsdConfig { window_ms: Some([0.0, 1200.0]), ..PsdConfig::default() }, "window_ms", "1200"),
        (PsdConfig { segment_ms: Some(2000.0), ..PsdConfig::default() }, "segment_ms", "500 samples"),
        (PsdConfig { overlap: 1.0, ..PsdConfig::default() }, "overlap", "0.95"),
        (PsdConfig { taper: Window::Kaiser(1e4), ..PsdConfig::default() }, "taper", "Kaiser"),
        (multitaper(150.0), "nw", "300 samples"),
        (multitaper(f64::NAN), "nw", "NaN"),
        (PsdConfig { adaptive: true, ..multitaper(1.0) }, "adaptive", "nw = 1 gives 1"),
        (PsdConfig { average: PsdAverage::Median, ..multitaper(4.0) }, "average", "Welch"),
        (
            PsdConfig { average: PsdAverage::Median, median_segments: 1, ..PsdConfig::default() },
            "median_segments",
            "between 2",
        ),
    ] {
        let (at, message) = problem(config);
        assert!(at == key && message.contains(says), "{at}: {message}");
    }
    let median = PsdConfig { average: PsdAverage::Median, ..PsdConfig::default() };
    let plan = PsdPlan::new(&median, clock(), 0, 2000).unwrap();
    assert!(plan.clone().affordable(1000).is_ok());
    assert!(plan.affordable(2000).unwrap_err().1.contains("512 segments of 2002000 densities take 7.6 GiB"));
}

/// `cargo test --release --lib spectrum -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn costs() {
    let clock = Clock::stored(Rate::new(500, 1).unwrap());
    let mut epoch = Epoch::new(clock, 0, 64, 2000);
    (0..64).for_each(|c| epoch.channel_mut(c).copy_from_slice(&signal(c as u32, 2000)));
    let multitaper = PsdConfig { method: PsdMethod::Multitaper, ..PsdConfig::default() };
    for (name, config) in [
        ("welch", PsdConfig::default()),
        ("median", PsdConfig { average: PsdAverage::Median, ..PsdConfig::default() }),
        ("multitaper", multitaper.clone()),
        ("adaptive", PsdConfig { adaptive: true, ..multitaper }),
    ] {
        let mut sum = PsdPlan::new(&config, clock, 0, 2000).unwrap().sum(64);
        let start = std::time::Instant::now();
        (0..300).for_each(|_| sum.add(&epoch));
        let added = start.elapsed().as_secs_f64();
        std::hint::black_box(sum.spectrum());
        let read = start.elapsed().as_secs_f64() - added;
        println!("{name}: 10 min of 64 channels at 500 Hz: {added:.3} s, spectrum {read:.3} s");
    }
}
