//! Epochs and their averages: planar, channel × time.

use super::Event;
use crate::unit::{Clock, window_offsets};
use ndarray::ArrayView2;

/// One window around one event: planar (channel × time), µV. Allocated once and refilled.
#[derive(Debug, Clone)]
pub struct Epoch {
    /// What it was cut around.
    pub event: Event,
    /// 0-based number of the event among those asked for, dropped ones included.
    pub trial: u64,
    /// Index of the condition (an event name asked for), in order of first appearance.
    pub condition: u16,
    /// The stated onset minus the time of sample 0 of the epoch, µs.
    pub residual_us: f64,
    /// Seconds from the start of the recording to the event, gaps counted.
    pub onset_s: f64,
    /// Clock of the samples.
    pub clock: Clock,
    /// Offset of the first sample from the event's sample.
    pub first: i64,
    channels: usize,
    len: usize,
    data: Vec<f64>,
    /// For each sample whether it was bridged (pulse fill) rather than measured.
    pub filled: Vec<bool>,
    /// For each channel whether it enters references, rejections and GMFA: EEG and not bad.
    pub enters: Vec<bool>,
    /// For each channel whether it is bad (and was not interpolated).
    pub bad: Vec<bool>,
    /// For each channel whether its samples were interpolated from its neighbours'; it then is no longer bad.
    pub interpolated: Vec<bool>,
}

impl Epoch {
    /// A zeroed epoch of `channels` × `len`.
    pub fn new(clock: Clock, first: i64, channels: usize, len: usize) -> Self {
        Self {
            event: Event::new(crate::unit::Tick(0), super::EventName(0)),
            trial: 0,
            condition: 0,
            residual_us: 0.0,
            onset_s: 0.0,
            clock,
            first,
            channels,
            len,
            data: vec![0.0; channels * len],
            filled: vec![false; len],
            enters: vec![true; channels],
            bad: vec![false; channels],
            interpolated: vec![false; channels],
        }
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Samples per channel.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds no sample.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// One channel's samples.
    pub fn channel(&self, channel: usize) -> &[f64] {
        &self.data[channel * self.len..(channel + 1) * self.len]
    }

    /// One channel's samples, to be changed.
    pub fn channel_mut(&mut self, channel: usize) -> &mut [f64] {
        &mut self.data[channel * self.len..(channel + 1) * self.len]
    }

    /// All samples, channel after channel.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// All samples, to be changed.
    pub fn data_mut(&mut self) -> &mut [f64] {
        &mut self.data
    }

    /// All samples as an array, channel × time, µV.
    pub fn view(&self) -> ArrayView2<'_, f64> {
        planar(self.channels, self.len, &self.data)
    }

    /// The sample range of a window in ms (both ends included), cut to the epoch; `None` when nothing is left.
    pub fn window(&self, window_ms: [f64; 2]) -> Option<std::ops::Range<usize>> {
        window_range(window_ms, self.clock.rate_hz(), self.first, self.len)
    }

    /// Time of sample `index` in ms relative to the event.
    pub fn time_ms(&self, index: usize) -> f64 {
        (self.first + index as i64) as f64 * 1e3 / self.clock.rate_hz()
    }
}

/// Rows of `len` samples as an array; empty where the shape does not fit, which it always does.
fn planar(channels: usize, len: usize, data: &[f64]) -> ArrayView2<'_, f64> {
    ArrayView2::from_shape((channels, len), data).unwrap_or_else(|_| ArrayView2::from(&[] as &[[f64; 1]]))
}

/// The index range of a window in ms within `len` samples that start at offset `first`.
pub(crate) fn window_range(
    window_ms: [f64; 2],
    rate_hz: f64,
    first: i64,
    len: usize,
) -> Option<std::ops::Range<usize>> {
    let (lo, hi) = window_offsets(window_ms, rate_hz)?;
    let (lo, hi) = ((lo - first).max(0), (hi - first + 1).min(len as i64));
    (lo < hi).then_some(lo as usize..hi as usize)
}

/// A mean over trials; the count travels with it.
#[derive(Debug, Clone)]
pub struct Evoked {
    /// Trials in the mean.
    pub n: u64,
    /// Clock of the samples.
    pub clock: Clock,
    /// Offset of the first sample from the event.
    pub first: i64,
    /// Samples per channel.
    pub len: usize,
    /// Planar (channel × time), µV. Empty when `n` is 0.
    pub data: Vec<f64>,
    /// Whether any trial in the mean was bridged at this sample.
    pub filled: Vec<bool>,
}

impl Evoked {
    /// One channel's samples.
    pub fn channel(&self, channel: usize) -> &[f64] {
        &self.data[channel * self.len..(channel + 1) * self.len]
    }

    /// The mean as an array, channel × time, µV; without rows when there is no trial.
    pub fn view(&self) -> ArrayView2<'_, f64> {
        planar(self.data.len() / self.len.max(1), self.len, &self.data)
    }

    /// The index range of a window in ms.
    pub fn window(&self, window_ms: [f64; 2]) -> Option<std::ops::Range<usize>> {
        window_range(window_ms, self.clock.rate_hz(), self.first, self.len)
    }

    /// Time of sample `index` in ms.
    pub fn time_ms(&self, index: usize) -> f64 {
        (self.first + index as i64) as f64 * 1e3 / self.clock.rate_hz()
    }
}

/// Running sums of the kept epochs of one condition, odd and even trials apart (split half, plus–minus noise).
#[derive(Debug, Clone)]
pub struct Averages {
    clock: Clock,
    first: i64,
    channels: usize,
    len: usize,
    sums: [Vec<f64>; 2],
    counts: [u64; 2],
    filled: Vec<bool>,
}

impl Averages {
    /// Empty sums for epochs of this shape.
    pub fn new(clock: Clock, first: i64, channels: usize, len: usize) -> Self {
        let sums = [vec![0.0; channels * len], vec![0.0; channels * len]];
        Self { clock, first, channels, len, sums, counts: [0; 2], filled: vec![false; len] }
    }

    /// Adds a kept epoch; the first kept one is odd, the second even, …
    pub fn add(&mut self, epoch: &Epoch) {
        let half = ((self.counts[0] + self.counts[1]) % 2) as usize;
        for (sum, value) in self.sums[half].iter_mut().zip(epoch.data()) {
            *sum += value;
        }
        for (any, &filled) in self.filled.iter_mut().zip(&epoch.filled) {
            *any |= filled;
        }
        self.counts[half] += 1;
    }

    /// Trials in the sums.
    pub fn n(&self) -> u64 {
        self.counts[0] + self.counts[1]
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Forgets all trials.
    pub fn reset(&mut self) {
        self.sums.iter_mut().flatten().for_each(|v| *v = 0.0);
        self.counts = [0; 2];
        self.filled.fill(false);
    }

    fn evoked(&self, n: u64, value: impl Fn(usize) -> f64) -> Evoked {
        let data =
            if n == 0 { Vec::new() } else { (0..self.channels * self.len).map(|i| value(i) / n as f64).collect() };
        Evoked { n, clock: self.clock, first: self.first, len: self.len, data, filled: self.filled.clone() }
    }

    /// The mean over all kept trials.
    pub fn mean(&self) -> Evoked {
        self.evoked(self.n(), |i| self.sums[0][i] + self.sums[1][i])
    }

    /// The mean over the odd (`0`) or even (`1`) kept trials.
    pub fn half(&self, half: usize) -> Evoked {
        self.evoked(self.counts[half], |i| self.sums[half][i])
    }
}
