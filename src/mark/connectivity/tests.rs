use super::super::kit::Kit;
use super::*;
use std::f64::consts::{PI, TAU};

/// The generator of `tests/reference/connectivity.py`.
fn noise(n: usize, seed: u32) -> Vec<f64> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(state) / 4_294_967_296.0 - 0.5
    };
    (0..n).map(|_| next()).collect()
}

/// Independent standard normal numbers.
struct Gauss(u64);

impl Gauss {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn draw(&mut self) -> f64 {
        let (radius, angle) = ((-2.0 * (1.0 - self.uniform()).ln()).sqrt(), TAU * self.uniform());
        radius * angle.cos()
    }

    fn white(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.draw()).collect()
    }
}

/// The epoch `e` of the reference script: 4 channels of 125 samples.
fn reference_epoch(e: u32) -> Vec<Vec<f64>> {
    let common = noise(133, 1000 + e);
    let sample = |c: usize, own: &[f64], i: usize| own[i] + 0.8 * common[8 - c + i] + 100.0 * c as f64;
    let channel = |c: usize| {
        let own = noise(125, 1 + 16 * e + c as u32);
        (0..125).map(|i| sample(c, &own, i)).collect()
    };
    (0..4).map(channel).collect()
}

fn config(text: &str) -> ConnectivityConfig {
    toml::from_str(text).unwrap()
}

const NAMES: [&str; 6] = ["A", "B", "C", "D", "E", "F"];

fn kit(channels: usize, rate_hz: f64, samples: usize) -> Kit {
    Kit::new(&NAMES[..channels], rate_hz, [0.0, (samples - 1) as f64 * 1e3 / rate_hz])
}

fn feed(kit: &mut Kit, marker: &mut dyn Marker, trial: u64, data: &[Vec<f64>]) {
    kit.feed(marker, trial, 0, |c, i, _| data[c][i]);
}

/// The table after epochs of given data.
fn analysed(text: &str, rate_hz: f64, epochs: &[Vec<Vec<f64>>]) -> Table {
    let mut kit = kit(epochs[0].len(), rate_hz, epochs[0][0].len());
    let mut marker = kit.build(&config(text));
    epochs.iter().enumerate().for_each(|(e, data)| feed(&mut kit, &mut *marker, e as u64, data));
    kit.report(&*marker).remove(0)
}

/// Values of a measure between two channels, in the order of the bands.
fn column(table: &Table, name: &str, measure: &str, (a, b): (&str, &str)) -> Vec<f64> {
    let text = |row: usize, column: &str| table.text(row, column).unwrap().to_owned();
    (0..table.len())
        .filter(|&r| text(r, "measure") == measure && text(r, "channel_a") == a && text(r, "channel_b") == b)
        .map(|r| table.number(r, name).unwrap_or(f64::NAN))
        .collect()
}

fn values(table: &Table, measure: &str, pair: (&str, &str)) -> Vec<f64> {
    column(table, "value", measure, pair)
}

fn golden() -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/connectivity.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// 1e-10 relative above 1e-6, 1e-12 absolute below.
fn close(got: f64, want: f64) -> bool {
    (got - want).abs() <= if want.abs() > 1e-6 { 1e-10 * want.abs() } else { 1e-12 }
}

const PAIRS: [(usize, usize); 6] = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];

#[test]
fn measures_are_those_of_mne_connectivity() {
    let golden = golden();
    let epochs: Vec<_> = (0..11).map(reference_epoch).collect();
    let names = "['coh','cohy_re','cohy_im','imcoh','plv','ciplv','ppc','pli','pli2_unbiased','dpli','wpli',\
                 'wpli2_debiased']";
    let kinds = [
        ("multitaper-2", "mode = 'multitaper'\nnw = 2"),
        ("multitaper-4", "mode = 'multitaper'\nnw = 4"),
        ("fourier", "mode = 'fourier'"),
        ("morlet", "mode = 'morlet'\nfrequencies = [6,8,10,12,14,16,18,20,22,24,26,28]\ncycles = 3\nstep_ms = 40"),
    ];
    for (kind, text) in kinds {
        let case = &golden["kinds"][kind];
        let hz: Vec<f64> = serde_json::from_value(case["hz"].clone()).unwrap();
        let head = format!("{text}\nmeasures = {names}\n");
        let full = analysed(&format!("{head}full = true\n[bands_hz]\nall = [3.75, 29.25]"), 125.0, &epochs);
        let bands = analysed(&format!("{head}[bands_hz]\nlow = [3.75, 12.75]\nhigh = [12.75, 29.25]"), 125.0, &epochs);
        let split = hz.partition_point(|f| *f < 12.75);
        for measure in names.trim_matches(['[', ']']).split(',').map(|m| m.trim().trim_matches('\'')) {
            let want: Vec<Vec<f64>> = serde_json::from_value(case[measure].clone()).unwrap();
            for ((a, b), want) in PAIRS.into_iter().zip(want) {
                let pair = (NAMES[a], NAMES[b]);
                let got = values(&full, measure, pair);
                assert_eq!((got.len(), want.len()), (hz.len(), hz.len()), "{kind} {measure}");
                for ((got, want), hz) in got.iter().zip(&want).zip(&hz) {
                    assert!(close(*got, *want), "{kind} {measure} {pair:?} {hz} Hz: {got} {want}");
                    if ["pli", "dpli"].contains(&measure) && kind != "morlet" {
                        // counts are exact: only the division by 11 rounds
                        assert!((got - want).abs() < 1e-15, "{kind} {measure}");
                    }
                }
                let got = values(&bands, measure, pair);
                let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
                let parts = [mean(&want[..split]), mean(&want[split..])];
                assert!(got.len() == 2 && got.iter().zip(parts).all(|(g, w)| close(*g, w)), "{kind} {measure} bands");
            }
        }
        if kind != "morlet" {
            between_sets_and_phase_slope(text, case, &epochs);
        }
    }
}

fn between_sets_and_phase_slope(text: &str, case: &serde_json::Value, epochs: &[Vec<Vec<f64>>]) {
    let sets = "[sets]\nleft = ['A', 'B']\nright = ['C', 'D']";
    let head = format!("{text}\nmeasures = ['mic', 'mim']\nfull = true");
    let table = analysed(&format!("{head}\n{sets}\n[bands_hz]\nall = [3.75, 29.25]"), 125.0, epochs);
    for measure in ["mic", "mim"] {
        let want: Vec<f64> = serde_json::from_value(case[measure].clone()).unwrap();
        let got = values(&table, measure, ("left", "right"));
        assert_eq!(got.len(), want.len());
        assert!(got.iter().zip(&want).all(|(g, w)| (g - w).abs() < 1e-8 * w.abs().max(1e-3)), "{measure} {got:?}");
    }
    let bands = "[bands_hz]\nlow = [3.75, 12.75]\nhigh = [12.75, 29.25]";
    let table = analysed(&format!("{text}\nmeasures = ['psi']\n{bands}"), 125.0, epochs);
    let want: Vec<Vec<f64>> = serde_json::from_value(case["psi"].clone()).unwrap();
    for ((a, b), want) in PAIRS.into_iter().zip(want) {
        let got = values(&table, "psi", (NAMES[a], NAMES[b]));
        assert!(got.iter().zip(&want).all(|(g, w)| close(*g, *w)), "psi {got:?} {want:?}");
    }
}

#[test]
fn hard_case_14_copies_have_no_lag_and_a_delayed_copy_has_nothing_else() {
    let mut gauss = Gauss(14);
    let epochs: Vec<Vec<Vec<f64>>> = (0..20)
        .map(|_| {
            let x = gauss.white(501);
            let of = |f: &dyn Fn(usize) -> f64| (1..501).map(f).collect::<Vec<f64>>();
            vec![of(&|i| x[i]), of(&|i| x[i]), of(&|i| 0.3 * x[i]), of(&|i| -x[i]), of(&|i| x[i - 1])]
        })
        .collect();
    let measures = "measures = ['wpli', 'pli', 'imcoh', 'ciplv', 'coh', 'plv', 'wpli2_debiased', 'dpli', 'psi']";
    let table = analysed(measures, 125.0, &epochs);
    for (other, wpli) in [("B", 0.0), ("C", 0.0), ("D", 0.0), ("E", 1.0)] {
        for value in values(&table, "wpli", ("A", other)) {
            assert!((value - wpli).abs() < 1e-6, "{other}: {value}");
        }
        if wpli == 0.0 {
            for measure in ["wpli", "pli", "imcoh", "ciplv", "wpli2_debiased"] {
                assert!(values(&table, measure, ("A", other)).iter().all(|v| *v == 0.0), "{measure} {other}");
            }
            assert!(values(&table, "dpli", ("A", other)).iter().all(|v| *v == 0.5));
            assert!(values(&table, "coh", ("A", other)).iter().all(|v| (v - 1.0).abs() < 1e-12));
        }
    }
    // the original leads its delayed copy
    assert!(values(&table, "dpli", ("A", "E")).iter().all(|v| *v > 0.999));
    assert!(values(&table, "psi", ("A", "E")).iter().all(|v| *v > 0.0));
    let mut kit = kit(5, 125.0, 500);
    let mut marker = kit.build(&config(measures));
    epochs.iter().enumerate().for_each(|(e, data)| feed(&mut kit, &mut *marker, e as u64, data));
    let notes = notes(&kit, &*marker);
    assert!(notes.contains(&(1, "copy of A".into())) && notes.contains(&(0, "copy of D".into())), "{notes:?}");
    assert!(notes.iter().all(|(c, _)| *c != 4));
}

fn notes(kit: &Kit, marker: &dyn Marker) -> Vec<(usize, String)> {
    marker.channel_notes(&Report {
        input: &kit.info,
        enters: &kit.enters,
        bad: &kit.bad,
        conditions: &kit.conditions,
        averages: &[],
        spectra: &[],
        events: &[],
    })
}

#[test]
fn hard_case_15_volume_conduction_is_coherent_but_has_no_lag() {
    let mut gauss = Gauss(15);
    let epochs: Vec<Vec<Vec<f64>>> = (0..80)
        .map(|_| {
            let (s, t) = (gauss.white(500), gauss.white(500));
            let mix = |a: f64, b: f64| s.iter().zip(&t).map(|(s, t)| a * s + b * t).collect::<Vec<f64>>();
            vec![mix(1.0, 0.3), mix(0.8, 0.5)]
        })
        .collect();
    let table = analysed("measures = ['coh', 'plv', 'imcoh', 'wpli2_debiased']", 125.0, &epochs);
    let pair = ("A", "B");
    assert!(values(&table, "coh", pair).iter().all(|v| *v > 0.9));
    assert!(values(&table, "plv", pair).iter().all(|v| *v > 0.9));
    assert!(values(&table, "imcoh", pair).iter().all(|v| v.abs() < 0.03));
    assert!(values(&table, "wpli2_debiased", pair).iter().all(|v| v.abs() < 0.03));
}

#[test]
fn hard_case_17_few_unequal_and_empty_epochs() {
    let measures = "['coh', 'plv', 'ppc', 'pli', 'pli2_unbiased', 'dpli', 'wpli', 'wpli2_debiased', 'ciplv']";
    let epochs: Vec<_> = (0..5).map(reference_epoch).collect();
    for n in 1..=3 {
        let table = analysed(&format!("measures = {measures}"), 125.0, &epochs[..n]);
        for row in 0..table.len() {
            // one epoch of three tapers has a coherence, but nothing over epochs
            let there = n > 1 || table.text(row, "measure") == Some("coh");
            assert_eq!(table.number(row, "value").is_some(), there, "n {n} {:?}", table.text(row, "measure"));
            assert_eq!(table.number(row, "null_expectation").is_some(), there);
            assert_eq!(table.number(row, "n_epochs"), Some(n as f64));
            // a second holds five cycles from 5 Hz on
            let short = table.number(row, "low_hz").unwrap() < 5.0;
            let note = if short { "few_cycles" } else { "" };
            assert_eq!(table.text(row, "note"), Some(if there { note } else { "one_epoch" }));
        }
        if n == 2 {
            // |u₁ + u₂|² = 2 + 2 (u₁·u₂): PPC is the one product there is
            let plv = analysed("measures = ['plv', 'ppc']\nfull = true", 125.0, &epochs[..2]);
            let (plv, ppc) = (values(&plv, "plv", ("A", "B")), values(&plv, "ppc", ("A", "B")));
            assert!(plv.iter().zip(&ppc).all(|(l, p)| (2.0 * l * l - 1.0 - p).abs() < 1e-12));
        }
    }
    // channel C is broken in one epoch, flat in another: its pairs have two epochs less, the others' values stay
    let mut broken = epochs.clone();
    broken[1][2][60] = f64::NAN;
    broken[3][2].fill(7.25);
    let text = format!("measures = {measures}");
    let (whole, part) = (analysed(&text, 125.0, &epochs), analysed(&text, 125.0, &broken));
    let less = analysed(&text, 125.0, &[epochs[0].clone(), epochs[2].clone(), epochs[4].clone()]);
    for measure in measures.trim_matches(['[', ']']).split(", ").map(|m| m.trim_matches('\'')) {
        assert_eq!(values(&part, measure, ("A", "B")), values(&whole, measure, ("A", "B")), "{measure}");
        assert_eq!(values(&part, measure, ("B", "C")), values(&less, measure, ("B", "C")), "{measure}");
        assert_eq!(column(&part, "n_epochs", measure, ("C", "D")), vec![3.0; 5]);
    }
    // an epoch of NaN alone changes nothing, a channel of NaN alone has empty cells and a reason, as a flat one
    let mut kit = kit(4, 125.0, 125);
    let mut marker = kit.build(&config(&text));
    let nothing = vec![vec![f64::NAN; 125]; 4];
    for (e, data) in [&epochs[0], &nothing, &epochs[1], &epochs[2]].into_iter().enumerate() {
        let mut data = data.clone();
        data[1].fill(f64::NAN);
        data[3].fill(-3.1);
        feed(&mut kit, &mut *marker, e as u64, &data);
    }
    let table = kit.report(&*marker).remove(0);
    assert_eq!(values(&table, "wpli", ("A", "C")), values(&analysed(&text, 125.0, &epochs[..3]), "wpli", ("A", "C")));
    assert!(values(&table, "plv", ("A", "B")).iter().all(|v| v.is_nan()));
    assert!(values(&table, "plv", ("A", "D")).iter().all(|v| v.is_nan()));
    let notes = notes(&kit, &*marker);
    let want =
        [(0, "not finite in 1 of 4 epochs"), (1, "not finite in 4 of 4 epochs"), (2, "not finite in 1 of 4 epochs")];
    assert!(want.iter().all(|(c, note)| notes.contains(&(*c, (*note).to_owned()))), "{notes:?}");
    assert!(notes.contains(&(3, "flat".into())));
    // a bad channel's cells are empty
    kit.bad[0] = true;
    let table = kit.report(&*marker).remove(0);
    assert!(values(&table, "wpli", ("A", "C")).iter().all(|v| v.is_nan()));
}

/// All numbers of a table, as bits.
fn bits(table: &Table) -> Vec<u64> {
    (0..table.len())
        .flat_map(|r| ["value", "null_expectation", "z", "p", "n_epochs"].map(|c| table.number(r, c)))
        .map(|v| v.unwrap_or(f64::NAN).to_bits())
        .collect()
}

#[test]
fn hard_case_18_queues_threads_and_order_do_not_matter() {
    let text = "measures = ['coh', 'plv', 'wpli', 'wpli2_debiased', 'psi', 'mim']\nsurrogates = 3\n\
                [sets]\nl = ['A', 'B']\nr = ['C']";
    let epochs: Vec<_> = (0..19).map(reference_epoch).collect();
    let mut kit = kit(4, 125.0, 125);
    let build = |kit: &Kit, threads: usize| {
        let mut context = BuildContext { threads, ..BuildContext::default() };
        let mut problems = Problems::default();
        config(text).build(&kit.info, &mut context, &mut problems).unwrap_or_else(|| panic!("{:?}", problems.list()))
    };
    let (mut one, mut three) = (build(&kit, 1), build(&kit, 3));
    for (e, data) in epochs.iter().enumerate() {
        feed(&mut kit, &mut *one, e as u64, data);
        feed(&mut kit, &mut *three, e as u64, data);
        if [0, 6, 7, 8, 18].contains(&e) {
            // a fresh marker that never was read in between
            let fresh = analysed(text, 125.0, &epochs[..=e]);
            let now = bits(&kit.report(&*one)[0]);
            assert!(now == bits(&fresh) && now == bits(&kit.report(&*three)[0]), "after {e}");
        }
    }
    let mut turned = epochs.clone();
    turned.rotate_left(7);
    turned.swap(2, 11);
    let (a, b) = (kit.report(&*one).remove(0), analysed(text, 125.0, &turned));
    for row in 0..a.len() {
        let (a, b) = (a.number(row, "value").unwrap(), b.number(row, "value").unwrap());
        assert!((a - b).abs() <= 1e-13 * a.abs().max(1.0), "{a} {b}");
    }
    one.reset();
    epochs.iter().enumerate().for_each(|(e, data)| feed(&mut kit, &mut *one, e as u64, data));
    assert_eq!(bits(&kit.report(&*one)[0]), bits(&a));
}

#[test]
fn hard_case_19_independent_noise_is_at_its_null_expectation() {
    let mut gauss = Gauss(19);
    let n = 160;
    let epochs: Vec<Vec<Vec<f64>>> = (0..n).map(|_| (0..6).map(|_| gauss.white(250)).collect()).collect();
    let measures = [
        "coh",
        "msc",
        "cohy_re",
        "imcoh",
        "plv",
        "ciplv",
        "ppc",
        "pli",
        "pli2_unbiased",
        "dpli",
        "wpli",
        "wpli2_debiased",
        "psi",
    ];
    let table = analysed(&format!("measures = {measures:?}\n[bands_hz]\nall = [4, 60]"), 125.0, &epochs);
    for measure in measures {
        let rows: Vec<usize> = (0..table.len()).filter(|&r| table.text(r, "measure") == Some(measure)).collect();
        let value: Vec<f64> = rows.iter().map(|&r| table.number(r, "value").unwrap()).collect();
        let null = table.number(rows[0], "null_expectation").unwrap();
        let k = value.len() as f64;
        let mean = value.iter().sum::<f64>() / k;
        let se = (value.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (k - 1.0) / k).sqrt();
        // three standard errors, and for the approximate ones a share of themselves
        let share = if ["coh", "msc", "plv", "ciplv", "pli", "wpli"].contains(&measure) { 0.01 * null } else { 0.0 };
        assert!((mean - null).abs() < 3.0 * se + share, "{measure}: {mean} ± {se}, expected {null}");
        assert!(se < 0.01, "{measure}: {se}");
    }
}

#[test]
fn hard_case_20_a_large_offset_costs_no_digits() {
    let epochs: Vec<_> = (0..12).map(reference_epoch).collect();
    let shifted: Vec<Vec<Vec<f64>>> =
        epochs.iter().map(|e| e.iter().map(|c| c.iter().map(|v| v + 1e5).collect()).collect()).collect();
    let text = "measures = ['coh', 'plv', 'wpli', 'wpli2_debiased', 'imcoh']";
    let (plain, shifted) = (analysed(text, 125.0, &epochs), analysed(text, 125.0, &shifted));
    for row in 0..plain.len() {
        let (a, b) = (plain.number(row, "value").unwrap(), shifted.number(row, "value").unwrap());
        // the samples themselves have lost what 1e5 rounds away, 1.5e-11 of 1 µV
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }
}

#[test]
fn coupling_at_9_5_to_10_5_hz_does_not_appear_as_theta_connectivity() {
    let mut gauss = Gauss(7);
    let epochs: Vec<Vec<Vec<f64>>> = (0..60)
        .map(|_| {
            let tones: Vec<[f64; 3]> =
                (0..11).map(|k| [9.5 + 0.1 * f64::from(k), TAU * gauss.uniform(), gauss.draw()]).collect();
            let sample = |i: usize, lag: f64| {
                let tone = |[hz, phase, size]: &[f64; 3]| size * (TAU * hz * i as f64 / 500.0 + phase - lag).cos();
                tones.iter().map(tone).sum::<f64>()
            };
            // background of 1 µV²/Hz at 1 Hz falling with 1/f, roughly: an integrated and a white part
            let background = |gauss: &mut Gauss| {
                let mut slow = 0.0;
                let step = |v: f64| {
                    slow = 0.98 * slow + v;
                    0.4 * slow + 4.0 * v
                };
                gauss.white(2000).into_iter().map(step).collect::<Vec<f64>>()
            };
            let add =
                |noise: Vec<f64>, lag: f64| noise.iter().enumerate().map(|(i, v)| v + 3.0 * sample(i, lag)).collect();
            vec![add(background(&mut gauss), 0.0), add(background(&mut gauss), PI / 2.0)]
        })
        .collect();
    let table = analysed("", 500.0, &epochs);
    for row in 0..table.len() {
        let (measure, band) = (table.text(row, "measure").unwrap(), table.text(row, "band").unwrap());
        let (value, null) = (table.number(row, "value").unwrap(), table.number(row, "null_expectation").unwrap());
        match band {
            "theta" => assert!((value - null).abs() < 0.05, "{measure}: {value}, null {null}"),
            "alpha" => assert!((value - null).abs() > 0.1, "{measure}: {value}, null {null}"),
            _ => {}
        }
    }
}

#[test]
fn surrogates_tell_coupling_from_none() {
    let mut gauss = Gauss(3);
    let epochs: Vec<Vec<Vec<f64>>> = (0..40)
        .map(|_| {
            let s = gauss.white(252);
            let lagged = s[..250].iter().map(|v| v + gauss.draw()).collect();
            vec![s[2..].to_vec(), lagged, gauss.white(250)]
        })
        .collect();
    let text =
        "measures = ['coh', 'plv', 'wpli', 'wpli2_debiased', 'dpli']\nsurrogates = 99\n[bands_hz]\nbeta = [13, 30]";
    let table = analysed(text, 125.0, &epochs);
    for measure in ["coh", "plv", "wpli", "wpli2_debiased", "dpli"] {
        assert_eq!(column(&table, "p", measure, ("A", "B")), [0.01], "{measure}");
        assert!(column(&table, "z", measure, ("A", "B"))[0] > 4.0, "{measure}");
        assert!(column(&table, "p", measure, ("B", "C"))[0] > 0.02, "{measure}");
        assert!(column(&table, "z", measure, ("B", "C"))[0].abs() < 3.0, "{measure}");
    }
}

#[test]
fn seeds_pairs_and_problems() {
    let kit = kit(4, 125.0, 125);
    let pairs = |text: &str| {
        let plan = Plan::new(&config(text), &kit.info, &BuildContext::default(), &mut Problems::default());
        plan.map(|p| p.pairs)
    };
    assert_eq!(pairs("").unwrap(), PAIRS);
    assert_eq!(pairs("seeds = ['C']").unwrap(), [(0, 2), (1, 2), (2, 3)]);
    assert_eq!(pairs("pairs = [['D', 'A'], ['B', '*']]").unwrap(), [(0, 1), (0, 3), (1, 2), (1, 3)]);
    assert_eq!(pairs("seeds = ['X']"), None);
    let problems = |text: &str| kit.problems(&config(text)).join("\n");
    assert!(problems("measures = ['wply']").contains("nearest: \"wpli\""));
    assert!(problems("[bands_hz]\nx = [50, 70]").contains("bands_hz.x: 50…70 Hz is not a band between 0 and 62.5 Hz"));
    assert!(problems("[bands_hz]\nx = [4.1, 4.2]").contains("bands_hz.x: holds no frequency"));
    assert!(problems("measures = ['mic']").contains("two sets"));
    assert!(problems("mode = 'morlet'\n[bands_hz]\nx = [4, 8]").contains("more than the 1 s looked at"));
    assert!(problems("nw = 0.1").contains("nw: 0.1 is not between"));
    assert!(problems("window_ms = [0, 2000]").contains("window_ms"));
}

/// The reference job, printed: `cargo test --release --lib reference_job -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn reference_job() {
    let names: Vec<String> = (0..64).map(|c| format!("E{c}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let kit = Kit::new(&names, 500.0, [0.0, 3998.0]);
    let mut gauss = Gauss(1);
    let mut epoch = Epoch::new(kit.info.clock, kit.info.first, 64, 2000);
    epoch.data_mut().iter_mut().for_each(|v| *v = gauss.draw());
    for threads in [1, 2] {
        let mut context = BuildContext { threads, ..BuildContext::default() };
        let mut marker =
            ConnectivityConfig::default().build(&kit.info, &mut context, &mut Problems::default()).unwrap();
        let start = std::time::Instant::now();
        for e in 0..150 {
            epoch.data_mut().rotate_left(1 + e);
            marker.observe(&epoch);
        }
        println!("{threads} threads: {:?}, {} MB", start.elapsed(), marker.memory_bytes() / 1_000_000);
    }
}
