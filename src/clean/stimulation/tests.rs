//! A made-up stream with known edges.

use super::*;
use crate::signal::{Block, Channel, ChannelKind, Segment, StreamInfo};
use crate::unit::{Clock, Rate, Tick, Unit};

/// Rows behind the [`Replay`] door.
pub(crate) struct Rows {
    info: StreamInfo,
    segments: Vec<Segment>,
    rows: Vec<Vec<f64>>,
    at: usize,
}

impl Rows {
    pub(crate) fn new(rate: f64, rows: Vec<Vec<f64>>, lengths: &[usize]) -> Self {
        let channels = (0..rows.len()).map(|c| Channel::new(format!("E{}", c + 1), ChannelKind::Eeg, Unit::Microvolt));
        let clock = Clock::stored(Rate::from_hz(rate).unwrap());
        let info = StreamInfo { clock, channels: channels.collect(), max_block: 777 };
        let mut first = 0;
        let segments = lengths.iter().map(|&length| {
            let segment = Segment { first: Tick(first), length: length as u64, start_s: first as f64 / rate };
            first += length as i64;
            segment
        });
        Self { info, segments: segments.collect(), rows, at: 0 }
    }

    pub(crate) fn whole(rate: f64, rows: Vec<Vec<f64>>) -> Self {
        let length = rows[0].len();
        Self::new(rate, rows, &[length])
    }

    pub(crate) fn info_mut(&mut self) -> &mut StreamInfo {
        &mut self.info
    }
}

impl Replay for Rows {
    fn info(&self) -> &StreamInfo {
        &self.info
    }

    fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn events(&self) -> &[crate::signal::Event] {
        &[]
    }

    fn event_names(&self) -> &[String] {
        &[]
    }

    fn rewind(&mut self) -> Result<()> {
        self.at = 0;
        Ok(())
    }

    fn next(&mut self, out: &mut Block) -> Result<bool> {
        let at = self.segments.iter().position(|s| (s.first.0..s.end().0).contains(&(self.at as i64)));
        let Some(segment) = at else { return Ok(false) };
        let n = (self.segments[segment].end().0 as usize - self.at).min(self.info.max_block);
        out.start(segment as u32, self.at as i64, n);
        for (c, row) in self.rows.iter().enumerate() {
            row[self.at..self.at + n].iter().enumerate().for_each(|(i, v)| out.set(c, i, *v));
        }
        self.at += n;
        Ok(true)
    }
}

/// SplitMix64 and Box–Muller.
pub(crate) struct Noise(pub u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn normal(&mut self) -> f64 {
        let (a, b) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * a.ln()).sqrt() * (TAU * b).cos()
    }
}

/// Brown-ish noise and an alpha rhythm that loses its phase within a second, µV.
pub(crate) fn brain(n: usize, rate: f64, alpha: f64, seed: u64) -> Vec<f64> {
    let mut noise = Noise(seed);
    let (mut slow, mut mid, mut phase) = (0.0, 0.0, 0.0);
    (0..n)
        .map(|i| {
            let w = noise.normal();
            slow = 0.998 * slow + 0.5 * w;
            mid = 0.9 * mid + w;
            phase += TAU * 9.6 / rate + 0.03 * (1000.0 / rate).sqrt() * noise.normal();
            let spindle = 1.0 + 0.5 * (TAU * 0.1 * i as f64 / rate).sin();
            slow + mid + w + alpha * spindle * phase.sin()
        })
        .collect()
}

/// A stimulator: `share(n)` of 10 mV at `hz`, two harmonics.
pub(crate) fn stimulator(hz: f64, rate: f64, share: impl Fn(usize) -> f64, n: usize) -> Vec<f64> {
    let wave = |i: usize| {
        let phase = TAU * (hz / rate * i as f64).fract() + 0.7;
        phase.sin() + 0.003 * (2.0 * phase + 0.6).sin() + 0.002 * (3.0 * phase + 0.9).sin()
    };
    (0..n).map(|i| 1e4 * share(i) * wave(i)).collect()
}

pub(crate) fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn found(rate: f64, row: Vec<f64>, wanted: &Find) -> Vec<Episode> {
    find(&mut Rows::whole(rate, vec![row]), wanted).unwrap().episodes
}

#[test]
fn a_plateau_between_ramps() {
    let (rate, n) = (1000.0, 90_000);
    let share = |i: usize| {
        let t = i as f64;
        ((t - 20_000.0) / 10_000.0).min((80_000.0 - t) / 5_000.0).clamp(0.0, 1.0)
    };
    let x = sum(&brain(n, rate, 5.0, 1), &stimulator(10.00012, rate, share, n));
    let all = found(rate, x, &Find::default());
    assert_eq!(all.len(), 1, "{all:?}");
    let e = &all[0];
    for (at, want) in [(e.on.start, 20_000), (e.plateau.start, 30_000), (e.plateau.end, 75_000), (e.on.end, 80_000)] {
        assert!((at - want).abs() < 30, "{at}, not {want}");
    }
    assert!((e.cycles * rate - 10.00012).abs() < 1e-5, "{}", e.cycles * rate);
    assert!((e.amplitude / 1e4 - 1.0).abs() < 1e-3);
    assert!(wrap(e.phase - (0.7 - TAU / 4.0)).abs() < 2e-3, "{}", e.phase);
}

#[test]
fn bursts_without_ramps_are_found_to_the_sample() {
    let (rate, n) = (1000.0, 60_000);
    let bursts = [(5_013, 6_013), (8_000, 11_000), (20_507, 28_507), (40_000, 41_000), (55_000, 60_000)];
    let share = |i: usize| f64::from(u8::from(bursts.iter().any(|b| (b.0..b.1).contains(&i))));
    let x = sum(&brain(n, rate, 5.0, 2), &stimulator(10.00012, rate, share, n));
    let all = found(rate, x, &Find { frequency_hz: Some(10.0), ..Find::default() });
    let on: Vec<(i64, i64)> = all.iter().map(|e| (e.on.start, e.on.end)).collect();
    assert_eq!(on.len(), bursts.len(), "{on:?}");
    for ((a, b), (c, d)) in on.iter().zip(bursts) {
        assert!((a - c as i64).abs() <= 1 && (b - d as i64).abs() <= 1, "{a}…{b}, not {c}…{d}");
    }
}

#[test]
fn lost_and_doubled_samples_split() {
    let (rate, n) = (1000.0, 120_000);
    let mut wave = stimulator(10.00012, rate, |_| 1.0, n + 600);
    wave.drain(40_010..40_522);
    let twice = wave[90_003];
    wave.insert(90_003, twice);
    let x = sum(&brain(n, rate, 5.0, 3), &wave);
    let all = found(rate, x, &Find::default());
    let on: Vec<(i64, i64)> = all.iter().map(|e| (e.on.start, e.on.end)).collect();
    assert_eq!(on.len(), 3, "{on:?}");
    assert_eq!((on[0].0, on[2].1), (0, n as i64));
    assert!((on[1].0 - 40_010).abs() <= 1 && (on[2].0 - 90_004).abs() <= 2, "{on:?}");
    assert!(on[0].1 == on[1].0 && on[1].1 == on[2].0);
}

#[test]
fn a_clock_that_drifts_does_not_split() {
    let (rate, n) = (1000.0, 120_000);
    let wave: Vec<f64> = (0..n)
        .map(|i| {
            let t = i as f64 / rate;
            // 0 to 20 ppm over the record
            1e4 * (TAU * 10.0 * (t + 20e-6 * t * t / 240.0)).sin()
        })
        .collect();
    assert_eq!(found(rate, sum(&brain(n, rate, 5.0, 4), &wave), &Find::default()).len(), 1);
}

#[test]
fn two_stimulators_beat_and_do_not_split() {
    let (rate, n) = (1000.0, 120_000);
    let pair = sum(&stimulator(10.0, rate, |_| 1.0, n), &stimulator(10.05, rate, |_| 1.0, n));
    let told = Find { frequency_hz: Some(10.0), also_hz: vec![10.05], ..Find::default() };
    let all = found(rate, sum(&brain(n, rate, 5.0, 5), &pair), &told);
    assert!(all.len() == 1 && all[0].on == (0..n as i64));
}

#[test]
fn a_stimulator_nobody_spoke_of_is_named_and_overtones_and_alpha_are_not() {
    let (rate, n) = (1000.0, 60_000);
    let on = |i: usize| f64::from(u8::from(i >= 10_000));
    let first = sum(&brain(n, rate, 40.0, 6), &stimulator(20.0, rate, on, n));
    let others = |x: &[f64], wanted: &Find| find(&mut Rows::whole(rate, vec![x.to_vec()]), wanted).unwrap().others_hz;
    for told in [Find::default(), Find { frequency_hz: Some(20.0), ..Find::default() }] {
        assert!(others(&first, &told).is_empty());
        let both = sum(&first, &stimulator(6.3, rate, |i| 0.12 * on(i), n));
        let found = others(&both, &told);
        assert!(found.len() == 1 && (found[0] - 6.3).abs() < 0.1, "{found:?}");
    }
    let both = sum(&first, &stimulator(6.3, rate, |i| 0.12 * on(i), n));
    let told = Find { frequency_hz: Some(20.0), also_hz: vec![6.3], ..Find::default() };
    assert!(others(&both, &told).is_empty());
}

#[test]
fn alpha_and_the_mains_are_no_stimulation() {
    let (rate, n) = (500.0, 60_000);
    for seed in 0..5 {
        let mut x = brain(n, rate, 40.0, seed);
        x.iter_mut().enumerate().for_each(|(i, x)| *x += 30.0 * (TAU * 50.002 * i as f64 / rate).sin());
        let error = find(&mut Rows::whole(rate, vec![x.clone()]), &Find::default()).unwrap_err();
        assert!(error.message().starts_with("no stimulation was found"), "{error}");
        assert!(error.hint().unwrap().contains("frequency_hz"));
        let told = Find { frequency_hz: Some(10.0), ..Find::default() };
        let error = find(&mut Rows::whole(rate, vec![x]), &told).unwrap_err();
        assert!(error.message().contains("10 Hz in E1"), "{error}");
    }
}

#[test]
fn above_half_the_rate_the_alias_is_found() {
    let (rate, n) = (200.0, 20_000);
    let x = sum(&brain(n, rate, 5.0, 7), &stimulator(150.24, rate, |i| f64::from(u8::from(i >= 5_000)), n));
    let told = Find { frequency_hz: Some(150.0), ..Find::default() };
    let all = found(rate, x, &told);
    assert_eq!(all.len(), 1);
    assert!((all[0].cycles * rate - 49.76).abs() < 1e-4, "{}", all[0].cycles * rate);
    assert!((all[0].on.start - 5_000).abs() <= 1);
    let error =
        find(&mut Rows::whole(rate, vec![vec![0.0; 2000]]), &Find { frequency_hz: Some(400.0), ..told }).unwrap_err();
    assert!(error.message().contains("alias is 0 Hz"), "{error}");
}

/// 3 f is 1 Hz beside the alias of f: the envelope swings by a quarter, and is low at an end now and then. No ramp.
#[test]
fn an_overtone_beside_the_alias_is_no_ramp() {
    let (rate, hz) = (200.0, 150.25);
    let told = Find { frequency_hz: Some(150.0), ..Find::default() };
    for k in 0..20_i32 {
        let n = 8000 + 10 * k as usize;
        let turn = TAU * f64::from(k) / 20.0;
        let wave = |i: usize| {
            let phase = TAU * (hz / rate * i as f64).fract();
            1e3 * (phase.sin() + 0.24 * (3.0 * phase + turn).sin())
        };
        let x: Vec<f64> = sum(&brain(n, rate, 5.0, 9), &(0..n).map(wave).collect::<Vec<f64>>());
        let all = found(rate, x, &told);
        let whole = 0..n as i64;
        assert!(all.len() == 1 && all[0].on == whole && all[0].plateau == whole, "{n}: {all:?}");
    }
}

#[test]
fn gaps_end_episodes_and_flat_channels_are_not_followed() {
    let (rate, n) = (1000.0, 30_000);
    let x = sum(&brain(n, rate, 5.0, 8), &stimulator(10.0, rate, |i| f64::from(u8::from(i >= 4_000)), n));
    let mut rows = Rows::new(rate, vec![vec![0.0; n], vec![f64::NAN; n], x], &[10_050, 19_950]);
    let all = find(&mut rows, &Find::default()).unwrap().episodes;
    let on: Vec<_> = all.iter().map(|e| (e.segment, e.on.clone(), e.channel.as_str())).collect();
    assert_eq!(on, [(0, 4_000..10_050, "E3"), (1, 10_050..30_000, "E3")]);
}

#[test]
fn a_current_turned_up_or_down_makes_episodes_and_no_ramp() {
    let (rate, n) = (1000.0, 120_000);
    let ramp = |i: usize| ((i as f64 - 20_000.0).min(100_000.0 - i as f64) / 2_000.0).clamp(0.0, 1.0);
    for levels in [vec![1.0, 1.5], vec![1.0, 1.2], vec![1.0, 0.7], vec![1.0, 0.1], vec![0.6, 0.78, 0.96, 0.5]] {
        let length = 80_000 / levels.len();
        let level = |i: usize| levels[(i.saturating_sub(20_000) / length).min(levels.len() - 1)];
        let x = sum(&brain(n, rate, 5.0, 3), &stimulator(10.00012, rate, |i| level(i) * ramp(i), n));
        let all = found(rate, x, &Find::default());
        assert_eq!(all.len(), levels.len(), "{levels:?}: {all:?}");
        for (k, (e, level)) in all.iter().zip(&levels).enumerate() {
            assert!((e.amplitude / (1e4 * level) - 1.0).abs() < 2e-3, "{levels:?}: {e:?}");
            let (from, to) = (20_000 + (k * length) as i64, 20_000 + ((k + 1) * length) as i64);
            let near = if k == 0 || k + 1 == levels.len() { 60 } else { 2 };
            assert!((e.on.start - from).abs() < near && (e.on.end - to).abs() < near, "{levels:?}: {e:?}");
        }
        assert!((all[0].plateau.start - 22_000).abs() < 60, "{levels:?}: {:?}", all[0]);
    }
}

#[test]
fn modulations_and_ramps_are_no_steps() {
    let (rate, n) = (1000.0, 120_000);
    for (hz, depth) in [(0.25, 0.02), (0.1, 0.2), (1.2, 0.1)] {
        let on = |i: usize| f64::from(u8::from((20_000..100_000).contains(&i)));
        let share = |i: usize| on(i) * (1.0 + depth * (TAU * hz * i as f64 / rate).sin());
        let all = found(rate, sum(&brain(n, rate, 5.0, 4), &stimulator(10.00012, rate, share, n)), &Find::default());
        assert_eq!(all.len(), 1, "{hz} Hz, {depth}: {all:?}");
    }
}

#[test]
fn a_staircase_with_ramps_begins_where_it_begins() {
    let (rate, n) = (500.0, 60_000);
    let share = |i: usize| {
        let t = i as f64 / rate;
        let rise = |from: f64| (t - from).clamp(0.0, 1.0);
        (rise(20.0) * 0.6 + rise(45.0) * 0.18 + rise(70.0) * 0.18) * (96.0 - t).clamp(0.0, 1.0)
    };
    let all = found(rate, sum(&brain(n, rate, 5.0, 5), &stimulator(10.001, rate, share, n)), &Find::default());
    let (first, last) = (&all[0], &all[all.len() - 1]);
    assert!((first.on.start - 10_000).abs() < 1500 && (last.on.end - 48_000).abs() < 100, "{all:?}");
}
