use super::super::kit::number;
use super::*;
use crate::signal::{Averages, Channel, ChannelKind, Episode, Event, EventName, PsdSum, Segment, Stimulation};
use crate::unit::{Clock, Rate, Tick, Unit};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::sync::Arc;

/// An engine for windows by the clock: epochs at a place in the recording, under a condition.
struct Lab {
    info: EpochInfo,
    context: BuildContext,
    conditions: Vec<String>,
    spectra: Vec<Vec<PsdSum>>,
    bad: Vec<bool>,
}

impl Lab {
    /// Episodes (from, to, Hz, phase, amplitude) in samples of one segment.
    fn new(names: &[&str], rate: u64, len: usize, episodes: &[(i64, i64, f64, f64, f64)]) -> Self {
        let clock = Clock::stored(Rate::new(rate, 1).unwrap());
        let channels = names.iter().map(|n| Channel::new(*n, ChannelKind::Eeg, Unit::Microvolt)).collect();
        let episode = |&(from, to, hz, phase, amplitude): &(i64, i64, f64, f64, f64)| Episode {
            segment: 0,
            on: from..to,
            plateau: from..to,
            cycles: hz / rate as f64,
            phase,
            amplitude,
            channel: names[0].into(),
        };
        let stimulation = Stimulation { episodes: episodes.iter().map(episode).collect(), ..Stimulation::default() };
        let segments = vec![Segment { first: Tick(0), length: 10_000_000, start_s: 0.0 }];
        let context = BuildContext {
            stimulation: Some((clock, Arc::new(stimulation))),
            segments: segments.into(),
            seed: 5,
            ..BuildContext::default()
        };
        let conditions: Vec<String> = ["pre", "stim", "gap", "post"].map(str::to_owned).into();
        let info = EpochInfo { clock, channels, first: 0, len, conditions: 4 };
        Self { info, context, conditions, spectra: Vec::new(), bad: vec![false; names.len()] }
    }

    fn build(&mut self, text: &str) -> Box<dyn Marker> {
        let config: EntrainmentConfig = toml::from_str(text).unwrap();
        let (mut problems, mut context) = (Problems::default(), self.context.clone());
        let marker = config.build(&self.info, &mut context, &mut problems);
        let sums = |(_, plan): &(PsdConfig, crate::signal::PsdPlan)| (0..4).map(|_| plan.sum(self.bad.len())).collect();
        self.spectra = context.spectra.iter().map(sums).collect();
        marker.unwrap_or_else(|| panic!("{:?}", problems.list()))
    }

    fn epoch(&self, at: i64, condition: u16, value: impl Fn(usize, i64) -> f64) -> Epoch {
        let mut epoch = Epoch::new(self.info.clock, 0, self.bad.len(), self.info.len);
        epoch.event = Event::new(Tick(at), EventName(u32::from(condition)));
        (epoch.condition, epoch.trial) = (condition, (at / self.info.len as i64) as u64);
        epoch.bad.clone_from(&self.bad);
        for c in 0..self.bad.len() {
            let row = epoch.channel_mut(c).iter_mut();
            row.enumerate().for_each(|(i, v)| *v = value(c, at + i as i64));
        }
        epoch
    }

    fn feed(&mut self, marker: &mut dyn Marker, at: i64, condition: u16, value: impl Fn(usize, i64) -> f64) {
        let epoch = self.epoch(at, condition, value);
        self.spectra.iter_mut().for_each(|s| s[usize::from(condition)].add(&epoch));
        marker.observe(&epoch);
    }

    fn report(&self, marker: &dyn Marker) -> Vec<Table> {
        let averages: Vec<Averages> = Vec::new();
        marker.report(&Report {
            input: &self.info,
            enters: &vec![true; self.bad.len()],
            bad: &self.bad,
            conditions: &self.conditions,
            averages: &averages,
            spectra: &self.spectra,
            events: &[],
        })
    }
}

fn noise(seed: u32, n: usize) -> Vec<f64> {
    let mut s = seed;
    let next = |_| {
        s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(s) / 4_294_967_296.0 - 0.5
    };
    (0..n).map(next).collect()
}

/// tests/reference/entrainment.py
#[test]
fn locking_and_power_by_phase_are_numpys() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/entrainment.json");
    let golden: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let get = |key: &str| golden[key].as_f64().unwrap();
    let (n, hz, phi, first) = (get("n") as usize, get("hz"), get("phi"), get("first") as i64);
    // the episode lies before the windows, on a clock of four times the rate
    let mut lab = Lab::new(&["Cz", "Pz"], 250, n, &[]);
    let fine = Clock::stored(Rate::new(250, 1).unwrap());
    let cycles = hz / 250.0;
    let episode = Episode {
        segment: 0,
        on: 300..1500,
        plateau: 300..1500,
        cycles,
        phase: phi,
        amplitude: 9e3,
        channel: "Cz".into(),
    };
    lab.context.stimulation = Some((fine, Arc::new(Stimulation { episodes: vec![episode], ..Stimulation::default() })));
    let mut marker = lab.build("");
    let jitter = noise(99, 12);
    for (e, jitter) in jitter.iter().enumerate() {
        let x = [0, 1].map(|c| noise(100 * e as u32 + c, n));
        let at = first + (e * n) as i64;
        lab.feed(&mut *marker, at, 3, |c, k| {
            let phase = TAU * cycles * k as f64 + phi;
            let locked = 2.0 * (phase + 0.4 + 4.0 * jitter).cos() * (1.0 - c as f64);
            20.0 * x[c][(k - at) as usize] * (1.0 + 0.5 * c as f64 * (phase - 1.0).cos()) + locked + 30.0
        });
    }
    let tables = lab.report(&*marker);
    let near = |got: f64, want: &serde_json::Value| {
        let want = want.as_f64().unwrap();
        assert!((got - want).abs() <= 1e-10 * want.abs().max(0.01), "{got} {want}");
    };
    for c in 0..2 {
        for key in ["plv", "ppc", "p", "phase_deg", "amplitude_uv"] {
            near(number(&tables[0], c, key), &golden[key][c]);
        }
        assert_eq!((number(&tables[0], c, "n_eff"), number(&tables[0], c, "valid")), (12.0, 1.0));
        for (b, name) in ["beta", "gamma"].into_iter().enumerate() {
            for bin in 0..18 {
                let row = (2 * c + b) * 18 + bin;
                assert_eq!(tables[2].text(row, "band"), Some(name));
                assert_eq!(number(&tables[2], row, "n_samples"), golden["counts"][bin].as_f64().unwrap());
                near(number(&tables[2], row, "mi"), &golden["power"][name][c]["mi"]);
                near(number(&tables[2], row, "power_uv2"), &golden["power"][name][c]["power_uv2"][bin]);
            }
        }
    }
    // noise that the stimulation's phase modulates
    let p = |c: usize| number(&tables[2], 2 * c * 18, "p");
    assert!(p(1) < 0.02 && p(0) > 0.02, "{} {}", p(0), p(1));
}

/// A sinusoid that keeps the stimulation's phase but for steps of a known angle: R = |1 + e^{iα}| / 2 = cos(α/2).
#[test]
fn a_locked_sinusoid_has_its_plv_and_phase() {
    let f = 10.0123;
    let mut lab = Lab::new(&["Cz"], 500, 1000, &[(20_000, 40_000, f, 1.1, 5e3), (60_000, 70_000, 6.5, 0.3, 5e3)]);
    let mut marker = lab.build("power_hz = {}\nintensity_ma = 1.5\nmultiples = [1, 2]");
    let wave = |k: i64, hz: f64, phase: f64| (TAU * hz / 500.0 * k as f64 + phase).cos();
    for e in 0..10 {
        // before, at 11 Hz: free
        lab.feed(&mut *marker, 1000 * e, 0, |_, k| 5.0 * wave(k, 11.0, 0.2) + noise(k as u32, 1)[0]);
        lab.feed(&mut *marker, 20_000 + 1000 * e, 1, |_, k| 500.0 * wave(k, f, 1.1));
    }
    for e in 0..10 {
        let turn = if e % 2 == 0 { 0.0 } else { 1.0 };
        lab.feed(&mut *marker, 40_000 + 1000 * e, 2, |_, k| 3.0 * wave(k, f, 1.1 + 0.25 + turn));
        lab.feed(&mut *marker, 71_000 + 1000 * e, 3, |_, k| 3.0 * wave(k, 6.5, 0.3 - 0.5));
    }
    let tables = lab.report(&*marker);
    let t = &tables[0];
    assert_eq!(t.len(), 8);
    let row = |row: usize| ["stimulus", "n_windows", "plv", "phase_deg", "valid"].map(|c| number(t, row, c));
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-4, "{a} {b}");
    // the null: 11 Hz slips by two cycles a window; 0.0123 Hz are 8.9° of each
    assert!(number(t, 0, "plv") < 0.999 && t.text(0, "reason") == Some("before_stimulation: the null"));
    let stim = row(2);
    assert_eq!((stim[0], stim[1], stim[4]), (1.0, 10.0, 0.0));
    close(stim[2], 1.0);
    assert_eq!(t.text(2, "reason"), Some("during_stimulation: see tacs"));
    let gap = row(4);
    assert_eq!((gap[0], gap[4], t.text(4, "reason")), (1.0, 1.0, None));
    close(gap[2], 0.5_f64.cos());
    close(gap[3], 0.75_f64.to_degrees());
    close(number(t, 4, "amplitude_uv"), 3.0);
    close(number(t, 4, "ppc"), (10.0 * 0.5_f64.cos().powi(2) - 1.0) / 9.0);
    let post = row(6);
    assert_eq!((post[0], post[4]), (2.0, 1.0));
    close(post[3], -0.5_f64.to_degrees());
    // nothing at twice the frequency but what leaks, and the twelve rows of the map: four conditions, a channel and the mean
    assert_eq!(tables[1].len(), 8);
    let point = ["frequency_hz", "iaf_hz", "delta_hz", "intensity_ma", "artefact_uv", "episodes"];
    let point = point.map(|c| number(&tables[1], 0, c));
    close(point[0], f);
    assert!((point[1] - 11.0).abs() < 0.3 && (point[2] - f + point[1]).abs() < 1e-12, "{point:?}");
    assert_eq!(point[3..], [1.5, 5e3, 1.0]);
}

/// Gaussian noise: PPC 0 within three standard errors, p uniform.
#[test]
fn noise_is_not_locked() {
    let names: Vec<String> = (0..50).map(|c| format!("c{c}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut ppcs, mut ps, mut turned) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 0..8 {
        let mut lab = Lab::new(&names, 100, 200, &[(0, 1000, 9.7, 0.0, 1e3)]);
        let mut marker = lab.build("power_hz = { beta = [20, 45] }\nsurrogates = 39");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let mut gauss = || (0..4).map(|_| f64::from(random.next_u32()) / 4_294_967_296.0 - 0.5).sum::<f64>();
        for e in 0..30 {
            let x: Vec<f64> = (0..names.len() * 200).map(|_| gauss()).collect();
            lab.feed(&mut *marker, 1000 + 200 * e, 3, |c, k| x[c * 200 + (k - 1000 - 200 * e) as usize]);
        }
        let tables = lab.report(&*marker);
        for row in 0..names.len() {
            ppcs.push(number(&tables[0], row, "ppc"));
            ps.push(number(&tables[0], row, "p"));
            turned.push(number(&tables[2], 18 * row, "p"));
        }
    }
    let (mean, sd) = (crate::dsp::stats::mean(&ppcs), crate::dsp::stats::sd(&ppcs, 1));
    let n = ppcs.len() as f64;
    assert!(mean.abs() < 3.0 * sd / n.sqrt(), "{mean} {sd}");
    for (ps, step) in [(ps, 0.0), (turned, 1.0 / 40.0)] {
        // Kolmogorov–Smirnov at 0.1 %, with the steps that draws make
        let mut sorted = ps;
        sorted.sort_by(f64::total_cmp);
        let worst = sorted.iter().enumerate().map(|(i, p)| (p - (i as f64 + 0.5) / n).abs()).fold(0.0, f64::max);
        assert!(worst < 1.95 / n.sqrt() + step, "{worst}");
    }
}

/// Windows that overlap count once, what has no phase does not count, and forgetting is complete.
#[test]
fn overlaps_count_once_and_reset_forgets() {
    let mut lab = Lab::new(&["Cz", "Pz", "Oz"], 250, 500, &[(0, 1000, 10.0, 0.0, 1e3)]);
    let mut marker = lab.build("channels = ['*z']\nwindow_ms = 1000");
    let run = |lab: &mut Lab, marker: &mut dyn Marker| {
        lab.bad = vec![false, true, false];
        for e in 0..20 {
            lab.feed(marker, 1000 + 250 * e, 3, |c, k| {
                if c == 2 { 7.0 } else { noise(k as u32, 1)[0] + (TAU * 0.04 * k as f64).cos() }
            });
        }
        format!(
            "{:?}",
            lab.report(marker)
                .iter()
                .map(|t| t.rows().map(|r| format!("{r:?}")).collect::<Vec<_>>())
                .collect::<Vec<_>>()
        )
    };
    let first = run(&mut lab, &mut *marker);
    let table = &lab.report(&*marker)[0];
    assert_eq!((number(table, 0, "n_windows"), number(table, 0, "n_eff")), (40.0, 21.0));
    let told = |row: usize| (table.text(row, "reason"), table.number(row, "plv"), number(table, row, "valid"));
    assert_eq!(told(1), (Some("bad"), None, 0.0));
    assert_eq!(told(2), (Some("no_phase"), None, 0.0));
    marker.reset();
    assert!(lab.report(&*marker)[0].is_empty());
    lab.spectra.iter_mut().flatten().for_each(PsdSum::reset);
    assert_eq!(run(&mut lab, &mut *marker), first);
    // a recording without stimulation says so
    let mut lab = Lab::new(&["Cz"], 250, 500, &[]);
    let mut marker = lab.build("");
    lab.feed(&mut *marker, 0, 0, |_, k| k as f64);
    let tables = lab.report(&*marker);
    assert_eq!((tables[0].len(), tables[0].text(0, "reason"), tables[1].len()), (1, Some("no_stimulation"), 0));
}

#[test]
fn every_problem_is_told() {
    let lab = Lab::new(&["Cz"], 100, 100, &[(0, 1000, 2.5, 0.0, 1e3), (2000, 3000, 30.0, 0.0, 1e3)]);
    let config: EntrainmentConfig =
        toml::from_str("channels = ['Cx']\nmultiples = [2]\nintensity_ma = 0\n[power_hz]\nhigh = [40, 80]").unwrap();
    let mut problems = Problems::default();
    assert!(config.build(&lab.info, &mut lab.context.clone(), &mut problems).is_none());
    let list: Vec<String> = problems.list().iter().map(ToString::to_string).collect();
    assert_eq!(list.len(), 5, "{list:?}");
    assert_eq!(list[0], "channels: there is no EEG channel \"Cx\"; nearest: \"Cz\"");
    assert_eq!(list[2], "window_ms: holds 2.50 cycles of 2.500 Hz; 3 are needed");
    assert_eq!(list[3], "multiples: 60.000 Hz needs a rate above 120.000 Hz; here 100 Hz");
    let mut problems = Problems::default();
    assert!(EntrainmentConfig::default().build(&lab.info, &mut BuildContext::default(), &mut problems).is_none());
    assert!(problems.list()[0].to_string().contains("finds the stimulation"), "{:?}", problems.list());
}
