//! Finding stimulation pulses in the signal itself.
//!
//! On every considered channel the running median over `median_ms` (centred, shorter at a segment's ends) is subtracted;
//! y is what remains, in size. With thr_c = max(y)/10, held between `floor_uv` and `ceiling_uv`, a sample counts when y > thr_c on
//! at least `min_channels` of the channels. Counting samples no farther apart than `refractory_ms` are one pulse, and its first
//! sample is the onset. When fewer than `expected` pulses are found, every threshold is lowered by a factor of 0.8, at most five times.
//! The rule is that of Cline et al. (2021), 10.1109/NER49283.2021.9441147.
//!
//! Things to know:
//! * An artefact that lasts longer than half of `median_ms` drags the median along: where the amplifier stays saturated for
//!   200 ms, ask for a `median_ms` of 500.
//! * `refractory_ms` must be below the interval of paired pulses (2 ms for SICI: 1 ms).
//! * In a recording that was low-passed, or of muscles, pulses are far below 1 mV and evoked potentials above it: give
//!   `threshold_uv`, and tell pulse from muscle by the number of channels. In a 4-channel EMG at 5 kHz, low-passed at 499 Hz
//!   (artefact 50–300 µV on all channels, MEP up to 2.8 mV on one), `threshold_uv = 50`, `min_channels = 0.75` and the default
//!   refractory period find exactly the 20 pulses, 2–4 samples after their trigger, and no MEP; any threshold of 40–80 µV does.
//! * Samples that are not finite are left out of the median and never count.
//!
//! The search reads the stream once in bounded memory. Between two samples of a window lies at most the window's range, so where
//! three neighbouring chunks span less than the lowest possible threshold there is no median to compute: on clean EEG the
//! search costs little more than reading the samples, and gives exactly what the definition above gives.

mod trains;

pub use trains::{Intervals, Matching, Train, TrainRule, intervals, match_events, name_trains};

use crate::dsp::stats::RunningMedian;
use crate::flow::Source;
use crate::signal::{Block, LANES, Lanes, StreamInfo};
use crate::unit::{Clock, Tick, window_offsets};
use crate::{Error, Result};
use multiversion::multiversion;
use serde::{Deserialize, Serialize};

/// Each time fewer pulses than expected are found, thresholds are multiplied by this.
pub const RELAX: f64 = 0.8;

/// How often at most.
pub const RELAX_TIMES: i32 = 5;

/// Most values above the threshold that are kept (64 MB): far more than any train of pulses leaves.
const MOST_VALUES: usize = 1 << 22;

/// How pulses are looked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Detect {
    /// One threshold for all channels, µV, in place of the one that follows the largest artefact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold_uv: Option<f64>,
    /// Lowest threshold, µV.
    pub floor_uv: f64,
    /// Highest threshold, µV.
    pub ceiling_uv: f64,
    /// Part of the channels (0…1) that must exceed their threshold in one sample; at least one channel.
    pub min_channels: f64,
    /// Counting samples this close belong to one pulse, ms.
    pub refractory_ms: f64,
    /// Length of the running median, ms.
    pub median_ms: f64,
    /// How many pulses there should be: thresholds are lowered while fewer are found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<usize>,
}

impl Default for Detect {
    fn default() -> Self {
        Self {
            threshold_uv: None,
            floor_uv: 1e3,
            ceiling_uv: 1e4,
            min_channels: 0.25,
            refractory_ms: 3.0,
            median_ms: 10.0,
            expected: None,
        }
    }
}

/// A pulse found in the signal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FoundPulse {
    /// Its first sample.
    pub tick: Tick,
    /// Samples from the first to the last one that counts.
    pub samples: u32,
    /// Largest departure from the running median, µV.
    pub peak_uv: f64,
    /// Most channels above their threshold in one sample.
    pub channels_over: u32,
}

/// What a search found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Detection {
    /// The pulses, in order of time.
    pub pulses: Vec<FoundPulse>,
    /// The threshold of each considered channel, µV, after relaxing.
    pub thresholds_uv: Vec<f64>,
    /// How often the thresholds were lowered.
    pub relaxed: u32,
    /// Channels that had to exceed their threshold in one sample.
    pub channels_needed: u32,
    /// Largest range of the signal on any channel within about three times half a median length, µV: how far from finding
    /// anything an empty search was.
    pub largest_range_uv: f64,
    /// Why there is nothing, where there is nothing.
    pub reason: Option<String>,
}

impl Detection {
    /// Onsets of the pulses.
    pub fn ticks(&self) -> Vec<Tick> {
        self.pulses.iter().map(|p| p.tick).collect()
    }
}

/// Looks for pulses in everything a Source's main stream holds, on these channels.
///
/// The Source is left at its end, with these channels selected.
///
/// # Errors
/// As [`Detector::new`], [`Detector::finish`] and the Source.
pub fn detect(source: &mut dyn Source, channels: &[usize], config: &Detect) -> Result<Detection> {
    let main = source.recording().main;
    let stream = source.recording().main_stream();
    let all = &stream.channels;
    let chosen: Option<_> = channels.iter().map(|&c| all.get(c).cloned()).collect();
    let chosen = chosen.ok_or_else(|| Error::usage("a channel to look for pulses on does not exist"))?;
    let info = StreamInfo { clock: Clock::stored(stream.rate), channels: chosen, max_block: 2048 };
    let every: Vec<_> = (0..channels.len()).collect();
    let mut detector = Detector::new(&info, &every, config)?;
    source.select(main, channels)?;
    let mut block = Block::for_stream(&info);
    while source.read(&mut block)? {
        detector.push(&block);
    }
    detector.finish()
}

/// A sample in which enough channels may exceed their threshold.
#[derive(Debug, Clone, Copy)]
struct Hit {
    tick: i64,
    segment: u32,
    /// Where its values begin.
    from: usize,
}

/// A search that is fed block by block. However the blocks are cut, the result is the same.
pub struct Detector {
    config: Detect,
    /// For each considered channel its index in the stream.
    channels: Vec<usize>,
    /// Groups with a considered channel, and which of their lanes (with their place in `channels`).
    groups: Vec<(usize, Vec<(usize, usize)>)>,
    needed: u32,
    refractory: i64,
    /// Samples of the median on either side.
    half: usize,
    /// Samples per chunk, at least `half`.
    chunk: usize,
    /// `[group][3 chunks]`: chunk k lies at `k % 3`.
    tiles: Vec<Lanes>,
    /// `[group][3]`: lowest and highest sample of each chunk.
    ranges: Vec<[(Lanes, Lanes); 3]>,
    /// Segment, its first sample, and how many samples of it have come in.
    span: Option<(u32, i64, usize)>,
    median: RunningMedian,
    row: Vec<f64>,
    /// Values above the threshold in the chunk at hand: (sample, channel, y), and how many per sample.
    marks: Vec<(u32, u32, f64)>,
    per_sample: Vec<u32>,
    largest: Vec<f64>,
    largest_range: f64,
    hits: Vec<Hit>,
    values: Vec<(u32, f64)>,
    overflow: bool,
}

impl Detector {
    /// Plans a search on `channels` (indices into the stream's channels, all in µV).
    ///
    /// # Errors
    /// When there is no channel, or the settings make no sense at this rate.
    pub fn new(info: &StreamInfo, channels: &[usize], config: &Detect) -> Result<Self> {
        let n = channels.len();
        if n == 0 {
            return Err(Error::data("no channel to look for pulses on"));
        }
        let mut once = channels.to_vec();
        once.sort_unstable();
        once.dedup();
        if once.len() < n || once.last().is_none_or(|&c| c >= info.channels.len()) {
            return Err(Error::usage("a channel to look for pulses on does not exist or is named twice"));
        }
        let positive = |name: &str, v: f64, most: f64| {
            let wrong = || Error::usage(format!("{name}: {v} is not between 0 and {most}"));
            if v > 0.0 && v <= most { Ok(()) } else { Err(wrong()) }
        };
        positive("threshold_uv", config.threshold_uv.unwrap_or(1.0), 1e9)?;
        positive("floor_uv", config.floor_uv, 1e9)?;
        positive("ceiling_uv", config.ceiling_uv, 1e9)?;
        positive("min_channels", config.min_channels, 1.0)?;
        positive("refractory_ms", config.refractory_ms, 1e5)?;
        positive("median_ms", config.median_ms, 1e4)?;
        if config.floor_uv > config.ceiling_uv {
            return Err(Error::usage("floor_uv is above ceiling_uv"));
        }
        let rate = info.rate_hz();
        let half_ms = config.median_ms / 2.0;
        let half = window_offsets([-half_ms, half_ms], rate).map_or(0, |w| w.1.unsigned_abs() as usize);
        if half == 0 {
            let at_least = 2e3 / rate;
            return Err(Error::usage(format!("median_ms must be at least {at_least} ms at {rate} Hz")));
        }
        let refractory = window_offsets([0.0, config.refractory_ms], rate).map_or(0, |w| w.1);
        let mut groups: Vec<(usize, Vec<(usize, usize)>)> = Vec::new();
        let mut order: Vec<_> = channels.iter().copied().enumerate().collect();
        order.sort_unstable_by_key(|&(_, channel)| channel);
        for (place, channel) in order {
            let group = channel / LANES;
            if groups.last().is_none_or(|g| g.0 != group) {
                groups.push((group, Vec::new()));
            }
            if let Some(last) = groups.last_mut() {
                last.1.push((channel % LANES, place));
            }
        }
        let chunk = half.max(32);
        Ok(Self {
            config: config.clone(),
            channels: channels.to_vec(),
            needed: ((config.min_channels * n as f64 - 1e-9).ceil() as u32).max(1),
            refractory,
            half,
            chunk,
            tiles: vec![[0.0; LANES]; groups.len() * 3 * chunk],
            ranges: vec![[NOTHING; 3]; groups.len()],
            groups,
            span: None,
            median: RunningMedian::new(2 * half + 1),
            row: Vec::with_capacity(3 * chunk),
            marks: Vec::with_capacity(chunk * n),
            per_sample: vec![0; chunk],
            largest: vec![0.0; n],
            largest_range: 0.0,
            hits: Vec::new(),
            values: Vec::new(),
            overflow: false,
        })
    }

    /// Takes the next block of the stream.
    pub fn push(&mut self, block: &Block) {
        if block.is_empty() {
            return;
        }
        match self.span {
            Some((segment, first, n)) if segment == block.segment() && first + n as i64 == block.first() => {}
            _ => {
                self.end_segment();
                self.span = Some((block.segment(), block.first(), 0));
            }
        }
        let mut at = 0;
        while at < block.len() {
            let Some((segment, first, done)) = self.span else { return };
            let (k, inside) = (done / self.chunk, done % self.chunk);
            let n = (self.chunk - inside).min(block.len() - at);
            for (g, &(group, _)) in self.groups.iter().enumerate() {
                let to = (3 * g + k % 3) * self.chunk + inside;
                let range = &mut self.ranges[g][k % 3];
                if inside == 0 {
                    *range = NOTHING;
                }
                absorb(&block.group(group)[at..at + n], &mut self.tiles[to..to + n], range);
            }
            self.span = Some((segment, first, done + n));
            if inside + n == self.chunk && k > 0 {
                self.search(k - 1, true);
            }
            at += n;
        }
    }

    /// Ends the search.
    ///
    /// # Errors
    /// When the signal exceeds the threshold nearly everywhere on enough channels: that is no train of pulses.
    pub fn finish(mut self) -> Result<Detection> {
        self.end_segment();
        if self.overflow {
            return Err(Error::data(format!(
                "the signal departs from its running median by more than {} µV nearly everywhere",
                self.config.threshold_uv.unwrap_or(self.config.floor_uv)
            ))
            .with_hint("leave out bad channels, or raise the threshold of the search for pulses"));
        }
        let mut best = (Vec::new(), 0);
        for relaxed in 0..=if self.config.expected.is_some() { RELAX_TIMES } else { 0 } {
            let found = self.pulses(&self.thresholds(relaxed));
            let enough = self.config.expected.is_none_or(|n| found.len() >= n);
            if relaxed == 0 || found.len() > best.0.len() {
                best = (found, relaxed);
            }
            if enough {
                break;
            }
        }
        let (pulses, relaxed) = best;
        let thresholds_uv = self.thresholds(relaxed);
        let reason = pulses.is_empty().then(|| self.why_nothing(&thresholds_uv));
        Ok(Detection {
            pulses,
            thresholds_uv,
            relaxed: relaxed.unsigned_abs(),
            channels_needed: self.needed,
            largest_range_uv: self.largest_range,
            reason,
        })
    }

    fn why_nothing(&self, thresholds: &[f64]) -> String {
        let over = self.largest.iter().zip(thresholds).filter(|(y, t)| y > t).count();
        let (low, high) = thresholds.iter().fold((f64::INFINITY, 0.0_f64), |(l, h), &t| (l.min(t), h.max(t)));
        let threshold = if low == high { format!("{low}") } else { format!("{low}…{high}") };
        match over {
            0 => format!(
                "no channel departs from its running median by more than {threshold} µV; the signal's largest range within some \
                 {} ms is {:.1} µV",
                1.5 * self.config.median_ms,
                self.largest_range
            ),
            n => format!(
                "{n} of {} channels exceed {threshold} µV, but never {} at once",
                self.channels.len(),
                self.needed
            ),
        }
    }

    /// The lowest threshold that may yet hold for a channel: its largest y can only grow.
    fn gate(&self, channel: usize) -> f64 {
        self.threshold(channel, if self.config.expected.is_some() { RELAX_TIMES } else { 0 })
    }

    fn threshold(&self, channel: usize, relaxed: i32) -> f64 {
        let c = &self.config;
        let full = c.threshold_uv.unwrap_or_else(|| (self.largest[channel] / 10.0).clamp(c.floor_uv, c.ceiling_uv));
        full * RELAX.powi(relaxed)
    }

    fn thresholds(&self, relaxed: i32) -> Vec<f64> {
        (0..self.channels.len()).map(|c| self.threshold(c, relaxed)).collect()
    }

    /// Searches what the segment's end left over.
    fn end_segment(&mut self) {
        let Some((_, _, n)) = self.span else { return };
        let last = n.div_ceil(self.chunk).saturating_sub(1);
        // a full last chunk has had its predecessor searched already
        if last > 0 && n % self.chunk != 0 {
            self.search(last - 1, true);
        }
        self.search(last, false);
        self.span = None;
    }

    /// Searches chunk `k`, of which the samples before it and, if `more`, after it are at hand.
    fn search(&mut self, k: usize, more: bool) {
        let Some((segment, first, n)) = self.span.filter(|_| !self.overflow) else { return };
        let len = self.chunk.min(n - k * self.chunk);
        self.marks.clear();
        for g in 0..self.groups.len() {
            let (mut lo, mut hi) = self.ranges[g][k % 3];
            for j in [k.checked_sub(1), more.then_some(k + 1)].into_iter().flatten() {
                let (l, h) = self.ranges[g][j % 3];
                for i in 0..LANES {
                    (lo[i], hi[i]) = (lower(lo[i], l[i]), higher(hi[i], h[i]));
                }
            }
            for at in 0..self.groups[g].1.len() {
                let (lane, channel) = self.groups[g].1[at];
                let range = hi[lane] - lo[lane];
                if range.is_finite() && range > self.largest_range {
                    self.largest_range = range;
                }
                // an infinite sample makes the range infinite and is looked at
                if range > self.gate(channel) {
                    self.search_channel(g, lane, channel, k, n);
                }
            }
        }
        if self.marks.is_empty() {
            return;
        }
        self.per_sample[..len].fill(0);
        for mark in &self.marks {
            self.per_sample[mark.0 as usize] += 1;
        }
        // what too few channels exceed can never count
        let (per_sample, needed) = (&self.per_sample, self.needed);
        self.marks.retain(|mark| per_sample[mark.0 as usize] >= needed);
        self.marks.sort_unstable_by_key(|mark| (mark.0, mark.1));
        if self.values.len() + self.marks.len() > MOST_VALUES {
            self.prune();
            if self.values.len() > MOST_VALUES / 2 {
                self.overflow = true;
                return;
            }
        }
        let mut current = None;
        for &(sample, channel, y) in &self.marks {
            if current != Some(sample) {
                current = Some(sample);
                let tick = first + (k * self.chunk) as i64 + i64::from(sample);
                self.hits.push(Hit { tick, segment, from: self.values.len() });
            }
            self.values.push((channel, y));
        }
    }

    /// y of one channel in chunk `k`, kept where it exceeds the gate; `n` samples of the segment are at hand.
    fn search_channel(&mut self, g: usize, lane: usize, channel: usize, k: usize, n: usize) {
        let (from, to) = (k * self.chunk, n.min((k + 1) * self.chunk));
        let start = from.saturating_sub(self.half);
        self.row.clear();
        for sample in start..n.min(to + self.half) {
            self.row.push(self.tiles[(3 * g + sample / self.chunk % 3) * self.chunk + sample % self.chunk][lane]);
        }
        let (row, half) = (&self.row, self.half);
        self.median.clear();
        for v in row[..(from + half - start).min(row.len())].iter().filter(|v| v.is_finite()) {
            self.median.insert(*v);
        }
        let gate = self.gate(channel);
        for i in from - start..to - start {
            let finite = |i: usize| row.get(i).copied().filter(|v| v.is_finite());
            match (i.checked_sub(half + 1).and_then(finite), finite(i + half)) {
                (Some(old), Some(new)) => self.median.replace(old, new),
                (Some(old), None) => self.median.remove(old),
                (None, Some(new)) => self.median.insert(new),
                (None, None) => {}
            }
            let y = (row[i] - self.median.value()).abs();
            if y > gate && y.is_finite() {
                self.largest[channel] = self.largest[channel].max(y);
                self.marks.push(((i + start - from) as u32, channel as u32, y));
            }
        }
    }

    /// Forgets values that thresholds have risen above meanwhile.
    fn prune(&mut self) {
        let gates: Vec<_> = (0..self.channels.len()).map(|c| self.gate(c)).collect();
        let (mut hits, mut kept) = (Vec::new(), Vec::new());
        for i in 0..self.hits.len() {
            let from = kept.len();
            kept.extend(self.values_of(i).iter().filter(|v| v.1 > gates[v.0 as usize]));
            if kept.len() - from >= self.needed as usize {
                hits.push(Hit { from, ..self.hits[i] });
            } else {
                kept.truncate(from);
            }
        }
        (self.hits, self.values) = (hits, kept);
    }

    fn values_of(&self, hit: usize) -> &[(u32, f64)] {
        let to = self.hits.get(hit + 1).map_or(self.values.len(), |h| h.from);
        &self.values[self.hits[hit].from..to]
    }

    fn pulses(&self, thresholds: &[f64]) -> Vec<FoundPulse> {
        let mut pulses: Vec<FoundPulse> = Vec::new();
        let mut last: Option<Hit> = None;
        for (i, hit) in self.hits.iter().enumerate() {
            let over = self.values_of(i).iter().filter(|v| v.1 > thresholds[v.0 as usize]);
            let (n, peak) = over.fold((0, 0.0_f64), |(n, peak), v| (n + 1, peak.max(v.1)));
            if n < self.needed {
                continue;
            }
            let joins = last.is_some_and(|l| l.segment == hit.segment && hit.tick - l.tick <= self.refractory);
            last = Some(*hit);
            match pulses.last_mut() {
                Some(p) if joins => {
                    p.samples = u32::try_from(hit.tick - p.tick.0 + 1).unwrap_or(u32::MAX);
                    p.peak_uv = p.peak_uv.max(peak);
                    p.channels_over = p.channels_over.max(n);
                }
                _ => pulses.push(FoundPulse { tick: Tick(hit.tick), samples: 1, peak_uv: peak, channels_over: n }),
            }
        }
        pulses
    }
}

/// The range of no samples.
const NOTHING: (Lanes, Lanes) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);

/// The lower of two; a NaN never wins over what is there.
fn lower(kept: f64, new: f64) -> f64 {
    if new < kept { new } else { kept }
}

/// The higher of two; a NaN never wins over what is there.
fn higher(kept: f64, new: f64) -> f64 {
    if new > kept { new } else { kept }
}

/// Copies samples and widens their range.
#[multiversion(targets("x86_64+avx+avx2", "aarch64+neon"))]
fn absorb(from: &[Lanes], to: &mut [Lanes], range: &mut (Lanes, Lanes)) {
    let (mut lo, mut hi) = *range;
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
        for i in 0..LANES {
            lo[i] = lower(lo[i], from[i]);
            hi[i] = higher(hi[i], from[i]);
        }
    }
    *range = (lo, hi);
}

#[cfg(test)]
mod tests;
