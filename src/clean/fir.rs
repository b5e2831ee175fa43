//! `fir`: linear-phase FIR filters without delay, by overlap-save on a stream, in one piece on an epoch.

use crate::dsp::fft::{Complex, RealFft, fast_len};
use crate::dsp::fir::{Design, Flanks};
use crate::dsp::window::Window;
use crate::flow::{BuildContext, EpochInfo, Problems, Stage, StageConfig, Step, StepConfig, Verdict};
use crate::signal::{Block, Epoch, LANES, Lanes, StreamInfo};
use serde::{Deserialize, Serialize};

/// A linear-phase FIR filter by MNE-Python's default design ([`Flanks::design`]), as `filter(l_freq, h_freq)` of
/// MNE-Python 1.13: symmetric taps, so that nothing is delayed.
///
/// Beyond a segment's (or an epoch's) ends the signal is turned about its first and last sample, `2 x₀ − x₋ₙ`, so that
/// a constant stays a constant (MNE's `reflect_limited`; where there are fewer samples than half the filter, the last
/// value so made goes on, where MNE takes zeros).
///
/// On a stream, frames are anchored at multiples of their length counted from tick 0, so that bits do not depend on the
/// cut. A non-finite sample spoils its channel, and no other, for the frames it is in: a window of at most twice the
/// transform's length, which `check` shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fir {
    /// What passes, in Hz: `[1, 80]`; `[0, 80]` a low-pass, `[1, inf]` a high-pass. This or `stop_hz`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub band_hz: Option<[f64; 2]>,
    /// What is stopped, in Hz; the flanks lie inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_hz: Option<[f64; 2]>,
    /// Widths of the lower and the upper flank in Hz; by default [`Flanks::automatic`]. The upper flank of a low-pass
    /// and the lower of a high-pass are the only ones used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transition_hz: Option<[f64; 2]>,
    /// `hann`, `hamming` or `blackman`: the stop band lies 44, 53 or 74 dB down.
    #[serde(default = "default_window")]
    pub window: Window,
}

fn default_window() -> Window {
    Window::Hamming
}

impl Fir {
    /// Passes `band_hz`, with all defaults.
    pub fn band(band_hz: [f64; 2]) -> Self {
        Self { band_hz: Some(band_hz), stop_hz: None, transition_hz: None, window: Window::Hamming }
    }

    /// Stops `stop_hz`, with all defaults.
    pub fn stop(stop_hz: [f64; 2]) -> Self {
        Self { band_hz: None, stop_hz: Some(stop_hz), ..Self::band([0.0; 2]) }
    }

    fn design(&self, rate_hz: f64, context: &mut BuildContext, problems: &mut Problems) -> Option<Design> {
        let (key, band_hz, stop) = match (self.band_hz, self.stop_hz) {
            (Some(band), None) => ("band_hz", band, false),
            (None, Some(band)) => ("stop_hz", band, true),
            _ => {
                problems.add("band_hz", "give either band_hz or stop_hz");
                return None;
            }
        };
        let transition_hz = self.transition_hz.map_or([None; 2], |t| t.map(Some));
        match (Flanks { band_hz, stop, transition_hz, window: self.window }).design(rate_hz) {
            Ok(design) => {
                // the flanks lie outside what passes: its edges lose next to nothing
                match stop {
                    true => context.passband.stopped_hz.push(band_hz),
                    false => context.passband.narrow(band_hz[0], band_hz[1]),
                }
                Some(design)
            }
            Err(error) => {
                problems.add(key, error.message());
                None
            }
        }
    }
}

impl StageConfig for Fir {
    fn build(&self, input: &StreamInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Stage>> {
        let design = self.design(input.rate_hz(), context, problems)?;
        Some(Box::new(OverlapSave::new(input, &design)))
    }
}

impl StepConfig for Fir {
    fn build(&self, input: &EpochInfo, context: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Step>> {
        let design = self.design(input.rate_hz(), context, problems)?;
        let (taps, len) = (design.taps.len(), input.len);
        if taps > len {
            problems.add("", format!("a filter of {taps} samples needs epochs at least as long; here {len}"));
            return None;
        }
        Some(Box::new(Whole::new(len, &design.taps)))
    }
}

/// Zero-phase filtering of one frame: the taps' centre stands at 0, so that their spectrum is real.
struct Kernel {
    fft: RealFft,
    gains: Vec<f64>,
    samples: Vec<f64>,
    spectrum: Vec<Complex>,
}

impl Kernel {
    fn new(n: usize, taps: &[f64]) -> Self {
        let mut fft = RealFft::new(n);
        let mut samples = vec![0.0; n];
        let half = taps.len() / 2;
        for (m, h) in taps.iter().enumerate() {
            samples[(n + m - half) % n] = *h;
        }
        let mut spectrum = vec![Complex::default(); fft.bins()];
        fft.forward(&samples, &mut spectrum);
        Self { gains: spectrum.iter().map(|v| v.re).collect(), fft, samples, spectrum }
    }

    /// Filters `samples` in place, circularly.
    fn apply(&mut self) {
        self.fft.forward(&self.samples, &mut self.spectrum);
        for (v, gain) in self.spectrum.iter_mut().zip(&self.gains) {
            *v *= gain;
        }
        self.fft.inverse(&self.spectrum, &mut self.samples);
    }
}

/// Frame `f` gives outputs `f · hop .. (f + 1) · hop` from the `half` samples more on either side.
struct OverlapSave {
    output: StreamInfo,
    notes: String,
    kernel: Kernel,
    half: usize,
    hop: usize,
    /// `[group][hop + 2 · half]`: the input of the frame that is being filled.
    frame: Vec<Lanes>,
    /// Index of the frame's first output, and how many of its input samples are there.
    start: i64,
    filled: usize,
    /// First sample of the segment, once one has come, and the next output.
    begin: Option<i64>,
    next: i64,
    segment: u32,
}

impl OverlapSave {
    fn new(input: &StreamInfo, design: &Design) -> Self {
        let half = design.taps.len() / 2;
        let n = (2 * design.taps.len()).next_power_of_two().max(256);
        let hop = n - 2 * half;
        let output = StreamInfo { max_block: (input.max_block + hop).max(hop + half), ..input.clone() };
        let points: Vec<String> =
            design.points.iter().map(|(f, pass)| format!("{f:.4} Hz {}", if *pass { "1" } else { "0" })).collect();
        let notes = format!(
            "{} taps, gain {}, stops by {:.0} dB, transforms of {n}",
            design.taps.len(),
            points.join(", "),
            design.attenuation_db()
        );
        let groups = input.channels.len().div_ceil(LANES);
        Self {
            output,
            notes,
            kernel: Kernel::new(n, &design.taps),
            half,
            hop,
            frame: vec![[0.0; LANES]; groups * n],
            start: 0,
            filled: 0,
            begin: None,
            next: 0,
            segment: 0,
        }
    }

    /// Samples of input per frame.
    fn n(&self) -> usize {
        self.hop + 2 * self.half
    }

    /// One past the last input sample.
    fn end(&self) -> i64 {
        self.start - self.half as i64 + self.filled as i64
    }

    /// Begins a segment at sample `first`, in the middle of its frame.
    fn begin(&mut self, first: i64, segment: u32) -> i64 {
        *self.begin.get_or_insert_with(|| {
            self.start = first.div_euclid(self.hop as i64) * self.hop as i64;
            self.filled = (first - self.start) as usize + self.half;
            (self.next, self.segment) = (first, segment);
            first
        })
    }

    /// Turns the segment's first samples about the very first, where the frame holds that.
    fn turn_start(&mut self, begin: i64) {
        let n = self.n();
        let Ok(at) = usize::try_from(begin - (self.start - self.half as i64)) else { return };
        if self.next != begin || at >= self.filled {
            return;
        }
        let have = self.filled - at;
        for frame in self.frame.chunks_exact_mut(n) {
            frame[..at].fill([0.0; LANES]);
            for j in 1..=self.half.min(at) {
                let (pivot, twin) = (frame[at], frame[at + j.min(have - 1)]);
                frame[at - j] = std::array::from_fn(|l| 2.0 * pivot[l] - twin[l]);
            }
        }
    }

    /// Filters a full frame and writes its outputs up to `until` into `out`; the next frame keeps the overlap.
    fn complete(&mut self, begin: i64, until: i64, out: &mut Block) {
        self.turn_start(begin);
        let n = self.n();
        let from = (self.next - self.start).clamp(0, self.hop as i64) as usize;
        let to = (until - self.start).clamp(from as i64, self.hop as i64) as usize;
        let at = (self.next - out.first()) as usize;
        for channel in 0..self.output.channels.len() {
            let (g, lane) = (channel / LANES, channel % LANES);
            let frame = &self.frame[g * n..][..n];
            for (v, tile) in self.kernel.samples.iter_mut().zip(frame) {
                *v = tile[lane];
            }
            self.kernel.apply();
            let filtered = &self.kernel.samples[self.half + from..self.half + to];
            for (tile, v) in out.group_mut(g)[at..].iter_mut().zip(filtered) {
                tile[lane] = *v;
            }
        }
        for frame in self.frame.chunks_exact_mut(n) {
            frame.copy_within(self.hop.., 0);
        }
        self.next += (to - from) as i64;
        self.start += self.hop as i64;
        self.filled = n - self.hop;
    }
}

impl Stage for OverlapSave {
    fn output(&self) -> &StreamInfo {
        &self.output
    }

    fn lookahead(&self) -> u64 {
        (self.half + self.hop - 1) as u64
    }

    fn push(&mut self, input: &Block, out: &mut Block) {
        if input.is_empty() {
            out.start(self.segment, self.next, 0);
            return;
        }
        let begin = self.begin(input.first(), input.segment());
        let n = self.n();
        // all frames whose input ends within this block
        let hop = self.hop as i64;
        let until = ((input.end() - self.half as i64).div_euclid(hop) * hop).max(self.next);
        out.start(self.segment, self.next, (until - self.next) as usize);
        let mut used = 0;
        while used < input.len() {
            let take = (n - self.filled).min(input.len() - used);
            for (g, frame) in self.frame.chunks_exact_mut(n).enumerate() {
                frame[self.filled..self.filled + take].copy_from_slice(&input.group(g)[used..used + take]);
            }
            self.filled += take;
            used += take;
            if self.filled == n {
                self.complete(begin, until, out);
            }
        }
    }

    fn finish(&mut self, out: &mut Block) {
        let Some(begin) = self.begin else {
            out.start(self.segment, self.next, 0);
            return;
        };
        let (n, end) = (self.n(), self.end());
        out.start(self.segment, self.next, (end - self.next) as usize);
        while self.next < end {
            // what the frame lacks: turned about the last sample, then nothing that matters
            let last = (end - 1 - (self.start - self.half as i64)) as usize;
            let before = (end - 1 - begin).min(self.half as i64) as usize;
            for frame in self.frame.chunks_exact_mut(n) {
                for at in last + 1..n {
                    let j = at - last;
                    let (pivot, twin) = (frame[last], frame[last - j.min(before)]);
                    let turned = std::array::from_fn(|l| 2.0 * pivot[l] - twin[l]);
                    frame[at] = if j <= self.half { turned } else { [0.0; LANES] };
                }
            }
            self.filled = last + 1;
            self.complete(begin, end, out);
        }
    }

    fn reset(&mut self) {
        self.begin = None;
    }

    fn memory_bytes(&self) -> u64 {
        let kernel = self.kernel.fft.memory_bytes() + (40 * self.kernel.samples.len()) as u64;
        kernel + (self.frame.len() * size_of::<Lanes>()) as u64
    }

    fn notes(&self) -> String {
        self.notes.clone()
    }
}

/// Filters each epoch in one transform.
struct Whole {
    kernel: Kernel,
    half: usize,
}

impl Whole {
    fn new(len: usize, taps: &[f64]) -> Self {
        let half = taps.len() / 2;
        Self { kernel: Kernel::new(fast_len(len + 2 * half), taps), half }
    }
}

impl Step for Whole {
    fn apply(&mut self, epoch: &mut Epoch) -> Verdict {
        let (half, len) = (self.half, epoch.len());
        for channel in 0..epoch.channels() {
            let x = epoch.channel_mut(channel);
            let samples = &mut self.kernel.samples;
            samples[half..half + len].copy_from_slice(x);
            samples[len + 2 * half..].fill(0.0);
            for j in 1..=half {
                samples[half - j] = 2.0 * x[0] - x[j];
                samples[half + len - 1 + j] = 2.0 * x[len - 1] - x[len - 1 - j];
            }
            self.kernel.apply();
            x.copy_from_slice(&self.kernel.samples[half..half + len]);
        }
        Verdict::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::super::resample::testing::*;
    use super::*;
    use crate::dsp::fir::amplitude;
    use crate::unit::{Clock, Rate};
    use std::f64::consts::TAU;

    fn golden() -> serde_json::Value {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/golden/fir.json");
        let all: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        all["filter_data"].clone()
    }

    fn list(golden: &serde_json::Value, key: &str) -> Vec<f64> {
        serde_json::from_value(golden[key].clone()).unwrap()
    }

    fn stop_45_65() -> Fir {
        Fir { transition_hz: Some([3.0, 3.0]), ..Fir::stop([45.0, 65.0]) }
    }

    fn epochs(rate_hz: f64, len: usize) -> EpochInfo {
        let clock = Clock::stored(Rate::from_hz(rate_hz).unwrap());
        EpochInfo { clock, channels: info(2, rate_hz, 1).channels, first: 0, len, conditions: 1 }
    }

    fn step(config: &Fir, input: &EpochInfo) -> Result<Box<dyn Step>, String> {
        let mut problems = Problems::default();
        let step = StepConfig::build(config, input, &mut BuildContext::default(), &mut problems);
        step.ok_or_else(|| problems.list()[0].to_string())
    }

    #[test]
    fn a_stream_is_mnes_to_its_ends() {
        let golden = golden();
        let x = list(&golden, "x");
        for (key, config) in [
            ("lowpass_30", Fir::band([0.0, 30.0])),
            ("bandpass_4_30", Fir::band([4.0, 30.0])),
            ("stop_45_65", stop_45_65()),
            ("short", Fir::band([4.0, 30.0])),
        ] {
            let want = list(&golden, key);
            let rows = vec![vec![0.0; want.len()], x[..want.len()].to_vec()];
            for first in [0, 12_345] {
                let (start, got) = run(&mut *build(&config, &info(2, 250.0, 100)), &rows, first, || 77);
                assert_eq!((start, got[1].len()), (first, want.len()));
                for (k, (g, w)) in got[1].iter().zip(&want).enumerate() {
                    assert!((g - w).abs() < 1e-11, "{key} at {k}: {g} {w}");
                }
                assert!(got[0].iter().all(|v| *v == 0.0), "channels stay apart");
            }
        }
    }

    #[test]
    fn an_epoch_is_mnes_too() {
        let golden = golden();
        let (x, want) = (list(&golden, "x"), list(&golden, "bandpass_4_30"));
        let input = epochs(250.0, x.len());
        let mut epoch = Epoch::new(input.clock, 0, 2, x.len());
        epoch.channel_mut(1).copy_from_slice(&x);
        assert_eq!(step(&Fir::band([4.0, 30.0]), &input).unwrap().apply(&mut epoch), Verdict::Keep);
        for (k, (g, w)) in epoch.channel(1).iter().zip(&want).enumerate() {
            assert!((g - w).abs() < 1e-11, "at {k}: {g} {w}");
        }
        let problem = step(&Fir::band([4.0, 30.0]), &epochs(250.0, 300)).err().unwrap();
        assert_eq!(problem, ": a filter of 413 samples needs epochs at least as long; here 300");
    }

    #[test]
    fn cuts() {
        cuts_do_not_matter(&Fir::band([0.0, 30.0]), 250.0, 0, 2000);
        cuts_do_not_matter(&Fir::band([4.0, 30.0]), 250.0, 777, 3000);
        cuts_do_not_matter(&stop_45_65(), 250.0, -31, 1800);
        for len in [1, 2, 5, 100, 206, 207, 208, 413, 599, 600, 1024, 1025] {
            cuts_do_not_matter(&Fir::band([4.0, 30.0]), 250.0, 599, len);
        }
    }

    #[test]
    fn frames_are_anchored_at_tick_0() {
        let rows = Random(4).rows(1, 4000);
        let mut stage = build(&Fir::band([4.0, 30.0]), &info(1, 250.0, 128));
        let (_, all) = run(&mut *stage, &rows, 0, || 128);
        let (_, later) = run(&mut *stage, &[rows[0][101..].to_vec()], 101, || 128);
        // from the second frame on the segment's start is out of sight
        assert!((1300..4000).all(|k| all[0][k].to_bits() == later[0][k - 101].to_bits()));
    }

    #[test]
    fn it_is_the_direct_sum() {
        let config = Fir::band([4.0, 30.0]);
        let taps = config.design(250.0, &mut BuildContext::default(), &mut Problems::default()).unwrap().taps;
        let rows = Random(3).rows(1, 2500);
        let (_, got) = run(&mut *build(&config, &info(1, 250.0, 128)), &rows, 5, || 128);
        let half = taps.len() / 2;
        for k in half..2500 - half {
            let want: f64 = taps.iter().zip(&rows[0][k - half..]).map(|(h, x)| h * x).sum();
            assert!((got[0][k] - want).abs() < 1e-12 * 50.0, "at {k}: {} {want}", got[0][k]);
        }
    }

    #[test]
    fn a_constant_and_a_line_survive_a_low_pass() {
        for len in [1, 2, 40, 700] {
            let line: Vec<f64> = (0..len).map(|i| 7.0 + 0.5 * i as f64).collect();
            let rows = vec![vec![1234.5; len], line.clone()];
            let (_, got) = run(&mut *build(&Fir::band([0.0, 30.0]), &info(2, 250.0, 90)), &rows, 1, || 90);
            assert!(got[0].iter().all(|v| (v - 1234.5).abs() < 1e-10), "{len}");
            if len > 60 {
                assert!(got[1].iter().zip(&line).all(|(a, b)| (a - b).abs() < 1e-10), "turning keeps a line");
            }
        }
    }

    #[test]
    fn a_sine_keeps_its_phase_and_meets_the_gain() {
        let config = Fir::band([4.0, 30.0]);
        let taps = config.design(250.0, &mut BuildContext::default(), &mut Problems::default()).unwrap().taps;
        for hz in [2.0, 10.0, 33.0, 60.0] {
            let x: Vec<f64> = (0..2000).map(|i| (TAU * hz * f64::from(i) / 250.0).sin()).collect();
            let (_, y) = run(&mut *build(&config, &info(1, 250.0, 300)), std::slice::from_ref(&x), 0, || 300);
            let gain = amplitude(&taps, hz / 125.0);
            for k in 300..1700 {
                assert!((y[0][k] - gain * x[k]).abs() < 1e-12, "{hz} Hz at {k}");
            }
        }
    }

    #[test]
    fn what_is_not_finite_stays_in_its_channel_and_frames() {
        let mut rows = Random(8).rows(3, 6000);
        rows[1][3000] = f64::NAN;
        let mut stage = build(&Fir::band([0.0, 30.0]), &info(3, 250.0, 100));
        let (_, y) = run(&mut *stage, &rows, 0, || 100);
        assert!(y[0].iter().chain(&y[2]).all(|v| v.is_finite()));
        assert!((0..6000).all(|k| y[1][k].is_finite() || usize::abs_diff(k, 3000) < 512));
        assert!(y[1][3000].is_nan());
        // and is forgotten at a gap
        let (_, y) = run(&mut *stage, &Random(8).rows(3, 100), 0, || 100);
        assert!(y.iter().flatten().all(|v| v.is_finite()));
    }

    #[test]
    fn problems_and_notes() {
        let input = info(1, 128.0, 100);
        assert_eq!(problem(&Fir::band([0.0, 80.0]), &input), "band_hz: 80 Hz needs a rate above 160 Hz; here 128 Hz");
        assert!(problem(&Fir { stop_hz: Some([1.0, 2.0]), ..Fir::band([0.0, 8.0]) }, &input).contains("either"));
        let notes = build(&Fir::band([1.0, 40.0]), &info(1, 500.0, 100)).notes();
        assert!(notes.starts_with("1651 taps, gain 0.0000 Hz 0, 1.0000 Hz 1, 40.0000 Hz 1, 50.0000 Hz 0"), "{notes}");
        let fir: Fir = toml::from_str("band_hz = [1, inf]\nwindow = \"hann\"").unwrap();
        assert_eq!((fir.band_hz, fir.window), (Some([1.0, f64::INFINITY]), Window::Hann));
    }
}
