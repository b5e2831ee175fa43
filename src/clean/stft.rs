//! `stft`: power over time and frequency as a stream of its own.

use crate::dsp::stft::{FramePower, frames_within};
use crate::dsp::window::Window;
use crate::flow::{BuildContext, Problems, Stage, StageConfig};
use crate::signal::{Block, Channel, ChannelKind, LANES, Lanes, StreamInfo};
use crate::unit::Unit;
use serde::{Deserialize, Serialize};

/// Most output channels (channels × frequencies).
const MOST_CHANNELS: usize = 1 << 20;

/// Turns each channel into as many channels as there are frequencies in `band_hz`: one-sided power spectral density in
/// (input unit)²/Hz, µV²/Hz for EEG ([`FramePower`]). Output channel `c · bins + b` is input channel `c` at frequency
/// `b`, named `Cz@10Hz`, of kind [`ChannelKind::Misc`] (powers do not enter references).
///
/// Output sample `k` is the frame *centred* at input sample `k · hop`, on a grid anchored at tick 0. Length (rounded to
/// an even number of samples) and hop are whole samples, so that centres lie on samples exactly. Only frames wholly
/// inside a segment are given: nothing is made up beyond its ends.
/// A non-finite sample spoils its channel in the frames that hold it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stft {
    /// Length of a frame in ms.
    pub length_ms: f64,
    /// From one frame's centre to the next, in ms.
    pub hop_ms: f64,
    /// Lowest and highest frequency, both included.
    pub band_hz: [f64; 2],
    /// The taper (periodic).
    #[serde(default = "default_window")]
    pub window: Window,
    /// Zeros are put behind each frame until it is this many times as long (at least 1): a finer grid of frequencies.
    #[serde(default = "default_pad")]
    pub pad: u32,
    /// Whether each frame's mean is removed first; else an offset leaks into the lowest bins.
    #[serde(default = "default_remove_mean")]
    pub remove_mean: bool,
}

fn default_window() -> Window {
    Window::Hann
}

fn default_pad() -> u32 {
    1
}

fn default_remove_mean() -> bool {
    true
}

impl Stft {
    /// Hann frames of `length_ms` every `hop_ms`, their means removed.
    pub fn new(length_ms: f64, hop_ms: f64, band_hz: [f64; 2]) -> Self {
        Self { length_ms, hop_ms, band_hz, window: Window::Hann, pad: 1, remove_mean: true }
    }
}

impl StageConfig for Stft {
    fn build(&self, input: &StreamInfo, _: &mut BuildContext, problems: &mut Problems) -> Option<Box<dyn Stage>> {
        let rate_hz = input.rate_hz();
        let before = problems.list().len();
        let length = (self.length_ms * rate_hz / 2e3).round() * 2.0;
        let hop = (self.hop_ms * rate_hz / 1e3).round();
        if !(2.0..=f64::from(1 << 22)).contains(&length) {
            problems.add("length_ms", format!("{} ms are {length} samples at {rate_hz} Hz", self.length_ms));
        }
        if !(1.0..=f64::from(1 << 22)).contains(&hop) {
            problems.add("hop_ms", format!("{} ms are {hop} samples at {rate_hz} Hz", self.hop_ms));
        }
        if !(1..=64).contains(&self.pad) {
            problems.add("pad", format!("{} is not within 1…64", self.pad));
        }
        let [lo, hi] = self.band_hz;
        if !(lo >= 0.0 && hi >= lo) {
            problems.add("band_hz", format!("{lo}…{hi} Hz is not a band"));
        } else if hi > rate_hz / 2.0 {
            problems.add("band_hz", format!("{hi} Hz needs a rate of {} Hz; here {rate_hz} Hz", 2.0 * hi));
        }
        if problems.list().len() > before {
            return None;
        }
        let (length, hop) = (length as usize, hop as usize);
        let fft_len = length * self.pad as usize;
        let plan = FramePower::new(length, fft_len, rate_hz, self.window, self.remove_mean, self.band_hz);
        let count = plan.bins() * input.channels.len();
        if plan.bins() == 0 || count > MOST_CHANNELS {
            let step = plan.step_hz();
            problems.add(
                "band_hz",
                format!("{lo}…{hi} Hz in steps of {step} Hz make {count} channels, not 1…{MOST_CHANNELS}"),
            );
            return None;
        }
        let clock = match input.clock.resampled(1, hop as u64) {
            Ok(clock) => clock,
            Err(error) => {
                problems.add("hop_ms", error.message());
                return None;
            }
        };
        let channels = input.channels.iter().flat_map(|c| (0..plan.bins()).map(|b| power_channel(c, plan.hz(b))));
        let output = StreamInfo { clock, channels: channels.collect(), max_block: input.max_block / hop + 1 };
        Some(Box::new(Power::new(input, output, plan, hop)))
    }
}

fn power_channel(channel: &Channel, hz: f64) -> Channel {
    let unit = Unit::Other(if channel.unit == Unit::None { "1/Hz".into() } else { format!("{}^2/Hz", channel.unit) });
    Channel {
        position: channel.position,
        calibrated: channel.calibrated,
        ..Channel::new(format!("{}@{hz}Hz", channel.name), ChannelKind::Misc, unit)
    }
}

/// Collects samples until a frame is full; the tail moves to the front only when the room is used up.
struct Power {
    output: StreamInfo,
    inputs: usize,
    plan: FramePower,
    hop: usize,
    /// `[group][room]`
    history: Vec<Lanes>,
    room: usize,
    held: usize,
    first: i64,
    next: i64,
    segment: u32,
    begun: bool,
}

impl Power {
    fn new(input: &StreamInfo, output: StreamInfo, plan: FramePower, hop: usize) -> Self {
        let inputs = input.channels.len();
        let room = 2 * plan.len() + input.max_block;
        let history = vec![[0.0; LANES]; inputs.div_ceil(LANES) * room];
        Self { output, inputs, plan, hop, history, room, held: 0, first: 0, next: 0, segment: 0, begun: false }
    }

    /// First input sample of frame `k`.
    fn start_of(&self, k: i64) -> i64 {
        k * self.hop as i64 - (self.plan.len() / 2) as i64
    }

    /// Appends a block, after dropping what no frame needs any more where there is no room.
    fn take(&mut self, input: &Block) {
        if !self.begun {
            let frames = frames_within(input.first(), i64::MAX as u64, self.plan.len(), self.hop);
            (self.begun, self.held, self.first) = (true, 0, input.first());
            (self.next, self.segment) = (frames.start, input.segment());
        }
        if self.held + input.len() > self.room {
            let drop = usize::try_from(self.start_of(self.next) - self.first).unwrap_or(0).min(self.held);
            for history in self.history.chunks_exact_mut(self.room) {
                history.copy_within(drop..self.held, 0);
            }
            self.held -= drop;
            self.first += drop as i64;
        }
        for (g, history) in self.history.chunks_exact_mut(self.room).enumerate() {
            history[self.held..self.held + input.len()].copy_from_slice(input.group(g));
        }
        self.held += input.len();
    }
}

impl Stage for Power {
    fn output(&self) -> &StreamInfo {
        &self.output
    }

    fn lookahead(&self) -> u64 {
        (self.plan.len() - self.plan.len() / 2 - 1) as u64
    }

    fn push(&mut self, input: &Block, out: &mut Block) {
        if input.is_empty() {
            out.start(self.segment, self.next, 0);
            return;
        }
        self.take(input);
        let (n, bins) = (self.plan.len(), self.plan.bins());
        let end = self.first + self.held as i64;
        let mut frames = 0;
        while self.start_of(self.next + frames as i64) + n as i64 <= end {
            frames += 1;
        }
        out.start(self.segment, self.next, frames);
        for i in 0..frames {
            let at = (self.start_of(self.next) - self.first) as usize;
            for c in 0..self.inputs {
                let samples = &self.history[c / LANES * self.room + at..][..n];
                for (x, tile) in self.plan.frame().iter_mut().zip(samples) {
                    *x = tile[c % LANES];
                }
                for (b, power) in self.plan.power().enumerate() {
                    out.set(c * bins + b, i, power);
                }
            }
            self.next += 1;
        }
    }

    fn finish(&mut self, out: &mut Block) {
        out.start(self.segment, self.next, 0);
    }

    fn reset(&mut self) {
        self.begun = false;
    }

    fn memory_bytes(&self) -> u64 {
        self.plan.memory_bytes() + (self.history.len() * size_of::<Lanes>()) as u64
    }

    fn notes(&self) -> String {
        format!(
            "frames of {} samples every {}, {} frequencies from {} Hz in steps of {} Hz",
            self.plan.len(),
            self.hop,
            self.plan.bins(),
            self.plan.hz(0),
            self.plan.step_hz()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::resample::testing::*;
    use super::*;
    use crate::dsp::stft::stft_power;
    use std::f64::consts::TAU;

    #[test]
    fn cuts() {
        cuts_do_not_matter(&Stft::new(400.0, 50.0, [4.0, 40.0]), 250.0, 3, 2000);
        cuts_do_not_matter(&Stft::new(40.0, 4.0, [0.0, 125.0]), 250.0, -77, 700);
        cuts_do_not_matter(&Stft { pad: 4, ..Stft::new(100.0, 1000.0, [4.0, 40.0]) }, 250.0, 1000, 2000);
    }

    #[test]
    fn it_is_the_reference_frame_by_frame() {
        let rows = Random(2).rows(10, 1500);
        let config = Stft { remove_mean: false, ..Stft::new(256.0, 64.0, [10.0, 60.0]) };
        let mut stage = build(&config, &info(10, 250.0, 128));
        let (first, got) = run(&mut *stage, &rows, 0, || 100);
        for c in [0, 7, 8, 9] {
            let mut plan = FramePower::new(64, 64, 250.0, Window::Hann, false, [10.0, 60.0]);
            let (want_first, want) = stft_power(&rows[c], &mut plan, 16);
            assert_eq!((first, got[c * plan.bins()].len()), (want_first, want.len()));
            for (k, frame) in want.iter().enumerate() {
                for (b, power) in frame.iter().enumerate() {
                    assert_eq!(got[c * plan.bins() + b][k].to_bits(), power.to_bits());
                }
            }
        }
    }

    #[test]
    fn a_burst_peaks_at_its_own_time() {
        // 20 Hz around stored sample 10 000, in a segment that starts at an odd place
        let first = 7_003;
        let x: Vec<f64> = (0..6000)
            .map(|i| {
                let t = f64::from(first as i32 + i - 10_000) / 1000.0;
                (-t * t / 0.02).exp() * (TAU * 20.0 * t).cos()
            })
            .collect();
        let mut stage = build(&Stft::new(200.0, 20.0, [20.0, 20.0]), &info(1, 1000.0, 250));
        let (start, got) = run(&mut *stage, &[x], first, || 250);
        let peak = (0..got[0].len()).max_by(|&a, &b| got[0][a].total_cmp(&got[0][b])).unwrap();
        let clock = stage.output().clock;
        assert_eq!(clock.tick_of(start + peak as i64), 10_000.0);
        for m in 1..10 {
            assert!((got[0][peak - m] / got[0][peak + m] - 1.0).abs() < 1e-9, "symmetric about the centre");
        }
        assert_eq!(start, (7_003 + 100 + 19) / 20);
    }

    #[test]
    fn channels_say_what_they_are() {
        let stage = build(&Stft::new(500.0, 100.0, [8.0, 12.0]), &info(2, 500.0, 64));
        let names: Vec<&str> = stage.output().channels.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["c0@8Hz", "c0@10Hz", "c0@12Hz", "c1@8Hz", "c1@10Hz", "c1@12Hz"]);
        assert_eq!(stage.output().channels[0].unit.to_string(), "uV^2/Hz");
        assert_eq!((stage.output().rate_hz(), stage.lookahead()), (10.0, 124));
        assert_eq!(stage.notes(), "frames of 250 samples every 50, 3 frequencies from 8 Hz in steps of 2 Hz");
    }

    #[test]
    fn problems_come_all_at_once() {
        let mut problems = Problems::default();
        let config = Stft { pad: 0, ..Stft::new(f64::NAN, 0.1, [5.0, 300.0]) };
        assert!(config.build(&info(1, 500.0, 64), &mut BuildContext::default(), &mut problems).is_none());
        let paths: Vec<&str> = problems.list().iter().map(|p| p.path.as_str()).collect();
        assert_eq!(paths, ["length_ms", "hop_ms", "pad", "band_hz"]);
        let text = problem(&Stft::new(100.0, 50.0, [11.0, 12.0]), &info(1, 500.0, 64));
        assert!(text.contains("steps of 10 Hz make 0 channels"), "{text}");
    }
}
