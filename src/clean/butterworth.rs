//! `butterworth`: low-pass, high-pass, band-pass or band-stop, zero-phase or causal, on the stream or per epoch.
//!
//! Zero phase on a stream is `sosfiltfilt` of a whole segment within [`Butterworth::error_bound`] (see `framed.rs`); per
//! epoch it is `sosfiltfilt` of that epoch, or, with `gap_aware`, of the pieces on either side of the bridged pulse
//! ([`gap_aware`](super::gap_aware)).
//!
//! A channel that holds a NaN is NaN from there on, to the end of its segment or epoch (and back by the look-ahead where
//! the phase is zero); other channels keep their bits.

mod framed;

use super::gap_aware::GapAware;
use crate::dsp::iir::{Band, Sos, State, butterworth};
use crate::dsp::tile::{self, LANES, Lanes, TileState};
use crate::flow::{
    BuildContext, EDGE_DB, EpochInfo, Passband, Problems, Stage, StageConfig, Step, StepConfig, Verdict,
};
use crate::signal::{Block, Epoch, StreamInfo};
use framed::Framed;
use serde::{Deserialize, Serialize};

/// Most that a stage may hold back; above it the recipe should decimate first.
const MEMORY_LIMIT: u64 = 512 << 20;

/// Whether a filter may look ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Forward and backward: no delay at any frequency, twice the order, gain `|H|²` (−6 dB at the cut-offs).
    #[default]
    Zero,
    /// Forward only: what live use wants.
    Causal,
}

/// A Butterworth filter as it stands in a recipe. Exactly one of the three bands must be given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Butterworth {
    /// Pass band in Hz: `[1, 80]` is a band-pass, `[0, 80]` a low-pass, `[1, inf]` a high-pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub band_hz: Option<[f64; 2]>,
    /// Stop band in Hz, `[48, 52]` say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_hz: Option<[f64; 2]>,
    /// Stop band of this many Hz to either side of the line frequency; passes everything where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line_half_width_hz: Option<f64>,
    /// Order of the design (of each edge, where there are two).
    pub order: usize,
    /// Zero-phase or causal.
    pub phase: Phase,
    /// Per epoch: filter either side of the bridged pulse on its own, so that neither leaks into the other.
    pub gap_aware: bool,
    /// Error of a zero-phase Stage against filtering the whole segment at once, as a fraction of the signal's range.
    /// It decides how far the Stage looks ahead.
    pub error_bound: f64,
}

impl Default for Butterworth {
    fn default() -> Self {
        Self {
            band_hz: None,
            stop_hz: None,
            line_half_width_hz: None,
            order: 2,
            phase: Phase::Zero,
            gap_aware: false,
            error_bound: 1e-10,
        }
    }
}

/// What a config comes to at a given rate.
enum Plan {
    Filter(Sos),
    /// The line frequency is not known: there is nothing to filter out.
    Pass,
}

impl Butterworth {
    fn plan(&self, rate_hz: f64, context: &mut BuildContext, problems: &mut Problems) -> Option<Plan> {
        let (key, band) = match (self.band_hz, self.stop_hz, self.line_half_width_hz) {
            (Some([lo, hi]), None, None) => {
                let band = match (lo == 0.0, hi == f64::INFINITY) {
                    (true, true) => {
                        problems.add("band_hz", "from 0 Hz to inf everything passes: leave the filter out");
                        return None;
                    }
                    (true, false) => Band::Low(hi),
                    (false, true) => Band::High(lo),
                    (false, false) => Band::Band(lo, hi),
                };
                ("band_hz", band)
            }
            (None, Some([lo, hi]), None) => ("stop_hz", Band::Stop(lo, hi)),
            (None, None, Some(half)) => match context.line_hz {
                Some(line) => ("line_half_width_hz", Band::Stop(line - half, line + half)),
                None => return Some(Plan::Pass),
            },
            _ => {
                problems.add("", "a filter needs exactly one of band_hz, stop_hz and line_half_width_hz");
                return None;
            }
        };
        match butterworth(self.order, band, rate_hz) {
            Ok(sos) => {
                self.narrow(band, &mut context.passband);
                Some(Plan::Filter(sos))
            }
            Err(error) => {
                problems.add(key, error.to_string());
                None
            }
        }
    }

    /// Tells what passes: with p passes of order n the loss p · 10 lg(1 + r²ⁿ) is [`EDGE_DB`] at r = f / cut-off.
    fn narrow(&self, band: Band, passband: &mut Passband) {
        let passes = if self.phase == Phase::Zero { 2.0 } else { 1.0 };
        let r = (10_f64.powf(EDGE_DB / (10.0 * passes)) - 1.0).powf(0.5 / self.order as f64);
        match band {
            Band::Low(hi) => passband.narrow(0.0, hi * r),
            Band::High(lo) => passband.narrow(lo / r, f64::INFINITY),
            Band::Band(lo, hi) => passband.narrow(lo / r, hi * r),
            Band::Stop(lo, hi) => passband.stopped_hz.push([lo, hi]),
        }
    }

    /// The zero-phase Stage, or the problem that it would hold back too much.
    fn framed(&self, sos: Sos, input: &StreamInfo, problems: &mut Problems) -> Option<Box<dyn Stage>> {
        if !(1e-14..=0.1).contains(&self.error_bound) {
            problems.add("error_bound", format!("{} is not between 1e-14 and 0.1", self.error_bound));
            return None;
        }
        let shape = framed::Shape::new(&sos, self.error_bound, input.rate_hz());
        let bytes = shape.memory_bytes(input.channels.len());
        if bytes > MEMORY_LIMIT {
            problems.add(
                if self.band_hz.is_some() { "band_hz" } else { "stop_hz" },
                format!(
                    "zero phase needs {:.1} s of look-ahead, {} MB for {} channels at {} Hz, where {} MB are allowed: \
                     decimate first, or filter with phase = \"causal\"",
                    shape.ahead as f64 / input.rate_hz(),
                    bytes >> 20,
                    input.channels.len(),
                    input.rate_hz(),
                    MEMORY_LIMIT >> 20
                ),
            );
            return None;
        }
        Some(Box::new(Framed::new(sos, shape, self.error_bound, input)))
    }
}

impl StageConfig for Butterworth {
    fn build(&self, input: &StreamInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Stage>> {
        let plan = self.plan(input.rate_hz(), context, problems);
        if self.gap_aware {
            // A piece between two pulses is shorter than the memory of a high-pass, and its far end, which decides
            // where its backward pass starts, may be cued late: there is no bounded look-ahead that gives the epoch's
            // numbers.
            problems.add("gap_aware", "the gap-aware filter works on epochs: move it under [[epoch]]");
            return None;
        }
        match (plan?, self.phase) {
            (Plan::Pass, _) => Some(Box::new(Pass { info: input.clone(), next: (0, 0) })),
            (Plan::Filter(sos), Phase::Causal) => Some(Box::new(Causal::new(sos, input))),
            (Plan::Filter(sos), Phase::Zero) => self.framed(sos, input, problems),
        }
    }
}

impl StepConfig for Butterworth {
    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let plan = self.plan(input.rate_hz(), context, problems);
        if self.gap_aware && self.phase == Phase::Causal {
            problems.add("gap_aware", "needs phase = \"zero\": a causal filter rings after the pulse only");
            return None;
        }
        if self.gap_aware && context.bridged_ms.is_empty() {
            problems
                .add("gap_aware", "there is no bridged gap to be aware of: put pulse into [[stream]], or leave it out");
            return None;
        }
        Some(match plan? {
            Plan::Pass => Box::new(PassStep),
            Plan::Filter(sos) if self.gap_aware => Box::new(GapAware::new(sos, input)),
            Plan::Filter(sos) => Box::new(PerEpoch::new(sos, self.phase, input)),
        })
    }
}

/// Forward only; the first sample of a segment meets the steady state of itself, so that a constant leaves as one.
struct Causal {
    sos: Sos,
    steady: Vec<State>,
    state: Vec<TileState>,
    info: StreamInfo,
    started: bool,
    next: (u32, i64),
}

impl Causal {
    fn new(sos: Sos, input: &StreamInfo) -> Self {
        let states = sos.sections().len() * input.channels.len().div_ceil(LANES);
        let (steady, state) = (sos.steady_state(), vec![[[0.0; LANES]; 2]; states]);
        Self { sos, steady, state, info: input.clone(), started: false, next: (0, 0) }
    }
}

impl Stage for Causal {
    fn output(&self) -> &StreamInfo {
        &self.info
    }

    fn lookahead(&self) -> u64 {
        0
    }

    fn push(&mut self, input: &Block, out: &mut Block) {
        out.start(input.segment(), input.first(), input.len());
        self.next = (input.segment(), input.end());
        for (g, state) in self.state.chunks_mut(self.steady.len()).enumerate() {
            let data = input.group(g);
            if let (false, Some(first)) = (self.started, data.first()) {
                tile::settle(&self.steady, first, state);
            }
            tile::forward_into(&self.sos, state, data, out.group_mut(g));
        }
        self.started |= !input.is_empty();
    }

    fn finish(&mut self, out: &mut Block) {
        out.start(self.next.0, self.next.1, 0);
    }

    fn reset(&mut self) {
        self.started = false;
    }

    fn memory_bytes(&self) -> u64 {
        size_of_val(self.state.as_slice()) as u64
    }

    fn notes(&self) -> String {
        format!("{} second-order sections, causal", self.steady.len())
    }
}

/// Nothing to filter.
struct Pass {
    info: StreamInfo,
    next: (u32, i64),
}

impl Stage for Pass {
    fn output(&self) -> &StreamInfo {
        &self.info
    }

    fn lookahead(&self) -> u64 {
        0
    }

    fn push(&mut self, input: &Block, out: &mut Block) {
        out.copy_from(input, 0, input.len(), 0);
        self.next = (input.segment(), input.end());
    }

    fn finish(&mut self, out: &mut Block) {
        out.start(self.next.0, self.next.1, 0);
    }

    fn reset(&mut self) {}

    fn notes(&self) -> String {
        "line frequency not known: passes everything".to_owned()
    }
}

struct PassStep;

impl Step for PassStep {
    fn apply(&mut self, _epoch: &mut Epoch) -> Verdict {
        Verdict::Keep
    }
}

/// One epoch at a time, eight channels at once.
struct PerEpoch {
    sos: Sos,
    steady: Vec<State>,
    state: Vec<TileState>,
    /// Samples added at each end.
    pad: usize,
    tile: Vec<Lanes>,
    phase: Phase,
}

impl PerEpoch {
    fn new(sos: Sos, phase: Phase, input: &EpochInfo) -> Self {
        let pad = match phase {
            Phase::Zero => sos.padding().min(input.len.saturating_sub(1)),
            Phase::Causal => 0,
        };
        let (steady, state) = (sos.steady_state(), vec![[[0.0; LANES]; 2]; sos.sections().len()]);
        Self { sos, steady, state, pad, tile: vec![[0.0; LANES]; input.len + 2 * pad], phase }
    }
}

impl Step for PerEpoch {
    fn apply(&mut self, epoch: &mut Epoch) -> Verdict {
        let (pad, n) = (self.pad, epoch.len());
        if n == 0 {
            return Verdict::Keep;
        }
        for group in (0..epoch.channels()).step_by(LANES) {
            let channels = group..(group + LANES).min(epoch.channels());
            for (l, c) in channels.clone().enumerate() {
                for (x, &v) in self.tile[pad..].iter_mut().zip(epoch.channel(c)) {
                    x[l] = v;
                }
            }
            match self.phase {
                Phase::Zero => {
                    tile::extend_oddly(&mut self.tile, pad);
                    tile::zero_phase(&self.sos, &self.steady, &mut self.state, &mut self.tile);
                }
                Phase::Causal => {
                    tile::settle(&self.steady, &self.tile[0], &mut self.state);
                    tile::forward(&self.sos, &mut self.state, &mut self.tile);
                }
            }
            for (l, c) in channels.enumerate() {
                for (x, v) in self.tile[pad..].iter().zip(epoch.channel_mut(c)) {
                    *v = x[l];
                }
            }
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::iir::sosfiltfilt;
    use crate::signal::{Channel, ChannelKind};
    use crate::unit::{Clock, Rate, Unit};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn clock(rate: u64) -> Clock {
        Clock::stored(Rate::new(rate, 1).unwrap())
    }

    fn channels(n: usize) -> Arc<[Channel]> {
        (0..n).map(|i| Channel::new(format!("C{i}"), ChannelKind::Eeg, Unit::Microvolt)).collect()
    }

    fn stream(rate: u64, n: usize, max_block: usize) -> StreamInfo {
        StreamInfo { clock: clock(rate), channels: channels(n), max_block }
    }

    fn config(text: &str) -> Butterworth {
        toml::from_str(text).unwrap()
    }

    fn stage(text: &str, input: &StreamInfo) -> Box<dyn Stage> {
        let mut problems = Problems::default();
        let built = StageConfig::build(&config(text), input, &mut BuildContext::default(), &mut problems);
        problems.into_result().unwrap();
        built.unwrap()
    }

    fn problem(text: &str, input: &StreamInfo) -> String {
        let mut problems = Problems::default();
        let built = StageConfig::build(&config(text), input, &mut BuildContext::default(), &mut problems);
        assert!(built.is_none());
        problems.into_result().unwrap_err().to_string()
    }

    /// Noise with a slope and a different offset in each channel.
    fn rows(channels: usize, n: usize, seed: u64) -> Vec<Vec<f64>> {
        let mut s = seed;
        let mut next = || {
            s = (1_664_525 * s + 1_013_904_223) & 0xFFFF_FFFF;
            s as f64 / 4_294_967_296.0 - 0.5
        };
        (0..channels).map(|c| (0..n).map(|i| 20.0 * next() + 50.0 * c as f64 + 0.01 * i as f64).collect()).collect()
    }

    /// Runs a segment that starts at sample `first` through `stage`, in blocks that end at `cuts`.
    fn run(stage: &mut dyn Stage, max_block: usize, rows: &[Vec<f64>], first: i64, cuts: &[usize]) -> Vec<Vec<f64>> {
        let mut input = Block::new(rows.len(), max_block);
        let mut out = Block::for_stream(stage.output());
        let mut result = vec![Vec::new(); rows.len()];
        let mut take = |out: &Block, emitted: &mut i64| {
            assert!(out.is_empty() || (out.first() == *emitted && out.segment() == 3));
            *emitted += out.len() as i64;
            for (c, row) in result.iter_mut().enumerate() {
                row.extend((0..out.len()).map(|s| out.get(c, s)));
            }
        };
        let (mut from, mut emitted) = (0, first);
        for &to in cuts.iter().chain([&rows[0].len()]) {
            while from < to {
                let n = (to - from).min(max_block);
                input.start(3, first + from as i64, n);
                for (c, row) in rows.iter().enumerate() {
                    (0..n).for_each(|s| input.set(c, s, row[from + s]));
                }
                stage.push(&input, &mut out);
                take(&out, &mut emitted);
                from += n;
            }
        }
        stage.finish(&mut out);
        take(&out, &mut emitted);
        stage.reset();
        result
    }

    fn bits(rows: &[Vec<f64>]) -> Vec<Vec<u64>> {
        rows.iter().map(|row| row.iter().map(|v| v.to_bits()).collect()).collect()
    }

    fn range(x: &[f64]) -> f64 {
        x.iter().copied().fold(f64::MIN, f64::max) - x.iter().copied().fold(f64::MAX, f64::min)
    }

    fn sos(order: usize, band: Band, rate: f64) -> Sos {
        butterworth(order, band, rate).unwrap()
    }

    #[test]
    fn a_segment_in_frames_is_sosfiltfilt_of_the_segment_within_the_bound() {
        let (rate, n) = (250, 9000);
        let x = rows(10, n, 1);
        for (text, filter) in [
            ("band_hz = [1, 80]", sos(2, Band::Band(1.0, 80.0), 250.0)),
            ("band_hz = [0, 40]\norder = 5", sos(5, Band::Low(40.0), 250.0)),
            ("band_hz = [0.5, inf]", sos(2, Band::High(0.5), 250.0)),
            ("stop_hz = [48, 52]", sos(2, Band::Stop(48.0, 52.0), 250.0)),
        ] {
            for (bound, first) in [(1e-10, 0), (1e-10, 12345), (1e-2, -77)] {
                let input = stream(rate, 10, 100);
                let mut stage = stage(&format!("{text}\nerror_bound = {bound:e}"), &input);
                let y = run(&mut *stage, 100, &x, first, &[]);
                let mut worst = 0.0_f64;
                for (y, x) in y.iter().zip(&x) {
                    let whole = sosfiltfilt(&filter, x);
                    assert_eq!(y.len(), n);
                    let off = y.iter().zip(&whole).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                    worst = worst.max(off / range(x));
                }
                // The bound holds for the range of the forward output, which overshoots that of the input a little.
                assert!(worst <= 1.3 * bound, "{text} {bound} {worst}");
                // And frames were at work: a bound of 1 % is used, not beaten by chance.
                assert!(bound < 1e-3 || worst > 1e-6, "{text} {bound} {worst}");
            }
        }
    }

    #[test]
    fn segments_shorter_than_a_frame_are_sosfiltfilt_to_the_bit() {
        let input = stream(250, 3, 64);
        let filter = sos(2, Band::Band(1.0, 80.0), 250.0);
        let mut stage = stage("band_hz = [1, 80]", &input);
        for n in [1, 2, 5, 15, 16, 17, 40, 300, 1000] {
            let x = rows(3, n, n as u64);
            let y = run(&mut *stage, 64, &x, 500, &[]);
            let whole: Vec<_> = x.iter().map(|x| sosfiltfilt(&filter, x)).collect();
            assert_eq!(bits(&y), bits(&whole), "{n}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn cuts_do_not_matter(
            cuts in proptest::collection::vec(0_usize..3000, 0..40), n in 1_usize..3000, first in -2000_i64..2000,
            causal: bool,
        ) {
            let text = if causal { "band_hz = [3, 80]\nphase = \"causal\"" } else { "band_hz = [3, 80]\nerror_bound = 1e-4" };
            let input = stream(250, 9, 3000);
            let mut cuts: Vec<_> = cuts.into_iter().filter(|&c| c < n).collect();
            cuts.sort_unstable();
            let x = rows(9, n, 5);
            let mut stage = stage(text, &input);
            let whole = run(&mut *stage, 3000, &x, first, &[]);
            prop_assert_eq!(bits(&whole), bits(&run(&mut *stage, 3000, &x, first, &cuts)));
            prop_assert_eq!(bits(&whole), bits(&run(&mut *stage, 1, &x, first, &[])));
            let order: Vec<_> = whole.iter().map(Vec::len).collect();
            prop_assert!(order.iter().all(|&l| l == n));
        }
    }

    #[test]
    fn an_impulse_peaks_where_it_was_and_is_symmetric() {
        let input = stream(1000, 1, 500);
        let mut stage = stage("band_hz = [0, 80]", &input);
        for at in [700, 999, 1000, 1001, 2100] {
            let mut x = vec![vec![0.0; 4000]];
            x[0][at] = 1.0;
            let y = run(&mut *stage, 500, &x, 0, &[])[0].clone();
            let peak = (0..4000).max_by(|&a, &b| y[a].total_cmp(&y[b])).unwrap();
            assert_eq!(peak, at);
            assert!((1..300).all(|d| (y[at - d] - y[at + d]).abs() < 1e-10));
        }
    }

    #[test]
    fn time_reversal_commutes_with_zero_phase() {
        let input = stream(250, 2, 100);
        let mut stage = stage("band_hz = [2, 80]", &input);
        let turned = |rows: &[Vec<f64>]| -> Vec<Vec<f64>> {
            rows.iter().map(|row| row.iter().rev().copied().collect()).collect()
        };
        // Silent ends: there the two orders of the passes see the same extension.
        let mut x = rows(2, 6000, 9);
        x.iter_mut().for_each(|row| {
            (0..6000).for_each(|i| row[i] = if (2000..4000).contains(&i) { row[i] } else { 0.0 });
        });
        let (ahead, back) = (run(&mut *stage, 100, &x, 0, &[]), run(&mut *stage, 100, &turned(&x), 0, &[]));
        for (a, b) in ahead.iter().zip(turned(&back)) {
            let off = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off < 1e-8 * range(a), "{off}");
        }
    }

    #[test]
    fn nan_in_one_channel_leaves_the_others_alone() {
        let input = stream(250, 5, 100);
        for text in ["band_hz = [3, 80]", "band_hz = [3, 80]\nphase = \"causal\""] {
            let mut stage = stage(text, &input);
            let (clean, mut dirty) = (rows(5, 3000, 2), rows(5, 3000, 2));
            dirty[2][1700] = f64::NAN;
            let (a, b) = (run(&mut *stage, 100, &clean, 0, &[]), run(&mut *stage, 100, &dirty, 0, &[]));
            for c in [0, 1, 3, 4] {
                assert_eq!(bits(&a[c..=c]), bits(&b[c..=c]));
            }
            assert!(b[2][1700..].iter().all(|v| v.is_nan()) && !b[2][0].is_nan());
            // And it is forgotten with the segment.
            assert_eq!(bits(&a), bits(&run(&mut *stage, 100, &clean, 0, &[])));
        }
    }

    #[test]
    fn a_causal_filter_starts_in_the_steady_state_of_its_first_sample() {
        let input = stream(1000, 2, 100);
        for (text, gain) in [("band_hz = [0, 80]", 1.0), ("band_hz = [1, inf]", 0.0), ("stop_hz = [48, 52]", 1.0)] {
            let mut stage = stage(&format!("{text}\nphase = \"causal\""), &input);
            let y = run(&mut *stage, 100, &[vec![250.0; 1000], vec![-3.0; 1000]], 40, &[]);
            assert!(y[0].iter().all(|v| (v - 250.0 * gain).abs() < 1e-7), "{text}");
            assert!(y[1].iter().all(|v| (v + 3.0 * gain).abs() < 1e-7), "{text}");
        }
    }

    #[test]
    fn an_epoch_is_sosfiltfilt_of_each_channel_to_the_bit() {
        for n in [1, 7, 400] {
            let info = EpochInfo { clock: clock(250), channels: channels(11), first: -100, len: n, conditions: 1 };
            let mut problems = Problems::default();
            let config = config("band_hz = [1, 80]");
            let mut step = StepConfig::build(&config, &info, &mut BuildContext::default(), &mut problems).unwrap();
            let mut epoch = Epoch::new(clock(250), -100, 11, n);
            let x = rows(11, n, 4);
            for _ in 0..2 {
                (0..11).for_each(|c| epoch.channel_mut(c).copy_from_slice(&x[c]));
                assert_eq!(step.apply(&mut epoch), Verdict::Keep);
                for (c, x) in x.iter().enumerate() {
                    let whole = sosfiltfilt(&sos(2, Band::Band(1.0, 80.0), 250.0), x);
                    assert_eq!(bits(&[epoch.channel(c).to_vec()]), bits(&[whole]));
                }
            }
        }
    }

    #[test]
    fn the_line_is_stopped_where_it_is_known() {
        let input = stream(1000, 1, 500);
        let config = config("line_half_width_hz = 2");
        let t = |i: i32| f64::from(i) * std::f64::consts::TAU * 50.0 / 1000.0;
        let x = vec![(0..8000).map(|i| t(i).sin()).collect::<Vec<_>>()];
        for (line_hz, left) in [(Some(50.0), 0.0), (None, 1.0)] {
            let (mut context, mut problems) = (BuildContext { line_hz, ..Default::default() }, Problems::default());
            let mut stage = StageConfig::build(&config, &input, &mut context, &mut problems).unwrap();
            let y = run(&mut *stage, 500, &x, 0, &[]);
            let peak = y[0][3000..5000].iter().fold(0.0_f64, |m, v| m.max(v.abs()));
            assert!((peak - left).abs() < 1e-3, "{peak}");
        }
    }

    #[test]
    fn problems_name_the_key_and_both_numbers() {
        let input = stream(128, 4, 100);
        let cases = [
            ("band_hz = [1, 80]", "band_hz: 80 Hz needs a rate above 160 Hz; here 128 Hz"),
            ("", "a filter needs exactly one of"),
            ("band_hz = [1, 20]\nstop_hz = [48, 52]", "a filter needs exactly one of"),
            ("band_hz = [0, inf]", "band_hz: from 0 Hz to inf everything passes"),
            ("band_hz = [1, 20]\norder = 0", "a filter order of 0"),
            ("band_hz = [1, 20]\nerror_bound = 0", "error_bound: 0 is not between"),
            ("band_hz = [1, 20]\ngap_aware = true", "gap_aware: the gap-aware filter works on epochs"),
        ];
        for (text, start) in cases {
            let message = problem(text, &input);
            assert!(message.contains(start), "{message}");
        }
        let message = problem("band_hz = [0.1, inf]", &stream(25_000, 64, 1000));
        assert!(message.contains("decimate first") && message.contains("25000 Hz"), "{message}");
        let message = problem("band_hz = [0.03, 40]\norder = 32", &stream(25_000, 1, 1000));
        assert!(message.contains("decimate first"), "{message}");
        assert!(toml::from_str::<Butterworth>("band_hz = [1, 80]\nordre = 2").is_err());
        let notes = stage("band_hz = [1, 80]", &stream(1000, 64, 1000)).notes();
        assert!(notes.contains("look-ahead 6.") || notes.contains("look-ahead 5."), "{notes}");
    }

    #[test]
    fn a_recipe_reads_back_as_it_was_written() {
        for text in ["band_hz = [1.0, inf]", "stop_hz = [48, 52]\nphase = \"causal\"", "line_half_width_hz = 2"] {
            let written = toml::to_string(&config(text)).unwrap();
            assert_eq!(config(&written), config(text), "{written}");
        }
    }
}
