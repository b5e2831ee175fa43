//! `resample`: any rational change of rate with a linear-phase polyphase filter and no delay.

use crate::dsp::fir::amplitude;
use crate::dsp::resample::{BETA, CROSSINGS, Polyphase, reflected};
use crate::flow::{BuildContext, EDGE_DB, Problems, Stage, StageConfig};
use crate::signal::{Block, Lanes, StreamInfo};
use crate::unit::{Rate, gcd};
use serde::{Deserialize, Serialize};

/// Resamples to `to_hz`, as `raw.resample(to_hz, method="polyphase")` of MNE-Python 1.13 (SciPy's `resample_poly` with
/// its default filter and mirrored ends); see [`crate::dsp::resample`] for the filter.
///
/// Output sample `k` lies exactly at input sample `k · down / up`, on a grid anchored at tick 0 of the recording:
/// a segment that starts at input sample `s` gives its first output at `ceil(s · up / down)`. Beyond a segment's ends
/// the signal is mirrored about its first and last sample, so that a constant stays a constant.
/// A non-finite sample spoils the outputs within the filter's length of it, and no others.
/// All channels are filtered alike; events do not pass through here, their ticks keep their meaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resample {
    /// Rate wanted, in Hz. At the input's own rate nothing is done.
    pub to_hz: f64,
    /// Zero crossings of the sinc to either side, 1 to 1000: more make a steeper filter.
    #[serde(default = "default_crossings")]
    pub crossings: u32,
    /// β of the Kaiser window, 0 to 50: more attenuates better, and makes the flank wider.
    #[serde(default = "default_beta")]
    pub kaiser_beta: f64,
    /// Whether an offset passes without leaving images (some 10^-4 of it otherwise, as in SciPy). Makes no difference
    /// where the rate is divided by a whole number.
    #[serde(default = "default_exact_dc")]
    pub exact_dc: bool,
    /// Whether a recording below `to_hz` keeps its rate: more samples would hold nothing new. Default false: any rate is
    /// brought to `to_hz`.
    #[serde(default)]
    pub down_only: bool,
}

pub(super) fn default_crossings() -> u32 {
    CROSSINGS
}

pub(super) fn default_beta() -> f64 {
    BETA
}

fn default_exact_dc() -> bool {
    true
}

impl Resample {
    /// To `to_hz` with the default filter.
    pub fn to(to_hz: f64) -> Self {
        Self { to_hz, crossings: CROSSINGS, kaiser_beta: BETA, exact_dc: true, down_only: false }
    }
}

impl StageConfig for Resample {
    fn build(&self, input: &StreamInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Stage>> {
        let (up, down) = match ratio(input, self.to_hz, problems)? {
            (up, down) if self.down_only && up > down => (1, 1),
            exact => exact,
        };
        stage(input, up, down, (self.crossings, self.kaiser_beta, self.exact_dc), context, problems)
    }
}

/// The exact, reduced ratio of `to_hz` to the input's rate.
pub(super) fn ratio(input: &StreamInfo, to_hz: f64, problems: &mut Problems) -> Option<(u64, u64)> {
    let to = match Rate::from_hz(to_hz) {
        Ok(to) => to,
        Err(error) => {
            problems.add("to_hz", error.message());
            return None;
        }
    };
    let clock = input.clock;
    // take out what the two have in common before multiplying
    let (mut up, mut down) = (1_u64, 1_u64);
    for (a, b) in [(to.num(), to.den()), (clock.input.den(), clock.input.num()), (clock.down, clock.up)] {
        let (g, h) = (gcd(a, down), gcd(b, up));
        let product = (up / h).checked_mul(a / g).zip((down / g).checked_mul(b / h));
        let Some((u, d)) = product else {
            problems.add("to_hz", format!("{to_hz} Hz has no usable ratio to {} Hz", input.rate_hz()));
            return None;
        };
        let g = gcd(u, d).max(1);
        (up, down) = (u / g, d / g);
    }
    Some((up, down))
}

/// The Stage that resamples by a reduced ratio.
pub(super) fn stage(
    input: &StreamInfo,
    up: u64,
    down: u64,
    (crossings, beta, exact_dc): (u32, f64, bool),
    context: &mut BuildContext,
    problems: &mut Problems,
) -> Option<Box<dyn Stage>> {
    let plan = Polyphase::new(up, down, crossings, beta, exact_dc);
    let clock = input.clock.resampled(up, down);
    match (plan, clock) {
        _ if up == down => Some(Box::new(Through { output: input.clone() })),
        (Ok(plan), Ok(clock)) => {
            // outputs within `m` input samples are at most ceil(m · up / down)
            let span = input.max_block.max(plan.after() + 1).max(plan.before() + 1) as u64;
            let max_block = (span * up).div_ceil(down) as usize + 1;
            let output = StreamInfo { clock, channels: input.channels.clone(), max_block };
            context.passband.narrow(0.0, edge_hz(input.rate_hz().min(output.rate_hz()) / 2.0, crossings, beta));
            Some(Box::new(Resampler::new(output, input.rate_hz(), plan, beta, crossings)))
        }
        (Err(error), _) | (_, Err(error)) => {
            problems.add("to_hz", error.message());
            None
        }
    }
}

/// Where the filter takes [`EDGE_DB`]; its shape below the lower Nyquist frequency hardly depends on the ratio.
fn edge_hz(nyquist_hz: f64, crossings: u32, beta: f64) -> f64 {
    let Ok(model) = Polyphase::new(1, 8, crossings, beta, true) else { return nyquist_hz };
    let (mut passes, mut stops) = (0.0, 1.0);
    for _ in 0..40 {
        let at = 0.5 * (passes + stops);
        let loss_db = -20.0 * amplitude(model.taps(), at / 8.0).abs().log10();
        *(if loss_db < EDGE_DB { &mut passes } else { &mut stops }) = at;
    }
    passes * nyquist_hz
}

/// Copies: the input has the wanted rate already.
struct Through {
    output: StreamInfo,
}

impl Stage for Through {
    fn output(&self) -> &StreamInfo {
        &self.output
    }

    fn lookahead(&self) -> u64 {
        0
    }

    fn push(&mut self, input: &Block, out: &mut Block) {
        out.copy_from(input, 0, input.len(), 0);
    }

    fn finish(&mut self, out: &mut Block) {
        out.start(0, 0, 0);
    }

    fn reset(&mut self) {}

    fn notes(&self) -> String {
        format!("already at {} Hz", self.output.rate_hz())
    }
}

/// Where in a segment the Resampler is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// Before its first sample.
    Before,
    /// So many samples have come; the mirror image before the first needs more.
    Starting(usize),
    /// Under way.
    Running,
}

/// Keeps the last `width − 1` input samples of each group in front of a seam: outputs whose window reaches back are
/// computed there, all others straight from the input block.
struct Resampler {
    output: StreamInfo,
    plan: Polyphase,
    notes: String,
    /// `[group][2 · width]`
    history: Vec<Lanes>,
    /// Samples in the history, and the index of the first.
    held: usize,
    first: i64,
    next: i64,
    segment: u32,
    phase: Phase,
}

impl Resampler {
    fn new(output: StreamInfo, input_hz: f64, plan: Polyphase, beta: f64, crossings: u32) -> Self {
        let groups = output.channels.len().div_ceil(8);
        let notes = notes(&plan, input_hz, beta, crossings);
        let history = vec![[0.0; 8]; groups * 2 * plan.width()];
        Self { output, plan, notes, history, held: 0, first: 0, next: 0, segment: 0, phase: Phase::Before }
    }

    /// Takes what the mirror image before a segment's start still needs; `None` when it needs more than there is.
    fn start(&mut self, input: &Block) -> Option<usize> {
        let before = self.plan.before();
        if self.phase == Phase::Before {
            self.segment = input.segment();
            self.first = input.first() - before as i64;
            self.next = self.plan.first_from(input.first());
            self.phase = Phase::Starting(0);
        }
        let Phase::Starting(got) = self.phase else { return Some(0) };
        let take = (before + 1 - got).min(input.len());
        for (g, history) in self.history.chunks_exact_mut(2 * self.plan.width()).enumerate() {
            history[before + got..][..take].copy_from_slice(&input.group(g)[..take]);
        }
        let got = got + take;
        if got <= before {
            self.phase = Phase::Starting(got);
            return None;
        }
        self.mirror_start(got);
        Some(take)
    }

    /// Writes the mirror image before the first of `got` samples.
    fn mirror_start(&mut self, got: usize) {
        let before = self.plan.before();
        for history in self.history.chunks_exact_mut(2 * self.plan.width()) {
            for j in 1..=before {
                history[before - j] = history[before + reflected(-(j as i64), got)];
            }
        }
        self.held = before + got;
        self.phase = Phase::Running;
    }
}

impl Stage for Resampler {
    fn output(&self) -> &StreamInfo {
        &self.output
    }

    fn lookahead(&self) -> u64 {
        self.plan.after() as u64
    }

    fn push(&mut self, input: &Block, out: &mut Block) {
        if input.is_empty() {
            out.start(self.segment, self.next, 0);
            return;
        }
        let Some(taken) = self.start(input) else {
            out.start(self.segment, self.next, 0);
            return;
        };
        let (plan, keep) = (&self.plan, self.plan.width() - 1);
        let (from, end, fresh) = (input.first() + taken as i64, input.end(), input.len() - taken);
        let seam = fresh.min(keep);
        let until = plan.ready(end).max(self.next);
        let in_seam = (plan.ready(from + seam as i64).clamp(self.next, until) - self.next) as usize;
        out.start(self.segment, self.next, (until - self.next) as usize);
        let filled = self.held + seam;
        let kept = keep.min(filled);
        for (g, history) in self.history.chunks_exact_mut(2 * plan.width()).enumerate() {
            let fresh = &input.group(g)[taken..];
            let (early, late) = out.group_mut(g).split_at_mut(in_seam);
            history[self.held..filled].copy_from_slice(&fresh[..seam]);
            plan.filter(&history[..filled], self.first, self.next, early);
            plan.filter(fresh, from, self.next + in_seam as i64, late);
            if seam < fresh.len() {
                history[..keep].copy_from_slice(&fresh[fresh.len() - keep..]);
            } else {
                history.copy_within(filled - kept..filled, 0);
            }
        }
        self.held = kept;
        self.first = end - kept as i64;
        self.next = until;
    }

    fn finish(&mut self, out: &mut Block) {
        match self.phase {
            Phase::Before => {
                out.start(self.segment, self.next, 0);
                return;
            }
            Phase::Starting(got) => self.mirror_start(got),
            Phase::Running => {}
        }
        let (plan, held) = (&self.plan, self.held);
        let until = plan.first_from(self.first + held as i64).max(self.next);
        out.start(self.segment, self.next, (until - self.next) as usize);
        for (g, history) in self.history.chunks_exact_mut(2 * plan.width()).enumerate() {
            // a lone sample has nothing to mirror and stays as it is
            for j in 0..plan.after() {
                history[held + j] = history[(held - 1).saturating_sub(1 + j)];
            }
            plan.filter(&history[..held + plan.after()], self.first, self.next, out.group_mut(g));
        }
        self.next = until;
    }

    fn reset(&mut self) {
        (self.held, self.phase) = (0, Phase::Before);
    }

    fn memory_bytes(&self) -> u64 {
        self.plan.memory_bytes() + (self.history.len() * size_of::<Lanes>()) as u64
    }

    fn notes(&self) -> String {
        self.notes.clone()
    }
}

/// Taps, pass band (to −0.1 dB), stop band and what folds back.
fn notes(plan: &Polyphase, input_hz: f64, beta: f64, crossings: u32) -> String {
    let rate = plan.up().max(plan.down());
    let edge_hz = input_hz * plan.up() as f64 / rate as f64 / 2.0;
    // the response in units of the edge hardly depends on the rate: look at a short filter of the same shape
    let Ok(model) = Polyphase::new(1, rate.min(32) as u64, crossings, beta, true) else { return String::new() };
    let step = 1.0 / (20.0 * f64::from(crossings));
    let at = |i: usize| amplitude(model.taps(), i as f64 * step / rate.min(32) as f64).abs();
    let curve: Vec<f64> = (0..=(rate.min(32) as f64 / step) as usize).map(at).collect();
    let edge = (1.0 / step).round() as usize;
    let pass = (0..edge).take_while(|&i| (curve[i] - 1.0).abs() < 0.0115).last().unwrap_or(0);
    // the main flank ends at the first minimum above the edge; what follows are side lobes
    let floor = (edge..curve.len() - 1).find(|&i| curve[i + 1] > curve[i]).unwrap_or(curve.len() - 1);
    let lobe = curve[floor..].iter().fold(1e-20_f64, |a, &b| a.max(b));
    let stop = (edge..=floor).find(|&i| curve[i] <= lobe).unwrap_or(floor);
    let hz = |i: usize| i as f64 * step * edge_hz;
    let folds = if plan.down() > plan.up() {
        format!(
            "; what lies at {:.0}-{:.0} Hz folds onto {:.0}-{:.0} Hz",
            edge_hz,
            hz(stop),
            2.0 * edge_hz - hz(stop),
            edge_hz
        )
    } else {
        String::new()
    };
    format!(
        "{}/{}: {} taps, passes to {:.0} Hz (-0.1 dB), -6 dB at {:.0} Hz, stops from {:.0} Hz by {:.0} dB{folds}",
        plan.up(),
        plan.down(),
        plan.taps().len(),
        hz(pass),
        edge_hz,
        hz(stop),
        -20.0 * lobe.log10(),
    )
}

/// What the tests of all Stages in this room share.
#[cfg(test)]
pub(super) mod testing {
    use super::*;
    use crate::signal::{Channel, ChannelKind};
    use crate::unit::{Clock, Unit};

    /// SplitMix64 (Steele et al. 2014, 10.1145/2660193.2660195).
    pub struct Random(pub u64);

    impl Random {
        pub fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }

        pub fn below(&mut self, n: usize) -> usize {
            (self.next() % n as u64) as usize
        }

        /// −1…1.
        pub fn uniform(&mut self) -> f64 {
            (self.next() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        }

        pub fn rows(&mut self, channels: usize, len: usize) -> Vec<Vec<f64>> {
            (0..channels).map(|_| (0..len).map(|_| 50.0 * self.uniform()).collect()).collect()
        }
    }

    pub fn info(channels: usize, rate_hz: f64, max_block: usize) -> StreamInfo {
        let channels =
            (0..channels).map(|c| Channel::new(format!("c{c}"), ChannelKind::Eeg, Unit::Microvolt)).collect();
        StreamInfo { clock: Clock::stored(Rate::from_hz(rate_hz).unwrap()), channels, max_block }
    }

    pub fn build(config: &dyn StageConfig, input: &StreamInfo) -> Box<dyn Stage> {
        let mut problems = Problems::default();
        let stage = config.build(input, &mut BuildContext::default(), &mut problems);
        stage.unwrap_or_else(|| panic!("{:?}", problems.list()))
    }

    pub fn problem(config: &dyn StageConfig, input: &StreamInfo) -> String {
        let mut problems = Problems::default();
        assert!(config.build(input, &mut BuildContext::default(), &mut problems).is_none());
        assert_eq!(problems.list().len(), 1);
        problems.list()[0].to_string()
    }

    /// Pushes planar `rows` that start at sample `first` through a Stage in blocks of `cut()` samples, and returns what
    /// leaves it: its first sample and planar rows. Checks that blocks follow one another and keep their bounds.
    pub fn run(
        stage: &mut dyn Stage,
        rows: &[Vec<f64>],
        first: i64,
        mut cut: impl FnMut() -> usize,
    ) -> (i64, Vec<Vec<f64>>) {
        let output = stage.output().clone();
        let mut out = Block::for_stream(&output);
        let mut result: (Option<i64>, Vec<Vec<f64>>) = (None, vec![Vec::new(); output.channels.len()]);
        let mut take = |out: &Block| {
            if out.is_empty() {
                return;
            }
            let start = *result.0.get_or_insert(out.first());
            assert_eq!(out.first(), start + result.1[0].len() as i64, "blocks follow one another");
            assert_eq!(out.segment(), 3);
            for (c, row) in result.1.iter_mut().enumerate() {
                row.extend((0..out.len()).map(|s| out.get(c, s)));
            }
        };
        let mut at = 0;
        while at < rows[0].len() {
            let len = cut().min(rows[0].len() - at);
            let mut block = Block::new(rows.len(), len);
            block.start(3, first + at as i64, len);
            for (c, row) in rows.iter().enumerate() {
                (0..len).for_each(|s| block.set(c, s, row[at + s]));
            }
            stage.push(&block, &mut out);
            take(&out);
            at += len;
        }
        stage.finish(&mut out);
        take(&out);
        stage.reset();
        (result.0.unwrap_or(0), result.1)
    }

    /// Law 1: the same bits for one sample at a time, for whole blocks and for random cuts.
    pub fn cuts_do_not_matter(config: &dyn StageConfig, rate_hz: f64, first: i64, len: usize) {
        let rows = Random(len as u64).rows(11, len);
        let mut stage = build(config, &info(11, rate_hz, 600));
        let bits = |(first, rows): (i64, Vec<Vec<f64>>)| {
            (first, rows.iter().flatten().map(|v| v.to_bits()).collect::<Vec<_>>())
        };
        let whole = bits(run(&mut *stage, &rows, first, || 600));
        assert!(!whole.1.is_empty() || len < 2);
        for seed in 0..6 {
            let mut random = Random(seed);
            let most = [1, 7, 50, 200, 600, 600][seed as usize];
            assert!(whole == bits(run(&mut *stage, &rows, first, || 1 + random.below(most))), "seed {seed}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::decimate::Decimate;
    use super::testing::*;
    use super::*;
    use crate::dsp::resample::{Padding, resample_poly};
    use std::f64::consts::TAU;

    fn close(a: &[f64], b: &[f64], tolerance: f64) {
        assert_eq!(a.len(), b.len());
        for (k, (a, b)) in a.iter().zip(b).enumerate() {
            assert!((a - b).abs() <= tolerance, "at {k}: {a} {b}");
        }
    }

    #[test]
    fn cuts() {
        for (rate, to, first, len) in [
            (5000.0, 1000.0, 0, 2000),
            (5000.0, 1000.0, 777, 1333),
            (25000.0, 1000.0, -3, 1800),
            (5000.0, 1000.0, 2, 60),
        ] {
            cuts_do_not_matter(&Decimate::to(to), rate, first, len);
        }
        for (rate, to, first, len) in [
            (2048.0, 500.0, 5, 1500),
            (256.0, 500.0, -9, 700),
            (1000.0, 1000.0, 4, 900),
            (5000.0, 725.0, 1_000_003, 900),
        ] {
            cuts_do_not_matter(&Resample::to(to), rate, first, len);
        }
        cuts_do_not_matter(&Resample { crossings: 1, ..Resample::to(300.0) }, 1000.0, 2, 100);
        for len in 1..30 {
            cuts_do_not_matter(&Resample::to(500.0), 256.0, 11, len);
        }
    }

    #[test]
    fn a_segment_is_scipys_to_its_ends() {
        for (rate, to, len) in
            [(5000.0, 1000.0, 3001), (2048.0, 500.0, 1500), (256.0, 500.0, 400), (10000.0, 1000.0, 33)]
        {
            let rows = Random(1).rows(9, len);
            let config = Resample { exact_dc: false, ..Resample::to(to) };
            let (first, got) = run(&mut *build(&config, &info(9, rate, 512)), &rows, 0, || 512);
            assert_eq!(first, 0);
            for (row, got) in rows.iter().zip(&got) {
                let want = resample_poly(row, to as u64, rate as u64, Padding::Reflect).unwrap();
                close(got, &want, 50.0 * 1e-12);
            }
        }
    }

    #[test]
    fn the_peer_jobs_resampling() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/resample.json");
        let golden: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let list = |key: &str| serde_json::from_value::<Vec<f64>>(golden[key].clone()).unwrap();
        let rows = vec![list("x")[..1000].to_vec()];
        let (_, got) = run(&mut *build(&Decimate::to(1000.0), &info(1, 5000.0, 128)), &rows, 0, || 100);
        close(&got[0], &list("mne_5000_to_1000"), 1e-12 * 50.0);
    }

    #[test]
    fn the_grid_is_anchored_at_tick_0() {
        // an impulse at tick t peaks at t, wherever the segment starts
        for first in [0_i64, 1, 4, 998, 1_000_001] {
            let mut row = vec![0.0; 1500];
            let tick = (first + 700) / 5 * 5;
            row[(tick - first) as usize] = 1.0;
            let (start, got) = run(&mut *build(&Decimate::to(1000.0), &info(1, 5000.0, 300)), &[row], first, || 300);
            assert_eq!(start, (first + 4).div_euclid(5));
            assert_eq!(start + got[0].len() as i64, (first + 1500 + 4).div_euclid(5));
            let peak = (0..got[0].len()).max_by(|&a, &b| got[0][a].total_cmp(&got[0][b])).unwrap();
            assert_eq!(start + peak as i64, tick / 5);
            // and the response is symmetric about it
            for m in 1..10 {
                assert_eq!(got[0][peak - m].to_bits(), got[0][peak + m].to_bits());
            }
        }
    }

    #[test]
    fn a_stream_may_be_resampled_twice() {
        let mut once = build(&Resample::to(1000.0), &info(1, 5000.0, 300));
        let second = build(&Resample::to(250.0), once.output());
        assert_eq!((second.output().clock.up, second.output().clock.down), (1, 20));
        let rows: Vec<Vec<f64>> = vec![(0..5000).map(|i| (TAU * 3.0 * (f64::from(i) + 7.0) / 5000.0).sin()).collect()];
        let (first, rows) = run(&mut *once, &rows, 7, || 300);
        let mut second = build(&Resample::to(250.0), once.output());
        let (first, rows) = run(&mut *second, &rows, first, || 60);
        assert_eq!(first, 1);
        for (k, v) in rows[0].iter().enumerate().skip(20).take(200) {
            assert!((v - (TAU * 3.0 * (k as f64 + 1.0) / 250.0).sin()).abs() < 1e-3);
        }
    }

    #[test]
    fn a_constant_stays_a_constant() {
        for (rate, to, len) in [(5000.0, 1000.0, 777), (2048.0, 500.0, 900), (256.0, 500.0, 100), (5000.0, 1000.0, 3)] {
            let (_, got) = run(&mut *build(&Resample::to(to), &info(1, rate, 100)), &[vec![12_345.0; len]], 3, || 64);
            assert!(got[0].iter().all(|v| (v - 12_345.0).abs() < 12_345.0 * 1e-14), "{rate} {to}");
        }
    }

    #[test]
    fn a_sine_keeps_its_phase() {
        for (rate, to) in [(5000.0, 1000.0), (2048.0, 500.0), (256.0, 500.0), (25_000.0, 1000.0)] {
            let len = (3.0 * rate) as usize;
            let x: Vec<f64> = (0..len).map(|i| (TAU * 10.0 * i as f64 / rate + 0.3).sin()).collect();
            let (_, y) = run(&mut *build(&Resample::to(to), &info(1, rate, 600)), &[x], 0, || 600);
            // correlate one second in the middle with the complex exponential
            let (mut re, mut im) = (0.0, 0.0);
            for (k, v) in y[0].iter().enumerate().skip(to as usize).take(to as usize) {
                let phase = TAU * 10.0 * k as f64 / to;
                (re, im) = (re + v * phase.cos(), im + v * phase.sin());
            }
            let error = re.atan2(im) - 0.3;
            assert!(error.abs() < 1e-6, "{rate} to {to}: {error}");
            assert!((re.hypot(im) * 2.0 / to - 1.0).abs() < 2e-3);
        }
    }

    #[test]
    fn it_is_linear() {
        let rows = Random(5).rows(2, 1200);
        let sum: Vec<f64> = rows[0].iter().zip(&rows[1]).map(|(a, b)| 2.0 * a - 3.0 * b).collect();
        let mut all = rows;
        all.push(sum);
        let (_, y) = run(&mut *build(&Decimate::to(1000.0), &info(3, 5000.0, 500)), &all, 0, || 500);
        for ((a, b), sum) in y[0].iter().zip(&y[1]).zip(&y[2]) {
            assert!((2.0 * a - 3.0 * b - sum).abs() < 1e-11);
        }
    }

    #[test]
    fn what_is_not_finite_reaches_no_further_than_the_filter() {
        let mut rows = Random(6).rows(2, 1000);
        rows[0][500] = f64::NAN;
        let (_, y) = run(&mut *build(&Decimate::to(1000.0), &info(2, 5000.0, 90)), &rows, 0, || 90);
        for (k, v) in y[0].iter().enumerate() {
            assert_eq!(v.is_nan(), k == 100, "a Nyquist filter: other outputs at whole steps do not see it; {k}");
        }
        assert!(y[1].iter().all(|v| v.is_finite()));
        rows[0][500] = 0.0;
        rows[0][503] = f64::INFINITY;
        let (_, y) = run(&mut *build(&Decimate::to(1000.0), &info(2, 5000.0, 90)), &rows, 0, || 90);
        assert!((0..200).all(|k| y[0][k].is_finite() != (91..=110).contains(&k)));
    }

    #[test]
    fn problems_have_both_numbers() {
        let input = info(1, 5000.0, 100);
        let rate = |from, to| build(&Decimate::to(to), &info(3, from, 100)).output().rate_hz();
        assert_eq!([rate(5000.0, 1000.0), rate(2048.0, 1000.0), rate(512.0, 1000.0)], [1000.0, 1024.0, 512.0]);
        assert!(problem(&Decimate::to(0.0), &input).contains("to_hz"));
        assert!(problem(&Resample::to(f64::NAN), &input).contains("NaN"));
        let down_only = |from| build(&Resample { down_only: true, ..Resample::to(500.0) }, &info(3, from, 100));
        assert_eq!([256.0, 500.0, 512.0].map(|hz| down_only(hz).output().rate_hz()), [256.0, 500.0, 500.0]);
        assert_eq!(build(&Resample::to(500.0), &info(3, 256.0, 100)).output().rate_hz(), 500.0);
        assert!(problem(&Resample::to(4999.99), &input).contains("not supported"));
        assert!(problem(&Resample { crossings: 0, ..Resample::to(500.0) }, &input).contains("crossings"));
        assert_eq!(build(&Decimate::to(5000.0), &input).notes(), "already at 5000 Hz");
        assert!(serde_json::from_str::<Decimate>(r#"{"to_hz": 1000, "tpas": 3}"#).is_err());
    }

    #[test]
    fn notes_say_what_folds() {
        let stage = build(&Decimate::to(1000.0), &info(64, 5000.0, 512));
        let notes = stage.notes();
        assert!(notes.contains("101 taps") && notes.contains("-6 dB at 500 Hz"), "{notes}");
        assert_eq!(stage.lookahead(), 50);
        assert!(stage.memory_bytes() > 8 * 8 * 8 * 200);
    }
}
