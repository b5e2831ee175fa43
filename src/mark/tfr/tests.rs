use super::super::kit::{Kit, number};
use super::super::series::tests::lcg;
use super::*;
use std::f64::consts::TAU;

fn golden() -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/tfr.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn list(value: &serde_json::Value) -> Vec<f64> {
    serde_json::from_value(value.clone()).unwrap()
}

const RATE: f64 = 200.0;

/// Trial k of channel c of the reference numbers.
fn reference_trial(k: u64, c: usize) -> Vec<f64> {
    let phase = 0.9 * (1.7 * k as f64).sin() + c as f64;
    let noise = lcg(777 + 1000 * k as u32 + 50 * c as u32, 501);
    let value = |(i, noise): (usize, f64)| {
        let t = (i as f64 - 200.0) / RATE;
        6.0 * (TAU * 10.0 * t + phase).cos() * if t > 0.1 { 2.0 } else { 1.0 } + 20.0 * noise
    };
    noise.into_iter().enumerate().map(value).collect()
}

/// Frequencies 8, 9, … 40 Hz hold those of the reference numbers but 17.5: steps of 0.5 Hz.
fn config() -> TfrConfig {
    TfrConfig {
        range_hz: [8.0, 40.0],
        step_hz: 0.5,
        step_ms: 25.0,
        baseline_ms: [-600.0, -300.0],
        natural_ms: [0.0, 500.0],
        windows_ms: vec![[0.0, 500.0]],
        ..TfrConfig::default()
    }
}

fn kit() -> Kit {
    Kit::new(&["C3", "Cz"], RATE, [-1000.0, 1500.0])
}

fn fed(config: &TfrConfig, trials: u64) -> (Kit, Box<dyn Marker>) {
    let mut kit = kit();
    let mut marker = kit.build(config);
    for k in 0..trials {
        let x = [reference_trial(k, 0), reference_trial(k, 1)];
        kit.feed(&mut *marker, k, 0, |c, i, _| x[c][i]);
    }
    (kit, marker)
}

/// A column at the reference numbers' frequencies, channel after channel.
fn column(table: &Table, name: &str, freqs: &[f64]) -> Vec<f64> {
    let at = |name: &str| table.columns().iter().position(|c| c.name == name).unwrap();
    let (frequency, wanted) = (at("frequency_hz"), at(name));
    let value = |cell: &crate::table::Cell| match cell {
        crate::table::Cell::Number(v) => *v,
        other => panic!("{name}: {other:?}"),
    };
    let rows = table.rows().filter(|(_, cells)| freqs.contains(&value(&cells[frequency])));
    rows.map(|(_, cells)| value(&cells[wanted])).collect()
}

#[track_caller]
fn same(ours: &[f64], theirs: &[f64], relative: f64) {
    assert_eq!(ours.len(), theirs.len());
    let size = theirs.iter().map(|v| v.abs()).sum::<f64>() / theirs.len() as f64;
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((a - b).abs() <= relative * b.abs().max(1e-3 * size), "{i}: {a} against {b}");
    }
}

#[test]
fn morlet_power_and_locking_are_mnes() {
    let golden = golden();
    let freqs = list(&golden["freqs"]);
    let morlet = &golden["morlet"];
    for (power, key) in [(Power::Total, "power"), (Power::Evoked, "evoked"), (Power::Induced, "induced")] {
        let (kit, marker) = fed(&TfrConfig { power, ..config() }, 7);
        let table = &kit.report(&*marker)[0];
        // MNE-Python's power is not a density: ours times the rate
        let ours: Vec<f64> = column(table, "power_uv2_per_hz", &freqs).iter().map(|p| p * RATE).collect();
        same(&ours, &list(&morlet[key]), 1e-10);
        same(&column(table, "itpc", &freqs), &list(&morlet["itc"]), 1e-10);
        let itpc = column(table, "itpc", &freqs);
        let ppc: Vec<f64> = itpc.iter().map(|r| (7.0 * r * r - 1.0) / 6.0).collect();
        same(&column(table, "itpc_debiased", &freqs), &ppc, 1e-12);
        assert!((number(table, 0, "itpc_null") - (std::f64::consts::PI / 28.0).sqrt()).abs() < 1e-15);
    }
}

#[test]
fn total_power_is_evoked_plus_induced() {
    let power = |power| {
        let (kit, marker) = fed(&TfrConfig { power, ..config() }, 5);
        column(&kit.report(&*marker)[0], "power_uv2_per_hz", &[8.0, 20.0, 33.5])
    };
    let sum: Vec<f64> = power(Power::Evoked).iter().zip(power(Power::Induced)).map(|(a, b)| a + b).collect();
    same(&sum, &power(Power::Total), 1e-12);
}

/// The comparison with the baseline as MNE's `rescale` makes it, over all of the baseline's cells: the frequencies whose
/// wavelets do not reach the epoch's edge from there.
#[test]
fn baselines_are_mnes() {
    let golden = golden();
    let freqs = list(&golden["freqs"]);
    for (baseline, key, scale) in [
        (Baseline::Db, "logratio", 10.0),
        (Baseline::Logratio, "logratio", 1.0),
        (Baseline::Percent, "percent", 100.0),
        (Baseline::Z, "zscore", 1.0),
        (Baseline::Mean, "mean", 1.0 / RATE),
    ] {
        let column_name = if baseline == Baseline::Db { "change_db" } else { "change" };
        for per_trial in [false, true] {
            let case = if per_trial { &golden["baseline_per_trial"][key] } else { &golden["baseline"][key] };
            if case.is_null() {
                continue;
            }
            let theirs: Vec<f64> = list(case).iter().map(|v| v * scale).collect();
            let (kit, marker) = fed(&TfrConfig { baseline, baseline_per_trial: per_trial, ..config() }, 7);
            same(&column(&kit.report(&*marker)[0], column_name, &freqs), &theirs, 1e-8);
        }
    }
}

/// MNE multiplies multitaper power by 2 although its tapers have norm √2 like its Morlet wavelets, so that the same noise
/// has twice the power there; ours is a density in every mode.
#[test]
fn multitaper_power_is_half_of_mnes_and_locking_is_mnes() {
    let golden = golden();
    let freqs = list(&golden["freqs"]);
    let (kit, marker) = fed(&TfrConfig { mode: Mode::Multitaper, n_cycles: 5.0, ..config() }, 7);
    let table = &kit.report(&*marker)[0];
    let ours: Vec<f64> = column(table, "power_uv2_per_hz", &freqs).iter().map(|p| 2.0 * p * RATE).collect();
    same(&ours, &list(&golden["multitaper"]["power"]), 1e-8);
    same(&column(table, "itpc", &freqs), &list(&golden["multitaper"]["itc"]), 1e-8);
}

#[test]
fn hilbert_power_and_locking_are_scipys() {
    let golden = golden();
    let bands_hz = Bands(vec![("alpha".to_owned(), [8.0, 12.0]), ("beta".to_owned(), [13.0, 30.0])]);
    let (kit, marker) = fed(&TfrConfig { mode: Mode::Hilbert, bands_hz, ..config() }, 7);
    let table = &kit.report(&*marker)[0];
    let freqs = [10.0, 21.5];
    let width: Vec<f64> =
        column(table, "frequency_hz", &freqs).iter().map(|f| if *f < 12.0 { 4.0 } else { 17.0 }).collect();
    let power = column(table, "power_uv2_per_hz", &freqs);
    let ours: Vec<f64> = power.iter().zip(width).map(|(p, width)| 2.0 * width * p).collect();
    same(&ours, &list(&golden["hilbert"]["power"]), 1e-9);
    same(&column(table, "itpc", &freqs), &list(&golden["hilbert"]["itc"]), 1e-9);
    assert_eq!(kit.report(&*marker)[1].len(), 4);
    // a band has no natural frequency
    assert_eq!(kit.report(&*marker).len(), 2);
}

/// The published reference numbers of this project's TMS notes: 20 trials of 1 s at 500 Hz, 5 cycles, at 0.2 s.
#[test]
fn the_reference_numbers_of_locked_trials() {
    let mut kit = Kit::new(&["Cz"], 500.0, [-400.0, 598.0]);
    let config = TfrConfig {
        range_hz: [10.0, 20.0],
        step_hz: 10.0,
        n_cycles: 5.0,
        baseline: Baseline::None,
        windows_ms: vec![],
        natural_ms: [0.0, 100.0],
        ..TfrConfig::default()
    };
    let mut marker = kit.build(&config);
    for k in 0..20_u32 {
        let noise = lcg(777 + 1000 * k, 500);
        let phase = 0.9 * (1.7 * f64::from(k)).sin();
        kit.feed(&mut *marker, u64::from(k), 0, |_, i, ms| (TAU * 10.0 * ms / 1e3 + phase).cos() + noise[i]);
    }
    let table = &kit.report(&*marker)[0];
    let row = |hz: f64| {
        (0..table.len()).find(|&r| number(table, r, "frequency_hz") == hz && number(table, r, "time_ms") == 200.0)
    };
    for (hz, power, itc) in
        [(10.0, 69.54226890675068, 0.8050090249683338), (20.0, 0.1804183427337711, 0.32108478357503767)]
    {
        let row = row(hz).unwrap();
        same(&[500.0 * number(table, row, "power_uv2_per_hz")], &[power], 1e-9);
        same(&[number(table, row, "itpc")], &[itc], 1e-9);
        assert_eq!(table.number(row, "change_db"), None);
    }
}

fn bits(tables: &[Table]) -> Vec<String> {
    tables.iter().flat_map(|t| t.rows().map(|r| format!("{r:?}")).collect::<Vec<_>>()).collect()
}

/// Five channels, so that pieces differ in size; looking at a marker in between changes nothing.
#[test]
fn threads_and_waiting_trials_do_not_matter() {
    let config = TfrConfig { step_hz: 8.0, baseline_per_trial: true, ..config() };
    let run = |threads: usize, look: bool, twice: bool| {
        let mut kit = Kit::new(&["C3", "Cz", "C4", "Pz", "Oz"], RATE, [-1000.0, 1500.0]);
        let mut context = BuildContext { threads, ..BuildContext::default() };
        let mut marker = config.build(&kit.info, &mut context, &mut Problems::default()).unwrap();
        for round in 0..1 + u64::from(twice) {
            for k in 0..6 {
                let x: Vec<Vec<f64>> = (0..5).map(|c| reference_trial(k, c)).collect();
                kit.feed(&mut *marker, k, 0, |c, i, _| x[c][i]);
                assert!(!look || kit.report(&*marker).len() == 3);
            }
            if twice && round == 0 {
                marker.reset();
                assert!(kit.report(&*marker).iter().all(Table::is_empty));
            }
        }
        bits(&kit.report(&*marker))
    };
    let want = run(1, false, false);
    for threads in [2, 3, 8] {
        assert_eq!(run(threads, false, false), want, "{threads} threads");
    }
    assert_eq!(run(2, true, true), want);
}

/// What the marker says of these trials, one channel: power density and phase locking of all cells.
fn told(config: &TfrConfig, trials: &[Vec<f64>]) -> [Vec<f64>; 2] {
    let mut kit = Kit::new(&["Cz"], RATE, [-1000.0, 1500.0]);
    let mut marker = kit.build(config);
    for (k, x) in trials.iter().enumerate() {
        kit.feed(&mut *marker, k as u64, 0, |_, i, _| x[i]);
    }
    let table = kit.report(&*marker).swap_remove(0);
    ["power_uv2_per_hz", "itpc"].map(|name| (0..table.len()).map(|row| number(&table, row, name)).collect())
}

#[test]
fn an_impulse_peaks_at_its_time_at_every_frequency() {
    let mut x = vec![0.0; 501];
    x[200 + 60] = 1.0;
    let [power, itpc] = told(&config(), &[x.clone(), x]);
    for (power, itpc) in power.chunks_exact(101).zip(itpc.chunks_exact(101)) {
        // cells are 25 ms apart and begin at −1000 ms; the impulse is at 300 ms
        let top = (0..101).max_by(|&a, &b| power[a].total_cmp(&power[b]));
        assert_eq!(top, Some(52));
        assert!((itpc[52] - 1.0).abs() < 1e-12);
        // as wide on both sides
        for k in 1..20 {
            assert!((power[52 - k] - power[52 + k]).abs() <= 1e-12 * power[52], "{k}");
        }
    }
}

/// A linear transform's power obeys the parallelogram law; a factor changes power by its square and locking not at all.
#[test]
fn the_transform_is_linear() {
    for mode in [Mode::Morlet, Mode::Multitaper, Mode::Hilbert] {
        let config = TfrConfig { mode, step_hz: 4.0, ..config() };
        let (a, b) = (reference_trial(0, 0), reference_trial(1, 1));
        let mixed = |p: f64, q: f64| vec![a.iter().zip(&b).map(|(a, b)| p * a + q * b).collect::<Vec<f64>>()];
        let [plus, minus, one, other] =
            [(1.0, 1.0), (1.0, -1.0), (1.0, 0.0), (0.0, 1.0)].map(|(p, q)| told(&config, &mixed(p, q))[0].clone());
        let sum = |x: &[f64], y: &[f64], by: f64| x.iter().zip(y).map(|(x, y)| by * (x + y)).collect::<Vec<f64>>();
        same(&sum(&plus, &minus, 1.0), &sum(&one, &other, 2.0), 1e-11);

        let trials: Vec<Vec<f64>> = (0..3).map(|k| reference_trial(k, 0)).collect();
        let larger: Vec<Vec<f64>> = trials.iter().map(|x| x.iter().map(|v| -3.0 * v).collect()).collect();
        let ([power, itpc], [nine, locked]) = (told(&config, &trials), told(&config, &larger));
        same(&nine, &power.iter().map(|p| 9.0 * p).collect::<Vec<_>>(), 1e-12);
        same(&locked, &itpc, 1e-12);
    }
}

#[test]
fn the_order_of_trials_does_not_matter() {
    let mut trials: Vec<Vec<f64>> = (0..9).map(|k| reference_trial(k, 0)).collect();
    let config = TfrConfig { step_hz: 4.0, ..config() };
    let [power, itpc] = told(&config, &trials);
    trials.reverse();
    trials.swap(2, 5);
    let [other, locked] = told(&config, &trials);
    same(&other, &power, 1e-12);
    same(&locked, &itpc, 1e-12);
}

/// Tables are written as they are asked for; what they say does not depend on it.
#[test]
fn tables_that_nobody_wants_are_not_made() {
    let all = fed(&config(), 3);
    let all = all.0.report(&*all.1);
    for (series, windows, want) in [(false, true, vec![1, 2]), (true, false, vec![0, 2]), (false, false, vec![2])] {
        let windows_ms = if windows { config().windows_ms } else { Vec::new() };
        let config = TfrConfig { series, windows_ms, ..config() };
        let (kit, marker) = fed(&config, 3);
        let tables = kit.report(&*marker);
        assert_eq!(tables.len(), config.tables().len());
        assert_eq!(tables.len(), want.len());
        for (table, want) in tables.iter().zip(want) {
            assert_eq!(table.name(), all[want].name());
            assert_eq!(bits(std::slice::from_ref(table)), bits(&all[want..=want]));
        }
    }
}

#[test]
fn a_trial_with_a_missing_sample_does_not_count_for_its_channel() {
    let (clean, marker) = fed(&config(), 3);
    let want = clean.report(&*marker);
    let mut kit = kit();
    let mut marker = kit.build(&config());
    for k in 0..4 {
        let x = [reference_trial(k, 0), reference_trial(k, 1)];
        kit.feed(&mut *marker, k, 0, |c, i, _| if k == 3 && c == 0 && i == 77 { f64::NAN } else { x[c][i] });
    }
    let tables = kit.report(&*marker);
    let rows = tables[0].len() / 2;
    for row in (0..rows).step_by(97) {
        for name in ["change_db", "itpc", "n_trials", "power_uv2_per_hz"] {
            assert_eq!(tables[0].cell(row, name), want[0].cell(row, name));
        }
        assert_eq!(number(&tables[0], row + rows, "n_trials"), 4.0);
    }
}

#[test]
fn bad_channels_have_empty_cells_and_time_zero_is_a_cell() {
    let (mut kit, marker) = fed(&config(), 2);
    kit.bad[1] = true;
    let tables = kit.report(&*marker);
    let rows = tables[0].len() / 2;
    assert_eq!(rows, 65 * 101);
    assert!((0..101).any(|row| number(&tables[0], row, "time_ms") == 0.0));
    assert_eq!((number(&tables[0], 0, "time_ms"), number(&tables[0], 100, "time_ms")), (-1000.0, 1500.0));
    for name in ["change_db", "itpc", "power_uv2_per_hz"] {
        assert!(tables[0].number(0, name).is_some() && tables[0].number(rows, name).is_none());
    }
    assert_eq!(
        (tables[1].len(), tables[1].number(5, "change_db"), tables[2].number(1, "frequency_hz")),
        (8, None, None)
    );
}

/// Cells whose wavelet (±2σ) reaches beyond the epoch or into the bridge are marked, and are not in summaries.
#[test]
fn affected_cells_are_marked_and_left_out() {
    let mut kit = kit();
    kit.bridge([-5.0, 10.0]);
    let mut marker = kit.build(&config());
    for k in 0..3 {
        let x = [reference_trial(k, 0), reference_trial(k, 1)];
        // what is bridged does not matter to the summaries as long as it does not reach them
        kit.feed(&mut *marker, k, 0, |c, i, t| if (-5.0..=10.0).contains(&t) { 1e-3 } else { x[c][i] });
    }
    let tables = kit.report(&*marker);
    let sigma = |f: f64| 1e3 * sigma_s(f, 3.5);
    for row in 0..tables[0].len() / 2 {
        let (f, t) = (number(&tables[0], row, "frequency_hz"), number(&tables[0], row, "time_ms"));
        let two = 2.0 * sigma(f);
        let want = if t - two < -1000.0 || t + two > 1500.0 {
            1.0
        } else if t + two >= -5.0 && t - two <= 10.0 {
            2.0
        } else {
            0.0
        };
        assert_eq!(number(&tables[0], row, "affected"), want, "{f} Hz, {t} ms");
    }
    // alpha 0…500 ms: 21 cells at 8, 8.5 … 12.5 Hz
    let row = (0..4).find(|&r| tables[1].text(r, "band") == Some("alpha")).unwrap();
    let left_out: f64 = (0..10)
        .map(|i| 8.0 + 0.5 * f64::from(i))
        .map(|f| (0..21).filter(|c| 25.0 * f64::from(*c) - 2.0 * sigma(f) <= 10.0).count() as f64)
        .sum();
    assert_eq!(number(&tables[1], row, "n_affected"), left_out);
    assert_eq!(number(&tables[1], row, "n_cells"), 210.0 - left_out);
}

#[test]
fn a_rhythm_after_the_event_is_the_natural_frequency() {
    let mut kit = Kit::new(&["C3", "C1"], 250.0, [-1000.0, 1000.0]);
    let site = SiteChoice::Name("m1".into());
    let config = TfrConfig { site, windows_ms: vec![], ..TfrConfig::default() };
    let config = TfrConfig { step_ms: 20.0, baseline_ms: [-600.0, -300.0], range_hz: [8.0, 40.0], ..config };
    let mut marker = kit.build(&config);
    for k in 0..12 {
        let noise = lcg(99 + 31 * k, 501);
        let burst = |t: f64| if (0.0..400.0).contains(&t) { 3.0 * (TAU * 21.0 * t / 1e3).sin() } else { 0.0 };
        kit.feed(&mut *marker, u64::from(k), 0, |_, i, t| 10.0 * noise[i] + burst(t));
    }
    let natural = &kit.report(&*marker)[1];
    assert_eq!((natural.len(), natural.text(2, "kind")), (3, Some("roi")));
    for row in 0..3 {
        assert!((number(natural, row, "frequency_hz") - 21.0).abs() <= 1.0, "{:?}", natural.cell(row, "frequency_hz"));
        assert!(number(natural, row, "sharpness_db") > 3.0);
        assert_eq!(number(natural, row, "at_edge"), 0.0);
    }
}

/// Where the pulse's response must not leak into the baseline.
#[test]
fn a_baseline_that_ends_too_late_is_told() {
    let caveats = |end: f64| {
        let (kit, marker) = fed(&TfrConfig { baseline_ms: [-600.0, end], ..config() }, 2);
        let bands = &kit.report(&*marker)[1];
        [0, 1].map(|r| bands.text(r, "caveat").map(str::to_owned))
    };
    // theta holds no frequency here; 2σ at 8 Hz are 139 ms
    assert_eq!(caveats(-150.0), [None, None]);
    assert_eq!(caveats(-125.0)[1].as_deref(), Some("baseline_leak"));
}

/// A bridged stretch before the event that spoils all of the baseline is said, not only an empty cell.
#[test]
fn a_baseline_that_the_gap_spoils_is_told() {
    let mut kit = kit();
    kit.bridge([-600.0, -250.0]);
    let mut marker = kit.build(&config());
    (0..3).for_each(|k| kit.feed(&mut *marker, k, 0, |c, i, _| reference_trial(k, c)[i]));
    let tables = kit.report(&*marker);
    for row in 0..tables[1].len() {
        let [band, caveat] = ["band", "caveat"].map(|name| tables[1].text(row, name));
        assert_eq!(caveat, Some("no_baseline").filter(|_| band != Some("theta")), "{band:?}");
        assert!(tables[1].number(row, "change_db").is_none_or(f64::is_nan));
        assert!(band == Some("theta") || number(&tables[1], row, "itpc") > 0.0);
    }
    assert_eq!(tables[2].text(0, "caveat"), Some("no_baseline"));
    assert_eq!(tables[2].number(0, "frequency_hz"), None);
}

#[test]
fn every_problem_is_told() {
    let told = |config: &TfrConfig| kit().problems(config);
    let first = |config: &TfrConfig, says: &str| {
        let problems = told(config);
        assert!(problems.iter().any(|p| p.contains(says)), "{says}: {problems:?}");
    };
    let base = config;
    first(&TfrConfig { range_hz: [8.0, 100.0], ..base() }, "range_hz: 100 Hz needs a rate above 200 Hz");
    first(&TfrConfig { range_hz: [1.0, 40.0], ..base() }, "n_cycles: at 1 Hz a wavelet lasts");
    first(&TfrConfig { baseline_ms: [-1000.0, -950.0], ..base() }, "baseline_ms: at 8 Hz no cell of");
    first(&TfrConfig { baseline_ms: [-2000.0, -950.0], ..base() }, "leaves the epoch");
    first(&TfrConfig { channels: vec!["Fz".into()], ..base() }, "channels: fits no EEG channel");
    first(&TfrConfig { baseline_per_trial: true, power: Power::Induced, ..base() }, "baseline_per_trial: needs");
    first(&TfrConfig { step_hz: 1e-9, ..base() }, "step_hz: 0.000000001 Hz gives more than a thousand");
    first(&TfrConfig { n_cycles: 1e9, ..base() }, "n_cycles: at 8 Hz a wavelet lasts");
    let bands_hz = Bands(vec![("x".to_owned(), [9.0, 8.0])]);
    first(&TfrConfig { bands_hz, ..base() }, "bands_hz.x: 9…8 Hz is no band");
    let nothing = TfrConfig { series: false, windows_ms: Vec::new(), baseline: Baseline::None, ..base() };
    first(&nothing, "series: false, without windows_ms");
    let both = TfrConfig { step_hz: 0.0, n_cycles: -1.0, ..base() };
    assert_eq!(told(&both).len(), 2);
}
