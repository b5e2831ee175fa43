//! Morlet power and phase locking, and writing its table. `cargo bench --bench tfr`

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::sync::Arc;
use stimkit::flow::{BuildContext, EpochInfo, Marker, MarkerConfig, Problems, Report};
use stimkit::mark::tfr::TfrConfig;
use stimkit::signal::{Averages, Channel, ChannelKind, Epoch};
use stimkit::table::Identity;
use stimkit::unit::{Clock, Rate, Unit};

/// 64 channels, epochs of 4 s at 500 Hz, 4–45 Hz in steps of 1 Hz, a cell every 10 ms.
fn marker(threads: usize) -> Option<(EpochInfo, Epoch, Box<dyn Marker>)> {
    let clock = Clock::stored(Rate::new(500, 1).ok()?);
    let channels: Arc<[Channel]> =
        (0..64).map(|i| Channel::new(format!("C{i}"), ChannelKind::Eeg, Unit::Microvolt)).collect();
    let info = EpochInfo { clock, channels, first: -1000, len: 2000, conditions: 1 };
    let mut context = BuildContext { threads, ..BuildContext::default() };
    let marker = TfrConfig::default().build(&info, &mut context, &mut Problems::default())?;
    let mut epoch = Epoch::new(clock, info.first, 64, info.len);
    epoch.data_mut().iter_mut().enumerate().for_each(|(i, v)| *v = ((i * 7919) % 1009) as f64 - 504.0);
    Some((info, epoch, marker))
}

fn tfr(c: &mut Criterion) {
    let mut group = c.benchmark_group("tfr");
    group.sample_size(10);
    for threads in [1, 2] {
        let Some((_, epoch, mut marker)) = marker(threads) else { return };
        group.throughput(Throughput::Elements(4));
        group.bench_function(format!("epochs of 64 channels, {threads} threads"), |b| {
            b.iter(|| (0..4).for_each(|_| marker.observe(&epoch)));
        });
    }
    let Some((info, epoch, mut marker)) = marker(1) else { return };
    marker.observe(&epoch);
    marker.observe(&epoch);
    let names = ["event".to_owned()];
    let averages = [Averages::new(info.clock, info.first, 64, info.len)];
    let flags = vec![false; 64];
    let report = Report {
        input: &info,
        enters: &flags,
        bad: &flags,
        conditions: &names,
        averages: &averages,
        spectra: &[],
        events: &[],
    };
    group.throughput(Throughput::Elements(64 * 42 * 400));
    group.bench_function("report of a million rows", |b| b.iter(|| marker.report(&report)));
    let table = marker.report(&report).swap_remove(0);
    group.bench_function("writing a million rows", |b| {
        b.iter(|| table.write_rows(std::io::sink(), &Identity::default(), &names, false).is_ok());
    });
    group.finish();
}

criterion_group!(benches, tfr);
criterion_main!(benches);
