use super::super::dpss::dpss;
use super::*;

fn golden() -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/tfr.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn noise(seed: u32, n: usize) -> Vec<f64> {
    let mut s = seed;
    let next = |_| {
        s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(s) / 4_294_967_296.0 - 0.5
    };
    (0..n).map(next).collect()
}

/// Trial 0 of channel 0 of the reference numbers.
fn signal() -> Vec<f64> {
    let value = |(i, noise): (usize, f64)| {
        let t = (i as f64 - 200.0) / 200.0;
        6.0 * (TAU * 10.0 * t).cos() * if t > 0.1 { 2.0 } else { 1.0 } + 20.0 * noise
    };
    noise(777, 501).into_iter().enumerate().map(value).collect()
}

/// All wavelets of a bank, at all outputs.
fn apply(bank: &Bank, x: &[f64]) -> Vec<Complex> {
    let (mut work, mut spectrum) = (bank.work(), vec![0.0; bank.spectrum_len()]);
    bank.spectrum(x, &mut work, &mut spectrum);
    (0..bank.wavelets()).flat_map(|w| bank.transform(w, &spectrum, &mut work).to_vec()).collect()
}

/// The definition.
fn convolved(x: &[f64], w: &Wavelet, at: usize) -> Complex {
    let sample = |k: usize| (at + w.centre).checked_sub(k).and_then(|i| x.get(i)).copied().unwrap_or(0.0);
    w.values.iter().enumerate().map(|(k, v)| v * sample(k)).sum()
}

#[test]
fn transforms_are_mnes() {
    let golden = golden();
    let freqs: Vec<f64> = serde_json::from_value(golden["freqs"].clone()).unwrap();
    for (case, cycles, zero_mean, offset) in [
        ("complex_no_zero_mean_offset4", [3.5; 4], false, 4),
        ("complex_cycles_3_3.5_5_9", [3.0, 3.5, 5.0, 9.0], true, 0),
    ] {
        let wavelets: Vec<Wavelet> =
            freqs.iter().zip(cycles).map(|(&f, cycles)| morlet(200.0, f, cycles, zero_mean)).collect();
        let ours = apply(&Bank::new(501, 5, offset, &wavelets), &signal());
        let part = |key: &str| serde_json::from_value::<Vec<f64>>(golden[case][key].clone()).unwrap();
        let (re, im) = (part("re"), part("im"));
        assert_eq!(ours.len(), re.len(), "{case}");
        let size = re.iter().fold(0.0_f64, |a, v| a.max(v.abs()));
        for (i, z) in ours.iter().enumerate() {
            assert!((z - Complex::new(re[i], im[i])).norm() < 1e-13 * size, "{case} {i}: {z} {} {}", re[i], im[i]);
        }
    }
}

#[test]
fn decimation_is_exact_whatever_the_step_and_the_kind_of_wavelet() {
    let x = noise(5, 211);
    let tapers = dpss(41, 2.0, 3).tapers;
    let mut wavelets = vec![morlet(100.0, 7.0, 3.5, true), morlet(100.0, 45.0, 2.0, false)];
    wavelets.extend(tapers.iter().map(|t| tapered(100.0, 12.3, 0.405, t, true)));
    assert!(matches!(weights(&wavelets[0], 1, &mut ComplexFft::new(320)), Weights::Real(_)));
    assert!(matches!(weights(&wavelets[3], 1, &mut ComplexFft::new(320)), Weights::Complex(_)));
    for (decim, offset) in [(1, 0), (2, 1), (5, 3), (7, 0), (50, 49)] {
        let bank = Bank::new(211, decim, offset, &wavelets);
        let outputs = (offset..211).step_by(decim);
        let want = wavelets.iter().flat_map(|w| outputs.clone().map(|at| convolved(&x, w, at)));
        for (i, (ours, want)) in apply(&bank, &x).into_iter().zip(want).enumerate() {
            assert!((ours - want).norm() < 1e-13, "every {decim} from {offset}, {i}: {ours} {want}");
        }
    }
}

#[test]
fn wavelets_have_their_norm_and_no_mean() {
    for (f, cycles) in [(4.0, 3.5), (45.0, 3.5), (10.0, 7.0), (10.0, 1.0)] {
        let w = morlet(500.0, f, cycles, true);
        let norm = w.values.iter().map(Complex::norm_sqr).sum::<f64>();
        let mean = w.values.iter().sum::<Complex>().norm();
        assert!((norm - 2.0).abs() < 1e-13 && mean < 2e-5, "{f} Hz: {norm} {mean}");
        assert_eq!(w.values.len(), 2 * w.centre + 1);
        assert!((w.centre as f64 / 500.0 - 5.0 * sigma_s(f, cycles)).abs() < 1.0 / 500.0);
    }
    let plain = morlet(500.0, 10.0, 1.0, false).values.iter().sum::<Complex>().norm();
    assert!(plain > 1.0, "one cycle lets a constant through unless its mean is removed: {plain}");
}

#[test]
fn an_impulse_peaks_where_it_is() {
    let mut x = vec![0.0; 301];
    x[120] = 1.0;
    let bank = Bank::new(301, 4, 0, &[morlet(250.0, 12.0, 3.5, true), morlet(250.0, 30.0, 7.0, true)]);
    for z in apply(&bank, &x).chunks(bank.outputs()) {
        let peak = (0..z.len()).max_by(|&a, &b| z[a].norm().total_cmp(&z[b].norm()));
        assert_eq!(peak, Some(30));
    }
}

#[test]
fn sums_are_of_power_and_of_unit_phasors() {
    let z: Vec<Complex> = (0..13).map(|i| Complex::new(f64::from(i) - 4.0, f64::from(i % 3))).collect();
    let (mut power, mut re, mut im) = (vec![1.0; 13], vec![0.0; 13], vec![0.0; 13]);
    accumulate(&z, 2.0, &mut power, &mut re, &mut im);
    for (i, z) in z.iter().enumerate() {
        let unit = if z.norm() > 0.0 { z / z.norm() } else { ZERO };
        assert!((power[i] - 1.0 - 2.0 * z.norm_sqr()).abs() < 1e-12);
        assert!((Complex::new(re[i], im[i]) - unit).norm() < 1e-15, "{i}");
    }
    accumulate(&[ZERO], 1.0, &mut power, &mut re, &mut im);
    assert!(re[0].is_finite());
}
