//! Does a closed loop keep up? One block of 1 ms, 64 channels at 5 kHz, through cleaning and phase. `cargo bench --bench phase`
//!
//! Percentiles over 20 000 blocks. Each block is timed in five passes over the same data and its fastest counts: what remains is the
//! work, not what else the machine did. Last measured on 2 very busy cores, 99.9th percentile in µs: one Laplacian 2, with every
//! sample a tap 11, 8 channels 14, 64 channels 96 (median 30).

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;
use stimkit::clean::butterworth::{self, Butterworth};
use stimkit::clean::phase::{Method, Phase};
use stimkit::flow::{BuildContext, Model, Problems, Stage, StageConfig};
use stimkit::signal::{Block, Channel, ChannelKind, StreamInfo};
use stimkit::unit::{Clock, Rate, Unit};

const CHANNELS: usize = 64;
const BLOCKS: usize = 20_000;

fn built(config: &dyn StageConfig, input: &StreamInfo, model: Option<Model>) -> Box<dyn Stage> {
    let (mut context, mut problems) = (BuildContext { model, ..BuildContext::default() }, Problems::default());
    let stage = config.build(input, &mut context, &mut problems);
    stage.unwrap_or_else(|| panic!("{:?}", problems.list()))
}

fn percentiles(name: &str, stages: &mut [Box<dyn Stage>], input: &StreamInfo) {
    let mut best = vec![f64::INFINITY; BLOCKS];
    let mut outs: Vec<Block> = stages.iter().map(|s| Block::for_stream(s.output())).collect();
    let mut block = Block::for_stream(input);
    for _ in 0..5 {
        stages.iter_mut().for_each(|s| s.reset());
        for (b, best) in best.iter_mut().enumerate() {
            block.start(0, 5 * b as i64, 5);
            for i in 0..5 {
                let t = (5 * b + i) as f64 / 5000.0;
                (0..CHANNELS).for_each(|c| {
                    block.set(c, i, 10.0 * (64.0 * t + c as f64).sin() + ((b * 31 + i * 7 + c) % 13) as f64)
                });
            }
            let start = Instant::now();
            let mut from = &block;
            for (stage, out) in stages.iter_mut().zip(&mut outs) {
                stage.push(from, out);
                from = out;
            }
            black_box(from);
            *best = best.min(start.elapsed().as_secs_f64() * 1e6);
        }
    }
    best.sort_by(f64::total_cmp);
    let at = |q: f64| best[((BLOCKS - 1) as f64 * q) as usize];
    println!("{name:<58} {:8.1} {:8.1} {:8.1}", at(0.5), at(0.99), at(0.999));
}

fn main() {
    let names: Vec<String> = (0..CHANNELS).map(|c| format!("E{c}")).collect();
    let channels: Arc<[Channel]> = names.iter().map(|n| Channel::new(n, ChannelKind::Eeg, Unit::Microvolt)).collect();
    let Ok(rate) = Rate::new(5000, 1) else { return };
    let input = StreamInfo { clock: Clock::stored(rate), channels, max_block: 5 };
    let laplacian = Phase {
        channels: names[..5].to_vec(),
        weights: vec![1.0, -0.25, -0.25, -0.25, -0.25],
        frequency_hz: Some(10.0),
        ..Phase::default()
    };
    let few = |n: usize| Phase { channels: names[..n].to_vec(), frequency_hz: Some(10.0), ..Phase::default() };
    let clean = Butterworth { band_hz: Some([1.0, 80.0]), phase: butterworth::Phase::Causal, ..Default::default() };
    println!("{:<58} {:>8} {:>8} {:>8}  us per block", "64 channels x 5 kHz, 5 samples", "p50", "p99", "p99.9");
    percentiles("causal band-pass of 64 channels alone", &mut [built(&clean, &input, None)], &input);
    for (name, config) in [
        ("c-ecHT of one Laplacian", laplacian.clone()),
        ("c-ecHT of one Laplacian, every sample a tap", Phase { stride: Some(1), ..laplacian.clone() }),
        ("c-ecHT of 8 channels", few(8)),
        ("c-ecHT of 64 channels", few(64)),
    ] {
        percentiles(
            &format!("band-pass + {name}"),
            &mut [built(&clean, &input, None), built(&config, &input, None)],
            &input,
        );
    }
    let kalman = Phase { method: Method::Kalman, ..laplacian };
    let refs: Vec<&str> = names.iter().map(String::as_str).collect();
    let rows: Vec<Vec<f64>> = (0..CHANNELS)
        .map(|c| {
            (0..60_000)
                .map(|i| 10.0 * (0.0126 * f64::from(i) + c as f64).sin() + f64::from(i * 7919 % 101) / 10.0 * (1.0 + c as f64))
                .collect()
        })
        .collect();
    let Ok(model) = kalman.calibrate(5000.0, &refs, &rows) else { return };
    percentiles(
        "band-pass + Kalman of one Laplacian",
        &mut [built(&clean, &input, None), built(&kalman, &input, Some(model))],
        &input,
    );
}
