//! Does a closed loop keep up? One block of 1 ms, 64 channels at 5 kHz, through cleaning and phase. `cargo bench --bench phase`
//!
//! The cleaning is that of `stimkit tacs`, fitted to the recording that is played (an artefact of mV with overtones, alpha, noise),
//! the phase that of recipe `phase`, for all channels. CPU time of the thread that pushes: of every block after the first second of
//! five passes, and of the fastest of the five (what remains is the work, not what else the machine did to the caches).
//!
//! Last measured with nothing else running, median and 99.9th percentile in µs of every block / of the fastest of five:
//! harmonics and 64 phases 22, 87 / 21, 24; kalman and 64 phases 26, 84 / 25, 26; kalman and one Laplacian 8, 37 / 8, 8. With the
//! quality check and triggers 24, 69 / 24, 30.

use std::f64::consts::TAU;
use std::hint::black_box;
use stimkit::Result;
use stimkit::clean::harmonics::Harmonics;
use stimkit::clean::kalman::Kalman;
use stimkit::clean::phase::{Method, Phase};
use stimkit::flow::{BuildContext, Model, Problems, Replay, Stage, StageConfig, Watch};
use stimkit::signal::{Block, Channel, ChannelKind, Event, Segment, StreamInfo};
use stimkit::unit::{Clock, Rate, Tick, Unit};

const CHANNELS: usize = 64;
const RATE: f64 = 5000.0;
/// Samples of a block.
const BLOCK: usize = 5;
const BLOCKS: usize = 20_000;
const PASSES: usize = 5;
/// Blocks that are not judged: windows fill, and stimulation begins.
const SKIP: usize = 1500;
const TACS_HZ: f64 = 21.37;

/// µs that this thread has computed.
#[cfg(unix)]
fn now() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3
}

#[cfg(not(unix))]
fn now() -> f64 {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed().as_secs_f64() * 1e6
}

/// A recording in memory, one segment.
struct Played {
    rows: Vec<Vec<f64>>,
    info: StreamInfo,
    segments: Vec<Segment>,
    at: usize,
}

impl Played {
    /// Alpha and coloured noise by channel; from 0.5 s on an artefact, larger in each channel than in the one before.
    fn new(rate: Rate) -> Self {
        let mut state = 1_u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
        };
        let row = |c: usize| {
            let (mut slow, mut alpha) = (0.0, [0.0; 2]);
            let (cos, sin) = ((TAU * 10.2 / RATE).cos(), (TAU * 10.2 / RATE).sin());
            let sample = |i: usize| {
                slow = 0.999 * slow + 3.0 * uniform();
                let [p, q] = alpha;
                alpha =
                    [0.9997 * (cos * p - sin * q) + 0.8 * uniform(), 0.9997 * (sin * p + cos * q) + 0.8 * uniform()];
                let t = i as f64 / RATE;
                let artefact: f64 = [1.0, 0.03, 0.02, 0.005]
                    .iter()
                    .enumerate()
                    .map(|(k, a)| a * ((k + 1) as f64 * TAU * TACS_HZ * t + c as f64 * 0.01).cos())
                    .sum();
                slow + alpha[0] + 2.0 * uniform() + if t < 0.5 { 0.0 } else { 100.0 * (c + 1) as f64 * artefact }
            };
            (0..BLOCK * BLOCKS).map(sample).collect::<Vec<f64>>()
        };
        let rows: Vec<Vec<f64>> = (0..CHANNELS).map(row).collect();
        let channel = |c| Channel::new(format!("E{c}"), ChannelKind::Eeg, Unit::Microvolt);
        let segments = vec![Segment { first: Tick(0), length: rows[0].len() as u64, start_s: 0.0 }];
        let info =
            StreamInfo { clock: Clock::stored(rate), channels: (0..CHANNELS).map(channel).collect(), max_block: 4096 };
        Self { rows, info, segments, at: 0 }
    }

    fn fill(&self, at: usize, n: usize, out: &mut Block) {
        out.start(0, at as i64, n);
        for (c, row) in self.rows.iter().enumerate() {
            row[at..at + n].iter().enumerate().for_each(|(i, x)| out.set(c, i, *x));
        }
    }
}

impl Replay for Played {
    fn info(&self) -> &StreamInfo {
        &self.info
    }

    fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn events(&self) -> &[Event] {
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
        let n = self.info.max_block.min(BLOCK * BLOCKS - self.at);
        self.fill(self.at, n, out);
        self.at += n;
        Ok(n > 0)
    }
}

/// A Stage, and what watches it where that is wanted.
struct Part {
    stage: Box<dyn Stage>,
    watch: Option<Box<dyn Watch>>,
    out: Block,
}

/// The Stages of a line, each built on what the one before gives.
fn line(input: &StreamInfo, parts: &[(&dyn StageConfig, Option<&Model>)], watched: bool) -> Vec<Part> {
    let mut context = BuildContext::default();
    let mut line: Vec<Part> = Vec::new();
    for (config, model) in parts {
        let mut problems = Problems::default();
        let input = line.last().map_or(input, |p| p.stage.output()).clone();
        context.model = model.cloned();
        let stage = config.build(&input, &mut context, &mut problems);
        let stage = stage.unwrap_or_else(|| panic!("{:?}", problems.list()));
        let watch = if watched { config.watch(&input, stage.output(), &context) } else { None };
        let out = Block::for_stream(stage.output());
        line.push(Part { stage, watch, out });
    }
    line
}

fn fitted(config: &dyn StageConfig, played: &mut Played) -> Model {
    let mut problems = Problems::default();
    let fit = config.fit(&played.info.clone(), &mut BuildContext::default(), &mut problems);
    let mut fit = fit.unwrap_or_else(|| panic!("{:?}", problems.list()));
    fit.fit(played).unwrap_or_else(|e| panic!("{e}"))
}

fn percentiles(name: &str, played: &Played, parts: &[(&dyn StageConfig, Option<&Model>)], watched: bool) {
    let input = StreamInfo { max_block: BLOCK, ..played.info.clone() };
    let mut line = line(&input, parts, watched);
    let mut best = vec![f64::INFINITY; BLOCKS];
    let mut all = Vec::with_capacity(PASSES * BLOCKS);
    let mut block = Block::for_stream(&input);
    for _ in 0..PASSES {
        for part in &mut line {
            part.stage.reset();
            part.watch.iter_mut().for_each(|w| w.reset());
        }
        for (b, best) in best.iter_mut().enumerate() {
            played.fill(BLOCK * b, BLOCK, &mut block);
            let start = now();
            let mut from = &block;
            for Part { stage, watch, out } in &mut line {
                watch.iter_mut().for_each(|w| w.before(from));
                stage.push(from, out);
                watch.iter_mut().for_each(|w| w.after(out));
                from = out;
            }
            black_box(from);
            let took = now() - start;
            *best = best.min(took);
            if b >= SKIP {
                all.push(took);
            }
        }
    }
    let mut best = best.split_off(SKIP);
    for sorted in [&mut all, &mut best] {
        sorted.sort_by(f64::total_cmp);
    }
    let at = |sorted: &[f64], q: f64| sorted[((sorted.len() - 1) as f64 * q) as usize];
    let [a, b, c, d] = [0.5, 0.99, 0.999, 1.0].map(|q| at(&all, q));
    let [e, f] = [0.5, 0.999].map(|q| at(&best, q));
    println!("{name:<50} {a:8.1} {b:8.1} {c:8.1} {d:8.1} {e:12.1} {f:8.1}");
}

/// The phase Stage of recipe `phase`.
fn recipe() -> Option<Phase> {
    let mut recipe: toml::Table = toml::from_str(include_str!("../recipes/phase.toml")).ok()?;
    let mut stage = recipe.remove("stream")?.as_array()?.first()?.as_table()?.clone();
    stage.remove("use");
    stage.try_into().ok()
}

fn main() {
    let (Ok(rate), Some(phase)) = (Rate::new(5000, 1), recipe()) else { panic!("no recipe") };
    let mut played = Played::new(rate);
    let names: Vec<String> = played.info.channels.iter().map(|c| c.name.clone()).collect();
    let harmonics = Harmonics::default();
    let windows = Harmonics { window_s: Some(5.0), ..Harmonics::default() };
    let kalman = Kalman::default();
    let models = [&harmonics as &dyn StageConfig, &windows, &kalman].map(|config| fitted(config, &mut played));
    let [whole, in_windows, live] = models.each_ref().map(Some);
    // learnt from what is left of the recording
    let cleaned: Vec<Vec<f64>> = {
        let mut line = line(&played.info, &[(&harmonics, whole)], false);
        let (mut block, mut rows) = (Block::for_stream(&played.info), vec![Vec::new(); CHANNELS]);
        for at in (0..BLOCK * BLOCKS).step_by(4000) {
            played.fill(at, 4000, &mut block);
            for Part { stage, out, .. } in &mut line {
                stage.push(&block, out);
                rows.iter_mut().enumerate().for_each(|(c, row)| row.extend((0..4000).map(|i| out.get(c, i))));
            }
        }
        rows
    };
    let learnt = |config: &Phase| {
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        config.calibrate(RATE, &all, &cleaned).unwrap_or_else(|e| panic!("{e}"))
    };
    let laplacian =
        Phase { channels: names[..5].to_vec(), weights: vec![1.0, -0.25, -0.25, -0.25, -0.25], ..phase.clone() };
    let eight = Phase { channels: names[..8].to_vec(), ..phase.clone() };
    let oscillators = Phase { method: Method::Kalman, ..laplacian.clone() };
    let [all_known, one_known, eight_known, oscillators_known] =
        [&phase, &laplacian, &eight, &oscillators].map(&learnt);
    let [all_known, one_known, eight_known, oscillators_known] =
        [&all_known, &one_known, &eight_known, &oscillators_known].map(Some);

    println!("{:<50} {:^35} {:>21}", "us of CPU time per block of 1 ms,", "every block", "fastest of 5");
    println!(
        "{:<50} {:>8} {:>8} {:>8} {:>8} {:>12} {:>8}",
        "64 channels x 5 samples", "p50", "p99", "p99.9", "max", "p50", "p99.9"
    );
    let one = |name: &str, parts: &[(&dyn StageConfig, Option<&Model>)]| percentiles(name, &played, parts, false);
    one("harmonics", &[(&harmonics, whole)]);
    one("harmonics, windows of 5 s", &[(&windows, in_windows)]);
    one("kalman", &[(&kalman, live)]);
    one("c-ecHT of 64 channels", &[(&phase, all_known)]);
    one("harmonics + c-ecHT of 64 channels", &[(&harmonics, whole), (&phase, all_known)]);
    one("harmonics in windows + c-ecHT of 64 channels", &[(&windows, in_windows), (&phase, all_known)]);
    one("kalman + c-ecHT of 64 channels", &[(&kalman, live), (&phase, all_known)]);
    one("kalman + c-ecHT of 8 channels", &[(&kalman, live), (&eight, eight_known)]);
    one("kalman + c-ecHT of one Laplacian", &[(&kalman, live), (&laplacian, one_known)]);
    one("kalman + state space of one Laplacian", &[(&kalman, live), (&oscillators, oscillators_known)]);
    for (name, parts) in [
        ("harmonics, watched (quality)", vec![(&harmonics as &dyn StageConfig, whole)]),
        ("harmonics + c-ecHT of 64, watched (+ triggers)", vec![(&harmonics, whole), (&phase, all_known)]),
        ("kalman + c-ecHT of 64, watched", vec![(&kalman, live), (&phase, all_known)]),
    ] {
        percentiles(name, &played, &parts, true);
    }
}
