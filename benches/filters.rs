//! Recursive filters: the cascade over tiles, and whole Stages over 64 channels. `cargo bench --bench filters`

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::sync::Arc;
use stimkit::clean::butterworth::{Butterworth, Phase};
use stimkit::dsp::iir::{Band, butterworth};
use stimkit::dsp::tile::{self, LANES, Lanes};
use stimkit::flow::{BuildContext, Problems, StageConfig};
use stimkit::signal::{Block, Channel, ChannelKind, StreamInfo};
use stimkit::unit::{Clock, Rate, Unit};

fn value(i: usize, l: usize) -> f64 {
    ((i * 7919 + l * 31) % 1000) as f64 - 500.0
}

/// Samples of one channel per second; a cascade that stays in the second-level cache.
fn cascades(c: &mut Criterion) {
    let n = 4096;
    let mut group = c.benchmark_group("tile");
    group.throughput(Throughput::Elements((n * LANES) as u64));
    for order in [1, 2, 3, 4, 8] {
        let Ok(sos) = butterworth(order, Band::Band(1.0, 80.0), 1000.0) else { continue };
        let mut data: Vec<Lanes> = (0..n).map(|i| std::array::from_fn(|l| value(i, l))).collect();
        let mut to = data.clone();
        let mut state = vec![[[0.0; LANES]; 2]; order];
        group.bench_function(format!("forward, {order} sections"), |b| {
            b.iter(|| tile::forward_into(&sos, &mut state, &data, &mut to));
        });
        group.bench_function(format!("backward in place, {order} sections"), |b| {
            b.iter(|| tile::backward(&sos, &mut state, &mut data));
        });
    }
    group.finish();
}

/// One minute of 64 channels at 1 kHz.
fn stages(c: &mut Criterion) {
    let (channels, n, block) = (64, 60_000, 1000);
    let channel = |i| Channel::new(format!("C{i}"), ChannelKind::Eeg, Unit::Microvolt);
    let Ok(rate) = Rate::new(1000, 1) else { return };
    let list: Arc<[Channel]> = (0..channels).map(channel).collect();
    let info = StreamInfo { clock: Clock::stored(rate), channels: list, max_block: block };
    let mut group = c.benchmark_group("butterworth");
    group.throughput(Throughput::Elements((n * channels) as u64)).sample_size(10);
    for (name, band_hz, phase) in [
        ("zero-phase 1-80 Hz", [1.0, 80.0], Phase::Zero),
        ("zero-phase 0-80 Hz", [0.0, 80.0], Phase::Zero),
        ("causal 1-80 Hz", [1.0, 80.0], Phase::Causal),
    ] {
        let config = Butterworth { band_hz: Some(band_hz), phase, ..Default::default() };
        let (mut context, mut problems) = (BuildContext::default(), Problems::default());
        let Some(mut stage) = StageConfig::build(&config, &info, &mut context, &mut problems) else { continue };
        let (mut input, mut out) = (Block::for_stream(&info), Block::for_stream(stage.output()));
        input.start(0, 0, block);
        for g in 0..input.groups() {
            for (i, x) in input.group_mut(g).iter_mut().enumerate() {
                *x = std::array::from_fn(|l| value(i, l + LANES * g));
            }
        }
        group.bench_function(name, |b| {
            b.iter(|| {
                for first in (0..n as i64).step_by(block) {
                    input.start(0, first, block);
                    stage.push(&input, &mut out);
                }
                stage.finish(&mut out);
                stage.reset();
            });
        });
    }
    group.finish();
}

criterion_group!(benches, cascades, stages);
criterion_main!(benches);
