use super::*;
use crate::dsp::harmonics::turn;
use crate::read::MemorySource;
use crate::signal::{Recording, Segment};
use crate::table::Table;
use crate::unit::{Rate, Tick, Unit};
use std::f64::consts::TAU;

fn recording(rate: u64, rows: Vec<Vec<f64>>) -> MemorySource {
    let length = rows[0].len() as u64;
    let channels =
        (0..rows.len()).map(|c| Channel::new(format!("ch{}", c + 1), ChannelKind::Stim, Unit::Milliampere)).collect();
    let stream = Stream {
        rate: Rate::new(rate, 1).unwrap(),
        channels,
        file_index: (0..rows.len()).collect(),
        segments: vec![Segment { first: Tick(0), length, start_s: 0.0 }],
    };
    let recording = Recording {
        name: "x".to_owned(),
        format: "memory".to_owned(),
        main: 0,
        streams: vec![stream],
        events: Vec::new(),
        event_names: Vec::new(),
        event_is_stimulus: Vec::new(),
        start: None,
        line_hz: None,
        epoched: None,
        warnings: Vec::new(),
    };
    MemorySource::new(recording, vec![rows]).unwrap()
}

pub(super) fn measure(rate: u64, rows: Vec<Vec<f64>>, settings: &Settings) -> Vec<Table> {
    watch_source(&mut recording(rate, rows), settings, &Options::default()).unwrap().tables
}

pub(super) fn told(hz: f64) -> Settings {
    Settings { frequency_hz: Some(hz), ..Settings::default() }
}

/// A cosine of `hz` with harmonics (order, amplitude, phase).
pub(super) fn wave(rate: f64, hz: f64, n: usize, harmonics: &[(i64, f64, f64)]) -> Vec<f64> {
    (0..n as i64)
        .map(|i| harmonics.iter().map(|(k, a, phase)| a * (turn(hz / rate, i * k) * turn(phase / TAU, 1)).re).sum())
        .collect()
}

/// |found / want − 1| ≤ 1e-6, the tolerance.
#[track_caller]
pub(super) fn close(found: Option<f64>, want: f64) {
    let found = found.unwrap();
    assert!((found - want).abs() <= 1e-6 * want.abs(), "{found}, not {want}");
}

#[test]
fn amplitude_frequency_and_distortion_are_closed_forms() {
    let n = 60_000;
    let mut x = wave(1000.0, 10.0003, n, &[(1, 2.0, 0.4), (2, 0.02, 1.0), (3, 0.01, 0.2)]);
    x.iter_mut().for_each(|x| *x += 4e-3);
    for settings in [Settings::default(), told(10.0)] {
        let table = &measure(1000, vec![x.clone()], &settings)[0];
        assert_eq!(table.len(), 1);
        let number = |column: &str| table.number(0, column);
        close(number("frequency_hz"), 10.0003);
        assert!((number("frequency_hz").unwrap() / 10.0003 - 1.0).abs() < 1e-10);
        close(number("amplitude"), 2.0);
        close(number("thd"), 0.01_f64.hypot(0.005));
        close(number("thd_n"), 0.01_f64.hypot(0.005));
        close(number("dc"), 4e-3);
        assert_eq!(number("offset_ppm").is_some(), settings.frequency_hz.is_some());
        if settings.frequency_hz.is_some() {
            assert!((number("offset_ppm").unwrap() - 30.0).abs() < 1e-4);
        }
        assert!(number("phase_jitter_deg").unwrap() < 1e-3 && number("ripple").unwrap() < 1e-5);
        assert_eq!((table.text(0, "verdict"), table.number(0, "clipped_fraction")), (Some("ok"), Some(0.0)));
    }
}

/// Ramps of 5 s, a plateau of 20 s, silence around.
fn ramped(rate: f64, hz: f64) -> Vec<f64> {
    wave(rate, hz, (40.0 * rate) as usize, &[(1, 2.0, 0.3)])
        .iter()
        .enumerate()
        .map(|(i, x)| {
            let t = i as f64 / rate;
            x * ((t - 3.0) / 5.0).min((33.0 - t) / 5.0).clamp(0.0, 1.0)
        })
        .collect()
}

#[test]
fn ramps_and_plateau_are_closed_forms() {
    let settings =
        Settings { expect: expect::Expectation::parse("10Hz,2mA,ramp=5s,duration=30s").unwrap(), ..told(10.0) };
    let tables = measure(1000, vec![ramped(1000.0, 10.0)], &settings);
    let number = |column: &str| tables[0].number(0, column);
    for (column, want) in [
        ("start_s", 3.0),
        ("end_s", 33.0),
        ("ramp_up_s", 5.0),
        ("ramp_down_s", 5.0),
        ("plateau_s", 20.0),
        ("amplitude", 2.0),
    ] {
        close(number(column), want);
    }
    assert!(number("ramp_up_r2").unwrap() > 0.9999);
    let verdicts: Vec<_> = (0..tables[1].len()).map(|r| tables[1].text(r, "verdict").unwrap().to_owned()).collect();
    assert_eq!(verdicts, ["met"; 5]);
    assert_eq!(tables[0].text(0, "verdict"), Some("ok"));
    let missed = Settings { expect: expect::Expectation::parse("10.1Hz,pp=2mA,ramp=6s").unwrap(), ..told(10.0) };
    let tables = measure(1000, vec![ramped(1000.0, 10.0)], &missed);
    let verdicts: Vec<_> = (0..tables[1].len()).map(|r| tables[1].text(r, "verdict").unwrap().to_owned()).collect();
    assert_eq!(verdicts, ["missed"; 4]);
    assert_eq!(tables[0].text(0, "verdict"), Some("deviates"));
    assert!(tables[0].text(0, "reason").unwrap().contains("amplitude 2 mA, not 1 mA"));
}

#[test]
fn hard_case_6_bursts_and_off_periods_are_episodes_of_their_own() {
    let on = [2.0..3.0, 6.0..9.0, 15.0..23.0];
    let x: Vec<f64> = wave(1000.0, 10.0, 30_000, &[(1, 1.0, 0.0)])
        .iter()
        .enumerate()
        .map(|(i, x)| if on.iter().any(|r| r.contains(&(i as f64 / 1000.0))) { *x } else { 0.0 })
        .collect();
    let table = &measure(1000, vec![x], &Settings::default())[0];
    assert_eq!(table.len(), 3);
    for (row, on) in on.iter().enumerate() {
        assert!((table.number(row, "start_s").unwrap() - on.start).abs() < 2e-3);
        assert!((table.number(row, "end_s").unwrap() - on.end).abs() < 11e-3);
        close(table.number(row, "frequency_hz"), 10.0);
        close(table.number(row, "amplitude"), 1.0);
        assert_eq!(table.number(row, "ramp_up_s"), Some(0.0));
    }
}

#[test]
fn clipped_samples_are_counted_and_rounding_is_not() {
    let clean = wave(5000.0, 10.003, 100_000, &[(1, 1.0, 0.1)]);
    let clipped: Vec<f64> = clean.iter().map(|x| x.clamp(-0.95, 0.95)).collect();
    let rounded: Vec<f64> = clean.iter().map(|x| (x * 2048.0).round() / 2048.0).collect();
    let table = &measure(5000, vec![clipped.clone(), rounded], &told(10.0))[0];
    // the plateau leaves a cell out at each end
    let cell = 500;
    let inside = &clipped[cell..clipped.len() - cell];
    let want = inside.iter().filter(|x| x.abs() == 0.95).count() as f64 / inside.len() as f64;
    let found = table.number(0, "clipped_fraction").unwrap();
    assert!((found - want).abs() < 2e-3 && found > 0.19, "{found}, not {want}");
    assert_eq!((table.text(0, "verdict"), table.text(0, "reason")), (Some("doubtful"), Some("clipped")));
    assert_eq!((table.number(1, "clipped_fraction"), table.text(1, "verdict")), (Some(0.0), Some("ok")));
}

#[test]
fn hard_case_12_offset_inverted_and_delayed_channels_are_told() {
    let one = wave(44_100.0, 40.0, 441_000, &[(1, 0.5, 0.0)]);
    let inverted: Vec<f64> = one.iter().map(|x| -x).collect();
    let delayed = wave(44_100.0, 40.0, 441_000, &[(1, 0.5, -TAU * 40.0 * 0.3 / 44_100.0)]);
    let offset: Vec<f64> = one.iter().map(|x| x + 0.005).collect();
    let table = &measure(44_100, vec![one, inverted, delayed, offset], &Settings::default())[0];
    let phase = |row| table.number(row, "phase_deg").unwrap();
    assert!(phase(0).abs() < 1e-9 && (phase(1).abs() - 180.0).abs() < 1e-6);
    close(Some(phase(2)), -360.0 * 40.0 * 0.3 / 44_100.0);
    close(table.number(3, "dc"), 0.005);
    // the mean of |A sin + d| is 2/π (√(A² − d²) + d asin(d/A))
    let mean = 2.0 / std::f64::consts::PI * ((0.25_f64 - 0.005 * 0.005).sqrt() + 0.005 * 0.01_f64.asin());
    // whole cycles end between two samples: half a sample of 2205 in all
    assert!((table.number(3, "charge_balance").unwrap() / (0.005 / mean) - 1.0).abs() < 3e-4);
    assert!(table.number(0, "charge_balance").unwrap().abs() < 1e-4);
}

#[test]
fn hard_case_5_dropouts_and_phase_jumps_are_told() {
    let mut lost = wave(1000.0, 10.0, 60_000, &[(1, 1.0, 0.0)]);
    lost[30_000..30_300].fill(0.0);
    // 25 samples are missing: a quarter of a cycle
    let mut jump = wave(1000.0, 10.0, 60_000, &[(1, 1.0, 0.0)]);
    jump.drain(30_000..30_025);
    jump.extend([0.0; 25]);
    let table = &measure(1000, vec![lost, jump], &Settings::default())[0];
    assert_eq!((table.number(0, "dropouts"), table.text(0, "verdict")), (Some(1.0), Some("doubtful")));
    assert!(table.number(1, "phase_jumps").unwrap() >= 1.0);
    assert!(table.text(1, "reason").unwrap().contains("phase_jumps"));
}

#[test]
fn what_has_no_carrier_gets_a_row_that_says_so() {
    let mut state = 1_u64;
    let noise: Vec<f64> = (0..20_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) as f64 / f64::from(1_u32 << 31) - 0.5
        })
        .collect();
    let tables = measure(1000, vec![noise, vec![0.0; 20_000], vec![f64::NAN; 20_000]], &Settings::default());
    assert_eq!(tables[0].len(), 3);
    for row in 0..3 {
        assert_eq!((tables[0].text(row, "reason"), tables[0].number(row, "frequency_hz")), (Some("no_carrier"), None));
    }
    assert!((tables[0].number(0, "rms").unwrap() * 12_f64.sqrt() - 1.0).abs() < 0.02);
}

#[test]
fn samples_that_are_not_finite_are_left_out() {
    let mut x = wave(1000.0, 10.0, 20_000, &[(1, 1.0, 0.0), (2, 0.01, 0.0)]);
    (x[5_000], x[5_001], x[12_345]) = (f64::NAN, f64::INFINITY, f64::NAN);
    let table = &measure(1000, vec![x], &told(10.0))[0];
    close(table.number(0, "amplitude"), 1.0);
    close(table.number(0, "thd"), 0.01);
}

#[test]
fn a_protocol_is_read_or_refused() {
    let all = expect::Expectation::parse("10 Hz, 2mA,ramp=30s,duration=20min,tolerance=2%").unwrap();
    assert_eq!((all.frequency_hz, all.ramp_s, all.duration_s), (Some(10.0), Some(30.0), Some(1200.0)));
    assert_eq!((all.amplitude, all.tolerance), (Some((2.0, Unit::Milliampere)), Some(0.02)));
    for bad in ["", "10", "10Hz,11Hz", "ramp=3mA", "-2mA", "2xA", "speed=3s", "10Hz,,2mA", "0Hz"] {
        assert!(expect::Expectation::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn columns_are_the_contract() {
    let contract = "segment,start_s,end_s,channel,unit,frequency_hz,frequency_sd_hz,offset_ppm,amplitude,rms,crest_factor,dc,thd,\
                    thd_n,phase_deg,phase_jitter_deg,ramp_up_s,plateau_s,ramp_down_s,ripple,clipped_fraction,verdict,reason";
    let names: Vec<&str> = WAVEFORM.columns.iter().map(|c| &*c.name).collect();
    assert!(names.join(",").starts_with(contract));
}

/// A sine of 10 Hz with ramps of 5 s from 5 s on, whose plateau is multiplied by `shape`, in 40 s.
fn shaped(shape: impl Fn(f64) -> f64) -> Vec<f64> {
    let x = wave(1000.0, 10.0, 40_000, &[(1, 1.0, 0.3)]);
    let on = |t: f64| ((t - 5.0) / 5.0).min((35.0 - t) / 5.0).clamp(0.0, 1.0);
    x.iter().enumerate().map(|(i, x)| (i as f64 / 1000.0, x)).map(|(t, x)| x * on(t) * shape(t)).collect()
}

#[test]
fn a_plateau_that_changes_is_doubtful_and_its_edges_are_in_the_file() {
    let step = |share: f64| shaped(move |t| if t > 20.0 { share } else { 1.0 });
    let sag = |share: f64| shaped(move |t| 1.0 - share * ((t - 10.0) / 20.0).clamp(0.0, 1.0));
    let rows = [0.5, 0.8, 0.9, 1.2, 1.5].map(step).into_iter().chain([0.1, 0.3, 0.5].map(sag)).collect();
    let settings = Settings { expect: expect::Expectation::parse("10Hz,1mA").unwrap(), ..told(10.0) };
    let table = &measure(1000, rows, &settings)[0];
    assert_eq!(table.len(), 8);
    for row in 0..table.len() {
        let number = |column: &str| table.number(row, column).unwrap();
        for (column, want) in [("start_s", 5.0), ("end_s", 35.0), ("plateau_s", 20.0), ("ramp_down_s", 5.0)] {
            assert!((number(column) - want).abs() < 1.0, "{row} {column}: {}", number(column));
        }
        assert_eq!(table.text(row, "verdict"), Some("doubtful"), "{row}");
        // what falls to a half has dropped out
        let why = if row == 0 { "dropouts" } else { "unsteady" };
        assert!(table.text(row, "reason").unwrap().contains(why), "{row}: {:?}", table.text(row, "reason"));
    }
    // a step without a ramp behind it, and a recording that ends within its ramp
    let rows = vec![step(0.8)[..28_000].to_vec(), step(1.0)[..33_500].to_vec()];
    for (row, x) in rows.into_iter().enumerate() {
        let end = x.len() as f64 / 1000.0;
        let table = &measure(1000, vec![x], &settings)[0];
        let number = |column: &str| table.number(0, column).unwrap();
        assert!((number("end_s") - end).abs() < 0.11 && number("end_s") <= end, "{row}: {}", number("end_s"));
        assert!(number("start_s") + number("ramp_up_s") + number("plateau_s") + number("ramp_down_s") <= end + 1e-9);
        assert!(table.text(0, "reason").unwrap().contains("unsteady"), "{row}: {:?}", table.text(0, "reason"));
    }
}

#[test]
fn what_cannot_be_compared_is_not_ok_and_the_way_out_is_told() {
    for (protocol, says) in [("10Hz,2mV", "in a unit of the channel (mA)"), ("10Hz,rms=2V", "(mA)")] {
        let settings = Settings { expect: expect::Expectation::parse(protocol).unwrap(), ..Settings::default() };
        let x = wave(1000.0, 10.0, 20_000, &[(1, 1.0, 0.0)]);
        let analysis = watch_source(&mut recording(1000, vec![x]), &settings, &Options::default()).unwrap();
        let table = &analysis.tables[0];
        assert_eq!((table.text(0, "verdict"), analysis.trials), (Some("doubtful"), (0, 1)));
        assert!(table.text(0, "reason").unwrap().contains("not_comparable"), "{:?}", table.text(0, "reason"));
        let said: Vec<&str> = analysis.warnings.iter().map(|w| w.code).collect();
        assert_eq!(said, ["W_NOT_COMPARABLE"]);
        assert!(analysis.warnings[0].message.contains(says), "{}", analysis.warnings[0].message);
    }
}

#[test]
fn a_frequency_that_was_only_told_is_never_met() {
    let mut state = 1_u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as f64 / f64::from(1_u32 << 31) - 0.5
    };
    let on = |i: i64| ((i as f64 - 5e3) / 5e3).min((35e3 - i as f64) / 5e3).clamp(0.0, 1.0);
    let level: Vec<f64> = (0..40_000).map(|i| on(i) + 1e-4 * random()).collect();
    let noise: Vec<f64> = (0..40_000).map(|i| on(i) * random()).collect();
    let settings = Settings { expect: expect::Expectation::parse("10Hz,1mA").unwrap(), ..Settings::default() };
    let tables = measure(1000, vec![level, noise, vec![0.0; 40_000]], &settings);
    assert_eq!((tables[0].text(0, "kind"), tables[0].number(0, "frequency_hz")), (Some("dc"), None));
    for row in 0..tables[0].len() {
        assert_eq!(tables[0].text(row, "verdict"), Some("doubtful"), "{row}");
    }
    let lines = &tables[1];
    let frequency = |r: &usize| lines.text(*r, "item") == Some("frequency");
    assert!((0..lines.len()).filter(frequency).all(|r| lines.text(r, "verdict") != Some("met")));
    // nothing came of what was expected
    let silent = |r: &usize| lines.text(*r, "channel") == Some("ch3");
    let verdicts: Vec<_> = (0..lines.len()).filter(silent).map(|r| lines.text(r, "verdict").unwrap()).collect();
    assert_eq!(verdicts, ["missed"; 2]);
}
