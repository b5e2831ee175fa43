use super::*;
use crate::flow::{Source, read_all};
use crate::simulate::TmsSimulation;
use std::f64::consts::{PI, TAU};

/// Short, with everything switched on.
fn busy() -> RestSimulation {
    RestSimulation {
        channels: 19,
        rate_hz: 500.0,
        seconds: 6.0,
        eyes_s: 2.5,
        blinks_per_min: 60.0,
        flat: vec!["T8".into()],
        noisy: vec!["f3".into()],
        range_uv: 100.0,
        resolution_uv: 0.1,
        ..RestSimulation::default()
    }
}

/// Nothing yet, 19 channels at 250 Hz.
fn silent(seconds: f64) -> RestSimulation {
    RestSimulation { channels: 19, rate_hz: 250.0, seconds, ..RestSimulation::default() }.silent()
}

fn rows(config: &RestSimulation) -> Vec<Vec<f64>> {
    read_all(&mut config.build().unwrap(), config.channels, 1000).unwrap()
}

fn at(simulator: &RestSimulator, name: &str) -> usize {
    simulator.recording().main_stream().channels.iter().position(|c| c.name == name).unwrap()
}

fn rms(row: &[f64]) -> f64 {
    (row.iter().map(|v| v * v).sum::<f64>() / row.len() as f64).sqrt()
}

/// Mean of X Y* per Hz over Hann-tapered stretches of `seconds`, at `hz`.
fn cross(x: &[f64], y: &[f64], rate_hz: f64, seconds: f64, hz: f64) -> [f64; 2] {
    let n = (seconds * rate_hz) as usize;
    let transform = |stretch: &[f64]| {
        stretch.iter().enumerate().fold([0.0; 2], |[re, im], (i, v)| {
            let (s, c) = (TAU * hz * i as f64 / rate_hz).sin_cos();
            let w = v * (PI * i as f64 / n as f64).sin().powi(2);
            [re + w * c, im - w * s]
        })
    };
    let norm = 0.375 * n as f64 * rate_hz / 2.0 * (x.len() / n) as f64;
    let pairs = x.chunks_exact(n).zip(y.chunks_exact(n));
    pairs.fold([0.0; 2], |sum, (x, y)| {
        let ([a, b], [c, d]) = (transform(x), transform(y));
        [sum[0] + (a * c + b * d) / norm, sum[1] + (b * c - a * d) / norm]
    })
}

#[test]
fn blocks_and_rewinds_do_not_matter_and_the_seed_does() {
    let mut simulator = busy().build().unwrap();
    let whole = read_all(&mut simulator, 19, 3000).unwrap();
    assert_eq!(whole[0].len(), 3000);
    for block in [1, 7, 511, 513, 1000] {
        simulator.rewind().unwrap();
        assert!(read_all(&mut simulator, 19, block).unwrap() == whole, "blocks of {block}");
    }
    assert!(rows(&RestSimulation { seed: 2, ..busy() })[0] != whole[0]);
    assert!(rows(&silent(2.0)).iter().flatten().all(|v| *v == 0.0));
}

#[test]
fn the_stated_slope_is_recovered_from_the_spectrum() {
    for exponent in [0.6, 1.0, 1.6] {
        let config = RestSimulation { background_uv: 10.0, background_exponent: exponent, ..silent(240.0) };
        let (rows, mut slopes) = (rows(&config), 0.0);
        for row in &rows[..4] {
            let points = (4..=80).map(|k| {
                let hz = 0.5 * f64::from(k);
                (hz.ln(), cross(row, row, 250.0, 2.0, hz)[0].ln())
            });
            let points: Vec<(f64, f64)> = points.collect();
            let n = points.len() as f64;
            let mean = points.iter().fold((0.0, 0.0), |m, p| (m.0 + p.0 / n, m.1 + p.1 / n));
            let up: f64 = points.iter().map(|p| (p.0 - mean.0) * (p.1 - mean.1)).sum();
            slopes -= up / points.iter().map(|p| (p.0 - mean.0).powi(2)).sum::<f64>() / 4.0;
        }
        assert!((slopes - exponent).abs() < 0.1, "stated {exponent}, found {slopes}");
    }
}

#[test]
fn alpha_is_at_its_frequency_and_as_large_as_stated() {
    let config = RestSimulation { alpha_uv: 8.0, alpha_hz: 9.5, ..silent(400.0) };
    let simulator = config.build().unwrap();
    let rows = rows(&config);
    let back = &rows[at(&simulator, "Pz")];
    let power = |k: &i32| cross(back, back, 250.0, 4.0, 0.25 * f64::from(*k))[0];
    let peak = (20..=60).max_by(|a, b| power(a).total_cmp(&power(b))).unwrap();
    assert!((0.25 * f64::from(peak) - 9.5).abs() <= 0.5, "{}", 0.25 * f64::from(peak));
    let [spectrum, _]: [Table; 2] = simulator.truth_tables().try_into().unwrap();
    for (c, row) in rows.iter().enumerate() {
        let stated = spectrum.number(c, "alpha_uv").unwrap();
        assert!((rms(row) - stated).abs() < 0.1 * stated + 1e-9, "channel {c}: {} against {stated}", rms(row));
    }
}

#[test]
fn eyes_open_and_close_and_alpha_follows() {
    let config = RestSimulation { alpha_uv: 8.0, eyes_s: 50.0, eyes_open_gain: 0.3, ..silent(390.0) };
    let simulator = config.build().unwrap();
    let recording = simulator.recording();
    assert_eq!(recording.event_names, ["EC", "EO"]);
    assert_eq!(recording.events.len(), 8);
    for (i, event) in recording.events.iter().enumerate() {
        assert_eq!((event.tick.0, event.name.0), (i as i64 * 12_500, i as u32 % 2));
        assert_eq!(event.duration_s, if i == 7 { 40.0 } else { 50.0 });
    }
    let rows = rows(&config);
    let back = &rows[at(&simulator, "Pz")];
    let state = |open| back.chunks(12_500).skip(open).step_by(2).flatten().copied().collect::<Vec<f64>>();
    let gain = rms(&state(1)) / rms(&state(0));
    assert!((gain - 0.3).abs() < 0.03, "{gain}");
    let spectrum = &simulator.truth_tables()[0];
    assert_eq!(spectrum.len(), 38);
    let ratio = spectrum.number(19, "alpha_uv").unwrap() / spectrum.number(0, "alpha_uv").unwrap();
    assert!((ratio - 0.3).abs() < 1e-12);
}

#[test]
fn nobody_blinks_with_closed_eyes() {
    let config = RestSimulation { blink_uv: 100.0, blinks_per_min: 40.0, eyes_s: 10.0, ..silent(60.0) };
    let rows = rows(&config);
    let size = |state: usize| {
        let blocks = rows[0].chunks(2500).skip(state).step_by(2);
        blocks.map(|b| b[100..].iter().fold(0.0, |a: f64, v| a.max(*v))).collect::<Vec<f64>>()
    };
    assert!(size(0).iter().all(|v| *v == 0.0) && size(1).iter().all(|v| *v > 90.0));
}

/// Both sources solved for from two electrodes: phase, coherency and who leads are as stated, and over the scalp the
/// imaginary part of the cross-spectrum has the leader's sign.
#[test]
fn the_first_of_the_pair_leads_by_its_lag() {
    let config = RestSimulation { pair_uv: 5.0, pair_lag_ms: 12.0, pair_coherency: 0.8, ..silent(400.0) };
    for swapped in [false, true] {
        let mut config = config.clone();
        if swapped {
            config.pair_under.reverse();
        }
        let simulator = config.build().unwrap();
        let rows = rows(&config);
        let coupling = &simulator.truth_tables()[1];
        let (lag_ms, phase) = (coupling.number(0, "lag_ms").unwrap(), coupling.number(0, "phase_deg").unwrap());
        assert!((lag_ms - 12.0).abs() < 1e-9 && (phase - 360.0 * 16.0 * 0.012).abs() < 1e-9);
        let (f3, p4) = (&rows[at(&simulator, "F3")], &rows[at(&simulator, "P4")]);
        let imaginary = cross(f3, p4, 250.0, 2.0, 16.0)[1];
        assert!(if swapped { imaginary < 0.0 } else { imaginary > 0.0 }, "{imaginary}");

        let [a, b] = [1, 2].map(|s: usize| &simulator.play.rhythms.topographies[s]);
        let (i, j) = (a.peak, b.peak);
        let names = &simulator.recording().main_stream().channels;
        assert_eq!([&names[i].name, &names[j].name], [&config.pair_under[0], &config.pair_under[1]]);
        let det = a.map_uv[i] * b.map_uv[j] - a.map_uv[j] * b.map_uv[i];
        let first = rows[i].iter().zip(&rows[j]).map(|(x, y)| (b.map_uv[j] * x - b.map_uv[i] * y) / det);
        let second = rows[i].iter().zip(&rows[j]).map(|(x, y)| (a.map_uv[i] * y - a.map_uv[j] * x) / det);
        let (first, second): (Vec<f64>, Vec<f64>) = (first.collect(), second.collect());
        assert!((rms(&first) - 1.0).abs() < 0.05 && (rms(&second) - 1.0).abs() < 0.05);
        let [re, im] = cross(&first, &second, 250.0, 2.0, 16.0);
        let power = |x: &[f64]| cross(x, x, 250.0, 2.0, 16.0)[0];
        let coherency = re.hypot(im) / (power(&first) * power(&second)).sqrt();
        assert!((coherency - 0.8).abs() < 0.06, "{coherency}");
        assert!((im.atan2(re).to_degrees() - phase).abs() < 5.0, "{}", im.atan2(re).to_degrees());
        for (c, row) in rows.iter().enumerate() {
            let stated = simulator.play.rhythms.pair_uv(c);
            assert!((rms(row) - stated).abs() < 0.08 * stated + 0.01, "{c}: {} against {stated}", rms(row));
        }
    }
}

#[test]
fn the_beta_sources_are_independent() {
    let config = RestSimulation { beta_uv: 4.0, ..silent(400.0) };
    let simulator = config.build().unwrap();
    let rows = rows(&config);
    let (c3, c4) = (&rows[at(&simulator, "C3")], &rows[at(&simulator, "C4")]);
    let [_, im] = cross(c3, c4, 250.0, 2.0, 24.0);
    let size = (cross(c3, c3, 250.0, 2.0, 24.0)[0] * cross(c4, c4, 250.0, 2.0, 24.0)[0]).sqrt();
    // three standard errors of 200 stretches
    assert!((im / size).abs() < 3.0 / 400_f64.sqrt(), "{}", im / size);
    let coupling = &simulator.truth_tables()[1];
    assert_eq!((coupling.len(), coupling.number(0, "coherency"), coupling.number(0, "lag_ms")), (1, Some(0.0), None));
}

#[test]
fn poor_electrodes_and_the_amplifier_are_those_of_tms() {
    let rows = rows(&busy());
    let simulator = busy().build().unwrap();
    assert!(rows[at(&simulator, "T8")].iter().all(|v| *v == 0.0));
    assert!(rms(&rows[at(&simulator, "F3")]) > 1.5 * rms(&rows[at(&simulator, "F4")]));
    assert!(rows.iter().flatten().all(|v| v.abs() <= 100.0 && (v / 0.1 - (v / 0.1).round()).abs() < 1e-6));
    let spectrum = &simulator.truth_tables()[0];
    assert_eq!(spectrum.number(at(&simulator, "T8"), "alpha_uv"), None);
    assert!((spectrum.number(at(&simulator, "F3"), "white_uv").unwrap() - 0.5_f64.hypot(50.0)).abs() < 1e-12);
    // the same seed gives the same background and blinks whatever is simulated
    let rest = RestSimulation { background_uv: 10.0, blink_uv: 50.0, ..silent(4.0) };
    let tms = TmsSimulation { channels: 19, rate_hz: 250.0, seconds: 4.0, sham: true, ..TmsSimulation::default() };
    let tms = TmsSimulation { background_uv: 10.0, blink_uv: 50.0, range_uv: 0.0, ..tms.response_only() };
    let tms = read_all(&mut TmsSimulation { range_uv: 0.0, ..tms }.build().unwrap(), 19, 100).unwrap();
    assert!(tms == self::rows(&rest));
}

#[test]
fn impossible_wishes_are_all_reported() {
    let config = RestSimulation {
        pair_coherency: 1.5,
        beta_band_hz: [30.0, 20.0],
        alpha_under: "XY".into(),
        ..RestSimulation::default()
    };
    let text = config.build().unwrap_err().to_string();
    assert_eq!(text.lines().count(), 3, "{text}");
    let same = RestSimulation { pair_under: ["C3".into(), "C3".into()], ..RestSimulation::default() };
    for config in [
        RestSimulation { channels: 1, ..RestSimulation::default() },
        RestSimulation { noisy: vec!["XY1".into()], ..RestSimulation::default() },
        same,
    ] {
        assert!(config.build().is_err_and(|e| e.kind() == crate::ErrorKind::Usage));
    }
}

#[test]
fn a_simulation_reads_back_from_toml() {
    let text = toml::to_string(&busy()).unwrap();
    assert_eq!(toml::from_str::<RestSimulation>(&text).unwrap(), busy());
    assert_eq!(toml::from_str::<RestSimulation>("").unwrap(), RestSimulation::default());
    assert!(toml::from_str::<RestSimulation>("alpha = 3").is_err());
}
