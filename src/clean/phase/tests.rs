use super::super::testing::listed;
use super::*;
use crate::signal::Segment;
use crate::table::Table;
use crate::unit::{Clock, Rate, Tick};
use std::f64::consts::TAU;

fn stream(names: &[&str], rate_hz: f64) -> StreamInfo {
    let channels = names.iter().map(|&n| Channel::new(n, ChannelKind::Eeg, Unit::Microvolt)).collect();
    StreamInfo { clock: Clock::stored(Rate::from_hz(rate_hz).unwrap()), channels, max_block: 512 }
}

fn config(text: &str) -> Phase {
    toml::from_str(text).unwrap()
}

/// A rhythm whose amplitude swells, in noise.
fn rhythm(seed: u32, n: usize, rate: f64, hz: f64) -> Vec<f64> {
    let mut s = seed;
    let mut noise = || {
        s = s.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(s) / 4_294_967_296.0 - 0.5
    };
    let mut walk = 0.0;
    (0..n)
        .map(|i| {
            let t = i as f64 / rate;
            walk = 0.99 * walk + noise();
            10.0 * (1.0 + 0.6 * (TAU * 0.31 * t).sin()) * (TAU * hz * t).cos() + walk + 6.0 * noise()
        })
        .collect()
}

/// Where the tests hold a Stage, its Watch and what came out: `[channel][sample]`.
struct Run {
    stage: Box<dyn Stage>,
    watch: Option<Box<dyn Watch>>,
    rows: Vec<Vec<f64>>,
}

impl Run {
    fn new(config: &Phase, input: &StreamInfo, model: Option<Model>) -> Result<Self, Vec<String>> {
        let segments = [(0, 5000, 0.0), (5000, 1 << 20, 60.0)].map(|(first, length, start_s)| Segment {
            first: Tick(first),
            length,
            start_s,
        });
        let mut context = BuildContext { model, segments: segments.into(), ..BuildContext::default() };
        let mut problems = Problems::default();
        let Some(stage) = config.build(input, &mut context, &mut problems) else { return Err(listed(problems)) };
        let watch = config.watch(input, stage.output(), &context);
        let rows = vec![Vec::new(); stage.output().channels.len()];
        Ok(Self { stage, watch, rows })
    }

    fn feed(&mut self, x: &[Vec<f64>], segment: u32, first: i64, sizes: &[usize]) {
        let (mut input, mut out) = (Block::new(x.len(), 512), Block::new(self.rows.len(), 512));
        let mut at = 0;
        for size in sizes.iter().cycle() {
            let len = (*size).min(x[0].len() - at);
            if len == 0 {
                break;
            }
            input.start(segment, first + at as i64, len);
            for (c, row) in x.iter().enumerate() {
                (0..len).for_each(|i| input.set(c, i, row[at + i]));
            }
            self.stage.push(&input, &mut out);
            self.watch.iter_mut().for_each(|w| w.after(&out));
            assert_eq!((out.len(), out.first()), (len, input.first()), "a value for every sample, at once");
            for (c, row) in self.rows.iter_mut().enumerate() {
                row.extend((0..len).map(|i| out.get(c, i)));
            }
            at += len;
        }
        self.stage.finish(&mut out);
        assert!(out.is_empty());
        self.watch.iter_mut().for_each(|w| w.end_segment());
        self.stage.reset();
    }

    fn triggers(&mut self) -> Option<Table> {
        let mut out = Vec::new();
        self.watch.iter_mut().for_each(|w| w.drain(&mut out));
        out.pop()
    }

    fn bits(&self) -> Vec<Vec<u64>> {
        self.rows.iter().map(|row| row.iter().map(|v| v.to_bits()).collect()).collect()
    }
}

/// Degrees from b to a.
fn apart(a: f64, b: f64) -> f64 {
    (a - b + 180.0).rem_euclid(360.0) - 180.0
}

const METHODS: [&str; 3] = ["method = 'echt'", "method = 'phastimate'", "method = 'kalman'"];

#[test]
fn cuts_do_not_matter_and_a_gap_empties_the_window() {
    let input = stream(&["C3", "Cz", "C4"], 500.0);
    let x: Vec<Vec<f64>> = (0..3).map(|c| rhythm(c + 1, 6000, 500.0, 10.3)).collect();
    for (method, wait) in METHODS.into_iter().zip([500, 250, 1]) {
        let config = config(&format!("{method}\ntarget_deg = 90\nrefractory_ms = 300\ncalibrate_s = 12"));
        let model = config.learns().then(|| config.calibrate(500.0, &["C3", "Cz", "C4"], &x).unwrap());
        let mut all = Vec::new();
        for sizes in [&[512][..], &[1], &[7, 331, 64, 2]] {
            let mut run = Run::new(&config, &input, model.clone()).unwrap();
            let names: Vec<&str> = run.stage.output().channels.iter().map(|c| c.name.as_str()).collect();
            assert_eq!(names[..5], ["C3", "Cz", "C4", "C3 phase", "C3 amplitude"]);
            run.feed(&x.iter().map(|r| r[..3000].to_vec()).collect::<Vec<_>>(), 0, 0, sizes);
            run.feed(&x.iter().map(|r| r[3000..].to_vec()).collect::<Vec<_>>(), 1, 5000, sizes);
            let known: Vec<bool> = run.rows[3].iter().map(|v| v.is_finite()).collect();
            let unknown = |from: usize| known[from..].iter().position(|k| *k).unwrap();
            assert_eq!((unknown(0), unknown(3000)), (wait - 1, wait - 1), "{method}");
            // after the gap it is as after the start
            let mut fresh = Run::new(&config, &input, model.clone()).unwrap();
            fresh.feed(&x.iter().map(|r| r[3000..].to_vec()).collect::<Vec<_>>(), 0, 0, &[100]);
            let (a, b) = (run.bits(), fresh.bits());
            assert!(a.iter().zip(&b).all(|(a, b)| a[3000..] == b[..]), "{method}: a gap leaves traces");
            let table = run.triggers().unwrap();
            assert!(table.len() > 20, "{method}: {} triggers", table.len());
            let row = (0..table.len()).find(|&r| table.number(r, "sample").unwrap() >= 5000.0).unwrap();
            let onset = 60.0 + (table.number(row, "sample").unwrap() - 5000.0) / 500.0;
            assert!((table.number(row, "onset_s").unwrap() - onset).abs() < 1e-9, "the gap counts");
            all.push((run.bits(), format!("{table:?}")));
        }
        assert!(all[0] == all[1] && all[0] == all[2], "{method}: bits depend on the cut");
    }
}

/// Hard case 13.
#[test]
fn hard_case_13_tone_at_the_band_edge_dip_jump_and_odd_windows() {
    let rate = 1000.0;
    for window_s in [1.0, 0.75, 1.037] {
        let config = config(&format!("frequency_hz = 10\nwindow_s = {window_s}\nchannels = ['Cz']"));
        let input = stream(&["Cz"], rate);
        let full = (window_s * rate).round() as usize;
        let after = |x: Vec<f64>| {
            let mut run = Run::new(&config, &input, None).unwrap();
            run.feed(&[x], 0, 0, &[100]);
            run.rows
        };
        let tone = |hz: f64, i: usize| (TAU * hz * i as f64 / rate).cos();
        let wrong = |rows: &[Vec<f64>], hz: f64, from: usize| {
            let error = (from..from + 1000).map(|i| apart(rows[1][i], 360.0 * hz * i as f64 / rate));
            error.fold([0.0_f64; 2], |[sum, most], e| [sum + e / 1000.0, most.max(e.abs())])
        };
        // at its own frequency: no bias; at the edges of 7.5…12.5 Hz the bias that the filter's response tells, and nothing wilder
        for (hz, bias) in [(10.0, 0.0), (7.5, 100.0), (12.5, -81.0)] {
            let [mean, worst] = wrong(&after((0..3000).map(|i| tone(hz, i)).collect()), hz, full);
            assert!((mean - bias).abs() < 2.5 && worst - mean.abs() < 2.5, "{window_s} s, {hz} Hz: {mean}, {worst}");
            assert!(hz != 10.0 || mean.abs() < 0.05, "{mean}");
        }
        // amplitude dips to 0 for two windows: no NaN, no amplitude, and back again
        let dip = |i: usize| if (2000..2000 + 2 * full).contains(&i) { 0.0 } else { 10.0 * tone(10.0, i) };
        let rows = after((0..7000).map(dip).collect());
        assert!(rows[1][full..].iter().chain(&rows[2][full..]).all(|v| v.is_finite()));
        assert!(rows[2][2000 + full..2000 + 2 * full].iter().all(|a| a.abs() < 1e-9));
        assert!(wrong(&rows, 10.0, 2000 + 3 * full)[1] < 1.5);
        // 9 to 11 Hz in one sample: known again a window later, up to what the band-pass does to 11 Hz
        let phase = |i: usize| if i < 3000 { 9.0 * i as f64 } else { 27_000.0 + 11.0 * (i - 3000) as f64 } / rate;
        let rows = after((0..6000).map(|i| (TAU * phase(i)).cos()).collect());
        let errors: Vec<f64> = (3000 + full..6000).map(|i| apart(rows[1][i], 360.0 * phase(i))).collect();
        assert!(errors.iter().all(|e| (-36.0..-30.0).contains(e)), "{window_s}: {:?}", &errors[..3]);
    }
}

#[test]
fn triggers_keep_gate_and_refractory_time_and_come_early() {
    let rate = 1000.0;
    let x = rhythm(5, 60_000, rate, 10.0);
    let base = "channels = ['C3']\nfrequency_hz = 10\ntarget_deg = 180\n";
    let input = stream(&["C3"], rate);
    let mut counts = Vec::new();
    for extra in [
        "refractory_ms = 1",
        "refractory_ms = 730",
        "min_uv = 12\nrefractory_ms = 1",
        "advance_ms = 20\nrefractory_ms = 1",
    ] {
        let config = config(&format!("{base}{extra}"));
        let mut run = Run::new(&config, &input, None).unwrap();
        run.feed(std::slice::from_ref(&x), 0, 0, &[333]);
        let table = run.triggers().unwrap();
        let column = |name: &str| (0..table.len()).map(|r| table.number(r, name).unwrap()).collect::<Vec<_>>();
        let (samples, phases) = (column("sample"), column("phase_deg"));
        assert!(samples.windows(2).all(|w| w[1] - w[0] >= config.refractory_ms), "{extra}");
        assert!(column("amplitude_uv").iter().all(|a| *a >= config.min_uv), "{extra}");
        let wanted = 180.0 - 0.36 * 10.0 * config.advance_ms;
        assert!(phases.iter().all(|p| (0.0..20.0).contains(&apart(*p, wanted))), "{extra}: {phases:?}");
        counts.push(table.len());
        // the tracker of an acquisition callback hits the same
        let mut tracker = Tracker::new(&config, rate, &["C3"], None).unwrap();
        let hits: Vec<f64> = x.iter().filter_map(|v| tracker.push(&[*v])).map(|t| t.sample as f64).collect();
        assert_eq!(hits, samples, "{extra}");
    }
    assert!(counts[0] > 550 && counts[0] < 600 && counts[1] < 85 && counts[2] < counts[0] / 2, "{counts:?}");
    // a full queue is told
    let mut run = Run::new(&config(&format!("{base}queue = 3")), &input, None).unwrap();
    run.feed(&[x], 0, 0, &[333]);
    let table = run.triggers().unwrap();
    assert!(table.text(3, "channel").unwrap().ends_with("triggers lost: the queue was full"));
    assert!(run.triggers().is_none());
}

#[test]
fn calibration_finds_frequency_gate_and_oscillators() {
    let rate = 500.0;
    let x: Vec<Vec<f64>> = [10.7, 10.7].iter().zip(3..).map(|(f, s)| rhythm(s, 20_000, rate, *f)).collect();
    let config = config("method = 'kalman'\ntarget_deg = 0\nmin_percentile = 50\ncalibrate_s = 40");
    let model = config.calibrate(rate, &["C3", "C4"], &x).unwrap();
    let learnt = model.values["frequency_hz"].as_f64().unwrap();
    assert!((learnt - 10.7).abs() < 0.05, "{learnt}");
    let oscillator = &model.values["sites"]["C4"]["state_space"]["oscillators"][0];
    assert!((oscillator["frequency_hz"].as_f64().unwrap() - 10.7).abs() < 0.1, "{oscillator}");
    let gate = model.values["sites"]["C3"]["gate_uv"].as_f64().unwrap();
    assert!((7.0..13.0).contains(&gate), "{gate}");
    // saved and read again: the same
    let text = serde_json::to_string(&model).unwrap();
    assert_eq!(serde_json::from_str::<Model>(&text).unwrap(), model);
    // a Laplacian is one site, and a channel without weight does not matter
    let laplacian =
        self::config("channels = ['C3', 'C4', 'Cz']\nweights = [1, -1, 0]\nname = 'L'\nfrequency_hz = 10.7");
    let rows = [&x[..], &[vec![f64::NAN; 20_000]]].concat();
    let mut run = Run::new(&laplacian, &stream(&["C3", "C4", "Cz"], rate), None).unwrap();
    run.feed(&rows, 0, 0, &[512]);
    let names: Vec<String> = run.stage.output().channels.iter().map(|c| format!("{} {}", c.name, c.unit)).collect();
    assert_eq!(names[3..], ["L phase deg", "L amplitude uV"]);
    assert!(run.rows[3][499..].iter().all(|v| v.is_finite()) && run.triggers().is_none());
    assert_eq!(run.rows[0], rows[0], "channels pass");
    // the kalman filter bridges a missing sample, a window does not
    let mut run = Run::new(&config, &stream(&["C3", "C4"], rate), Some(model)).unwrap();
    let mut holed = x.clone();
    holed[0][3000..3020].fill(f64::NAN);
    run.feed(&holed, 0, 0, &[512]);
    assert!(run.rows.iter().skip(2).all(|r| r.iter().all(|v| !v.is_nan())));
    assert!(run.rows[4][3019] > run.rows[4][2990], "less sure without samples");
    let noise: Vec<f64> = rhythm(9, 2000, rate, 10.0);
    assert!(config.calibrate(rate, &["C3"], &[noise]).unwrap_err().to_string().contains("4 s"));
}

#[test]
fn every_problem_is_told() {
    let input = stream(&["C3", "C4"], 100.0);
    let text =
        "channels = ['C3', 'c4', 'C3']\nweights = [1]\nband_hz = [60, 13]\nfrequency_hz = 5\nmin_uv = -1\nqueue = 0";
    let told = Run::new(&config(text), &input, None).err().unwrap();
    assert_eq!(
        told,
        [
            "band_hz: 60…13 Hz is no band between 0 and 50 Hz",
            "frequency_hz: 5 Hz does not lie within band_hz, 60…13 Hz",
            "min_uv: -1 is not between 0 and 1000000",
            "queue: 0 is not between 1 and 1000000 triggers",
            "channels: there is no channel \"c4\"; nearest: \"C4\"",
            "channels: channel \"C3\" is there twice",
            "weights: 1 weights for 3 channels",
        ]
    );
    assert!(Run::new(&config(""), &input, None).err().unwrap()[0].contains("calibrate first"));
    let mut eyes = input.clone();
    eyes.channels = vec![Channel::new("E1", ChannelKind::Eog, Unit::Microvolt)].into();
    let told = Run::new(&config(""), &eyes, None).err().unwrap().concat();
    assert!(told.contains("E1 (eog)") && told.contains("--set stream.phase.channels=[\"E1\"]"), "{told}");
    let error = Tracker::new(&config("frequency_hz = 10"), 100.0, &["C3", "C4"], None).err().unwrap();
    assert!(error.to_string().contains("one site, not 2"), "{error}");
}
