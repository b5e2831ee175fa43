use super::super::kit::Kit;
use super::*;
use serde_json::Value;
use std::f64::consts::TAU;

fn noise(n: usize, seed: u64) -> Vec<f64> {
    let mut s = seed;
    let mut next = || {
        s = (1_664_525 * s + 1_013_904_223) & 0xFFFF_FFFF;
        s as f64 / 4_294_967_296.0 - 0.5
    };
    (0..n).map(|_| next()).collect()
}

const RATE: f64 = 500.0;

fn config() -> PacConfig {
    PacConfig {
        phase_hz: vec![[4.0, 8.0]],
        amplitude_hz: vec![[55.0, 85.0]],
        measures: vec![PacMeasure::Mi, PacMeasure::Mvl, PacMeasure::Ndpac],
        surrogates: 49,
        ..PacConfig::default()
    }
}

fn run(
    config: &PacConfig,
    threads: usize,
    n: usize,
    epochs: u64,
    value: impl Fn(u64, usize, usize) -> f64,
) -> Vec<Table> {
    let mut kit = Kit::new(&["C3", "C4", "Pz"], RATE, [0.0, (n - 1) as f64 * 1e3 / RATE]);
    let mut context = BuildContext { threads, seed: 5, ..BuildContext::default() };
    let mut marker = config.build(&kit.info, &mut context, &mut Problems::default()).unwrap();
    for e in 0..epochs {
        kit.feed(&mut *marker, e, 0, |c, i, _| value(e, c, i));
    }
    assert!(marker.memory_bytes() > 1000);
    kit.report(&*marker)
}

/// A slow wave whose frequency wanders about 6 Hz (a steady one stays coupled however it is shifted) and whose phase modulates the amplitude of 70 Hz with this depth, in a little noise.
fn coupled(depth: f64) -> impl Fn(u64, usize, usize) -> f64 {
    let noise = noise(100_000, 9);
    move |e, c, i| {
        let t = i as f64 / RATE + 10.7 * e as f64;
        let slow = TAU * 6.0 * t + 2.5 * (TAU * 0.31 * t).sin() + (TAU * 0.77 * t).sin();
        10.0 * slow.cos()
            + (1.0 + depth * slow.cos()) * (TAU * 70.3 * t).cos()
            + noise[(e as usize * 7919 + c * 2003 + i) % 100_000]
    }
}

/// Values of the first channel.
fn first(tables: &[Table], column: &str) -> [f64; 3] {
    std::array::from_fn(|row| tables[0].number(row, column).unwrap())
}

#[test]
fn hard_case_24_coupling_grows_with_its_depth() {
    let mut last = [-1.0; 3];
    for depth in [0.0, 0.25, 0.5, 0.75, 1.0] {
        let tables = run(&config(), 1, 2000, 4, coupled(depth));
        let values = first(&tables, "value");
        assert!(values.iter().zip(&last).all(|(a, b)| a > b), "{depth}: {values:?} {last:?}");
        let p = first(&tables, "p");
        if depth == 0.0 {
            // the amplitude of a pure tone is nearly steady: the ends of the epochs, which filters make up, decide its p
            assert!(values[0] < 2e-4 && values[2] < 0.1, "{values:?} {p:?}");
        } else {
            assert!(p.iter().all(|p| *p == 0.02) && first(&tables, "z").iter().all(|z| *z > 3.0), "{depth} {p:?}");
        }
        assert_eq!(tables[0].text(0, "note"), Some(""));
        assert!(first(&tables, "harmonic_share")[0] < 0.05);
        last = values;
    }
    // an amplitude of 1 modulated fully by its cosine: mean vector ½, and |z-scored| 1/√2
    assert!((last[1] - 0.5).abs() < 0.05 && (last[2] - 0.5_f64.sqrt()).abs() < 0.08, "{last:?}");
}

#[test]
fn without_coupling_p_is_uniform() {
    let noise = noise(1_000_000, 12);
    let mut all = [const { Vec::new() }; 3];
    for run_number in 0..12 {
        let value =
            |e: u64, c: usize, i: usize| noise[((run_number * 4 + e as usize) * 6000 + c * 2000 + i) % 1_000_000];
        let tables = run(&config(), 1, 2000, 4, value);
        (0..9).for_each(|row| all[row % 3].push(tables[0].number(row, "p").unwrap()));
    }
    for p in &all {
        let (mean, small) = (p.iter().sum::<f64>() / 36.0, p.iter().filter(|p| **p <= 0.1).count());
        // 36 uniform numbers: 0.5 with a standard error of 0.048; 3.6 of them below 0.1
        assert!((mean - 0.5).abs() < 0.15 && small <= 9, "{mean} {small}");
    }
}

#[test]
fn hard_case_24_a_narrow_amplitude_band_hides_the_coupling_and_says_so() {
    let wide = first(&run(&config(), 1, 2000, 4, coupled(1.0)), "value");
    let narrow = PacConfig { amplitude_hz: vec![[68.0, 73.0]], ..config() };
    let narrow = run(&narrow, 1, 2000, 4, coupled(1.0));
    let values = first(&narrow, "value");
    // the automatic flanks of this band still let some of both side bands through; what is asked for must be told
    assert_eq!(narrow[0].text(0, "note"), Some("amplitude_band_narrow"));
    assert!(values[0] <= wide[0]);
    // a filter that is really 5 Hz wide leaves nothing
    let strict = strictly_narrow();
    assert!(strict < 1e-3 * wide[0], "{strict} {wide:?}");
}

/// Modulation index with an amplitude filter 5 Hz wide, flanks of 1 Hz.
fn strictly_narrow() -> f64 {
    let n = 4000;
    let signal = coupled(1.0);
    let x: Vec<f64> = (0..n).map(|i| signal(0, 0, i)).collect();
    let band = |band_hz, flank| {
        let flanks = Flanks { band_hz, stop: false, transition_hz: [Some(flank); 2], window: Window::Hamming };
        let mut plan = BandAnalytic::new(&flanks.design(RATE).unwrap().taps, n);
        let (mut re, mut im) = (vec![0.0; n], vec![0.0; n]);
        plan.apply(&x, &mut re, &mut im);
        // away from the ends, which the filter makes up
        (re[1000..3000].to_vec(), im[1000..3000].to_vec())
    };
    let (slow, fast) = (band([4.0, 8.0], 2.0), band([68.0, 73.0], 1.0));
    let mut phases = Phases::new(2000);
    phases.set(&slow.0, &slow.1);
    let amplitude: Vec<f64> = fast.0.iter().zip(&fast.1).map(|(a, b)| a.hypot(*b)).collect();
    phases.tally(&amplitude).modulation_index(&phases.pair(&amplitude)).unwrap()
}

#[test]
fn hard_case_24_a_sawtooth_couples_with_itself_and_says_so() {
    let noise = noise(100_000, 4);
    let saw = |e: u64, c: usize, i: usize| {
        let t = i as f64 / RATE + 3.1 * e as f64;
        20.0 * ((6.0 * t).rem_euclid(1.0) - 0.5) + 0.1 * noise[(e as usize * 7919 + c * 2003 + i) % 100_000]
    };
    let tables = run(&config(), 1, 2000, 4, saw);
    assert!(first(&tables, "value")[0] > 1e-3, "spurious coupling is there");
    assert_eq!(tables[0].text(0, "note"), Some("harmonics"));
    let share = first(&tables, "harmonic_share")[0];
    assert!(share > 0.25, "{share}");
}

#[test]
fn hard_case_24_a_short_record_has_empty_bins() {
    // half a slow cycle: half of the bins see nothing
    let config = PacConfig { phase_hz: vec![[4.0, 8.0]], surrogates: 5, ..config() };
    let tables = run(&config, 1, 30, 2, coupled(1.0));
    assert_eq!((tables[0].number(0, "value"), tables[0].number(0, "n_epochs")), (None, Some(0.0)));
    assert!(tables[0].number(0, "n_empty_bins").unwrap() >= 1.0);
    assert!(tables[0].number(1, "value").is_some(), "the mean vector needs no bins");
}

#[test]
fn pooled_epochs_are_one_long_one() {
    let pooled = PacConfig { pooled: true, ..config() };
    let one = first(&run(&config(), 1, 2000, 1, coupled(0.5)), "value");
    let same = first(&run(&pooled, 1, 2000, 1, coupled(0.5)), "value");
    assert!(one.iter().zip(&same).all(|(a, b)| (a - b).abs() < 1e-12));
    let many = run(&pooled, 1, 2000, 6, coupled(0.5));
    assert!(first(&many, "p").iter().all(|p| *p == 0.02));
    assert_eq!(tables_epochs(&many), 6.0);
}

fn tables_epochs(tables: &[Table]) -> f64 {
    tables[0].number(0, "n_epochs").unwrap()
}

#[test]
fn threads_do_not_matter_and_bad_epochs_do_not_count() {
    let nm = NmConfig { n: 2, m: 1, a_hz: [4.0, 8.0], b_hz: [9.0, 15.0] };
    let config = PacConfig { nm: vec![nm], across: true, ..config() };
    let signal = coupled(0.5);
    let value = |e: u64, c: usize, i: usize| match (e, c) {
        (1, 1) if i == 77 => f64::NAN,
        (2, 2) => 3.3,
        _ => signal(e, c, i),
    };
    let cells = |threads| {
        let tables = run(&config, threads, 1000, 4, value);
        tables.iter().flat_map(|t| t.rows()).map(|(_, r)| format!("{r:?}")).collect::<Vec<_>>()
    };
    let one = cells(1);
    assert!([2, 3, 8].iter().all(|&threads| cells(threads) == one));
    let tables = run(&config, 1, 1000, 4, value);
    let n: Vec<f64> = (0..9).step_by(3).map(|row| tables[0].number(row, "n_epochs").unwrap()).collect();
    assert_eq!(n, [4.0, 3.0, 3.0]);
    let samples: Vec<f64> = (0..9).map(|row| tables[1].number(row, "n_samples").unwrap() / 1000.0).collect();
    assert_eq!(samples, [4.0, 3.0, 3.0, 3.0, 3.0, 2.0, 3.0, 2.0, 3.0]);
}

#[test]
fn rhythms_lock_at_their_ratio() {
    let ratio = |n, m| NmConfig { n, m, a_hz: [9.0, 11.0], b_hz: [18.0, 22.0] };
    let nm = vec![ratio(2, 1), ratio(1, 1)];
    let config = PacConfig { nm, across: true, phase_hz: Vec::new(), amplitude_hz: Vec::new(), ..config() };
    let noise = noise(100_000, 6);
    // C3 has 10 Hz, C4 its double frequency in step, Pz another 20 Hz
    let value = |e: u64, c: usize, i: usize| {
        let t = i as f64 / RATE + 2.3 * e as f64;
        let own = if c == 2 { 1.7 * e as f64 * e as f64 } else { 0.0 };
        let tone = (TAU * if c == 0 { 10.0 } else { 20.0 } * t + 0.4 + own).cos();
        10.0 * tone + noise[(e as usize * 7919 + c * 2003 + i) % 100_000]
    };
    let tables = run(&config, 1, 2000, 8, value);
    assert!(tables[0].is_empty());
    let cell = |a: usize, b: usize| tables[1].number(3 * a + b, "value").unwrap();
    assert!(cell(0, 1) > 0.95 && cell(0, 2) < 0.6, "{} {}", cell(0, 1), cell(0, 2));
    assert_eq!(tables[1].text(0, "note"), Some("own_harmonics"));
    assert_eq!(tables[1].text(9, "note"), Some("bands_do_not_meet"));
}

#[test]
fn what_cannot_be_planned_says_where() {
    let kit = Kit::new(&["C3"], RATE, [0.0, 1000.0]);
    let nm = vec![NmConfig { n: 0, m: 1, a_hz: [4.0, 8.0], b_hz: [9.0, 300.0] }];
    let bad = PacConfig { phase_hz: vec![[8.0, 4.0]], channels: vec!["C9".into()], measures: vec![], nm, ..config() };
    let problems = kit.problems(&bad);
    assert_eq!(problems.len(), 5, "{problems:?}");
    assert!(problems.iter().any(|p| p.contains("C9") && p.contains("C3")));
}

/// Twenty trials of tensorpac's example, where it is at hand: `STIMKIT_SHARED` names the folder of shared data.
#[test]
fn real_trials_couple_as_tensorpac_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/pac.json");
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let want = &golden["real"];
    let Some(shared) = std::env::var_os("STIMKIT_SHARED") else { return };
    let path = std::path::Path::new(&shared).join("data/pac-tensorpac/seeg_data_pac.npz");
    let Some(data) = std::fs::read(path).ok().and_then(|bytes| npz_member(&bytes, "data.npy")) else { return };
    // 160 trials of 4001 int32
    let samples: Vec<f64> = data[data.len() - 160 * 4001 * 4..]
        .chunks_exact(4)
        .map(|b| f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])))
        .collect();
    let mut kit = Kit::new(&["S"], 1024.0, [0.0, 4000.0 * 1e3 / 1024.0]);
    let config = PacConfig { phase_hz: vec![[2.0, 5.0]], amplitude_hz: vec![[60.0, 90.0]], ..config() };
    let mut marker = kit.build(&config);
    for trial in 0..20 {
        kit.feed(&mut *marker, trial, 0, |_, i, _| samples[trial as usize * 4001 + i]);
    }
    let table = &kit.report(&*marker)[0];
    for (row, key) in ["mi", "mvl", "ndpac"].into_iter().enumerate() {
        let (got, want) = (table.number(row, "value").unwrap(), want[key].as_f64().unwrap());
        assert!((got - want).abs() < 1e-10 * want, "{key}: {got} {want}");
        assert_eq!(table.number(row, "n_epochs"), Some(20.0));
    }
}

/// A member of a zip archive, from its central directory.
fn npz_member(zip: &[u8], name: &str) -> Option<Vec<u8>> {
    use std::io::Read;
    let u16_at = |at: usize| usize::from(u16::from_le_bytes([zip[at], zip[at + 1]]));
    let u32_at = |at: usize| u32::from_le_bytes([zip[at], zip[at + 1], zip[at + 2], zip[at + 3]]) as usize;
    let mut at = zip.windows(4).position(|w| w == b"PK\x01\x02")?;
    while zip.get(at..at + 4)? == b"PK\x01\x02" {
        let (method, packed, name_len) = (u16_at(at + 10), u32_at(at + 20), u16_at(at + 28));
        let (skip, local) = (u16_at(at + 30) + u16_at(at + 32), u32_at(at + 42));
        if &zip[at + 46..at + 46 + name_len] == name.as_bytes() {
            let from = local + 30 + u16_at(local + 26) + u16_at(local + 28);
            let body = &zip[from..from + packed];
            let mut out = Vec::new();
            match method {
                0 => out.extend_from_slice(body),
                _ => flate2::read::DeflateDecoder::new(body).read_to_end(&mut out).map(|_| ()).ok()?,
            }
            return Some(out);
        }
        at += 46 + name_len + skip;
    }
    None
}
