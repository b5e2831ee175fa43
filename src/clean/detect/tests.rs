//! The detector against its definition, on pulses at known samples.

use super::*;
use crate::signal::{Channel, ChannelKind};
use crate::unit::{Rate, Unit};
use std::f64::consts::TAU;

struct Lcg(u32);

impl Lcg {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(self.0) / 4_294_967_296.0
    }
}

fn info(channels: usize, rate: f64) -> StreamInfo {
    let channel = |i: usize| Channel::new(format!("C{i}"), ChannelKind::Eeg, Unit::Microvolt);
    StreamInfo {
        clock: Clock::stored(Rate::from_hz(rate).unwrap()),
        channels: (0..channels).map(channel).collect(),
        max_block: 4096,
    }
}

/// Rows of ±20 µV noise on channels with offsets of some mV.
fn noise(channels: usize, n: usize) -> Vec<Vec<f64>> {
    (0..channels)
        .map(|c| {
            let mut lcg = Lcg(c as u32 + 1);
            (0..n).map(|_| 3000.0 * c as f64 - 5000.0 + 40.0 * (lcg.next() - 0.5)).collect()
        })
        .collect()
}

/// A biphasic pulse of 300 µs from sample `at` on, of a different size on each channel.
fn pulse(rows: &mut [Vec<f64>], at: usize, rate: f64, amplitude: f64) {
    let n = ((300e-6 * rate).round() as usize).max(1);
    for (c, row) in rows.iter_mut().enumerate() {
        for i in 0..n {
            row[at + i] += amplitude * (1.0 + 0.1 * c as f64) * (TAU * (i as f64 + 0.5) / (n.max(2)) as f64).sin();
        }
    }
}

fn search(
    rows: &[Vec<f64>],
    starts: &[usize],
    rate: f64,
    channels: &[usize],
    config: &Detect,
    seed: u32,
) -> Result<Detection> {
    let mut detector = Detector::new(&info(rows.len(), rate), channels, config)?;
    let (mut lcg, mut block) = (Lcg(seed), Block::new(rows.len(), 4096));
    for (segment, &start) in starts.iter().enumerate() {
        let end = starts.get(segment + 1).copied().unwrap_or(rows[0].len());
        let mut at = start;
        while at < end {
            let most = [1.0, 30.0, 4096.0][seed as usize % 3];
            let n = (1 + (lcg.next() * most) as usize).min(end - at).min(4096);
            block.start(segment as u32, at as i64, n);
            for (c, row) in rows.iter().enumerate() {
                (0..n).for_each(|s| block.set(c, s, row[at + s]));
            }
            detector.push(&block);
            at += n;
        }
    }
    detector.finish()
}

fn onsets(found: &Detection) -> Vec<i64> {
    found.ticks().iter().map(|t| t.0).collect()
}

/// The definition, word by word.
fn naive(
    rows: &[Vec<f64>],
    starts: &[usize],
    rate: f64,
    channels: &[usize],
    config: &Detect,
) -> (Vec<FoundPulse>, Vec<f64>) {
    let half = (config.median_ms / 2.0 * rate / 1e3 + 1e-9).floor() as usize;
    let refractory = (config.refractory_ms * rate / 1e3 + 1e-9).floor() as i64;
    let n = rows[0].len();
    let mut y = vec![vec![0.0_f64; n]; channels.len()];
    for (y, &c) in y.iter_mut().zip(channels) {
        for (s, &start) in starts.iter().enumerate() {
            let end = starts.get(s + 1).copied().unwrap_or(n);
            for i in start..end {
                let window = &rows[c][i.saturating_sub(half).max(start)..(i + half + 1).min(end)];
                let mut finite: Vec<_> = window.iter().copied().filter(|v| v.is_finite()).collect();
                let residual = (rows[c][i] - crate::dsp::stats::median(&mut finite)).abs();
                y[i] = if residual.is_finite() { residual } else { 0.0 };
            }
        }
    }
    let largest = |y: &Vec<f64>| y.iter().copied().fold(0.0, f64::max);
    let needed = ((config.min_channels * channels.len() as f64 - 1e-9).ceil() as u32).max(1);
    let mut best = (Vec::new(), Vec::new());
    for relaxed in 0..=if config.expected.is_some() { RELAX_TIMES } else { 0 } {
        let threshold =
            |y| config.threshold_uv.unwrap_or((largest(y) / 10.0).clamp(config.floor_uv, config.ceiling_uv));
        let thresholds: Vec<_> = y.iter().map(|y| threshold(y) * RELAX.powi(relaxed)).collect();
        let mut pulses: Vec<FoundPulse> = Vec::new();
        let mut last = i64::MIN / 2;
        for i in 0..n {
            let over: Vec<_> = y.iter().zip(&thresholds).filter(|(y, t)| y[i] > **t).map(|(y, _)| y[i]).collect();
            if (over.len() as u32) < needed {
                continue;
            }
            let peak = over.iter().copied().fold(0.0, f64::max);
            let crossed = starts.iter().any(|&s| last < s as i64 && s <= i);
            match pulses.last_mut() {
                Some(p) if i as i64 - last <= refractory && !crossed => {
                    p.samples = (i as i64 - p.tick.0 + 1) as u32;
                    p.peak_uv = p.peak_uv.max(peak);
                    p.channels_over = p.channels_over.max(over.len() as u32);
                }
                _ => pulses.push(FoundPulse {
                    tick: Tick(i as i64),
                    samples: 1,
                    peak_uv: peak,
                    channels_over: over.len() as u32,
                }),
            }
            last = i as i64;
        }
        let enough = config.expected.is_none_or(|n| pulses.len() >= n);
        if relaxed == 0 || pulses.len() > best.0.len() {
            best = (pulses, thresholds);
        }
        if enough {
            break;
        }
    }
    best
}

#[test]
fn pulses_are_found_at_their_exact_sample_at_any_rate() {
    for rate in [1000.0, 5000.0, 20_000.0, 50_000.0] {
        for sign in [1.0, -1.0] {
            let n = (0.6 * rate) as usize;
            let mut rows = noise(10, n);
            // near both ends too
            let at: Vec<_> = [0.003, 0.1, 0.3, 0.31, 0.595].map(|s| (s * rate) as usize).into();
            at.iter().for_each(|&at| pulse(&mut rows, at, rate, sign * 30_000.0));
            let channels: Vec<_> = (0..10).collect();
            let found = search(&rows, &[0], rate, &channels, &Detect::default(), 2).unwrap();
            assert_eq!(onsets(&found), at.iter().map(|&a| a as i64).collect::<Vec<_>>(), "{rate} {sign}");
            assert!(found.pulses.iter().all(|p| p.channels_over == 10 && p.peak_uv > 20_000.0), "{rate}");
            assert!(found.reason.is_none() && found.channels_needed == 3);
        }
    }
}

#[test]
fn the_fast_search_is_the_definition_however_cut() {
    let rate = 2000.0;
    let mut rows = noise(13, 3000);
    let mut lcg = Lcg(99);
    for _ in 0..40 {
        // of all sizes around the thresholds, on some of the channels
        let (at, size) = ((lcg.next() * 2990.0) as usize, 4000.0 * lcg.next());
        let from = (lcg.next() * 9.0) as usize;
        pulse(&mut rows[from..], at, rate, size);
    }
    pulse(&mut rows[..2], 1500, rate, 50_000.0);
    for (i, v) in rows[4].iter_mut().enumerate() {
        *v += 1500.0 * (TAU * 50.0 * i as f64 / rate).sin();
    }
    for (i, v) in rows[5].iter_mut().enumerate() {
        *v = if i < 1700 { 0.0 } else { 3276.7 };
    }
    rows[6][700..760].fill(f64::NAN);
    rows[7][900] = f64::INFINITY;
    rows[8][901] = f64::NEG_INFINITY;
    // steps between two chunks, where the shortened window at a segment's end puts the median on the other side
    for row in &mut rows {
        row[2193..2200].iter_mut().for_each(|v| *v += 5000.0);
        row[2240..2500].iter_mut().for_each(|v| *v += 5000.0);
    }
    let all: Vec<_> = (0..13).collect();
    let some = vec![12, 0, 3, 4, 9];
    let starts = [0, 3, 1000, 1040, 1041, 2200];
    let base = Detect::default();
    let mut found_any = 0;
    for channels in [&all, &some] {
        for config in [
            base.clone(),
            Detect { min_channels: 0.05, ..base.clone() },
            Detect { min_channels: 0.3, refractory_ms: 0.5, median_ms: 40.0, ..base.clone() },
            Detect { expected: Some(12), ..base.clone() },
            Detect { expected: Some(1000), min_channels: 0.4, ..base.clone() },
            Detect { threshold_uv: Some(400.0), min_channels: 0.5, ..base.clone() },
            Detect { threshold_uv: Some(30.0), min_channels: 0.1, median_ms: 1.0, ..base.clone() },
        ] {
            let (pulses, thresholds) = naive(&rows, &starts, rate, channels, &config);
            found_any += usize::from(!pulses.is_empty());
            for seed in 0..6 {
                let got = search(&rows, &starts, rate, channels, &config, seed).unwrap();
                assert_eq!(got.pulses, pulses, "{config:?}");
                assert_eq!(got.thresholds_uv, thresholds, "{config:?}");
                assert_eq!(got.reason.is_some(), pulses.is_empty());
            }
        }
    }
    assert!(found_any >= 12, "{found_any}");
}

#[test]
fn pairs_bursts_and_saturation() {
    let rate = 5000.0;
    let all: Vec<_> = (0..4).collect();
    let mut rows = noise(4, 10_000);
    pulse(&mut rows, 2000, rate, 20_000.0);
    pulse(&mut rows, 2010, rate, 20_000.0);
    let config = Detect { refractory_ms: 1.0, ..Detect::default() };
    assert_eq!(onsets(&search(&rows, &[0], rate, &all, &config, 2).unwrap()), [2000, 2010]);
    assert_eq!(onsets(&search(&rows, &[0], rate, &all, &Detect::default(), 2).unwrap()), [2000]);

    let mut rows = noise(4, 10_000);
    let burst: Vec<i64> = (0..30).map(|i| 500 + 1000 * (i / 3) + 100 * (i % 3)).filter(|t| *t < 9900).collect();
    burst.iter().for_each(|&t| pulse(&mut rows, t as usize, rate, -8000.0));
    let found = search(&rows, &[0], rate, &all, &Detect::default(), 2).unwrap();
    assert_eq!(onsets(&found), burst);
    let trains = name_trains(&found.ticks(), Rate::from_hz(rate).unwrap(), &TrainRule::default());
    assert!(trains.len() == 10 && trains.iter().all(|t| t.name() == "burst3_20ms"));

    // an amplifier that stands at its end for 3 ms, and one that does so for 200 ms
    for (samples, config) in [(15, Detect::default()), (1000, Detect { median_ms: 500.0, ..Detect::default() })] {
        let mut rows: Vec<Vec<f64>> =
            noise(4, 10_000).into_iter().map(|row| row.iter().map(|v| v % 500.0).collect()).collect();
        for row in &mut rows {
            row[4000..4000 + samples].fill(3276.7);
        }
        let found = search(&rows, &[0], rate, &all, &config, 2).unwrap();
        assert_eq!(onsets(&found), [4000], "{samples}");
        assert_eq!(found.pulses[0].samples, samples as u32);
    }
}

#[test]
fn nothing_is_said_to_be_nothing() {
    let rows = noise(3, 5000);
    let found = search(&rows, &[0], 5000.0, &[0, 1, 2], &Detect::default(), 1).unwrap();
    assert!(found.pulses.is_empty() && found.largest_range_uv < 41.0);
    assert!(found.reason.unwrap().contains("more than 1000 µV"));
    let mut one = rows.clone();
    pulse(&mut one[..1], 300, 5000.0, 9000.0);
    let config = Detect { min_channels: 0.6, ..Detect::default() };
    let found = search(&one, &[0], 5000.0, &[0, 1, 2], &config, 1).unwrap();
    assert!(found.reason.unwrap().starts_with("1 of 3 channels"));
    let empty = Detector::new(&info(2, 1000.0), &[1], &Detect::default()).unwrap().finish().unwrap();
    assert!(empty.pulses.is_empty() && empty.reason.is_some());
}

#[test]
fn nonsense_is_refused() {
    let new = |channels: &[usize], config: Detect| Detector::new(&info(2, 1000.0), channels, &config).is_err();
    let base = Detect::default();
    assert!(new(&[], base.clone()) && new(&[2], base.clone()) && new(&[0, 0], base.clone()));
    assert!(new(&[0], Detect { threshold_uv: Some(0.0), ..base.clone() }));
    assert!(new(&[0], Detect { min_channels: 1.5, ..base.clone() }));
    assert!(new(&[0], Detect { refractory_ms: f64::NAN, ..base.clone() }));
    assert!(new(&[0], Detect { median_ms: 1.0, ..base.clone() }));
    assert!(new(&[0], Detect { floor_uv: 2e4, ..base.clone() }));
    assert!(!new(&[0], base));
    // a signal that is above the threshold everywhere
    let rows: Vec<Vec<f64>> =
        (0..8).map(|_| (0..600_000).map(|i| if i % 2 == 0 { 3e4 } else { -3e4 }).collect()).collect();
    let all: Vec<_> = (0..8).collect();
    let error = search(&rows, &[0], 5000.0, &all, &Detect::default(), 2).unwrap_err();
    assert!(error.hint().is_some() && error.to_string().contains("nearly everywhere"), "{error}");
}
