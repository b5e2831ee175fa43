//! `aperiodic`, `rhythm` and `index` on whole recipes: known spectra, the cases that fool such measures, a real recording.

mod common;

use common::{Lab, Lcg, table};
use std::f64::consts::TAU;
use std::path::PathBuf;
use stimkit::dsp::fft::{Complex, RealFft};
use stimkit::recipe::Recipe;
use stimkit::run::Options;
use stimkit::run::recording::{analyse, analyse_source};
use stimkit::signal::montage;
use stimkit::table::Table;

const RATE: f64 = 256.0;
const SECONDS: f64 = 128.0;

/// A signal with this power density (up to a factor) and random phases.
fn coloured(seed: u32, density: impl Fn(f64) -> f64) -> Vec<f64> {
    let n = (RATE * SECONDS) as usize;
    let mut rng = Lcg(seed);
    let bins: Vec<Complex> = (0..=n / 2)
        .map(|k| {
            let phase = TAU * f64::from(rng.next()) / f64::from(1_u32 << 24);
            let size = if k == 0 || k == n / 2 { 0.0 } else { density(k as f64 / SECONDS).sqrt() };
            Complex::from_polar(100.0 * size, phase)
        })
        .collect();
    let mut x = vec![0.0; n];
    RealFft::new(n).inverse(&bins, &mut x);
    x
}

fn run(lab: &Lab, stream: &str, epoch: &str, marker: &str, threads: usize) -> Vec<Table> {
    let text = format!(
        "[input]\nline = 'off'\n{stream}\n[cut]\nevery_ms = 4000\nstep_ms = 2000\n{epoch}\n[[marker]]\n{marker}\n"
    );
    let recipe = Recipe::parse(&text).unwrap();
    let open = || Ok(lab.source());
    analyse_source(&open, &recipe, &Options { threads, ..Options::default() }).unwrap().tables
}

const HIGH_PASS: &str = "[[stream]]\nuse = 'butterworth'\nband_hz = [2, inf]";

fn powers() -> Lab {
    let mut lab = Lab::silent(4, RATE, SECONDS);
    for (chi, row) in lab.rows.iter_mut().enumerate() {
        *row = coloured(11 + chi as u32, |f| f.max(0.5).powi(-(chi as i32)));
    }
    lab
}

fn exponents(tables: &[Table]) -> Vec<Option<f64>> {
    let table = table(tables, "aperiodic");
    (0..4).map(|row| table.number(row, "exponent")).collect()
}

#[test]
fn hard_case_22_power_laws_are_found_and_a_high_pass_is_told() {
    let lab = powers();
    // the side lobes of the default Hamming window flatten 1/f³ a little
    for (method, within) in [("fixed", [0.03, 0.03, 0.03, 0.05]), ("irasa", [0.03, 0.03, 0.03, 0.06])] {
        let marker = format!("use = 'aperiodic'\nmethod = '{method}'\nmin_peak_height = 0.3");
        let tables = run(&lab, "", "", &marker, 1);
        for (chi, got) in exponents(&tables).into_iter().enumerate() {
            let got = got.unwrap();
            assert!((got - chi as f64).abs() < within[chi], "{method}: 1/f^{chi} gives {got}");
            assert!(table(&tables, "aperiodic").text(chi, "reason").is_none());
        }
        // a 2 Hz high-pass under a fit from 2 Hz: no value, and why
        let tables = run(&lab, HIGH_PASS, "", &marker, 1);
        assert_eq!(exponents(&tables), [None; 4], "{method}");
        assert!(table(&tables, "aperiodic").text(1, "reason").unwrap().starts_with("high_pass: reaches down to"));
        // … or the biased value, and why
        let tables = run(&lab, HIGH_PASS, "", &format!("{marker}\nat_edge = 'warn'"), 1);
        let biased = exponents(&tables)[1].unwrap();
        assert!(biased < 0.97, "{method}: {biased}");
        assert!(table(&tables, "aperiodic").text(1, "reason").unwrap().starts_with("high_pass"));
        // well above the filter's edge (for irasa: 1.9 times as far) nothing is wrong
        let low_hz = if method == "irasa" { 7.0 } else { 4.0 };
        let tables = run(&lab, HIGH_PASS, "", &format!("{marker}\nrange_hz = [{low_hz}, 40]"), 1);
        assert!((exponents(&tables)[1].unwrap() - 1.0).abs() < 0.06, "{method}: {:?}", exponents(&tables));
        assert!(table(&tables, "aperiodic").text(1, "reason").is_none());
    }
    // 4 Hz is above the edge for a line, and below it for irasa, which looks down to 2.1 Hz
    let tables = run(&lab, HIGH_PASS, "", "use = 'aperiodic'\nmethod = 'irasa'\nrange_hz = [4, 40]", 1);
    assert_eq!(exponents(&tables), [None; 4]);
    // low-passes, decimation and band-stops are told alike
    for (stream, marker, reason) in [
        ("[[stream]]\nuse = 'butterworth'\nband_hz = [0, 40]", "", "low_pass"),
        ("[[stream]]\nuse = 'fir'\nband_hz = [0.5, 30]", "", "low_pass"),
        ("[[stream]]\nuse = 'decimate'\nto_hz = 128", "range_hz = [2, 62]", "low_pass"),
        ("[[stream]]\nuse = 'resample'\nto_hz = 100", "range_hz = [2, 49]", "low_pass"),
        ("[[stream]]\nuse = 'butterworth'\nstop_hz = [48, 52]", "range_hz = [2, 60]", "band_stop"),
        ("[[stream]]\nuse = 'decimate'\nto_hz = 128", "", ""),
        ("[[stream]]\nuse = 'butterworth'\nstop_hz = [48, 52]", "", ""),
        ("[[stream]]\nuse = 'butterworth'\nband_hz = [1, 80]", "", ""),
    ] {
        let tables = run(&lab, stream, "", &format!("use = 'aperiodic'\n{marker}"), 1);
        let told = table(&tables, "aperiodic").text(1, "reason").unwrap_or("");
        assert!(told.starts_with(reason) && told.is_empty() == reason.is_empty(), "{stream} {marker}: {told}");
    }
}

/// The fit models a peak, IRASA shifts it away.
#[test]
fn a_peak_does_not_bend_the_exponent() {
    let mut lab = powers();
    lab.rows[1] = coloured(5, |f| f.max(0.5).recip() * (1.0 + 6.0 * (-(f - 10.0).powi(2) / 0.5).exp()));
    for method in ["fixed", "irasa"] {
        let tables = run(&lab, "", "", &format!("use = 'aperiodic'\nmethod = '{method}'\nmin_peak_height = 0.3"), 1);
        let got = exponents(&tables)[1].unwrap();
        assert!((got - 1.0).abs() < 0.05, "{method}: {got}");
        let peaks = table(&tables, "aperiodic_peaks");
        if method == "fixed" {
            let cz = (0..peaks.len()).filter(|&r| peaks.text(r, "channel") == Some("Fp2")).collect::<Vec<_>>();
            assert_eq!(cz.len(), 1);
            assert!((peaks.number(cz[0], "center_hz").unwrap() - 10.0).abs() < 0.2);
        } else {
            assert!(peaks.is_empty());
        }
    }
}

#[test]
fn results_do_not_depend_on_threads() {
    let lab = powers();
    for marker in ["use = 'aperiodic'\nmethod = 'irasa'", "use = 'index'"] {
        let rows = |threads| format!("{:?}", run(&lab, "", "", marker, threads));
        assert!(rows(1) == rows(3), "{marker}");
    }
}

fn alpha(peaks: &'static [(f64, f64)]) -> impl Fn(f64) -> f64 {
    move |f| {
        let bump = |(center, height): &(f64, f64)| height * (-(f - center).powi(2) / (2.0 * 0.5 * 0.5)).exp();
        1.0 / f.max(0.5) + peaks.iter().map(bump).sum::<f64>()
    }
}

#[test]
fn hard_case_23_no_peak_two_peaks_and_a_peak_at_the_edge() {
    let mut lab = Lab::silent(7, RATE, SECONDS);
    let peaks: [&'static [(f64, f64)]; 7] =
        [&[], &[(8.5, 2.0), (11.0, 2.0)], &[(13.0, 2.0)], &[(10.0, 2.0)], &[(9.5, 3.0)], &[(10.5, 2.0)], &[(6.6, 3.0)]];
    for (c, row) in lab.rows.iter_mut().enumerate() {
        *row = coloured(70 + c as u32, alpha(peaks[c]));
    }
    let tables = run(&lab, "", "", "use = 'rhythm'", 1);
    let t = table(&tables, "rhythm");
    let told: Vec<_> = (0..7).map(|r| (t.number(r, "found").unwrap() == 1.0, t.text(r, "reason"))).collect();
    // no alpha: no peak, and no centre of gravity
    assert_eq!(told[0], (false, Some("no_peak")), "{told:?}");
    assert!(t.number(0, "peak_hz").is_none() && t.number(0, "center_of_gravity_hz").is_none());
    // two alike: neither is the peak, both are told
    assert_eq!(told[1], (false, Some("split")), "{told:?}");
    let mut both = [t.number(1, "highest_peak_hz").unwrap(), t.number(1, "second_peak_hz").unwrap()];
    both.sort_by(f64::total_cmp);
    assert!((both[0] - 8.5).abs() <= 0.5 && (both[1] - 11.0).abs() <= 0.5, "{both:?}");
    assert!(t.number(1, "peak_hz").is_none() && t.number(1, "center_of_gravity_hz").is_some());
    // at either end of the range: flagged
    assert_eq!((told[2].1, told[6].1), (Some("edge"), Some("edge")), "{told:?}");
    for (row, center) in [(3, 10.0), (4, 9.5), (5, 10.5)] {
        assert_eq!(told[row], (true, None));
        assert!((t.number(row, "peak_hz").unwrap() - center).abs() <= 0.5, "{:?}", t.number(row, "peak_hz"));
    }
    assert_eq!(t.text(7, "channel"), Some("mean"));
    let mean = t.number(7, "peak_hz").unwrap();
    assert!((9.0..12.0).contains(&mean), "{mean}");
    // fewer channels than asked for: the mean says so
    let tables = run(&lab, "", "", "use = 'rhythm'\nmin_channels = 6", 1);
    let t = table(&tables, "rhythm");
    assert!(t.number(7, "peak_hz").is_none() && t.text(7, "reason") == Some("few_channels"));
}

#[test]
fn hard_case_25_labels_positions_and_powers_that_mislead() {
    let sine = |amplitude: f64| -> Vec<f64> {
        (0..(RATE * 16.0) as usize).map(|i| amplitude * (TAU * 10.0 * i as f64 / RATE).sin()).collect()
    };
    let lab = |labels: [&str; 4], amplitudes: [f64; 4]| {
        let mut lab = Lab::silent(4, RATE, 16.0);
        for c in 0..4 {
            lab.channels[c].name = labels[c].to_owned();
            lab.channels[c].position = montage::position_of(labels[c]);
            lab.rows[c] = sine(amplitudes[c]);
        }
        lab
    };
    let faa = |lab: &Lab, epoch: &str| {
        let tables = run(lab, "", epoch, "use = 'index'\nlempel_ziv = false", 1);
        let t = table(&tables, "index");
        let text = |column| t.text(0, column).unwrap().to_owned();
        assert_eq!(text("index"), "faa");
        (t.number(0, "value"), text("channels"), text("reference"), text("caveat"))
    };
    let want = 2.0 * 2_f64.ln();
    // F4 at 4 µV, F3 at 2 µV: however they are written, and in whatever order
    for (labels, channels) in [
        (["F3", "F4", "Cz", "Fz"], "F4 F3"),
        (["f3", "f4", "cz", "fz"], "f4 f3"),
        (["EEG F3-REF", "EEG F4-REF", "EEG Cz-REF", "EEG Fz-REF"], "EEG F4-REF EEG F3-REF"),
    ] {
        let (value, told, reference, caveat) = faa(&lab(labels, [2.0, 4.0, 1.0, 1.0]), "");
        assert!((value.unwrap() - want).abs() < 1e-9, "{value:?}");
        assert_eq!((told.as_str(), reference.as_str()), (channels, "as recorded"));
        assert!(caveat.contains("no diagnostic value"));
    }
    let (value, ..) = faa(&lab(["F4", "F3", "Cz", "Fz"], [4.0, 2.0, 1.0, 1.0]), "");
    assert!((value.unwrap() - want).abs() < 1e-9);
    // the reference in force is told
    let referenced = lab(["F3", "F4", "Cz", "Fz"], [2.0, 4.0, 1.0, 1.0]);
    assert_eq!(faa(&referenced, "[[epoch]]\nuse = 'reference'").2, "average");
    assert_eq!(faa(&referenced, "[[epoch]]\nuse = 'reference'\nto = ['Cz', 'Fz']").2, "Cz+Fz");
    // no power: no logarithm, and not minus infinity
    let (value, _, _, caveat) = faa(&lab(["F3", "F4", "Cz", "Fz"], [0.0, 4.0, 1.0, 1.0]), "");
    assert!(value.is_none() && caveat.contains("no logarithm"), "{caveat}");
    // an electrode that is not there
    let (value, channels, _, caveat) = faa(&lab(["F3", "FC4", "Cz", "Fz"], [2.0, 4.0, 1.0, 1.0]), "");
    assert_eq!((value, channels.as_str(), caveat.as_str()), (None, "F4 F3", "F4 is missing"));
    // a derivation is not an electrode
    let (value, ..) = faa(&lab(["F3-C3", "F4-C4", "Cz", "Fz"], [2.0, 4.0, 1.0, 1.0]), "");
    assert!(value.is_none());
    // the file puts F3 on the right: one of the two is wrong
    let mut swapped = lab(["F3", "F4", "Cz", "Fz"], [2.0, 4.0, 1.0, 1.0]);
    (swapped.channels[0].position, swapped.channels[1].position) =
        (swapped.channels[1].position, swapped.channels[0].position);
    let (value, _, _, caveat) = faa(&swapped, "");
    assert!(value.is_none() && caveat.contains("swapped"), "{caveat}");
}

/// Two recordings of one person (Corcoran et al. 2018, tutorial): published are the means over both, weighted by channels,
/// peak 10.675 and centre of gravity 10.229 Hz, 5 peaks of 6 channels in each, with sd 0.13372 and 0.10918 Hz.
#[test]
fn a_published_alpha_rhythm() {
    let shared = std::env::var_os("STIMKIT_SHARED").map_or_else(|| PathBuf::from("../shared"), PathBuf::from);
    let text = "[input]\nline = 'off'\n[cut]\nevery_ms = 4096\nstep_ms = 2048\n[[marker]]\nuse = 'rhythm'\n";
    let recipe = Recipe::parse(text).unwrap();
    let (mut peak, mut gravity) = (0.0, 0.0);
    for (name, published_sd) in [("tute_01_1.set", 0.13372), ("tute_01_2.set", 0.10918)] {
        let path = shared.join("data/eeg-restingIAF").join(name);
        let analysis = match analyse(&path, &recipe, &Options::default()) {
            Ok(analysis) => analysis,
            Err(error) => {
                eprintln!("SKIPPED: a_published_alpha_rhythm proves nothing: {error}");
                return;
            }
        };
        let t = table(&analysis.tables, "rhythm");
        let peaks: Vec<f64> = (0..6).filter_map(|r| t.number(r, "peak_hz")).collect();
        let mean = peaks.iter().sum::<f64>() / peaks.len() as f64;
        let sd = (peaks.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / (peaks.len() - 1) as f64).sqrt();
        assert_eq!(peaks.len(), 5);
        assert!((sd - published_sd).abs() < 1e-5, "{name}: {sd}");
        peak += t.number(6, "peak_hz").unwrap() / 2.0;
        gravity += t.number(6, "center_of_gravity_hz").unwrap() / 2.0;
    }
    eprintln!("peak {peak:.3} Hz (10.675), centre of gravity {gravity:.3} Hz (10.229)");
    assert!((peak - 10.675).abs() < 0.1 && (gravity - 10.229).abs() < 0.1, "{peak} {gravity}");
}
