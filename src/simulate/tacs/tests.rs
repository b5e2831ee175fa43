use super::*;
use crate::flow::{Source, read_all};
use crate::simulate::RestSimulation;
use std::f64::consts::TAU;

/// A short one with everything but clipping switched on.
fn busy() -> TacsSimulation {
    let brain = RestSimulation {
        channels: 19,
        rate_hz: 500.0,
        seconds: 30.0,
        eyes_s: 5.0,
        noisy: vec!["F3".into()],
        ..RestSimulation::default()
    };
    TacsSimulation {
        brain,
        lead_s: 4.0,
        tail_s: 3.0,
        off_s: vec![[12.0, 15.5]],
        ramp_s: 1.5,
        ppm: 37.0,
        drift_ppm: 20.0,
        drift_percent: 2.0,
        breathing_percent: 0.4,
        heart_percent: 0.2,
        ..TacsSimulation::default()
    }
}

/// Nothing but the artefact.
fn artefact(config: TacsSimulation) -> TacsSimulation {
    TacsSimulation { brain: config.brain.clone().silent(), ..config }
}

fn rows(config: &TacsSimulation) -> Vec<Vec<f64>> {
    read_all(&mut config.build().unwrap(), config.brain.channels + 1, 1000).unwrap()
}

fn at(simulator: &TacsSimulator, name: &str) -> usize {
    simulator.recording().main_stream().channels.iter().position(|c| c.name == name).unwrap()
}

#[test]
fn blocks_and_rewinds_do_not_matter_and_the_seed_does() {
    let mut simulator = busy().build().unwrap();
    let whole = read_all(&mut simulator, 20, 15_000).unwrap();
    assert_eq!(whole[0].len(), 15_000);
    for block in [1, 7, 511, 513, 1000] {
        simulator.rewind().unwrap();
        assert!(read_all(&mut simulator, 20, block).unwrap() == whole, "blocks of {block}");
    }
    let brain = RestSimulation { seed: 2, ..busy().brain };
    let other = rows(&TacsSimulation { brain, ..busy() });
    // another brain, the same current
    assert!(other[0] != whole[0] && other[19] == whole[19]);
    simulator.select(0, &[19, 3]).unwrap();
    assert!(read_all(&mut simulator, 2, 100).unwrap() == [whole[19].clone(), whole[3].clone()]);
}

/// The formula as the settings state it, written in seconds.
#[test]
fn recording_minus_truth_is_the_stated_artefact() {
    let config = busy();
    let (with, brain) = (rows(&config), config.artefact_free());
    let without = read_all(&mut brain.build().unwrap(), 19, 777).unwrap();
    let simulator = config.build().unwrap();
    let field = &simulator.truth_tables()[1];
    let (mut worst, mut largest) = (0.0_f64, 0.0_f64);
    for i in 0..15_000 {
        let t = i as f64 / 500.0;
        let inside = [(4.0, 12.0), (15.5, 27.0)].into_iter().find(|(lo, hi)| (*lo..*hi).contains(&t));
        let Some((lo, hi)) = inside else {
            assert!((0..19).all(|c| with[c][i] == without[c][i]) && with[19][i] == 0.0, "{t} s");
            continue;
        };
        let envelope = ((t - lo) / 1.5).min((hi - t) / 1.5).min(1.0);
        let (since, length) = (t - 4.0, 23.0);
        let phase = TAU * 10.0 * since * (1.0 + 37e-6 + 0.5 * 20e-6 * since / length);
        let wave = envelope * (phase.sin() + 0.003 * (2.0 * phase).sin() + 0.002 * (3.0 * phase).sin());
        let am = 0.004 * (TAU * 0.25 * since).sin() + 0.002 * (TAU * 1.1 * since).sin();
        let gain = (1.0 + 0.02 * since / length) * (1.0 + am);
        assert!((with[19][i] - wave).abs() < 1e-9);
        for c in 0..19 {
            let stated = 1e3 * field.number(c, "amplitude_mv").unwrap() * gain * wave;
            worst = worst.max((with[c][i] - without[c][i] - stated).abs());
            largest = largest.max(stated.abs());
        }
    }
    assert!(largest > 9_900.0 && worst < 1e-9 * largest, "{worst} of {largest}");
}

/// The phase between two whole-cycle windows far apart tells the frequency: off by the stated ppm.
#[test]
fn the_stimulators_clock_is_off_by_the_stated_ppm() {
    let config = artefact(TacsSimulation { off_s: Vec::new(), drift_ppm: 0.0, ..busy() });
    let config =
        TacsSimulation { breathing_percent: 0.0, heart_percent: 0.0, drift_percent: 0.0, harmonics: vec![], ..config };
    let stim = &rows(&config)[19];
    let phase = |first: usize| {
        let (re, im) = (first..first + 500).fold((0.0, 0.0), |(re, im), i| {
            let (s, c) = (TAU * (i as f64 / 50.0).fract()).sin_cos();
            (re + stim[i] * c, im - stim[i] * s)
        });
        im.atan2(re)
    };
    let (early, late) = (3000, 12_000);
    let cycles = (phase(late) - phase(early)) / TAU;
    let ppm = cycles / ((late - early) as f64 / 50.0) * 1e6;
    assert!((ppm - 37.0).abs() < 0.05, "{ppm}");
}

#[test]
fn the_field_is_largest_under_the_electrodes_and_turns_with_them() {
    let config = TacsSimulation { electrodes: ["C3".into(), "F4".into()], ..busy() };
    let simulator = config.build().unwrap();
    let field = &simulator.play.field;
    assert!((simulator.play.field[simulator.play.peak].abs() - 1e4).abs() < 1e-9);
    let extreme = |sign: f64| (0..19).max_by(|&a, &b| (sign * field[a]).total_cmp(&(sign * field[b]))).unwrap();
    assert_eq!((extreme(1.0), extreme(-1.0)), (at(&simulator, "C3"), at(&simulator, "F4")));
    let turned = TacsSimulation { electrodes: ["F4".into(), "C3".into()], ..busy() }.build().unwrap();
    assert!(field.iter().zip(&turned.play.field).all(|(a, b)| (a + b).abs() < 1e-9));
}

#[test]
fn the_amplifier_clips_the_sum_and_some_channels_before_others() {
    let mut config = busy();
    config.brain.range_uv = 6000.0;
    config.saturated = vec!["o1".into(), "Fp1".into()];
    config.saturated_uv = 500.0;
    let simulator = config.build().unwrap();
    let rows = rows(&config);
    let largest = |c: usize| rows[c].iter().fold(0.0_f64, |a, v| a.max(v.abs()));
    assert_eq!(largest(at(&simulator, "Cz")), 6000.0);
    let [o1, cz] = ["O1", "Cz"].map(|n| at(&simulator, n));
    assert_eq!(largest(o1), 500.0);
    let channels = &simulator.recording().main_stream().channels;
    assert_eq!((channels[o1].range, channels[cz].range), (Some([-500.0, 500.0]), Some([-6000.0, 6000.0])));
    assert_eq!(simulator.truth_tables()[1].number(o1, "limit_uv"), Some(500.0));
    assert_eq!(busy().build().unwrap().truth_tables()[1].number(o1, "limit_uv"), None);
    // the truth is not clipped
    assert_eq!(config.artefact_free().range_uv, 0.0);
}

#[test]
fn events_channels_and_tables_tell_the_truth() {
    let simulator = busy().build().unwrap();
    let recording = simulator.recording();
    let stim = recording.main_stream().channels.last().unwrap();
    assert_eq!((stim.name.as_str(), stim.kind, &stim.unit), ("STIM", ChannelKind::Stim, &Unit::Milliampere));
    let of = |name: &str| {
        let named = recording.events.iter().filter(|e| recording.event_name(e.name) == name);
        named.map(|e| (e.tick.0, e.duration_s)).collect::<Vec<_>>()
    };
    assert_eq!(of("stim_on"), [(2000, 8.0), (7750, 11.5)]);
    assert_eq!(of("stim_off"), [(6000, 0.0), (13_500, 0.0)]);
    assert_eq!((of("EC").len(), of("EO").len()), (3, 3));
    assert!(recording.events.is_sorted_by_key(|e| e.tick));
    let tables = simulator.truth_tables();
    let names: Vec<&str> = tables.iter().map(Table::name).collect();
    assert_eq!(names, ["truth_stimulation", "truth_field", "truth_spectrum", "truth_coupling"]);
    let number = |row, column| tables[0].number(row, column).unwrap();
    assert_eq!((tables[0].len(), number(1, "start_s"), number(1, "end_s")), (2, 15.5, 27.0));
    // the middle of the second stretch is 17.25 of 23 s into the drifts
    let ppm = 37.0 + 20.0 * 17.25 / 23.0;
    assert!((number(1, "ppm") - ppm).abs() < 1e-9);
    assert!((number(1, "frequency_hz") - 10.0 * (1.0 + 1e-6 * ppm)).abs() < 1e-12);
    assert!((number(1, "amplitude_mv") - 10.0 * (1.0 + 0.02 * 17.25 / 23.0)).abs() < 1e-9);
    assert!((number(0, "am_percent") - 0.6).abs() < 1e-12);
    assert_eq!(tables[1].len(), 19);
}

#[test]
fn impossible_wishes_are_all_reported() {
    let mut config = TacsSimulation { freq_hz: f64::NAN, off_s: vec![[20.0, 10.0]], ..busy() };
    config.brain.pair_coherency = 2.0;
    config.electrodes = ["Oz".into(), "Oz".into()];
    let text = config.build().unwrap_err().to_string();
    assert!(["pair_coherency", "freq_hz", "off_s", "electrodes"].iter().all(|key| text.contains(key)), "{text}");
    for config in [
        TacsSimulation { lead_s: 28.0, ..busy() },
        TacsSimulation { ramp_s: 5.0, ..busy() },
        TacsSimulation { saturated: vec!["XY".into()], ..busy() },
    ] {
        assert!(config.build().is_err_and(|e| e.kind() == crate::ErrorKind::Usage));
    }
}

/// The brain's keys stand beside the stimulation's own, and an unknown one is an error all the same.
#[test]
fn a_simulation_reads_back_from_toml() {
    let text = toml::to_string(&busy()).unwrap();
    assert_eq!(toml::from_str::<TacsSimulation>(&text).unwrap(), busy());
    assert_eq!(toml::from_str::<TacsSimulation>("").unwrap(), TacsSimulation::default());
    let both = toml::from_str::<TacsSimulation>("alpha_uv = 3\nfreq_hz = 6").unwrap();
    assert_eq!((both.brain.alpha_uv, both.freq_hz), (3.0, 6.0));
    assert!(toml::from_str::<TacsSimulation>("alpha = 3").is_err());
}
