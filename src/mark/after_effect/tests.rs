use super::super::kit::{Kit, Noise, number};
use super::*;
use crate::signal::Averages;
use crate::table::Cell;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::f64::consts::TAU;

/// Epochs of 2 s at 100 Hz under `pre` and `post`.
fn kit(names: &[&str]) -> Kit {
    let mut kit = Kit::new(names, 100.0, [0.0, 1990.0]);
    kit.info.conditions = 2;
    kit.conditions = vec!["pre".to_owned(), "post".to_owned()];
    kit
}

fn build(kit: &Kit, text: &str) -> Box<dyn Marker> {
    kit.build(&toml::from_str::<AfterEffectConfig>(text).unwrap())
}

/// Shows an epoch to the marker alone.
fn show(kit: &Kit, marker: &mut dyn Marker, trial: u64, condition: u16, value: impl Fn(usize, usize) -> f64) {
    let mut epoch = Epoch::new(kit.info.clock, 0, kit.bad.len(), kit.info.len);
    (epoch.trial, epoch.condition, epoch.onset_s) = (trial, condition, 2.0 * trial as f64);
    epoch.bad.clone_from(&kit.bad);
    for c in 0..kit.bad.len() {
        epoch.channel_mut(c).iter_mut().enumerate().for_each(|(i, v)| *v = value(c, i));
    }
    marker.observe(&epoch);
}

fn report(kit: &Kit, marker: &dyn Marker) -> Vec<Table> {
    let averages: Vec<Averages> = Vec::new();
    marker.report(&Report {
        input: &kit.info,
        enters: &kit.enters,
        bad: &kit.bad,
        conditions: &kit.conditions,
        averages: &averages,
        spectra: &[],
        events: &[],
    })
}

/// The row of a measure, band and channel.
fn row(table: &Table, measure: &str, band: &str, channels: [&str; 2]) -> usize {
    let fits = |r: &usize| {
        let text = |column: &str| table.text(*r, column).unwrap_or("");
        text("measure") == measure && text("band") == band && [text("channel_a"), text("channel_b")] == channels
    };
    (0..table.len()).find(fits).unwrap_or_else(|| panic!("no row {measure} {band} {channels:?}"))
}

fn noise(seed: u32, n: usize) -> Vec<f64> {
    let mut s = seed;
    let next = |_| {
        s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(s) / 4_294_967_296.0 - 0.5
    };
    (0..n).map(next).collect()
}

/// tests/reference/after_effect.py
#[test]
fn measures_are_scipys() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/after_effect.json");
    let golden: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let names = ["Cz", "Pz", "Oz"];
    let kit = kit(&names);
    let text = "connectivity = ['wpli2_debiased', 'imcoh']\nbands_hz = { theta = [4, 8] }\ndraws = 50\nconnectivity_draws = 50\nblock_epochs = 2";
    let mut marker = build(&kit, &format!("{text}\npairs = [['*z', '?z']]"));
    let mut means = build(&kit, text);
    for condition in 0..2_u32 {
        for e in 0..14_u32 {
            let turn = TAU * noise(7000 + 100 * condition + e, 1)[0];
            let raw = [0, 1, 2].map(|c| noise(1000 * condition + 10 * e + c, 220));
            let value = |c: usize, i: usize| {
                let smooth: f64 = (0..20).map(|k| raw[c][i + k] * 0.8_f64.powi(k as i32)).sum();
                let (t, gain) = (i as f64 / 100.0, if c < 2 { 3.0 + f64::from(condition) } else { 0.0 });
                let alpha = gain * (TAU * 10.0 * (t - 0.02 * c as f64) + turn).cos();
                10.0 * smooth + alpha + 5.0 + 30.0 * f64::from(e) * t
            };
            show(&kit, &mut *marker, e.into(), condition as u16, value);
            show(&kit, &mut *means, e.into(), condition as u16, value);
        }
    }
    let (tables, mean_tables) = (report(&kit, &*marker), report(&kit, &*means));
    let (table, means) = (&tables[0], &mean_tables[0]);
    let near = |got: f64, want: f64, what: &str| {
        assert!((got - want).abs() <= 1e-9 * want.abs().max(0.01), "{what}: {got} {want}");
    };
    let want = |side: &str, list: &str, i: usize, key: &str| golden[side][list][i][key].as_f64().unwrap();
    for (c, name) in names.iter().enumerate() {
        for (measure, band, key) in [
            ("power", "theta", "theta"),
            ("alpha_corrected", "alpha", "alpha_corrected"),
            ("alpha_gravity", "alpha", "alpha_gravity"),
        ] {
            let r = row(table, measure, band, [name, ""]);
            let [before, after] = ["from", "to"].map(|side| want(side, "channels", c, key));
            near(number(table, r, "value_from"), before, measure);
            near(number(table, r, "value_to"), after, measure);
            let change = if measure == "alpha_gravity" { after - before } else { 10.0 * (after / before).log10() };
            match table.number(r, "change") {
                Some(got) => near(got, change, measure),
                None => assert!(!change.is_finite(), "{measure} {name}"),
            }
            assert_eq!((number(table, r, "n_from"), number(table, r, "n_to")), (14.0, 14.0));
        }
    }
    assert_eq!((number(table, row(table, "alpha_gravity", "alpha", ["Cz", ""]), "low_hz")), 8.0);
    for measure in ["wpli2_debiased", "imcoh"] {
        for (p, pair) in [["Cz", "Pz"], ["Cz", "Oz"], ["Pz", "Oz"]].into_iter().enumerate() {
            let r = row(table, measure, "alpha", pair);
            near(number(table, r, "value_from"), want("from", "pairs", p, measure), measure);
            near(number(table, r, "value_to"), want("to", "pairs", p, measure), measure);
        }
        let size = |v: f64| if measure == "imcoh" { v.abs() } else { v };
        let mean = (0..3).map(|p| size(want("to", "pairs", p, measure))).sum::<f64>() / 3.0;
        near(number(means, row(means, measure, "alpha", ["mean", ""]), "value_to"), mean, measure);
    }
    // Cz leads Pz in every epoch: the change is small, and known
    let r = row(table, "imcoh", "alpha", ["Cz", "Pz"]);
    assert!(
        number(table, r, "ci_low") < number(table, r, "change")
            && number(table, r, "ci_high") > number(table, r, "change")
    );
    // and the drift: 15 (e/2) µV/s, from 0 to 390 µV/s
    let drift = &tables[1];
    assert!(
        (number(drift, 0, "slope_uv_per_s") - 195.0).abs() < 3.0
            && (number(drift, 0, "steepest_uv_per_s") - 390.0).abs() < 5.0
    );
}

fn gauss(random: &mut ChaCha8Rng) -> f64 {
    let bits = random.next_u64();
    let sum: f64 = (0..4).map(|k| f64::from((bits >> (16 * k)) as u16)).sum();
    (sum / 65535.0 - 2.0) * 3_f64.sqrt()
}

/// 3 dB are found with an interval that holds them in 95 % of cases, and nothing is found in 95 % where nothing changed.
#[test]
fn three_decibels_are_found_and_nothing_is_not() {
    let kit = kit(&["a", "b", "c", "d"]);
    let text = "connectivity = []\nbands_hz = { beta = [13, 30] }\ndraws = 200\nblock_epochs = 2";
    let (mut covered, mut false_alarms, mut power, mut n) = (0, 0, 0, 0);
    for seed in 0..200 {
        let mut marker = build(&kit, text);
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for e in 0..160 {
            let condition = u16::from(e >= 80);
            let x: Vec<f64> = (0..800).map(|_| gauss(&mut random)).collect();
            // power waxes and wanes from epoch to epoch
            let gain = [0; 4].map(|_| (0.15 * gauss(&mut random)).exp());
            show(&kit, &mut *marker, e, condition, |c, i| {
                let louder = if c < 2 && condition == 1 { 2_f64.sqrt() } else { 1.0 };
                gain[c] * louder * x[200 * c + i]
            });
        }
        let table = &report(&kit, &*marker)[0];
        for (c, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
            let r = row(table, "power", "beta", [name, ""]);
            let [low, high, p] = ["ci_low", "ci_high", "p"].map(|k| number(table, r, k));
            let truth = if c < 2 { 10.0 * 2_f64.log10() } else { 0.0 };
            covered += u32::from(low <= truth && truth <= high);
            n += 1;
            if c < 2 {
                power += u32::from(p < 0.05);
            } else {
                false_alarms += u32::from(p < 0.05);
            }
        }
    }
    let share = |k: u32, of: u32| f64::from(k) / f64::from(of);
    let (covered, false_alarms) = (share(covered, n), share(false_alarms, n / 2));
    println!("covered {covered}, false alarms {false_alarms}, found {}", share(power, n / 2));
    assert!((0.92..=0.97).contains(&covered), "covered {covered}");
    assert!((0.03..=0.07).contains(&false_alarms), "false alarms {false_alarms}");
    assert!(power > 395, "{power} of 400 found");
}

/// Copies are no evidence: with every block drawn twice the debiased measure is what it was.
#[test]
fn a_block_that_is_drawn_twice_is_no_evidence_of_itself() {
    let kit = kit(&["a", "b"]);
    let config: AfterEffectConfig = toml::from_str("block_epochs = 1\npairs = [['a', 'b']]").unwrap();
    let mut couplings = Couplings::new(&config, &kit.info, &[0, 1], &mut Problems::default()).unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..10 {
        couplings.begin(0);
        for slot in 0..2 {
            let spectrum: Vec<Complex> =
                (0..=100).map(|_| Complex::new(gauss(&mut random), gauss(&mut random))).collect();
            couplings.take(slot, &spectrum);
        }
        couplings.finish(0);
    }
    let blocks = [&couplings.blocks[0], &couplings.blocks[1]];
    let [once, twice] = [1.0, 2.0].map(|w| couplings.values(blocks, &[w; 10])[0]);
    assert!(once != 0.0 && (once - twice).abs() < 1e-12, "{once} {twice}");
}

/// Connectivity of noise does not change, whatever a debiased measure makes of blocks that are drawn twice.
#[test]
fn drawn_blocks_do_not_bias_connectivity() {
    let kit = kit(&["a", "b", "c"]);
    let (mut misses, mut false_alarms, mut n) = (0, 0, 0);
    for seed in 0..60 {
        let mut marker =
            build(&kit, "bands_hz = {}\nblock_epochs = 1\npairs = [['*', '*']]\nconnectivity_draws = 99\ndraws = 0");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for e in 0..60 {
            let x: Vec<f64> = (0..600).map(|_| gauss(&mut random)).collect();
            show(&kit, &mut *marker, e, u16::from(e >= 30), |c, i| x[200 * c + i]);
        }
        let table = &report(&kit, &*marker)[0];
        for pair in [["a", "b"], ["a", "c"], ["b", "c"]] {
            let r = row(table, "wpli2_debiased", "alpha", pair);
            let [low, high, p] = ["ci_low", "ci_high", "p"].map(|k| number(table, r, k));
            misses += u32::from(!(low <= 0.0 && 0.0 <= high));
            false_alarms += u32::from(p < 0.05);
            n += 1;
        }
    }
    println!("{misses} missed, {false_alarms} false alarms of {n}");
    assert!(misses <= 18 && false_alarms <= 18, "{misses} missed, {false_alarms} false alarms of {n}");
}

/// Alpha that grows and slows down over 1/f noise; the mean over channels; a second run after `reset`.
#[test]
fn alpha_grows_and_slows_and_reset_forgets() {
    let mut kit = kit(&["a", "b", "c", "d", "e"]);
    kit.bad[4] = true;
    let mut marker = build(&kit, "draws = 100\nconnectivity_draws = 20");
    let run = |marker: &mut dyn Marker| {
        let mut background = Noise::new(3, 5, 100.0);
        for e in 0..60_u32 {
            let (condition, x) = (u16::from(e >= 30), background.trial(200));
            let (gain, hz) = if condition == 0 { (3.0, 10.5) } else { (6.0, 9.75) };
            show(&kit, marker, e.into(), condition, |c, i| {
                x[c][i] + gain * (TAU * hz * i as f64 / 100.0 + f64::from(e * e) + c as f64).cos()
            });
        }
        report(&kit, marker)
    };
    let tables = run(&mut *marker);
    let table = &tables[0];
    let r = row(table, "alpha_corrected", "alpha", ["mean", ""]);
    let change = number(table, r, "change");
    assert!((change - 6.0).abs() < 1.0 && number(table, r, "ci_low") > 4.0 && number(table, r, "p") < 0.02, "{change}");
    let slowed = number(table, row(table, "alpha_gravity", "alpha", ["mean", ""]), "change");
    assert!((-0.8..-0.3).contains(&slowed), "{slowed}");
    let peak = row(table, "alpha_peak", "alpha", ["mean", ""]);
    assert!((number(table, peak, "change") + 0.75).abs() <= 0.3 && table.number(peak, "ci_low").is_none());
    // a bad channel has no value and does not enter the mean
    assert_eq!(table.number(row(table, "power", "alpha", ["e", ""]), "change"), None);
    assert_eq!(number(table, row(table, "power", "alpha", ["e", ""]), "n_from"), 0.0);
    assert!(table.number(row(table, "power", "alpha", ["mean", ""]), "ci_low").is_some());
    let all = |tables: &[Table]| format!("{:?}", tables.iter().flat_map(|t| t.rows()).collect::<Vec<_>>());
    let first = all(&tables);
    marker.reset();
    assert_eq!(report(&kit, &*marker)[0].text(0, "caveat"), Some("no_condition: pre and post has no epochs"));
    assert_eq!(all(&run(&mut *marker)), first);
}

/// Lines have their slope, a step is found, and few epochs have no interval.
#[test]
fn drifts_and_steps_are_told() {
    let kit = kit(&["a", "b"]);
    let mut marker = build(&kit, "");
    let wave = |i: usize| 10.0 * (TAU * 0.1 * i as f64).cos();
    for e in 0..4 {
        // 3 µV/s throughout, and a step of 40 µV in the third epoch of b
        show(&kit, &mut *marker, e, 0, |c, i| {
            let t = 2.0 * e as f64 + i as f64 / 100.0;
            1e5 + 3.0 * t + wave(i) + if c == 1 && (e, i) >= (2, 100) { 40.0 } else { 0.0 }
        });
        show(&kit, &mut *marker, 10 + e, 1, |_, i| wave(i + e as usize) + noise(e as u32, 200)[i]);
    }
    let tables = report(&kit, &*marker);
    let drift = &tables[1];
    let cells = |r: usize| ["slope_uv_per_s", "level_uv_per_s", "largest_step_uv"].map(|k| number(drift, r, k));
    let [slope, level, step] = cells(0);
    assert!((slope - 3.0).abs() < 0.2 && (level - 3.0).abs() < 1e-9 && (step - 0.3).abs() < 1e-6, "{:?}", cells(0));
    assert!((cells(1)[2] - 40.3).abs() < 1e-6 && number(drift, 1, "step_s") == 4.0);
    assert_eq!(drift.cell(0, "channel"), Some(&Cell::from("a".to_owned())));
    let r = row(&tables[0], "power", "alpha", ["a", ""]);
    assert_eq!(tables[0].text(r, "caveat"), Some("time_on_task few_blocks"));
    assert!(tables[0].number(r, "ci_low").is_none() && tables[0].number(r, "change").is_some());
    // two copies have no lag
    let r = row(&tables[0], "wpli2_debiased", "alpha", ["mean", ""]);
    assert!(number(&tables[0], r, "value_from").abs() < 1e-9);
}

#[test]
fn every_problem_is_told() {
    let text = "channels = ['x']\nfit_hz = [2, 60]\naround_hz = 0.1\nblock_epochs = 0\nconnectivity = ['plv']\npairs = [['a', 'q']]\n\
                bands_hz = { fine = [8.1, 8.4] }";
    let list = kit(&["a", "b"]).problems(&toml::from_str::<AfterEffectConfig>(text).unwrap());
    let starts =
        ["channels: ", "bands_hz.fine: 8.1…8.4 Hz holds none", "fit_hz: needs a rate above 120", "around_hz: 0.1 Hz"];
    assert!(starts.iter().zip(&list).all(|(s, l)| l.starts_with(s)), "{list:?}");
    let rest = ["block_epochs: 0", "connectivity: \"plv\" is not one of", "pairs: there is no EEG channel"];
    assert!(rest.iter().zip(&list[4..]).all(|(s, l)| l.starts_with(s)), "{list:?}");
}
